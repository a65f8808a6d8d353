"""What of a captured call becomes a keyword, a field or a pause, and what stays."""

from __future__ import annotations

import re
from dataclasses import replace

from sipstack.pcap import CapturedMessage, read_sip
from sipstack.pcapng import PcapngWriter
from sipstack.scenario.captured import MOST_MESSAGES, calls_of, pair_of
from tests.scenario.talks import CALLEE, CALLER, INVITE, NODE, A, Talk, X, answered, message


def sends(text: str) -> list[str]:
    return [
        found.removesuffix("\n").removeprefix("\n") for found in re.findall(r"<!\[CDATA\[(.*?)\]\]>", text, re.DOTALL)
    ]


def test_a_caller_word_for_word() -> None:
    pair = answered().pair
    invite, ack, bye = sends(pair.uac)
    assert invite.splitlines() == [
        "INVITE sip:[field0]@veil.example SIP/2.0",
        "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport",
        "From: <sip:[field1]@[local_ip]>;tag=[pid]v[call_number]",
        "To: <sip:[field0]@veil.example>",
        "Call-ID: [call_id]",
        "CSeq: [cseq] INVITE",
        "Contact: <sip:a@[local_ip]:[local_port]>",
        "Content-Length: [len]",
        "",
        "v=0",
        "o=- 1 1 IN IP[media_ip_type] [media_ip]",
        "s=-",
        "c=IN IP[media_ip_type] [media_ip]",
        "t=0 0",
        "m=audio 4000 RTP/AVP 8",
    ]
    assert ack.splitlines()[:3] == [
        "ACK [next_url] SIP/2.0", "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport", "[routes]",
    ]  # fmt: skip
    assert "To: <sip:[field0]@veil.example>[peer_tag_param]" in bye
    assert '<recv response="100" optional="true"/>' in pair.uac
    assert '<pause milliseconds="2000"/>' in pair.uac
    assert pair.uac.count("<pause") == 1
    assert (pair.rows, pair.fields) == (f"SEQUENTIAL\n{X};{CALLER}\n", (X, CALLER))


def test_addresses_of_ipv6() -> None:
    """`[local_ip]` has brackets, `[media_ip]` has none."""
    here, there = ("2001:db8::1", 5060), ("2001:db8::9", 5060)
    more = ("Contact: <sip:a@[2001:db8::1]:5060>", "Note: 2001:db8::1 2001:db8::1:2 [2001:db8::9]:5060 [2001:db8::1]")
    body = "v=0\r\no=- 1 1 IN IP6 2001:db8::1\r\nc=IN IP6 2001:db8::1\r\na=rtcp:9 IN IP6 2001:db8::1\r\n"
    data = message("INVITE sip:7000@[2001:db8::9]:5060 SIP/2.0", "1 INVITE", "one", ("a", ""), *more, body=body)
    (invite,) = sends(Talk()(here, there, data).pair.uac)
    assert invite.startswith("INVITE sip:[field0]@[remote_ip]:[remote_port] SIP/2.0\n")
    assert "Contact: <sip:a@[local_ip]:[local_port]>\n" in invite
    assert "Note: [media_ip] 2001:db8::1:2 [remote_ip]:[remote_port] [local_ip]\n" in invite
    assert "o=- 1 1 IN IP[media_ip_type] [media_ip]\n" in invite
    assert "a=rtcp:9 IN IP6 [media_ip]" in invite


def test_a_callee_word_for_word() -> None:
    _, ok, bye = sends(answered().pair.uas)
    assert ok.splitlines()[:9] == [
        "SIP/2.0 200 OK", "[last_Via:]", "[last_From:]", "[last_To:];tag=[pid]v[call_number]", "[last_Call-ID:]",
        "[last_CSeq:]", "Contact: <sip:x@[local_ip]:[local_port]>", "Content-Length: [len]", "",
    ]  # fmt: skip
    assert "[last_To:]\n" in bye


def test_repeats_are_played_once() -> None:
    talk = Talk()
    once = answered().said
    for one in once:
        talk(one.source, one.destination, one.data)(one.source, one.destination, one.data)
    again = talk.pair
    assert sends(again.uac) == sends(answered().pair.uac)
    assert again.uac.count("<recv") == 3


