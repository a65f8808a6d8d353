"""What stands against a call beside its numbers: refused with its cause, and not one byte for the far side."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core.binding import CALLS_BLOCKED, MESSAGES_BLOCKED, Miss, Restriction
from engine.core.calls_of_day import CallsOfDay
from engine.core.hours import is_within
from engine.core.settings import SessionTimer
from tests.core.bound import with_conditions
from tests.core.corenode import CALLEE, CALLER, CALLER_SIDE, SETTINGS, A, B, CoreNode, X, with_policy
from tests.core.parties import answer, invite, message, ring, start, talking
from tests.core.restart import restarted
from tests.core.test_adoption import LONG_S
from tests.core.test_redirect import FOLLOWING, redirect

FROM_A = f"<sip:{A}@127.0.0.12:5060>"
LOCKED = Restriction("number", X, "locked")
FROZEN = Restriction("number", X, "frozen")
BLOCK = Restriction("number_block", X[:11], "killed")
TENANTS = [Restriction(kind, "x", "killed") for kind in ("business_user", "app_platform", "everything")]

REFUSED = [
    ({"restriction": LOCKED}, "NUMBER_LOCKED", 404, 1, "unrestricted"),
    ({"restriction": FROZEN}, "NUMBER_FROZEN", 404, 1, "unrestricted"),
    ({"restriction": BLOCK}, "NUMBER_FROZEN", 404, 1, "unrestricted"),
    *[({"restriction": one}, "TENANT_SUSPENDED", 403, 21, "unrestricted") for one in TENANTS],
    ({"flags": CALLS_BLOCKED | MESSAGES_BLOCKED}, "DIRECTION_BLOCKED", 403, 21, "way_open"),
    ({"hours": "03:00-03:01"}, "DIRECTION_BLOCKED", 403, 21, "within_hours"),
    ({"blacklisted": "caller"}, "CALLER_BLACKLISTED", 403, 21, "not_blacklisted"),
    ({"blacklisted": "callee"}, "CALLEE_BLACKLISTED", 403, 21, "not_blacklisted"),
    ({"unverified": "callee"}, "REALNAME_MISSING", 403, 21, "real_names_known"),
]


@pytest.mark.parametrize("kind", ["voice", "message"])
@pytest.mark.parametrize(("conditions", "cause", "status", "q850", "decided_by"), REFUSED)
def test_refused(kind: str, conditions: dict[str, object], cause: str, status: int, q850: int, decided_by: str) -> None:
    node = with_conditions(**conditions)
    node.book.wire_in(invite() if kind == "voice" else message(), CALLER)
    if kind == "voice":
        node.book.wire_out("SIP/2.0 100", CALLER)
    final = node.book.wire_out(f"SIP/2.0 {status}", CALLER)
    assert f"Reason: Q.850;cause={q850}" in final.lines
    node.book.silence()
    assert node.sent_to(CALLEE) == []
    node.assert_recorded(
        kind=kind, release_cause=cause, sip_status=status, q850=q850, decided_by=decided_by, subs_id="subs-1",
        release_direction="platform", call_out_time=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("miss", "cause", "status"),
    [
        (Miss.LOCKED, "NUMBER_LOCKED", 404),
        (Miss.FROZEN, "NUMBER_FROZEN", 404),
        (Miss.SUSPENDED, "TENANT_SUSPENDED", 403),
        (Miss.COOLING, "NUMBER_COOLING", 404),
    ],
)
def test_refused_without_a_binding(miss: Miss, cause: str, status: int) -> None:
    node = CoreNode()
    node._find = lambda query: miss  # type: ignore[method-assign]
    node.book.wire_in(invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    node.book.wire_out(f"SIP/2.0 {status}", CALLER)
    assert node.sent_to(CALLEE) == []
    node.assert_recorded(release_cause=cause, decided_by="bound")


def test_uniform_refusals_tell_no_reason() -> None:
    changed = replace(SETTINGS, peers=(replace(CALLER_SIDE, uniform_refusals=True), SETTINGS.peers[1]))
    node = with_conditions(changed, blacklisted="caller")
    node.book.wire_in(invite(), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    node.book.wire_out("SIP/2.0 404", CALLER)
    node.assert_recorded(release_cause="CALLER_BLACKLISTED", sip_status=404, q850=1)


@pytest.mark.parametrize(("flags", "kind"), [(CALLS_BLOCKED, "message"), (MESSAGES_BLOCKED, "voice")])
def test_one_kind_may_be_shut_and_the_other_open(flags: int, kind: str) -> None:
    node = with_conditions(flags=flags)
    if kind == "voice":
        talking(node).hang_up()
    else:
        node.book.wire_in(message(), CALLER)
        sent = node.book.wire_out("MESSAGE ", CALLEE)
        node.book.wire_in(answer(sent, 200), CALLEE)
        node.book.wire_out("SIP/2.0 200", CALLER)
    node.assert_recorded(release_cause="NORMAL")


def test_calls_of_a_day() -> None:
    node = with_conditions(calls_per_day=2)
    for number in range(3):
        rows = invite(branch=f"z9hG4bK-a{number}", tag=f"a-tag{number}").replace(b"1-4711@", b"%d-4711@" % number)
        node.book.wire_in(rows, CALLER)
        node.book.wire_out("SIP/2.0 100", CALLER)
        if number < 2:
            sent = node.book.wire_out("INVITE ", CALLEE)
            node.book.wire_in(answer(sent, 486), CALLEE)
            node.book.wire_out("ACK ", CALLEE)
            node.book.wire_out("SIP/2.0 486", CALLER)
    node.book.wire_out("SIP/2.0 403", CALLER)
    assert [record["release_cause"] for record in node.records] == ["BUSY", "BUSY", "RATE_LIMITED"]
    assert node.records[2]["decided_by"] == "day_limit"


def test_a_day_is_a_day_in_china_and_of_one_caller_and_one_x() -> None:
    calls, midnight = CallsOfDay(), 1_795_449_600.0  # 2026-11-23T16:00:00Z
    assert [calls.admits(X, A, 1, midnight - 1), calls.admits(X, A, 1, midnight - 1)] == [True, False]
    assert calls.admits(X, B, 1, midnight - 1) and calls.admits("700123456780002", A, 1, midnight - 1)
    assert calls.admits(X, A, 1, midnight)


def test_what_is_on_record_of_other_runs_counts_and_is_counted_once() -> None:
    calls, noon = CallsOfDay(), 1_795_449_600.0
    assert calls.admits(X, A, 3, noon, recorded=1)
    assert calls.admits(X, A, 3, noon, recorded=1), "the record of the first may not be there yet"
    assert not calls.admits(X, A, 3, noon, recorded=2)
    assert not calls.admits(X, B, 3, noon, recorded=3)


@pytest.mark.parametrize(
    ("hours", "at", "expected"),
    [
        ("", "00:00", True),
        ("08:00-22:00", "07:59", False),
        ("08:00-22:00", "08:00", True),
        ("08:00-22:00", "21:59", True),
        ("08:00-22:00", "22:00", False),
        ("22:00-06:00", "23:00", True),
        ("22:00-06:00", "05:59", True),
        ("22:00-06:00", "12:00", False),
        ("00:00-24:00", "23:59", True),
        ("8 to 10", "09:00", False),
        ("08:00", "09:00", False),
        ("08:61-09:00", "08:30", False),
        ("٠٨:٠٠-٢٢:٠٠", "09:00", False),
    ],
)
def test_hours_are_those_of_china(hours: str, at: str, expected: bool) -> None:
    midnight_in_china = 1_795_449_600.0
    hour, minute = at.split(":")
    assert is_within(hours, midnight_in_china + int(hour) * 3600 + int(minute) * 60) is expected


@pytest.mark.parametrize(("own", "nodes", "longest"), [(300, 600.0, 300), (900, 600.0, 600), (0, 600.0, 600)])
def test_a_call_lasts_no_longer_than_its_binding_says(own: int, nodes: float, longest: int) -> None:
    node = with_conditions(with_policy(max_call_s=nodes), max_call_s=own)
    talking(node)
    node.wait(longest - 0.1)
    node.book.silence()
    node.wait(0.1)
    node.book.wire_out("BYE ", CALLER)
    bye = node.book.wire_out("BYE ", CALLEE)
    node.book.wire_in(answer(bye, 200), CALLEE)
    node.assert_recorded(release_cause="MAX_DURATION", duration_ms=longest * 1000)


def test_the_limit_outlives_the_process() -> None:
    quiet = with_policy(session_timer=SessionTimer.OFF)
    talk = talking(with_conditions(quiet, max_call_s=300))
    node = talk.node = restarted(talk.node, quiet, after_s=LONG_S)
    talk.from_callee("UPDATE", f"Contact: <sip:{B}@127.0.0.13:5064>")  # the row of the call is written again
    node.book.wire_in(answer(node.book.wire_out("UPDATE ", CALLER), 200, who=A, contact=FROM_A), CALLER)
    node.book.wire_out("SIP/2.0 200", CALLEE)
    node = restarted(node, quiet, after_s=LONG_S)
    rest_s = 300 - 2 * LONG_S
    node.wait(rest_s - 0.1)
    node.book.silence()
    node.wait(0.1)
    node.book.wire_out("BYE ", CALLER)
    node.book.wire_in(answer(node.book.wire_out("BYE "), 200), CALLEE)
    node.assert_recorded(release_cause="MAX_DURATION", duration_ms=300_000)


@pytest.mark.parametrize(("own", "patience"), [(20, 20), (90, 60), (0, 60)])
def test_a_phone_rings_no_longer_than_its_binding_says(own: int, patience: int) -> None:
    node = with_conditions(ring_timeout_s=own)
    sent = start(node)
    ring(node, sent)
    node.wait(patience - 0.1)
    node.book.silence()
    node.wait(0.1)
    node.book.wire_out("CANCEL ", CALLEE)
    node.book.wire_out("SIP/2.0 480", CALLER)
    node.assert_recorded(release_cause="NO_ANSWER", decided_by="ring_timer")


def test_a_redirect_leads_to_nobody_about_whom_the_store_was_not_asked() -> None:
    node = with_conditions(FOLLOWING, has_blacklist=True)
    redirect(node, start(node))
    node.book.wire_out("SIP/2.0 480", CALLER)
    node.assert_recorded(release_cause="FORWARDING_REFUSED")
