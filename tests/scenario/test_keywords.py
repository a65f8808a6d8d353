"""What stands in the place of a keyword; the words of a real SIPp are in tests/e2e/test_sipp_player.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sipstack.scenario.injection import Injection
from sipstack.scenario.keywords import MAX_MESSAGE_CHARS, render
from sipstack.scenario.template import Keyword, TextFault, parse_template
from sipstack.scenario.values import CallFault, Moment, Shared, Values
from tests.scenario.scenes import Clocked, message, recv, scenario, send

INVITE = message(
    "INVITE sip:x@x SIP/2.0", "Via: SIP/2.0/UDP second", "X-Two: 1", "x-two:  2", "m: <sip:short@h>",
    "X-Fold: a", "  b", cseq="41 INVITE",
)  # fmt: skip


def values(**changes: object) -> Values:
    given = {"set_once": {"pid": "7", "local_ip": "127.0.0.1", "service": "s", "mine": "[service]"},
             "numbers": {"local_port": 5060, "remote_port": 5070, "media_port": 6000},
             "shared": Shared(Injection.of_rows([["f0", "", "f2"]]), unix_s=lambda: 1_795_688_448.447),
             "lines": {"rows": 0},
             "number": 3, "call_id": "3-7@127.0.0.1", "last": INVITE, "cseq": 5, "next_url": "sip:n@n"}  # fmt: skip
    return Values(**(given | changes))  # type: ignore[arg-type]


def rendered(text: str, **changes: object) -> str:
    return render(parse_template(text, set()), values(**changes), Moment(4, 1500))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[service]@[local_ip]:[local_port]", "s@127.0.0.1:5060"),
        ("[remote_port-10] [local_port+2]", "5060 5062"),
        ("m=audio [media_port+2] [auto_media_port]", "m=audio 6002 6008"),
        ("[call_id] [call_number] [pid]", "3-7@127.0.0.1 3 7"),
        ("[branch] [branch-2] [branch+1]", "z9hG4bK-7-3-4 z9hG4bK-7-3-2 z9hG4bK-7-3-5"),
        ("[cseq] [cseq+2] [last_cseq_number] [last_cseq_number+1]", "5 7 41 42"),
        ("[msg_index] [clock_tick] [date]", "4 1500 Thu, 26 Nov 2026 10:20:48 GMT"),
        ("[field0][field2][field9]", "f0f2"),
        ("[mine]", "[service]"),
        ("a[peer_tag_param]", "a"),
        ("[next_url]", "sip:n@n"),
        ("[last_Request_URI]", "sip:t@t"),
        ("[last_Via:]|[last_Via]", "Via: SIP/2.0/UDP h;branch=z9hG4bKx, SIP/2.0/UDP second|"
                                   "Via: SIP/2.0/UDP h;branch=z9hG4bKx, SIP/2.0/UDP second"),
        ("[last_x-TWO:]", "X-Two: 1, 2"),
        ("[last_Contact:]", "m: <sip:short@h>"),
        ("[last_X-Fold:]", "X-Fold: a\r\n  b"),
        ("[[local_ip]]", "[127.0.0.1]"),
        ("\\x5Bservice\\x5d \\x41", "[service] A"),
        ("a]b", "a]b"),
        ("a\nb", "a\r\nb"),
    ],
)  # fmt: skip
def test_a_keyword_stands_for(text: str, shown: str) -> None:
    assert rendered(text) == shown


def test_what_is_known_later() -> None:
    assert rendered("a[peer_tag_param]", peer_tag="x") == "a;tag=x"
    assert rendered("[last_message]", last=None) == ""
    assert rendered("[last_message]") == INVITE.text
    assert rendered("[routes]|", routes="<sip:r;lr>") == "Route: <sip:r;lr>|"
    assert rendered("[$a] [$b]|", variables={"a": "1"}) == "1 |"


@pytest.mark.parametrize("nothing", ["[last_X-None:]", "[routes]", "[field1]", "[$none]"])
def test_a_line_with_nothing_in_it_disappears(nothing: str) -> None:
    assert rendered(f"A\n{nothing}\nB") == "A\r\nB"
    assert rendered(f"A\n{nothing};tag=1\nB") == "A\r\n;tag=1\r\nB"
    assert rendered(f"A: {nothing}\nB") == "A: \r\nB"
    assert rendered(f"A\n{nothing}[last_X-None:]\nB") == "A\r\nB"
    assert rendered(f"A\n{nothing}[service]\nB") == "A\r\nsB"  # SIPp's own slip: such lines run together


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("A: [len]\n\nbody", 4),
        ("A: [len]\n\n", 0),
        ("A: [len]\n\nbody\n", 6),
        ("A: [len+3]\n\nbody", 7),
        ("A: [len]", 0),
    ],
)
def test_the_length_is_that_of_the_body(text: str, length: int) -> None:
    assert rendered(text).partition("\r\n")[0] == f"A: {length:5}"


def test_a_name_of_nobody_needs_a_key() -> None:
    keys: set[str] = set()
    assert parse_template("[mine][service]", keys).parts == (Keyword("key", "mine"), Keyword("service"))
    assert keys == {"mine"}


@pytest.mark.parametrize(
    ("text", "lines_in"),
    [
        ("a\n[", 1),
        ("[]", 0),
        ("\n\n[a b]", 2),
        ("[field]", 0),
        (f"[{'a' * 300}]", 0),
        ("[fill]", 0),
        ("[authentication aka_K=1]", 0),
        ("[file]", 0),
        ("[field0 row=1]", 0),
    ],
)
def test_what_is_no_keyword_is_a_fault(text: str, lines_in: int) -> None:
    with pytest.raises(TextFault) as raised:
        parse_template(text, set())
    assert raised.value.lines_in == lines_in


def test_no_message_outgrows_a_datagram() -> None:
    assert len(rendered("[$a]", variables={"a": "x" * MAX_MESSAGE_CHARS})) == MAX_MESSAGE_CHARS
    with pytest.raises(CallFault):
        rendered("[$a]", variables={"a": "x" * (MAX_MESSAGE_CHARS + 1)})


def test_a_message_that_outgrows_a_datagram_fails_its_call(tmp_path: Path) -> None:
    body = "[last_message]" * 80
    call = Clocked(scenario(tmp_path, recv("INVITE"), send(f"SIP/2.0 200 OK\n\n{body}")))
    assert call.hears(message("INVITE sip:x SIP/2.0", body="x" * 1000)) == []
    assert call.ended == "2: longer than 65507 bytes"


def test_srtp_is_offered_in_words(tmp_path: Path) -> None:
    line = "a=crypto:[cryptotag1audio] [cryptosuite{}1audio] inline:[cryptokeyparams1audio{}] [ueaescm128sha1801audio]"
    text = f"INVITE sip:x SIP/2.0\n\n{line.format('aescm128sha180', '')}"
    again = f"INVITE sip:x SIP/2.0\n\n{line.format('aescm256sha132', '-1')}\n[cryptokeyparams1audio]"
    played = scenario(tmp_path, send(text), send(again))
    assert {fault.text for fault in played.without_effect} == {"offers SRTP: media are sent without encryption"}
    first, second = Clocked(played).texts()
    offer = first.split("\r\n")[-2]
    found = re.fullmatch(r"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:(\S{40}) UNENCRYPTED_SRTP", offer)
    assert found is not None
    assert f"a=crypto:1 AES_256_CM_HMAC_SHA1_32 inline:{found[1]} UNENCRYPTED_SRTP" in second
    assert len(second.split("\r\n")[-2]) == 64