def test_a_100_that_nobody_has_sent_may_still_come() -> None:
    talk = answered()
    del talk.said[1]
    assert '<recv response="100" optional="true"/>' in talk.pair.uac


def test_a_cancel_and_the_ack_of_a_refusal_are_of_the_transaction_of_their_invite() -> None:
    talk = Talk()
    talk(A, NODE, message(INVITE, "1 INVITE", "one", ("a", "")))
    talk(NODE, A, message("SIP/2.0 180 Ringing", "1 INVITE", "one", ("a", "b")))
    talk(A, NODE, message(f"CANCEL sip:{X}@veil.example SIP/2.0", "1 CANCEL", "one", ("a", "")), 0.05)
    talk(NODE, A, message("SIP/2.0 200 OK", "1 CANCEL", "one", ("a", "b")))
    talk(NODE, A, message("SIP/2.0 487 Terminated", "1 INVITE", "one", ("a", "b")))
    talk(A, NODE, message(f"ACK sip:{X}@veil.example SIP/2.0", "1 ACK", "one", ("a", "b")))
    pair = talk.pair
    _, cancel, ack = sends(pair.uac)
    # behind INVITE stand: 100, 180, a pause | CANCEL, 200, 487 | ACK
    assert "branch=[branch-4];" in cancel
    assert "branch=[branch-7];" in ack
    assert cancel.startswith("CANCEL sip:[field0]@veil.example SIP/2.0\n")
    assert "CSeq: [cseq] CANCEL" in cancel
    assert "[peer_tag_param]" not in cancel
    assert ack.endswith("\nContent-Length: 0\n")
    assert re.findall('assign_to="([a-z]+0)"', pair.uas) == ["via0", "from0", "to0", "cseq0"]  # no Record-Route came
    refused = sends(pair.uas)[-1].splitlines()
    assert refused[:6] == [
        "SIP/2.0 487 Terminated", "Via: [$via0]", "From: [$from0]", "To: [$to0];tag=[pid]v[call_number]",
        "Call-ID: [call_id]", "CSeq: [$cseq0]",
    ]  # fmt: skip


def test_what_comes_between_an_invite_and_its_ack_makes_cseq_a_number() -> None:
    """A counter goes on from the CSeq of a request that comes."""
    talk = Talk()
    talk(A, NODE, message(INVITE, "7 INVITE", "one", ("a", "")))
    talk(NODE, A, message("UPDATE sip:a SIP/2.0", "900 UPDATE", "one", ("b", "a"), branch="z9hG4bK-u"))
    talk(A, NODE, message("SIP/2.0 200 OK", "900 UPDATE", "one", ("b", "a"), branch="z9hG4bK-u"))
    talk(NODE, A, message("SIP/2.0 200 OK", "7 INVITE", "one", ("a", "b"), "Contact: <sip:x@192.0.2.9>"))
    talk(A, NODE, message("ACK sip:x@192.0.2.9 SIP/2.0", "7 ACK", "one", ("a", "b"), branch="z9hG4bK-2"))
    talk(A, NODE, message("BYE sip:x@192.0.2.9 SIP/2.0", "8 BYE", "one", ("a", "b"), branch="z9hG4bK-3"))
    sent = sends(talk.pair.uac)
    assert [re.findall("^CSeq: .*$", text, re.MULTILINE) for text in sent if not text.startswith("SIP")] == [
        ["CSeq: 1 INVITE"], ["CSeq: 1 ACK"], ["CSeq: 2 BYE"],
    ]  # fmt: skip


def test_a_cseq_that_does_not_go_up_by_one_is_kept() -> None:
    talk = answered()
    talk.said[4:] = [replace(one, data=one.data.replace(b"8 BYE", b"5 BYE")) for one in talk.said[4:]]
    assert "CSeq: 3 INVITE" in talk.pair.uac
    assert "CSeq: 1 BYE" in talk.pair.uac


