"""The number of before 700, while it is bound beside X: it leads where X leads, and only X is ever shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core.binding import LEGACY, Binding, Miss
from engine.core.outputs import LookUpBinding
from engine.core.settings import CoreSettings, RouteSettings
from sipstack import headers as h
from tests.core.bound import C, Y, knowing, said
from tests.core.corenode import CALLEE, CALLER, SETTINGS, WALL_AT_START, A, B, CoreNode, X, axb
from tests.core.parties import B_SDP, Talk, answer, invite, message, start, target_of

LEGACY_X = "17000001234"
TRANSIT = replace(SETTINGS, routes=(*SETTINGS.routes, RouteSettings("all", "^1", ("callee-side",), transit=True)))
BOTH = pytest.mark.parametrize("settings", [SETTINGS, TRANSIT], ids=["no transit", "transit"])


def legacy(expires_at: float = WALL_AT_START + 60) -> Binding:
    return axb(expires_at=expires_at)._replace(conditions=said(flags=LEGACY))


def refused_for(node: CoreNode, status: int, cause: str) -> None:
    node.book.wire_out("SIP/2.0 100", CALLER)
    node.book.wire_out(f"SIP/2.0 {status}", CALLER)
    assert node.sent_to(CALLEE) == []
    assert node.record["release_cause"] == cause


@BOTH
def test_it_leads_where_x_leads(settings: CoreSettings) -> None:
    node = knowing({(LEGACY_X, A): legacy()}, settings)
    sent = start(node, invite(LEGACY_X))
    assert sent.uri_text == f"sip:{B}@127.0.0.13:5060"
    assert (sent.value(h.FROM) or "").startswith(f"<sip:{X}@veil.example>;tag=")
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    assert target_of(talk.ok) == f"sip:{X}@127.0.0.11:5060"
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    talk.hang_up()
    assert not any(LEGACY_X.encode() in data for data in node.sent_to(CALLEE))
    node.assert_recorded(tel_x=X, caller=A, callee=B, presented_number=X, mode="AXB", subs_id="subs-1")


@BOTH
def test_a_message_as_well(settings: CoreSettings) -> None:
    node = knowing({(LEGACY_X, A): legacy()}, settings)
    node.book.wire_in(message().replace(X.encode(), LEGACY_X.encode()), CALLER)
    sent = node.book.wire_out(f"MESSAGE sip:{B}@127.0.0.13:5060 ", CALLEE)
    assert (sent.value(h.FROM) or "").startswith(f"<sip:{X}@veil.example>;tag=")
    node.book.wire_in(answer(sent, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)


@BOTH
def test_after_its_time_it_is_nobody(settings: CoreSettings) -> None:
    """Also where a route would take it: it has been a number between two parties, and is shown to nobody."""
    node = knowing({(LEGACY_X, A): legacy(WALL_AT_START)}, settings)
    node.book.wire_in(invite(LEGACY_X), CALLER)
    refused_for(node, 404, "NO_BINDING")


@BOTH
def test_for_who_is_no_party_it_is_not(settings: CoreSettings) -> None:
    node = knowing({(LEGACY_X, C): legacy()}, settings)
    node.book.wire_in(invite(LEGACY_X), CALLER)
    refused_for(node, 403, "NOT_IN_CALLER_SET")


def test_what_nobody_has_bound_is_no_route_as_before() -> None:
    node = knowing({})
    node.book.wire_in(invite(LEGACY_X), CALLER)
    refused_for(node, 404, "NO_ROUTE")
    assert (node.record["decided_by"], node.record["callee"], node.record["tel_x"]) == ("called_number", LEGACY_X, "")


def test_what_nobody_has_bound_is_relayed_as_before() -> None:
    node = knowing({}, TRANSIT)
    node.hides = False
    sent = start(node, invite(LEGACY_X))
    assert sent.uri_text == f"sip:{LEGACY_X}@127.0.0.13:5060"
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 486", CALLER)
    node.assert_recorded(mode="transit")


@BOTH
def test_a_store_that_is_down_lets_nothing_pass(settings: CoreSettings) -> None:
    node = knowing({}, settings)
    node.store_answers = False
    node.book.wire_in(invite(LEGACY_X), CALLER)
    refused_for(node, 500, "INTERNAL")


def test_in_axyb_b_is_shown_y_and_a_x() -> None:
    binding = legacy()._replace(mode="AXYB", tel_y=Y, presented=Y)
    node = knowing({(LEGACY_X, A): binding})
    sent = start(node, invite(LEGACY_X))
    assert (sent.value(h.FROM) or "").startswith(f"<sip:{Y}@veil.example>;tag=")
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 486", CALLER)
    node.assert_recorded(tel_x=X, tel_y=Y, presented_number=Y)


def test_a_restriction_is_asked_after_as_for_any_other_number() -> None:
    node = CoreNode()
    asked: list[LookUpBinding] = []

    def find(query: LookUpBinding) -> Miss:
        asked.append(query)
        return Miss.FROZEN

    node._find = find  # type: ignore[method-assign,assignment]
    node.book.wire_in(invite(LEGACY_X), CALLER)
    refused_for(node, 404, "NUMBER_FROZEN")
    assert [(query.x, query.caller) for query in asked] == [(LEGACY_X, A)]
