"""pyVoIP, a softphone that we did not write, is called through X by SIPp."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.e2e.datagrams import answer_to_options, udp_socket
from tests.e2e.privacy import CALLER_CANARY, Side, assert_private
from tests.e2e.registrar import Registrar
from tests.e2e.sippruns import Sipp
from tests.e2e.softphone import USER_AGENT, CallState, Softphone
from tests.e2e.stories import BINDING, A, B, Stage, Told, X, answered, assert_clean, assert_record

# What SIPp does on the caller's side.
HANGS_UP, IS_HUNG_UP, IS_REFUSED = "uac_ends", "uac_is_ended", "uac_refused"
ANSWERED = ("<- INVITE", "-> 180 INVITE", "-> 200 INVITE", "<- ACK")

# Its transmitter of audio may be just about to send when a call ends, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:RTP Packet failed to send:RuntimeWarning")


@pytest.fixture
def stage(make_node: Any, sipp: Any) -> Stage:
    """A running node on which A and B are bound through X; B is reached at the callee's host."""
    node = make_node()
    node.bind(BINDING)
    node.start()
    return Stage(node, sipp)


@pytest.fixture
def phone(stage: Stage) -> Iterator[Softphone]:
    """B's phone, registered; afterwards its registration and all of its threads are gone."""
    host = stage.place.callee
    threads = set(threading.enumerate())
    with closing(Registrar(host, stage.place.node)) as registrar:
        registrar.start()
        with closing(Softphone(host, B, registrar.address)) as started:
            yield started
        assert len(registrar.contacts) == 2
        assert registrar.contacts[0].startswith(f"<sip:{B}@{host}:5060;")
        assert registrar.contacts[1] == ""
    assert set(threading.enumerate()) == threads


def call(stage: Stage, scenario: str) -> Sipp:
    """A calls X."""
    return stage.sipp(scenario, stage.place.caller, target=stage.place.node, rows=[(X, A)])


def told(stage: Stage, calling: Sipp, phone: Softphone, *ladder: str) -> Told:
    """What both sides saw, of which nothing was the other's; the phone saw this ladder, and was called by X."""
    assert_clean(calling.wait())
    phone.await_message(*ladder[-1].split(" ", 1))
    with udp_socket(stage.place.caller) as probe:
        answer_to_options(probe, stage.place.node, "after-the-call")
    stage.stop()
    seen = Told(calling.messages, phone.messages)
    assert seen.callee_ladder == list(ladder)
    caller = Side(seen.caller, stage.place.caller, A, CALLER_CANARY)
    assert_private(caller, Side(seen.callee, stage.place.callee, B, USER_AGENT))
    invite = seen.callee[0]
    assert invite.start_line == f"INVITE sip:{B}@{stage.place.callee}:5060 SIP/2.0"
    assert invite.value("From").startswith(f"<sip:{X}@veil.example>;tag=")
    return seen


def test_phone_answers_and_caller_ends(stage: Stage, phone: Softphone) -> None:
    calling = call(stage, HANGS_UP)
    taken = phone.next_call()
    assert taken.request.headers["From"]["number"] == X  # as the phone itself reads it
    taken.answer()
    seen = told(stage, calling, phone, *ANSWERED, "<- BYE", "-> 200 BYE")
    assert taken.state is CallState.ENDED
    record = stage.record()
    assert_record(record, answered(seen))
    assert [(attempt["status"], attempt["bye"]) for attempt in record["attempts"]] == [(200, 200)]
    assert record["ring_ms"] >= 1000


def test_phone_hangs_up(stage: Stage, phone: Softphone) -> None:
    calling = call(stage, IS_HUNG_UP)
    taken = phone.next_call()
    taken.answer()
    phone.await_message("<-", "ACK")
    taken.hangup()
    seen = told(stage, calling, phone, *ANSWERED, "-> BYE", "<- 200 BYE")
    assert_record(stage.record(), answered(seen, release_direction="callee", decided_by="callee"))


def test_phone_is_busy(stage: Stage, phone: Softphone) -> None:
    calling = call(stage, IS_REFUSED)
    phone.deny(phone.next_call())
    seen = told(stage, calling, phone, "<- INVITE", "-> 180 INVITE", "-> 486 INVITE", "<- ACK")
    assert (seen.final.status, seen.final.value("Reason")) == (486, "Q.850;cause=17")
    expected = answered(
        seen, release_cause="BUSY", sip_status=486, q850=17, release_direction="callee", decided_by="callee",
        answer_time=None, duration_ms=0,
    )  # fmt: skip
    assert_record(stage.record(), expected)