def test_an_ack_takes_the_cseq_of_its_invite_over_a_prack() -> None:
    talk = Talk()
    reliable = ("Require: 100rel", "RSeq: 4711", "Contact: <sip:x@192.0.2.9>")
    talk(A, NODE, message(INVITE, "7 INVITE", "one", ("a", "")))
    talk(NODE, A, message("SIP/2.0 183 Progress", "7 INVITE", "one", ("a", "b"), *reliable))
    prack = message("PRACK sip:x SIP/2.0", "8 PRACK", "one", ("a", "b"), "RAck: 4711 7 INVITE", branch="z9hG4bK-2")
    talk(A, NODE, prack)
    talk(NODE, A, message("SIP/2.0 200 OK", "8 PRACK", "one", ("a", "b"), branch="z9hG4bK-2"))
    talk(NODE, A, message("SIP/2.0 200 OK", "7 INVITE", "one", ("a", "b"), "Contact: <sip:x@192.0.2.9>"))
    talk(A, NODE, message("ACK sip:x SIP/2.0", "7 ACK", "one", ("a", "b"), branch="z9hG4bK-3"))
    pair = talk.pair
    _, prack_text, ack = sends(pair.uac)
    assert '<ereg regexp="[0-9]+" search_in="hdr" header="RSeq:" assign_to="rseq1"/>' in pair.uac
    assert "CSeq: [cseq] PRACK\nRAck: [$rseq1] [cseq-1] INVITE\n" in prack_text
    assert "CSeq: [cseq-1] ACK" in ack
    progress, of_prack, ok = sends(pair.uas)
    assert "RSeq: 4711" in progress
    assert "[last_CSeq:]" in of_prack
    assert "CSeq: [$cseq0]" in ok
    assert pair.uas.count(' retrans="500"') == 2  # a reliable one, and the answer


def test_what_is_repeated_until_it_is_answered() -> None:
    pair = answered().pair
    assert [found[0] or "-" for found in re.findall(r"<send( retrans=\"500\")?(.)", pair.uac)] == [
        ' retrans="500"', "-", ' retrans="500"',
    ]  # fmt: skip
    assert pair.uas.count("retrans") == 1


def test_only_what_says_where_to_leads_there() -> None:
    """A response without a Contact would lead nowhere."""
    talk = answered()
    ringing = message("SIP/2.0 180 Ringing", "7 INVITE", "one", ("a", "b"))
    talk.said.insert(2, CapturedMessage(1000.25, "UDP", NODE, A, ringing))
    assert '<recv response="180"/>' in talk.pair.uac
    assert '<recv response="200" rrs="true"/>' in talk.pair.uac


def test_a_100_before_something_that_is_sent_is_waited_for() -> None:
    talk = Talk()(A, NODE, message(INVITE, "1 INVITE", "one", ("a", "")))
    talk(NODE, A, message("SIP/2.0 100 Trying", "1 INVITE", "one", ("a", "")))
    talk(A, NODE, message(f"CANCEL sip:{X}@veil.example SIP/2.0", "1 CANCEL", "one", ("a", "")), 0.01)
    assert '<recv response="100"/>' in talk.pair.uac
    assert "<pause" not in talk.pair.uac


def test_routes_are_those_of_the_call_in_a_dialog_and_as_captured_before() -> None:
    talk = answered()
    for place in (0, 4):
        one = talk.said[place]
        data = one.data.replace(b"Call-ID", b"Route: <sip:192.0.2.9;lr>\r\nCall-ID", 1)
        talk.said[place] = replace(one, data=data)
    invite, _, bye = sends(talk.pair.uac)
    assert "Route: <sip:[remote_ip];lr>" in invite
    assert "Route:" not in bye
    assert "\n[routes]\n" in bye


def test_a_redirection_leads_where_it_led() -> None:
    talk = Talk()(A, NODE, message(INVITE, "1 INVITE", "one", ("a", "")))
    talk(NODE, A, message("SIP/2.0 302 Moved", "1 INVITE", "one", ("a", "b"), "Contact: <sip:other@203.0.113.9:5070>"))
    assert "Contact: <sip:other@203.0.113.9:5070>" in talk.pair.uas


def test_each_branch_of_a_fork_has_its_tag() -> None:
    talk = Talk()(A, NODE, message(INVITE, "1 INVITE", "one", ("a", "")))
    for tag in ("left", "right"):
        talk(NODE, A, message("SIP/2.0 180 Ringing", "1 INVITE", "one", ("a", tag)))
    assert re.findall(r"tag=(.*)", talk.pair.uas) == ["[pid]v[call_number]", "[pid]v[call_number]x1"]


