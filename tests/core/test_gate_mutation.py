"""Every row of every table of the gate is missed when it is taken out.

The cases are made of the tables themselves: a row is replaced by one that copies what the other side has written, and
the same conversation that is private with the gate as it stands must not be private any more. A new row for which no
conversation shows that is a failure here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from engine.core import callee_try, crossing, disclosure, message_attempt, message_try, report_relay, transit
from engine.core.disclosure import CHECKED, OURS, Draft, Row, Rows
from engine.core.number_rules import NumberRule, NumberRules
from sipstack.headers import OTHER
from sipstack.message import Message
from sipstack.sdp import CONTENT_TYPE as SDP
from tests.core.canaries import OPEN_TRUNKS, CanaryNode, conversations
from tests.core.canaries import assert_private as assert_private_between
from tests.core.canaries_in_transit import (
    ASSERTED,
    IN_TRANSIT,
    SIDES,
    TransitCanaryNode,
    assert_private_in_transit,
    conversations_in_transit,
    is_by_design,
    without_trust,
)
from tests.core.corenode import CALLEE, CALLEE2, CALLER, A, B, CoreNode
from tests.core.parties import message, refused

pytestmark = pytest.mark.pure

CONVERSATIONS = conversations() | conversations_in_transit()


def cases() -> Iterator[tuple[str, str]]:
    """Each table with each field that one of its rows writes."""
    for kind, (rows, _) in CONVERSATIONS.items():
        for row in rows.table:
            for name in row.name.split(", "):
                if not (kind.endswith(IN_TRANSIT) and is_by_design(kind, name)):
                    yield kind, name


def node_for(kind: str, name: str = "") -> CanaryNode:
    """The node of a conversation; where what is asserted crosses by design, one that knows no trusted trunk."""
    if not kind.endswith(IN_TRANSIT):
        return CanaryNode()
    return without_trust() if name == ASSERTED else TransitCanaryNode()


def assert_private(node: CoreNode) -> None:
    """Neither side has seen anything of the other that it may not."""
    if isinstance(node, TransitCanaryNode):
        assert_private_in_transit(node)
    else:
        assert_private_between(node)


def patch(monkeypatch: pytest.MonkeyPatch, rows: Rows, *table: Row) -> None:
    """Puts another table in the place of one, for all who hold it."""
    made = Rows(*table)
    for slot in Rows.__slots__:
        monkeypatch.setattr(rows, slot, getattr(made, slot))


def as_it_came(name: str, row: Row, node: CanaryNode) -> Row:
    """The row with one of its fields copied from what the other side has sent last."""

    def produce(draft: Draft) -> str:
        message = draft.message or node.came[1 - draft.party.side]
        kept = [line for line in row.produce(draft).split("\r\n") if line and not is_row(line, name)]
        copied = copy_of(name, message, draft)
        return "\r\n".join([*copied, *kept] if name in START_LINES else [*kept, *copied])

    return row._replace(produce=produce)


START_LINES = ("Request-URI", "Status-Line")


def is_row(line: str, name: str) -> bool:
    if name in START_LINES:
        return line.startswith("SIP/2.0 ") or line.endswith(" SIP/2.0")
    return line.startswith(f"{name}: ")


def copy_of(name: str, message: Message, draft: Draft) -> list[str]:
    if name == "Request-URI":
        return [f"{draft.method} {message.uri_text or message.line(6)} SIP/2.0"]  # type: ignore[attr-defined]
    if name == "Status-Line":
        return [f"SIP/2.0 {draft.status} {message.reason or message.uri_text}"]  # type: ignore[attr-defined]
    return [line for line in message.lines if line.partition(":")[0].lower() == name.lower()]


def talk(node: CoreNode, conversation: Callable[[CoreNode], object]) -> None:
    """Goes on as far as it can: a gate that writes nonsense breaks the conversation, too."""
    try:
        conversation(node)
    except (AssertionError, IndexError):
        pass


@pytest.mark.parametrize("kind", CONVERSATIONS)
def test_conversation_is_private_and_goes_through_its_table(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, conversation = CONVERSATIONS[kind]
    node = node_for(kind)
    conversation(node)
    assert_private(node)
    used: list[str] = []
    first = rows.table[0]
    counting = first._replace(produce=lambda draft: used.append(kind) or first.produce(draft))  # type: ignore[func-returns-value]
    patch(monkeypatch, rows, counting, *rows.table[1:])
    conversation(node_for(kind))
    assert used


@pytest.mark.parametrize(("kind", "name"), list(cases()))
def test_what_is_copied_instead_is_noticed(kind: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, conversation = CONVERSATIONS[kind]
    if name == "pass_headers":
        assert_passed_rows_are_searched(rows, conversation, monkeypatch)
        return
    node = node_for(kind, name)
    changed = [as_it_came(name, row, node) if name in row.name.split(", ") else row for row in rows.table]
    patch(monkeypatch, rows, *changed)
    talk(node, conversation)
    with pytest.raises(AssertionError):
        assert_private(node)


def assert_passed_rows_are_searched(
    rows: Rows, conversation: Callable[[CoreNode], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number in what `pass_headers` lets through is stopped; with the row as one of ours, it would cross."""
    passing = replace(OPEN_TRUNKS, peers=tuple(replace(p, pass_headers=("X-Number",)) for p in OPEN_TRUNKS.peers))
    searched = [with_number(row) if row.name == "pass_headers" else row for row in rows.table]
    patch(monkeypatch, rows, *searched)
    node = CanaryNode(passing)
    talk(node, conversation)
    assert_private(node)
    patch(monkeypatch, rows, *[row._replace(source=OURS) if row.name == "pass_headers" else row for row in searched])
    node = CanaryNode(passing)
    talk(node, conversation)
    with pytest.raises(AssertionError, match=f"{A}|{B}"):
        assert_private(node)


