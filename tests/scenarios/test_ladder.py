"""The picture of a story: what it shows, where, and in which colours."""

from __future__ import annotations

import pytest
from rich.text import Text

from scenarios.demo.ladder import (
    CALLEE,
    CALLER,
    NUMBER_STYLES,
    X_STYLE,
    Ladder,
    Moment,
    Party,
    told,
)
from scenarios.rig.seen import Seen

A, B, X = "13800138000", "13900139000", "700123456780001"
PARTIES = [Party("A", A, "127.0.0.12:5060"), Party("B", B, "127.0.0.13:5080")]


def message(start: str, method: str, *rows: str, body: str = "") -> bytes:
    return "\r\n".join([start, f"CSeq: 1 {method}", *rows, "", body]).encode()


INVITE = message(f"INVITE sip:{X}@127.0.0.11:5060 SIP/2.0", "INVITE", f'From: "Zhang" <sip:{A}@core;x=y>;tag=a')
RINGING = message("SIP/2.0 180 Ringing", "INVITE", f"Contact: <sip:{B}@127.0.0.13>")


def texts_of(data: bytes) -> list[str]:
    return told(Seen(1.0, True, data))


def drawn(moments: list[Moment], width: int = 100) -> list[Text]:
    return Ladder(PARTIES, X, "127.0.0.11:5060", width).lines(moments)


def styles_of(row: Text, word: str) -> set[str]:
    """The styles that cover a word of a row."""
    start = row.plain.index(word)
    return {str(span.style) for span in row.spans if span.start <= start and start + len(word) <= span.end}


def test_heads_name_the_parties_and_their_addresses() -> None:
    names, addresses, _ = drawn([])
    assert names.plain.split() == ["A", A, "veil700", "B", B]
    assert addresses.plain.split() == ["127.0.0.12:5060", "127.0.0.11:5060", "127.0.0.13:5080"]


@pytest.mark.parametrize(
    ("side", "is_sent", "arrow", "cell"),
    [
        (CALLER, True, "▶", 0),
        (CALLER, False, "◀", 0),
        (CALLEE, False, "▶", 1),
        (CALLEE, True, "◀", 1),
    ],
)
def test_arrows_go_the_way_of_the_message(side: int, is_sent: bool, arrow: str, cell: int) -> None:
    row = drawn([Moment(side, Seen(1.0, is_sent, RINGING))])[-1]
    cells = row.plain.split("│")[1:3]
    assert cells[cell].strip("─") == arrow
    assert cells[1 - cell].strip() == ""


def test_messages_stand_in_the_order_of_time_with_milliseconds_from_the_first() -> None:
    rows = drawn([Moment(CALLEE, Seen(5.25, True, RINGING)), Moment(CALLER, Seen(5.0, True, INVITE))])
    clocks = [row.plain[:9].strip() for row in rows if "ms" in row.plain[:9]]
    assert clocks == ["0.0ms", "250.0ms"]
    first = next(row.plain for row in rows if "INVITE" in row.plain)
    assert f"INVITE sip:{X}@" in first


def test_all_rows_are_equally_wide_whatever_they_hold() -> None:
    text = message(f"MESSAGE sip:{X}@h SIP/2.0", "MESSAGE", body="快递到了,请开门 " + "很长" * 60)
    for width in (20, 80, 99, 100, 400):
        rows = drawn([Moment(CALLER, Seen(1.0, True, INVITE)), Moment(CALLEE, Seen(1.1, False, text))], width)
        assert len({row.cell_len for row in rows}) == 1
        assert 78 <= rows[0].cell_len <= 116


def test_numbers_have_their_colours() -> None:
    rows = drawn([Moment(CALLER, Seen(1.0, True, INVITE)), Moment(CALLEE, Seen(1.1, True, message(
        "SIP/2.0 200 OK", "INVITE", f"Contact: <sip:{B}@h>")))])  # fmt: skip
    of = {word: next(row for row in rows[3:] if word in row.plain) for word in (X, A, B)}
    assert X_STYLE in styles_of(of[X], X)
    assert NUMBER_STYLES[0] in styles_of(of[A], A)
    assert NUMBER_STYLES[1] in styles_of(of[B], B)


def test_told_says_who_is_who_where_a_conversation_begins() -> None:
    assert texts_of(INVITE) == [f"INVITE sip:{X}@127.0.0.11:5060", f"  From: sip:{A}@core"]
    answer = message("SIP/2.0 200 OK", "INVITE", f"From: <sip:{A}@h>;tag=a", f"Contact: <sip:{X}@h>")
    assert texts_of(answer) == ["200 OK", f"  Contact: sip:{X}@h"]


def test_told_is_short_within_a_conversation() -> None:
    bye = message(f"BYE sip:{X}@h SIP/2.0", "BYE", f"From: <sip:{A}@h>;tag=a", f"To: <sip:{X}@h>;tag=b")
    assert texts_of(bye) == [f"BYE sip:{X}@h"]
    assert texts_of(message("SIP/2.0 200 OK", "BYE", f"Contact: <sip:{X}@h>")) == ["200 OK (BYE)"]


def test_told_shows_the_text_of_a_message() -> None:
    assert texts_of(message(f"MESSAGE sip:{X}@h SIP/2.0", "MESSAGE", body="one\r\ntwo"))[-2:] == ["  one", "  two"]