def test_a_pause_has_an_end() -> None:
    talk = answered()
    talk.said[4:] = [replace(one, at_s=one.at_s + 90_000) for one in talk.said[4:]]
    assert '<pause milliseconds="3600000"/>' in talk.pair.uac


def test_an_ack_that_is_sent_again_has_another_branch() -> None:
    talk = answered()
    again = talk.said[3]
    talk.said.insert(4, replace(again, data=again.data.replace(b"z9hG4bK-2", b"z9hG4bK-77")))
    assert talk.pair.uac.count("ACK [next_url]") == 1


def test_an_answer_to_what_is_not_in_the_capture_is_left_out() -> None:
    talk = answered()
    talk.said.insert(3, replace(talk.said[5], data=talk.said[5].data.replace(b"8 BYE", b"99 INFO")))
    assert talk.pair.uac.count('<recv response="200"') == 2


def test_numbers_are_fields_wherever_they_stand() -> None:
    more = (
        f"P-Asserted-Identity: <tel:+86{CALLER}>", f'X-Name: "{CALLER}" and +86{CALLEE}.', "X-Date: 1732612345678",
        f"Referred-By: <sip:1001@192.0.2.1:{5060}>",
    )  # fmt: skip
    talk = Talk()(A, NODE, message(INVITE, "1 INVITE", "one", ("a", ""), *more))
    pair = talk.pair
    assert pair.fields == (X, CALLER, "1001", CALLEE)
    (invite,) = sends(pair.uac)
    assert "<tel:+86[field1]>" in invite
    assert 'X-Name: "[field1]" and +86[field3].' in invite
    assert "X-Date: 1732612345678" in invite
    assert "<sip:[field2]@[local_ip]:[local_port]>" in invite


def test_passwords_and_signatures_are_not_kept() -> None:
    talk = Talk()
    challenge = 'WWW-Authenticate: Digest realm="r", nonce="n"'
    talk(A, NODE, message(INVITE, "1 INVITE", "one", ("a", ""), "Identity: secret;info=<https://x>"))
    talk(NODE, A, message("SIP/2.0 401 Unauthorized", "1 INVITE", "one", ("a", "b"), challenge))
    talk(A, NODE, message(f"ACK sip:{X}@veil.example SIP/2.0", "1 ACK", "one", ("a", "b")))
    credentials = f'Authorization: Digest username="{CALLER}", response="secret"'
    talk(A, NODE, message(INVITE, "2 INVITE", "one", ("a", ""), credentials, branch="z9hG4bK-9"))
    pair = talk.pair
    assert '<recv response="401" auth="true"/>' in pair.uac
    assert "\n[authentication]\n" in pair.uac
    assert "secret" not in pair.uac
    assert "the caller shows a password: play it with -au and -ap" in pair.notes


def test_what_the_capture_does_not_have_is_told() -> None:
    talk = answered()
    del talk.said[-2:]
    assert talk.pair.notes == (
        "the capture has one leg of the call: both files are of it", "the capture ends before the call does",
    )  # fmt: skip
    del talk.said[1:]
    assert "the capture ends before the call is answered" in talk.pair.notes


def test_over_tcp_as_our_own_writer_has_it() -> None:
    """A connection without a beginning; whoever plays it is told over what."""
    writer = PcapngWriter()
    data = writer.begin("x", "x", "x")
    for one in answered().said:
        ends = one.source, one.destination
        data += writer.message(one.at_s, "TCP", *ends, one.data, is_sent=one.source == NODE)
    capture = read_sip(data)
    assert [(one.transport, one.data) for one in capture.messages] == [("TCP", one.data) for one in answered().said]
    (call,) = calls_of(capture.messages)
    pair = pair_of(call)
    assert pair is not None
    assert "the caller speaks TCP, the callee TCP: -t t1 is for TCP" in pair.notes


def test_a_call_of_too_many_messages() -> None:
    talk = Talk()
    for number in range(MOST_MESSAGES):
        talk(A, NODE, message(INVITE, f"{number + 1} INVITE", "one", ("a", "")))
    (call,) = talk.calls
    assert pair_of(call) is not None
    talk(NODE, A, message("SIP/2.0 100 Trying", "1 INVITE", "one", ("a", "")))
    (call,) = talk.calls
    assert pair_of(call) is None