def with_number(row: Row, without: int = 0) -> Row:
    """The row, asked about a message that has the sender's number in a field that may pass; of it the first digits may
    be missing."""

    def produce(draft: Draft) -> str:
        message = draft.message
        assert message is not None
        message.lines.append(f"X-Number: {(B, A)[draft.party.side][without:]}")
        message.ids.append(OTHER)
        return row.produce(draft)

    return row._replace(produce=produce)


# Trunks that spell their own party's number without its first three digits: what is left does not hold the number.
SPELLED = {"caller-side": NumberRules("a", (NumberRule(length=8, add=A[:3]),)),
           "callee-side": NumberRules("b", (NumberRule(length=8, add=B[:3]),))}  # fmt: skip
PASSING = [
    kind
    for kind, (rows, _) in CONVERSATIONS.items()
    if not kind.endswith(IN_TRANSIT) and any(row.name == "pass_headers" for row in rows.table)
]


@pytest.mark.parametrize("kind", PASSING)
def test_a_spelling_of_the_trunk_that_is_not_searched_is_noticed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with a number as number rules have it: without the spellings of them, it would cross."""
    rows, conversation = CONVERSATIONS[kind]
    peers = tuple(replace(p, pass_headers=("X-Number",), rules_in=SPELLED[p.name]) for p in OPEN_TRUNKS.peers)
    table = [with_number(row, 3) if row.name == "pass_headers" else row for row in rows.table]
    patch(monkeypatch, rows, *table)
    node = CanaryNode(replace(OPEN_TRUNKS, peers=peers))
    talk(node, conversation)
    assert not shows_a_spelling(node)
    for module in (callee_try, message_attempt, message_try, report_relay):
        monkeypatch.setattr(module, "wire_forms", lambda *known: ())
    node = CanaryNode(replace(OPEN_TRUNKS, peers=peers))
    talk(node, conversation)
    assert shows_a_spelling(node)


def shows_a_spelling(node: CoreNode) -> bool:
    sent = ((CALLER, B), (CALLEE, A), (CALLEE2, A))
    return any(f"X-Number: {number[3:]}".encode() in data for to, number in sent for data in node.sent_to(to))


# Messages that carry a description. Nearly none of them is searched for a number, since nearly none can hold one.
DESCRIBED = [
    kind
    for kind, (rows, _) in CONVERSATIONS.items()
    if any(row.name == "Content-Type" for row in rows.table)
    and not kind.endswith(IN_TRANSIT)
    and not any(other in kind for other in ("INFO", "NOTIFY", "MESSAGE", "report"))
]


@pytest.mark.parametrize("kind", DESCRIBED)
def test_a_description_that_is_not_searched_is_noticed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number in a line that should not have crossed is stopped; if any description were plain, it would cross."""
    rows, conversation = CONVERSATIONS[kind]
    patch(monkeypatch, rows, *[with_line(row) if row.name == "Content-Type" else row for row in rows.table])
    node = CanaryNode()
    talk(node, conversation)
    assert_private(node)
    monkeypatch.setattr(disclosure, "is_plain", lambda body: True)
    node = CanaryNode()
    talk(node, conversation)
    with pytest.raises(AssertionError, match=f"{A}|{B}"):
        assert_private(node)


