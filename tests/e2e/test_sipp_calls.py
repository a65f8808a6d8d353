"""Every story of a call or a message, told by SIPp on both sides of a running node.

Each ends with its record and with the proof, from the bytes that each side received, that nothing crossed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.datagrams import drain, udp_socket
from tests.e2e.nodes import Bound
from tests.e2e.stories import (
    BINDING,
    INBOX_B,
    A,
    B,
    Stage,
    Told,
    X,
    answered,
    assert_record,
    of_binding,
    refused,
)

StageFactory = Callable[..., Stage]


@pytest.fixture
def stage(make_node: Any, sipp: Any) -> StageFactory:
    """A running node on which A and B are bound through X."""

    def start(*bindings: Bound, extra: str = "") -> Stage:
        node = make_node(extra=extra)
        node.bind(*(bindings or [BINDING]))
        node.start()
        return Stage(node, sipp)

    return start


CALLER_OF_ANSWERED = ["-> INVITE", "<- 100 INVITE", "<- 180 INVITE", "<- 200 INVITE", "-> ACK"]
CALLEE_OF_ANSWERED = ["<- INVITE", "-> 100 INVITE", "-> 180 INVITE", "-> 200 INVITE", "<- ACK"]


def tried(told: Told, stage: Stage, status: int = 200, **more: int) -> dict[str, object]:
    """The one entry of `attempts` for a callee who did not keep anybody waiting."""
    return {"peer": "callee-side", "target": f"sip:{stage.place.callee}:5060", "status": status, **more}


def without_ms(record: dict[str, Any]) -> list[dict[str, Any]]:
    """`attempts` without the milliseconds, each of which is sane."""
    attempts = [dict(attempt) for attempt in record["attempts"]]
    assert all(0 <= attempt.pop("ms") < 5000 for attempt in attempts)
    return attempts


def test_caller_ends(stage: StageFactory) -> None:
    on = stage()
    told = on.play("uac_ends", "uas_answers")
    assert told.caller_ladder == [*CALLER_OF_ANSWERED, "-> BYE", "<- 200 BYE"]
    assert told.callee_ladder == [*CALLEE_OF_ANSWERED, "<- BYE", "-> 200 BYE"]
    record = on.record()
    assert_record(record, answered(told))
    assert without_ms(record) == [tried(told, on, bye=200)]


def test_callee_sees_x_and_its_own_number(stage: StageFactory) -> None:
    on = stage()
    told = on.play("uac_ends", "uas_answers")
    invite = told.callee[0]
    assert invite.start_line == f"INVITE sip:{B}@{on.place.callee}:5060 SIP/2.0"
    assert invite.value("To") == f"<sip:{B}@{on.place.callee}>"
    assert invite.value("From").startswith(f"<sip:{X}@veil.example>;tag=")
    assert invite.value("P-Asserted-Identity") == f"<sip:{X}@veil.example>"
    assert invite.value("Contact") == f"<sip:{X}@{on.place.node}:5060>"
    assert [line.partition(":")[0] for line in invite.head] == [
        "Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Contact", "P-Asserted-Identity", "Allow", "Supported",
        "Content-Type", "Content-Length",
    ]  # fmt: skip


def test_callee_ends(stage: StageFactory) -> None:
    on = stage()
    told = on.play("uac_is_ended", "uas_ends")
    assert told.caller_ladder == [*CALLER_OF_ANSWERED, "<- BYE", "-> 200 BYE"]
    assert told.callee_ladder == [*CALLEE_OF_ANSWERED, "-> BYE", "<- 200 BYE"]
    record = on.record()
    assert_record(record, answered(told, release_direction="callee", decided_by="callee"))
    assert without_ms(record) == [tried(told, on, bye=200)]


def test_callback_through_x(stage: StageFactory) -> None:
    on = stage()
    told = on.play("uac_ends", "uas_answers", caller=B, callee=A)
    assert told.callee[0].start_line == f"INVITE sip:{A}@{on.place.caller}:5060 SIP/2.0"
    assert told.callee[0].value("From").startswith(f"<sip:{X}@veil.example>;tag=")
    expected = answered(told, caller=B, callee=A, ingress_peer="callee-side", egress_peer="caller-side")
    assert_record(on.record(), expected)


@pytest.mark.parametrize(
    ("uas", "from_callee", "to_caller", "q850", "cause"),
    [("uas_is_busy", 486, 486, 17, "BUSY"), ("uas_declines", 603, 603, 21, "REJECTED")],
)
def test_callee_does_not_take_it(
    stage: StageFactory, uas: str, from_callee: int, to_caller: int, q850: int, cause: str
) -> None:
    on = stage()
    told = on.play("uac_refused", uas)
    assert told.caller_ladder[2:] == ["<- 180 INVITE", f"<- {to_caller} INVITE", "-> ACK"]
    assert told.callee_ladder == [
        "<- INVITE", "-> 100 INVITE", "-> 180 INVITE", f"-> {from_callee} INVITE", "<- ACK",
    ]  # fmt: skip
    assert told.final.value("Reason") == f"Q.850;cause={q850}"
    record = on.record()
    expected = answered(
        told, release_cause=cause, sip_status=to_caller, q850=q850, release_direction="callee", decided_by="callee",
        answer_time=None, duration_ms=0,
    )  # fmt: skip
    assert_record(record, expected)
    assert without_ms(record) == [tried(told, on, from_callee)]


def test_cancelled_while_ringing(stage: StageFactory) -> None:
    on = stage()
    told = on.play("uac_cancels", "uas_rings")
    assert told.caller_ladder == [
        "-> INVITE", "<- 100 INVITE", "<- 180 INVITE", "-> CANCEL", "<- 200 CANCEL", "<- 487 INVITE", "-> ACK",
    ]  # fmt: skip
    assert told.callee_ladder == [
        "<- INVITE", "-> 100 INVITE", "-> 180 INVITE", "<- CANCEL", "-> 200 CANCEL", "-> 487 INVITE", "<- ACK",
    ]  # fmt: skip
    assert told.final.value("Reason") == "Q.850;cause=16"
    expected = answered(told, release_cause="CALLER_CANCEL", sip_status=487, answer_time=None, duration_ms=0)
    assert_record(on.record(), expected)


def test_nobody_answers(stage: StageFactory) -> None:
    on = stage(extra="[policy]\nring_timeout_s = 0.4\n")
    told = on.play("uac_refused", "uas_rings")
    assert told.final.status == 480
    assert told.final.value("Reason") == "Q.850;cause=19"
    assert told.callee_ladder[3:] == ["<- CANCEL", "-> 200 CANCEL", "-> 487 INVITE", "<- ACK"]
    record = on.record()
    expected = answered(
        told, release_cause="NO_ANSWER", sip_status=480, q850=19, release_direction="platform", decided_by="ring_timer",
        answer_time=None, duration_ms=0,
    )  # fmt: skip
    assert_record(record, expected)
    assert 300 <= record["ring_ms"] < 1500


def test_second_target_when_the_first_is_silent(stage: StageFactory) -> None:
    callee = "13700137000"
    on = stage(Bound(X, A, callee), extra="[policy]\nfirst_response_ms = 300\n")
    silent = on.sipp("uas_is_silent", on.place.second)
    told = on.play("uac_ends", "uas_answers", callee=callee)
    assert silent.wait().successful == 1
    assert {message.shown for message in silent.messages} == {"INVITE"}
    assert silent.messages[0].call_id != told.callee_call_id
    record = on.record()
    assert_record(record, answered(told, callee=callee, egress_peer="silent-first"))
    assert without_ms(record) == [
        {"peer": "silent-first", "target": f"sip:{on.place.second}:5060", "status": 0},
        {"peer": "silent-first", "target": f"sip:{on.place.callee}:5060", "status": 200, "bye": 200},
    ]


@pytest.mark.parametrize(
    ("x", "caller", "cause", "status", "q850", "decided_by"),
    [
        ("700123456780002", A, "NO_BINDING", 404, 1, "bound"),
        (X, "13800138999", "NOT_IN_CALLER_SET", 403, 21, "bound"),
        ("70012345678000", A, "BAD_NUMBER", 484, 28, "called_number"),
        ("7001234567800011", A, "BAD_NUMBER", 404, 28, "called_number"),
    ],
    ids=["unbound", "outsider", "14-digits", "16-digits"],
)
@pytest.mark.parametrize("uac", ["uac_refused", "uac_message_refused"], ids=["call", "message"])
def test_refused(
    stage: StageFactory, uac: str, x: str, caller: str, cause: str, status: int, q850: int, decided_by: str
) -> None:
    on = stage()
    told = on.refuse(uac, x=x, caller=caller)
    assert told.final.status == status
    assert told.final.value("Reason") == f"Q.850;cause={q850}"
    record = on.record()
    assert_record(record, refused(told, cause, status, q850, decided_by, tel_x=x, caller=caller))


@pytest.mark.parametrize("uac", ["uac_refused", "uac_message_refused"], ids=["call", "message"])
def test_expired_binding(stage: StageFactory, uac: str) -> None:
    expired = Bound(X, A, B, ttl_s=3600, made_at=time.time() - 7200)
    on = stage(expired)
    told = on.refuse(uac)
    assert told.final.status == 404
    assert told.final.value("Reason") == "Q.850;cause=1"
    record = on.record()
    expected = refused(told, "BINDING_EXPIRED", 404, 1, "in_force", subs_id=record["subs_id"], **of_binding(expired))
    assert_record(record, expected)


def test_hold_and_resume(stage: StageFactory) -> None:
    on = stage()
    told = on.play("uac_holds", "uas_is_held")
    offers = [m.body for m in told.callee if not m.is_sent and m.method == "INVITE" and not m.status]
    assert [b"a=sendonly" in offer for offer in offers] == [False, True, False]
    answers = [m.body for m in told.caller if not m.is_sent and m.status == 200 and m.method == "INVITE"]
    assert [b"a=recvonly" in answer for answer in answers] == [False, True, False]
    versions = [origin_version(offer) for offer in offers]
    assert versions == [versions[0], versions[0] + 1, versions[0] + 2]
    assert_record(on.record(), answered(told))


def origin_version(description: bytes) -> int:
    """The version in our o= line (RFC 4566 §5.2)."""
    origin = next(line for line in description.split(b"\r\n") if line.startswith(b"o="))
    return int(origin.split(b" ")[2])


def test_key_press(stage: StageFactory) -> None:
    on = stage()
    told = on.play("uac_presses_key", "uas_gets_key")
    [info] = [m for m in told.callee if m.shown == "INFO"]
    assert info.value("Content-Type") == "application/dtmf-relay"
    assert info.body.split() == [b"Signal=5", b"Duration=160"]
    assert_record(on.record(), answered(told))


def test_update(stage: StageFactory) -> None:
    on = stage()
    told = on.play("uac_updates", "uas_is_updated")
    [update] = [m for m in told.callee if m.shown == "UPDATE"]
    assert b"a=sendonly" in update.body
    [ok] = [m for m in told.caller if m.shown == "200 UPDATE"]
    assert b"a=recvonly" in ok.body
    assert_record(on.record(), answered(told))


def test_late_offer(stage: StageFactory) -> None:
    on = stage()
    told = on.play("uac_offers_late", "uas_answers")
    assert told.callee[0].body == b""
    [ok] = [m for m in told.caller if m.shown == "200 INVITE"]
    assert b"m=audio 6002" in ok.body
    [ack] = [m for m in told.callee if m.shown == "ACK"]
    assert b"m=audio 6000" in ack.body
    assert_record(on.record(), answered(told))


def test_message(stage: StageFactory) -> None:
    on = stage(Bound(X, A, INBOX_B))
    told = on.play("uac_message", "uas_message", callee=INBOX_B)
    [message] = [m for m in told.callee if not m.is_sent]
    assert message.start_line == f"MESSAGE sip:{INBOX_B}@{on.place.callee}:5070 SIP/2.0"
    assert message.value("From").startswith(f"<sip:{X}@veil.example>;tag=")
    assert message.value("Contact") == ""
    sent = told.caller[0].body.decode()
    assert sent.count(A) == 3
    assert message.body.decode() == sent.replace(A, "138****8000")
    record = on.record()
    expected = answered(told, callee=INBOX_B, egress_peer="inbox", release_direction="callee", decided_by="callee")
    assert_record(record, expected)
    assert without_ms(record) == [{"peer": "inbox", "target": f"sip:{on.place.callee}:5070", "status": 200}]


def test_message_back_through_x(stage: StageFactory) -> None:
    on = stage()
    told = on.play("uac_message", "uas_message", caller=B, callee=A)
    [message] = [m for m in told.callee if not m.is_sent]
    assert message.start_line == f"MESSAGE sip:{A}@{on.place.caller}:5060 SIP/2.0"
    expected = answered(
        told, caller=B, callee=A, ingress_peer="callee-side", egress_peer="caller-side", release_direction="callee",
        decided_by="callee",
    )  # fmt: skip
    assert_record(on.record(), expected)


def test_refusals_say_nothing_about_the_binding(stage: StageFactory) -> None:
    """Bound, but not for this caller, and a stranger: neither learns a number from what comes back."""
    on = stage()
    told = on.refuse("uac_refused", caller="13800138999")
    assert all(B.encode() not in m.data and A.encode() not in m.data for m in told.caller if not m.is_sent)
    assert told.final.head[-1].startswith("Content-Length: 0")


def test_unknown_source_hears_nothing(stage: StageFactory) -> None:
    on = stage()
    with udp_socket(on.place.stranger) as stranger:
        stranger.sendto(b"OPTIONS sip:x SIP/2.0\r\n\r\n", (on.place.node, 5060))
        told = on.play("uac_ends", "uas_answers")
        assert_record(on.record(), answered(told))
        assert drain(stranger) == []
