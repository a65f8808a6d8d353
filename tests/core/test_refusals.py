"""Refusals before anything is sent (contract §5, first table), and what is answered by rule, or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core.settings import CoreSettings
from sipstack import headers as h
from sipstack.testing.playbook import wire
from tests.core.corenode import (
    CALLEE,
    CALLER,
    SETTINGS,
    STRANGER,
    WALL_AT_START,
    A,
    CoreNode,
    X,
    axb,
    with_policy,
    with_trunk,
)
from tests.core.parties import SDP, answer, invite, of_invite, refused, start

X2 = "700123456780002"
OTHER = "13700137000"
NO_ROUTE = replace(SETTINGS, routes=SETTINGS.routes[:1])


def rows_by_kind(kind: str, called: str, caller: str) -> bytes:
    """An INVITE or a MESSAGE from `caller` to `called`."""
    data = invite(called, caller, sdp=SDP if kind == "voice" else "")
    if kind == "voice":
        return data
    head = (
        data.replace(b"INVITE", b"MESSAGE")
        .rpartition(b"\r\n\r\n")[0]
        .replace(b"Content-Length: 0", b"Content-Length: 2")
    )
    rows = [row for row in head.split(b"\r\n") if not row.startswith(b"Contact")]
    return b"\r\n".join([*rows, b"Content-Type: text/plain", b"", b"hi"])


CASES: list[tuple[str, CoreSettings, tuple[object, ...] | None, str, str, int, int, str, str]] = [
    ("nobody has X", SETTINGS, (), X, A, 404, 1, "NO_BINDING", "bound"),
    ("another X is bound", SETTINGS, None, X2, A, 404, 1, "NO_BINDING", "bound"),
    ("expired", SETTINGS, (axb(expires_at=WALL_AT_START),), X, A, 404, 1, "BINDING_EXPIRED", "in_force"),
    ("not a party", SETTINGS, None, X, OTHER, 403, 21, "NOT_IN_CALLER_SET", "bound"),
    ("no number", SETTINGS, None, X, "anonymous", 403, 21, "NOT_IN_CALLER_SET", "caller_entitled"),
    ("short", SETTINGS, None, X[:-1], A, 484, 28, "BAD_NUMBER", "called_number"),
    ("shortest", SETTINGS, None, "700", A, 484, 28, "BAD_NUMBER", "called_number"),
    ("long", SETTINGS, None, X + "9", A, 404, 28, "BAD_NUMBER", "called_number"),
    ("no 700 number", SETTINGS, None, OTHER, A, 404, 3, "NO_ROUTE", "called_number"),
    ("no number at all", SETTINGS, None, "operator", A, 404, 3, "NO_ROUTE", "called_number"),
    ("X calls X", SETTINGS, None, X, X, 482, 25, "LOOP", "loop"),
    ("bound to the caller", SETTINGS, (axb(callee=A),), X, A, 482, 25, "LOOP", "not_to_self"),
    ("bound to itself", SETTINGS, (axb(callee=X),), X, A, 482, 25, "LOOP", "not_to_self"),
    ("foreign 700 caller", SETTINGS, None, X, X2, 403, 21, "NOT_IN_CALLER_SET", "caller_entitled"),
    ("nowhere to send", NO_ROUTE, None, X, A, 404, 3, "NO_ROUTE", "route"),
]  # fmt: skip


@pytest.mark.parametrize("kind", ["voice", "message"])
@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_refusal(
    case: tuple[str, CoreSettings, tuple[object, ...] | None, str, str, int, int, str, str], kind: str
) -> None:
    _, settings, bindings, called, caller, status, q850, cause, decided_by = case
    node = CoreNode(settings, bindings)  # type: ignore[arg-type]
    node.book.wire_in(rows_by_kind(kind, called, caller), CALLER)
    if kind == "voice":
        node.book.wire_out("SIP/2.0 100", CALLER)
    refused(node, status, q850)
    node.assert_recorded(
        kind=kind, release_cause=cause, sip_status=status, q850=q850, decided_by=decided_by, attempts=(),
        release_direction="platform", call_out_time=None, answer_time=None, release_time=WALL_AT_START, duration_ms=0,
        bill_seconds=0, ingress_peer="caller-side", egress_peer="", callee_call_id="",
    )  # fmt: skip
    assert node.sent_to(CALLEE) == []
    assert node.counters[f"released_{cause.lower()}"] == 1


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_uniform_refusals_tell_nothing(
    case: tuple[str, CoreSettings, tuple[object, ...] | None, str, str, int, int, str, str],
) -> None:
    _, settings, bindings, called, caller, _, _, cause, _ = case
    uniform = replace(settings, peers=(replace(settings.peers[0], uniform_refusals=True), *settings.peers[1:]))
    node = CoreNode(uniform, bindings)  # type: ignore[arg-type]
    node.book.wire_in(invite(called, caller), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    refused(node, 404, 1)
    node.assert_recorded(release_cause=cause, sip_status=404, q850=1)  # the cause is ours to know


def test_uniform_refusals_are_of_policy_alone() -> None:
    node = CoreNode(with_trunk("caller-side", uniform_refusals=True))
    sent = start(node)
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 486, 17)


@pytest.mark.parametrize("kind", ["voice", "message"])
@pytest.mark.parametrize("uniform", [False, True])
def test_overload_while_draining(kind: str, uniform: bool) -> None:
    node = CoreNode(with_trunk("caller-side", uniform_refusals=uniform))
    node.service.intake.is_draining = True
    node.book.wire_in(rows_by_kind(kind, X, A), CALLER)
    assert refused(node, 503, 42).value(h.RETRY_AFTER) == "5"
    node.assert_recorded(release_cause="OVERLOAD", decided_by="drain", sip_status=503, q850=42, attempts=())


def test_body_that_is_no_description_is_stopped() -> None:
    node = CoreNode()
    node.book.wire_in(
        invite(sdp="").replace(b"Content-Length: 0\r\n\r\n", b"Content-Type: application/isup\r\n\r\nabc"), CALLER
    )
    node.book.wire_out("SIP/2.0 100", CALLER)
    refused(node, 403, 21)
    node.assert_recorded(release_cause="LEAK_STOPPED", decided_by="disclosure", attempts=(), egress_peer="")


def test_invite_that_would_leak_is_stopped_before_anything_is_recorded_as_sent() -> None:
    node = CoreNode(with_trunk("callee-side", pass_headers=("X-Note",)))
    node.book.wire_in(invite(extra=f"X-Note: {A}"), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    refused(node, 403, 21)
    node.assert_recorded(release_cause="LEAK_STOPPED", decided_by="disclosure", sip_status=403, call_out_time=None)
    assert node.sent_to(CALLEE) == []


def request(method: str, uri: str = f"sip:{X}@veil.example", rows: str = "", hops: int = 70) -> bytes:
    return wire(
        f"""{method} {uri} SIP/2.0
        Via: SIP/2.0/UDP 127.0.0.12:5060;branch=z9hG4bK-a9
        Max-Forwards: {hops}
        From: <sip:{A}@core.example>;tag=a-tag
        To: <sip:{X}@veil.example>
        Call-ID: 1-4711@127.0.0.12
        CSeq: 5 {method}
        {rows}"""
    )


CONTACT = f"Contact: <sip:{A}@127.0.0.12>"
BY_RULE = [
    *((request(method), 405, "allow") for method in ("REGISTER", "SUBSCRIBE", "NOTIFY", "PUBLISH", "REFER", "FOO")),
    *((request(method), 481, "") for method in ("BYE", "CANCEL", "PRACK", "UPDATE", "INFO")),
    (request("OPTIONS"), 200, "allow"),
    (request("OPTIONS", hops=0), 483, ""),
    (request("INVITE", rows=CONTACT, hops=0), 483, ""),
    (request("MESSAGE", hops=0), 483, ""),
    (request("INVITE", "mailto:x@veil.example", CONTACT), 416, ""),
    (request("INVITE"), 400, ""),
    (request("INVITE", rows="Contact: <tel:+8613800138000>"), 400, ""),
    (request("INVITE", rows=f"{CONTACT}\nRecord-Route: <tel:123>"), 400, ""),
    (request("INVITE", rows=f"{CONTACT}\nRequire: 100rel, replaces"), 420, "replaces"),
    (request("MESSAGE", rows="Proxy-Require: foo"), 420, "foo"),
]


@pytest.mark.parametrize(("data", "status", "row"), BY_RULE)
def test_answered_by_rule_counted_and_not_recorded(data: bytes, status: int, row: str) -> None:
    node = CoreNode()
    node.book.wire_in(data, CALLER)
    response = node.book.wire_out(f"SIP/2.0 {status} ", CALLER)
    node.book.silence()
    assert response.to_tag and not response.body
    assert (response.value(h.ALLOW) is not None) == (row == "allow")
    if status == 200:
        assert response.named("Accept") == ["application/sdp, text/plain, application/vnd.3gpp.sms"]
        assert response.value(h.SUPPORTED) == "100rel, timer, precondition"
    if status == 420:
        assert response.named("Unsupported") == [row]
    assert node.counters[f"answered_{status}"] == 1 and node.records == []


def test_caller_that_cannot_be_read_for_its_length_is_an_answer_and_no_exception() -> None:
    node = CoreNode()
    many = ", ".join(f"<sip:{n}@core.example>" for n in range(300))
    node.book.wire_in(invite().replace(b"P-Asserted-Identity: ", f"P-Asserted-Identity: {many}, ".encode()), CALLER)
    statuses = {sent.data[:11] for sent in node.book.sent}
    assert statuses in ({b"SIP/2.0 400"}, {b"SIP/2.0 100", b"SIP/2.0 403"})
    assert node.sent_to(CALLEE) == []


@pytest.mark.parametrize(
    "data", [invite(), *(case[0] for case in BY_RULE), of_invite("ACK", "x"), b"garbage", b"FOO\r\n\r\n"]
)
def test_unknown_source_hears_nothing(data: bytes) -> None:
    node = CoreNode()
    node.book.wire_in(data, STRANGER)
    node.book.at(40)
    node.book.silence()
    assert node.steps == [] and node.lookups == []
    assert node.counters.get("unknown_source", 0) + node.counters.get("stray_acks", 0) == 1
    assert len(node.context.transactions) == 0


def test_bytes_that_break_the_grammar_are_answered_to_those_who_are_known() -> None:
    node = CoreNode()
    node.book.wire_in(invite().replace(b"Max-Forwards: 70", b"Max-Forwards: 999"), CALLER)
    node.book.wire_out("SIP/2.0 400", CALLER)
    node.book.wire_in(b"\x00\xff garbage", CALLER)
    node.book.wire_in(b"\r\n\r\n", CALLER)
    node.book.silence()
    assert node.records == [] and node.counters["malformed"] == 2


def test_invite_of_an_unknown_dialog_is_481() -> None:
    node = CoreNode()
    node.book.wire_in(
        invite().replace(f"To: <sip:{X}@veil.example>".encode(), f"To: <sip:{X}@veil.example>;tag=x".encode()), CALLER
    )
    node.book.wire_out("SIP/2.0 481", CALLER)
    assert node.records == []


@pytest.mark.parametrize(
    "uri", [f"sip:+86{X}@h", f"sip:0086{X}@h;user=phone", f"tel:{X};phone-context=+86", f"tel:+86{X}"]
)
def test_spellings_of_x(uri: str) -> None:
    node = CoreNode()
    sent = start(node, invite().replace(f"INVITE sip:{X}@veil.example;user=phone".encode(), f"INVITE {uri}".encode()))
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 486", CALLER)
    node.assert_recorded(tel_x=X)


# -- repeats of what was recorded before a restart ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recorded", "status", "q850"),
    [((404, 1), 404, 1), ((486, 17), 486, 17), ((500, 41), 500, 41), ((200, 16), 500, 41), ((200, 41), 500, 41)],
)
def test_repeat_of_a_call_after_a_restart(recorded: tuple[int, int], status: int, q850: int) -> None:
    node = CoreNode()
    node.service.last_run.repeats[("caller-side", "voice", "1-4711@127.0.0.12", 1, "z9hG4bK-a1")] = recorded
    node.book.wire_in(invite(), CALLER)
    refused(node, status, q850)
    assert node.steps == []
    sent = start(node, invite(branch="z9hG4bK-a-new", tag="a-tag-new"))  # another transaction is another attempt
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 486", CALLER)


def test_repeat_of_a_422_after_a_restart_says_an_interval() -> None:
    """RFC 4028 §6: a 422 without Min-SE is none."""
    node = CoreNode(with_policy(min_se_s=120))
    node.service.last_run.repeats[("caller-side", "voice", "1-4711@127.0.0.12", 1, "z9hG4bK-a1")] = (422, 31)
    node.book.wire_in(invite(), CALLER)
    response = node.book.wire_out("SIP/2.0 422", CALLER)
    assert (response.values(h.MIN_SE), response.values(h.REASON)) == (["120"], ["Q.850;cause=31"])
    assert node.steps == []


@pytest.mark.parametrize(("recorded", "rows"), [((200, 16), []), ((202, 16), []), ((403, 21), ["Q.850;cause=21"])])
def test_repeat_of_a_message_after_a_restart(recorded: tuple[int, int], rows: list[str]) -> None:
    node = CoreNode()
    node.service.last_run.repeats[("caller-side", "message", "1-4711@127.0.0.12", 1, "z9hG4bK-a1")] = recorded
    node.book.wire_in(rows_by_kind("message", X, A), CALLER)
    assert node.book.wire_out(f"SIP/2.0 {recorded[0]} ", CALLER).values(h.REASON) == rows
    node.book.silence()
    assert node.steps == []


def test_repeats_are_of_those_who_may_ask() -> None:
    node = CoreNode()
    node.service.last_run.repeats[("caller-side", "voice", "1-4711@127.0.0.12", 1, "z9hG4bK-a1")] = (404, 1)
    node.book.wire_in(invite(), STRANGER)
    node.book.silence()