def with_line(row: Row) -> Row:
    """The row, and the description that it speaks of with one line more, which has the sender's number in it."""

    def produce(draft: Draft) -> str:
        if draft.body:
            assert draft.content_type == SDP
            draft.body += f"a=x-number:{(B, A)[draft.party.side]}\r\n".encode()
        return row.produce(draft)

    return row._replace(produce=produce)


def test_a_text_that_is_not_searched_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number that the masks have missed is stopped; if any text were plain, it would cross."""
    monkeypatch.setattr(message_attempt, "crossing_text", lambda message, *_: (message.body, "text/plain"))
    node = CoreNode()
    node.book.wire_in(message(f"call {A}"), CALLER)
    refused(node, 403, 21)
    assert (node.counters["leaks_stopped"], node.sent_to(CALLEE)) == (1, [])
    monkeypatch.setattr(disclosure, "is_plain_text", lambda text: True)
    node = CoreNode()
    node.hides = False
    node.book.wire_in(message(f"call {A}"), CALLER)
    assert A.encode() in node.sent_to(CALLEE)[0]


@pytest.mark.parametrize("name", ["Subject", "P-Preferred-Identity", "Warning"])
@pytest.mark.parametrize("kind", CONVERSATIONS)
def test_dropped_field_that_is_let_through_is_noticed(kind: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, conversation = CONVERSATIONS[kind]
    node = node_for(kind)
    copied = as_it_came(name, Row(name, CHECKED, lambda draft: "", OURS), node)
    patch(monkeypatch, rows, *rows.table, copied)
    talk(node, conversation)
    with pytest.raises(AssertionError):
        assert_private(node)


def test_every_table_has_its_conversation() -> None:
    """A table that is new in `engine.core.crossing` or `engine.core.transit` must have one here."""
    known = {id(rows) for rows, _ in CONVERSATIONS.values()}
    found = [value for module in (crossing, transit) for value in vars(module).values()]
    assert {id(rows) for value in found for rows in tables_in(value)} == known


@pytest.mark.parametrize("outside", [(), *[(side,) for side in SIDES]])
@pytest.mark.parametrize("kind", [kind for kind in CONVERSATIONS if kind.endswith(IN_TRANSIT)])
def test_without_trust_a_transit_is_as_private(kind: str, outside: tuple[str, ...]) -> None:
    node = without_trust(*outside)
    CONVERSATIONS[kind][1](node)
    assert_private(node)


def tables_in(value: object) -> list[Rows]:
    if isinstance(value, Rows):
        return [value]
    if isinstance(value, dict):
        return [rows for item in value.values() for rows in tables_in(item)]
    if isinstance(value, tuple):
        return [rows for item in value for rows in tables_in(item)]
    return []
