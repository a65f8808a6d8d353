"""Which messages a capture takes, and when the calls that it was asked for have ended."""

from __future__ import annotations

from engine.capture.selection import Selection
from engine.capture.wanted import Wanted

X, OTHER_X = "700123456780001", "700123456780002"
A = "13800138000"


def wanted(calls: int = 0, number: str = "", peer: str = "") -> Selection:
    return Selection(Wanted(60.0, calls, number, peer, None))


def message(start: str, call_id: str, *rows: str, cseq: str = "1 INVITE") -> bytes:
    return "\r\n".join([start, f"Call-ID: {call_id}", f"CSeq: {cseq}", *rows, "", ""]).encode()


def takes(selection: Selection, data: bytes, is_sent: bool = False, peer: str = "p") -> bool:
    return selection.takes(data, data.decode(), is_sent, peer)


def test_a_700_number_takes_its_messages_and_their_call_ids() -> None:
    selection = wanted(number=X)
    assert takes(selection, message(f"INVITE sip:{X}@x SIP/2.0", "one"))
    assert takes(selection, message("SIP/2.0 100 Trying", "one"), True)
    assert not takes(selection, message("SIP/2.0 100 Trying", "two"))
    assert takes(selection, message(f"INVITE sip:{A}@y SIP/2.0", "two", f"From: <sip:{X}@x>"), True)
    assert not takes(selection, message(f"INVITE sip:{OTHER_X}@x SIP/2.0", "three", f"From: <sip:{A}@y>"))


def test_a_real_number_takes_the_other_leg_by_the_700_number() -> None:
    selection = wanted(number=A)
    assert not takes(selection, message(f"INVITE sip:{X}@x SIP/2.0", "zero"))
    assert takes(selection, message(f"INVITE sip:{X}@x SIP/2.0", "one", f"From: <sip:+86{A}@y>"))
    assert takes(selection, message("INVITE sip:13900139000@y SIP/2.0", "two", f"From: <sip:{X}@x>"), True)
    assert not takes(selection, message(f"INVITE sip:{OTHER_X}@x SIP/2.0", "three"))


def test_a_peer_takes_what_is_its_own() -> None:
    selection = wanted(peer="p")
    assert takes(selection, message("BYE sip:x SIP/2.0", "one"))
    assert not takes(selection, message("BYE sip:x SIP/2.0", "one"), peer="q")
    assert not takes(selection, message("BYE sip:x SIP/2.0", "one"), peer="")


def test_a_call_ends_with_the_answer_to_its_bye_or_with_a_failure() -> None:
    selection = wanted(calls=2)
    invite = "INVITE sip:x SIP/2.0"
    takes(selection, message(invite, "before", "To: <sip:x>;tag=b", cseq="2 INVITE"))
    takes(selection, message("SIP/2.0 200 OK", "before", cseq="3 BYE"))
    takes(selection, message(invite, "one"))
    takes(selection, message(invite, "of ours"), True)
    takes(selection, message("SIP/2.0 486 Busy", "of ours"))
    takes(selection, message("SIP/2.0 180 Ringing", "one"), True)
    takes(selection, message("SIP/2.0 200 OK", "one"), True)
    takes(selection, message("SIP/2.0 481 Gone", "one", cseq="2 UPDATE"))
    takes(selection, message(invite, "one", "To: <sip:x>;tag=b", cseq="3 INVITE"))
    takes(selection, message("BYE sip:x SIP/2.0", "one", cseq="4 BYE"))
    assert not selection.has_all
    takes(selection, message("SIP/2.0 200 OK", "one", cseq="4 BYE"), True)
    takes(selection, message("SIP/2.0 200 OK", "one", cseq="4 BYE"), True)  # once more
    takes(selection, message(invite, "two"))
    takes(selection, message("SIP/2.0 407 Proxy Authentication Required", "two"), True)
    assert not selection.has_all
    takes(selection, message(invite, "two", cseq="2 INVITE"))
    takes(selection, message("SIP/2.0 404 Not Found", "two", cseq="2 INVITE"), True)
    assert selection.has_all


def test_with_a_peer_the_calls_sent_to_it_count() -> None:
    selection = wanted(calls=1, peer="p")
    takes(selection, message("INVITE sip:x SIP/2.0", "one"), True)
    takes(selection, message("SIP/2.0 503 No", "one"))
    assert selection.has_all


def test_without_a_count_there_is_no_end() -> None:
    selection = wanted()
    takes(selection, message("INVITE sip:x SIP/2.0", "one"))
    takes(selection, message("SIP/2.0 404 Not Found", "one"), True)
    assert not selection.has_all
