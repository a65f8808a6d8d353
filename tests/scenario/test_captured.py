"""Which calls a capture holds, and what of a message becomes a keyword."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipstack.pcap import Address, CapturedMessage, read_sip
from sipstack.pcapng import PcapngWriter
from sipstack.scenario.captured import MOST_MESSAGES, CapturedCall, Pair, calls_of, pair_of
from sipstack.scenario.captured.marks import Marks
from sipstack.scenario.captured.numbers import Numbers
from sipstack.scenario.loader import load_scenario
from sipstack.scenario.model import ScenarioError, Send

A, NODE, B = ("192.0.2.1", 5060), ("192.0.2.9", 5060), ("192.0.2.2", 5070)
X: Final = "700123456780001"
CALLER, CALLEE = "13800138000", "13900139000"
SDP: Final = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"


def message(
    start: str, cseq: str, call_id: str = "one", tags: tuple[str, str] = ("from", ""), *more: str, body: str = "",
    parties: tuple[str, str] = (CALLER, X), branch: str = "z9hG4bK-1",
) -> bytes:  # fmt: skip
    to_tag = f";tag={tags[1]}" if tags[1] else ""
    rows = [
        start, f"Via: SIP/2.0/UDP 192.0.2.1:5060;branch={branch};rport",
        f"From: <sip:{parties[0]}@192.0.2.1>;tag={tags[0]}",
        f"To: <sip:{parties[1]}@veil.example>{to_tag}", f"Call-ID: {call_id}", f"CSeq: {cseq}", *more,
        f"Content-Length: {len(body)}",
    ]  # fmt: skip
    return ("\r\n".join(rows) + "\r\n\r\n" + body).encode("latin-1")


class Talk:
    """Messages in a row, a tenth of a second apart."""

    def __init__(self) -> None:
        self.said: list[CapturedMessage] = []
        self.at_s = 1000.0

    def __call__(self, source: Address, destination: Address, data: bytes, after_s: float = 0.1) -> Talk:
        self.at_s += after_s
        self.said.append(CapturedMessage(self.at_s, "UDP", source, destination, data))
        return self

    @property
    def calls(self) -> list[CapturedCall]:
        return calls_of(self.said)

    @property
    def pair(self) -> Pair:
        (call,) = self.calls
        made = pair_of(call)
        assert made is not None
        return made


INVITE: Final = f"INVITE sip:{X}@veil.example SIP/2.0"


def answered(talk: Talk | None = None, call_id: str = "one", ends: tuple[Address, Address] = (A, NODE)) -> Talk:
    """A short call of one leg."""
    talk = talk or Talk()
    here, there = ends
    contact = "Contact: <sip:x@192.0.2.9:5060>"
    talk(here, there, message(INVITE, "7 INVITE", call_id, ("a", ""), "Contact: <sip:a@10.1.1.1:9>", body=SDP))
    talk(there, here, message("SIP/2.0 100 Trying", "7 INVITE", call_id, ("a", "")))
    talk(there, here, message("SIP/2.0 200 OK", "7 INVITE", call_id, ("a", "b"), contact, body=SDP))
    talk(here, there, message("ACK sip:x@192.0.2.9:5060 SIP/2.0", "7 ACK", call_id, ("a", "b"), branch="z9hG4bK-2"))
    talk(here, there, message("BYE sip:x@192.0.2.9:5060 SIP/2.0", "8 BYE", call_id, ("a", "b"), branch="z9hG4bK-3"), 2)
    return talk(there, here, message("SIP/2.0 200 OK", "8 BYE", call_id, ("a", "b"), branch="z9hG4bK-3"))


# -- which calls -------------------------------------------------------------------------------------------------------


def test_one_leg_is_a_call() -> None:
    (call,) = answered().calls
    assert (call.inward.call_id, call.inward is call.outward, call.inward.status) == ("one", True, 200)
    assert [one.from_caller for one in call.inward.exchanges] == [True, False, False, True, True, False]


def through(first: str = "one", second: str = "two", shown: str = X) -> Talk:
    """An INVITE that a node takes on, and its refusal on the way back."""
    talk = Talk()
    talk(A, NODE, message(INVITE, "1 INVITE", first, ("a", "")))
    invite = message(
        f"INVITE sip:{CALLEE}@192.0.2.2:5070 SIP/2.0", "9 INVITE", second, ("n", ""), parties=(shown, CALLEE)
    )
    talk(NODE, B, invite)
    talk(B, NODE, message("SIP/2.0 486 Busy Here", "9 INVITE", second, ("n", "b"), parties=(shown, CALLEE)))
    return talk(NODE, A, message("SIP/2.0 486 Busy Here", "1 INVITE", first, ("a", "m")))


@pytest.mark.parametrize("ids", [("one", "two"), ("one", "one")], ids=["a B2BUA", "a proxy"])
def test_two_legs_are_one_call(ids: tuple[str, str]) -> None:
    (call,) = through(*ids).calls
    assert (call.inward.caller, call.inward.callee) == (A, NODE)
    assert (call.outward.caller, call.outward.callee) == (NODE, B)
    assert [leg.call_id for leg in call.legs] == list(ids)


def test_legs_of_two_calls_at_once_belong_together_by_their_numbers() -> None:
    talk = Talk()
    other = f"{X[:-1]}2"
    for call_id, called in (("one", X), ("uno", other)):
        invite = f"INVITE sip:{called}@veil.example SIP/2.0"
        talk(A, NODE, message(invite, "1 INVITE", call_id, ("a" + call_id, ""), parties=(CALLER, called)))
    for call_id, shown in (("due", other), ("two", X)):
        invite = f"INVITE sip:{CALLEE}@192.0.2.2 SIP/2.0"
        talk(NODE, B, message(invite, "1 INVITE", call_id, ("n" + call_id, ""), parties=(shown, CALLEE)))
    assert [(call.inward.call_id, call.outward.call_id) for call in talk.calls] == [("one", "two"), ("uno", "due")]


def test_a_leg_that_could_be_of_two_calls_is_of_none() -> None:
    talk = Talk()
    for call_id in ("one", "uno"):
        talk(A, NODE, message(INVITE, "1 INVITE", call_id, ("a" + call_id, "")))
    talk(NODE, B, message(f"INVITE sip:{CALLEE}@192.0.2.2 SIP/2.0", "1 INVITE", "two", ("n", ""), parties=(X, CALLEE)))
    assert [call.inward.call_id for call in talk.calls] == ["one", "uno", "two"]


def test_a_leg_that_begins_when_the_call_is_settled_is_another_call() -> None:
    talk = answered()
    talk(NODE, B, message(f"INVITE sip:{CALLEE}@192.0.2.2 SIP/2.0", "1 INVITE", "two", ("n", ""), parties=(X, CALLEE)))
    assert len(talk.calls) == 2


def test_of_targets_tried_in_turn_the_one_that_answered_counts() -> None:
    talk = Talk()(A, NODE, message(INVITE, "1 INVITE", "one", ("a", "")))
    for number, status in enumerate((503, 200, 487)):
        there = ("192.0.2.2", 5070 + number)
        call_id = f"out{number}"
        invite = message(f"INVITE sip:{CALLEE}@192.0.2.2 SIP/2.0", "1 INVITE", call_id, ("n", ""), parties=(X, CALLEE))
        talk(NODE, there, invite)
        talk(there, NODE, message(f"SIP/2.0 {status} X", "1 INVITE", call_id, ("n", "b"), parties=(X, CALLEE)))
    (call,) = talk.calls
    assert (call.outward.call_id, [leg.call_id for leg in call.others]) == ("out1", ["out0", "out2"])


def test_what_begins_no_call() -> None:
    talk = Talk()
    talk(A, NODE, message("OPTIONS sip:veil.example SIP/2.0", "1 OPTIONS", "o"))
    talk(A, NODE, message("BYE sip:x@192.0.2.9 SIP/2.0", "2 BYE", "b", ("a", "b")))
    talk(A, NODE, message(INVITE, "2 INVITE", "re", ("a", "b")))
    talk(A, NODE, b"INVITE sip:x SIP/2.0\r\n\r\n")
    assert talk.calls == []


# -- what they become --------------------------------------------------------------------------------------------------


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
        "o=- 1 1 IN IP[local_ip_type] [local_ip]",
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
    refused = sends(pair.uas)[-1].splitlines()
    assert refused[:6] == [
        "SIP/2.0 487 Terminated", "Via: [$via0]", "From: [$from0]", "To: [$to0];tag=[pid]v[call_number]",
        "Call-ID: [call_id]", "CSeq: [$cseq0]",
    ]  # fmt: skip


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


def test_many_calls_at_once_take_no_time_for_each_other() -> None:
    """Legs that are never answered, between any addresses, one Call-ID or many: a capture of a flood."""
    talk = Talk()
    for number in range(6000):
        source = (f"10.0.{number % 250}.{number % 200 + 1}", 1024 + number)
        call_id = f"c{number}" if number % 2 else "same"
        talk(source, NODE, message(INVITE, "1 INVITE", call_id, (f"t{number}", "")), 0.0)
        talk(NODE, B, message(INVITE, "1 INVITE", f"d{number}", (f"u{number}", "")), 0.0)
    began = time.process_time()
    assert len(talk.calls) > 6000
    assert time.process_time() - began < 30  # 4 s here


@pytest.mark.parametrize(
    "value", ["sip:" * 15_000, "<" * 60_000, "sip:" + "1" * 60_000, ";tag" * 15_000, "13800138000" * 5000, "[" * 60_000]
)
def test_long_fields_take_no_time(value: str) -> None:
    talk = Talk()(
        A, NODE, message(INVITE, "1 INVITE", "one", ("a", ""), f"X: {value}", f"Contact: {value}", body=value)
    )
    began = time.process_time()
    assert talk.pair.uac
    assert time.process_time() - began < 5


# -- any octets --------------------------------------------------------------------------------------------------------


def played(text: str, folder: Path) -> str:
    """The message that our player would send for the body of a scenario."""
    file = folder / "any.xml"
    sent = f"<send><![CDATA[\nOPTIONS sip:x SIP/2.0\nContent-Length: 0\n\n{text}]]></send>"
    file.write_text(f'<scenario name="x">\n{sent}\n</scenario>\n', "ascii")
    (element,) = load_scenario(file).elements
    assert isinstance(element, Send)
    assert all(isinstance(part, str) for part in element.text.parts)
    return "".join(part for part in element.text.parts if isinstance(part, str))


@given(st.text(st.characters(max_codepoint=255), max_size=80))
def test_any_body_leaves_as_it_came(tmp_path_factory: pytest.TempPathFactory, body: str) -> None:
    text = played(Marks().body(body), tmp_path_factory.getbasetemp())
    assert text.partition("\r\n\r\n")[2] == body


@pytest.mark.parametrize(
    "body",
    [
        "]]>",
        "[field0]",
        "[[x]",
        "\\x41",
        "a\nb\rc\r\n\r\nd\r\n\r\n",
        " x ",
        "\0\xff",
        "<&>",
        "\r\n",
        "\t",
        "x\r\n y\r\n",
    ],
)
def test_odd_bodies(tmp_path: Path, body: str) -> None:
    text = played(Marks().body(body), tmp_path)
    assert text.partition("\r\n\r\n")[2] == body


@given(st.lists(st.binary(max_size=60), max_size=4), st.binary(max_size=60))
def test_whatever_a_peer_writes_the_files_load(
    tmp_path_factory: pytest.TempPathFactory, values: list[bytes], body: bytes
) -> None:
    rows = [b"X-%d: %b" % (place, value.replace(b"\r\n\r\n", b"")) for place, value in enumerate(values)]
    head, _, _ = message(INVITE, "1 INVITE").partition(b"\r\n\r\n")
    pair = Talk()(A, NODE, b"\r\n".join([head, *rows]) + b"\r\n\r\n" + body).pair
    for text in (pair.uac, pair.uas):
        file = tmp_path_factory.getbasetemp() / "whatever.xml"
        file.write_text(text, "ascii")
        load_scenario(file)


@given(st.integers(0, 5), st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=6)), min_size=1, max_size=6))
def test_whatever_is_broken_in_a_call_the_files_load(
    tmp_path_factory: pytest.TempPathFactory, which: int, changes: list[tuple[int, bytes]]
) -> None:
    talk = answered()
    data = bytearray(talk.said[which].data)
    for at, new in changes:
        data[at % len(data) : at % len(data) + len(new)] = new
    talk.said[which] = replace(talk.said[which], data=bytes(data))
    for call in talk.calls:
        pair = pair_of(call)
        assert pair is not None
        for text in (pair.uac, pair.uas):
            file = tmp_path_factory.getbasetemp() / "broken.xml"
            file.write_text(text, "ascii")
            load_scenario(file)


def test_a_file_that_does_not_load_would_be_seen(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError):
        played("[nothing known", tmp_path)


def test_numbers_that_are_part_of_others() -> None:
    marks = Marks()
    numbers = Numbers("sip:7654321@x", "sip:17654321@x", [])
    assert (
        marks.line(numbers.marked("sip:17654321@x 7654321 9917654321", marks)) == "sip:[field1]@x [field0] 99[field1]"
    )
