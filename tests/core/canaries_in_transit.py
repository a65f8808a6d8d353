"""The same between trunks whose numbers call each other: who calls whom crosses there, and nothing else may.

What is copied by design are the names of both parties, what the trunks assert of them, and how the body of a message is
to be read. All else of the other side is looked for as between A and B; so are P-Asserted-Identity and Privacy where a
trunk is not trusted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from engine.core import transit
from engine.core.disclosure import Rows
from engine.core.settings import CoreSettings
from sipstack import headers as h
from sipstack.message import ENCODING, ERRORS, Message
from sipstack.parser import parse
from tests.core.canaries import BODY_TYPE, CALLEES, CALLERS, OPEN_TRUNKS, PLACES, CanaryNode, kept_as_it_came, word
from tests.core.corenode import CALL_ID, CALLEE, CALLER, NUMBERS_OF_OURS, B, CoreNode, X, assert_no_correlator
from tests.core.parties import B_SDP, answer, invite, message
from tests.core.test_transit import through

IN_TRANSIT = "in transit"

# These are of the body of a message, and as they came: a row that copied them would do the same. And what
# `pass_headers` lets through is not searched, since nothing is.
_BY_DESIGN = ("Content-Encoding", "Content-Disposition", "pass_headers")
ASSERTED = "P-Asserted-Identity"

# Of each side's own dialog.
OF_CALLER = (CALL_ID, "a-tag", "z9hG4bK-a", "127.0.0.12")
OF_CALLEE = ("b-tag", "z9hG4bK-b", "127.0.0.13")

_BETWEEN_TRUSTED = PLACES.index("P-Asserted-Identity: <sip:{}@x>")


def is_by_design(kind: str, name: str) -> bool:
    """True for a field that a table of transit copies."""
    return name in _BY_DESIGN or (name == "Content-Type" and kind.startswith("MESSAGE"))


class TransitCanaryNode(CanaryNode):
    """A node between two trunks that say everything; To has a parameter, which is of the field and not of a person."""

    hides = False

    def __init__(self, settings: CoreSettings = OPEN_TRUNKS) -> None:
        super().__init__(through(settings))
        self.is_trusted = all(peer.trusted for peer in settings.peers)

    def _fill_in(self, message: bytes, source: str) -> None:
        to = f"To: <sip:{B}@veil.example>".encode()
        super()._fill_in(message.replace(to + b"\r\n", to + b";x=1-canary\r\n"), source)


SIDES = ("caller-side", "callee-side")


def without_trust(*names: str) -> TransitCanaryNode:
    """Trunks of these names, or both, are outside: nothing is asserted towards them, nor by them."""
    outside = names or SIDES
    peers = tuple(replace(peer, trusted=peer.name not in outside) for peer in OPEN_TRUNKS.peers)
    return TransitCanaryNode(replace(OPEN_TRUNKS, peers=peers))


def assert_private_in_transit(node: TransitCanaryNode) -> None:
    """Neither side has seen anything of the other but who it is."""
    for receiver, other in ((CALLER, CALLEES), (CALLEE, CALLERS)):
        for data in node.sent_to(receiver):
            text, sent = data.decode(ENCODING, ERRORS), parse(data)
            allowed = {_BETWEEN_TRUSTED} if node.is_trusted else set()
            if sent.method == "MESSAGE":
                allowed.add(BODY_TYPE)
            seen = {number for number in range(BODY_TYPE + 1) if word(other, number) in text} - allowed
            assert not seen, f"{seen} crossed in {text}"
            assert kept_as_it_came(text) == []
            assert receiver == CALLER or "1-canary" not in text, f"a parameter of To: {text}"
            assert node.is_trusted or sent.values(h.P_ASSERTED_IDENTITY) == []
            _assert_own(sent, text.partition("\r\n\r\n")[0], OF_CALLEE if receiver == CALLER else OF_CALLER)
    of_caller, of_callee = ([parse(data) for data in node.sent_to(side)] for side in (CALLER, CALLEE))
    assert_no_correlator(of_caller, of_callee)


def _assert_own(sent: Message, head: str, others: tuple[str, ...]) -> None:
    """It is for its receiver, in the node's own dialog with it and in its words."""
    assert [value for value in others if value in head] == [], f"of the other dialog: {head}"
    assert "Whatever" not in head.partition("\r\n")[0], f"the phrase of the other side: {head}"
    if sent.is_request:
        assert B in sent.uri_text and "127.0.0.13" in sent.uri_text, f"not for its receiver: {head}"
        assert sent.cseq >= NUMBERS_OF_OURS, f"a number that the node has not drawn: {head}"


def called(node: CoreNode, status: int) -> None:
    """INVITE, and one answer to it."""
    node.book.wire_in(invite(called=B), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    sent = node.book.wire_out("INVITE ", CALLEE)
    node.book.wire_in(answer(sent, status, extra="RSeq: 0077" if status < 200 else "", sdp=B_SDP), CALLEE)
    node.book.wire_out(f"SIP/2.0 {status}", CALLER)


def texted(node: CoreNode) -> None:
    node.book.wire_in(message().replace(X.encode(), B.encode()), CALLER)
    node.book.wire_in(answer(node.book.wire_out("MESSAGE ", CALLEE), 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)


def conversations_in_transit() -> dict[str, tuple[Rows, Callable[[CoreNode], object]]]:
    """For each table of `engine.core.transit` a conversation that goes through it."""
    found: dict[str, tuple[Rows, Callable[[CoreNode], object]]] = {
        f"first INVITE {IN_TRANSIT}": (transit.INVITE, partial(called, status=183)),
        f"MESSAGE {IN_TRANSIT}": (transit.MESSAGE, texted),
    }
    for kind, rows in transit.ANSWERS.items():
        found[f"{kind}xx INVITE {IN_TRANSIT}"] = (rows, partial(called, status={1: 183, 2: 200}[kind]))
    return found
