"""One story: a caller and a callee over a running node, and what must be true of it afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from tests.e2e.datagrams import CALLER, drain, udp_socket
from tests.e2e.nodes import BLOCK, INBOX_PORT, Bound, Node, assert_sound
from tests.e2e.privacy import CALLEE_CANARY, CALLER_CANARY, Side, assert_private
from tests.e2e.sippruns import Counted, Seen, Sipp

A: Final = CALLER
B: Final = "13900139000"
INBOX_B: Final = "13600136000"  # reached where messages are taken
X: Final = "700123456780001"
BINDING: Final = Bound(X, A, B)

_TIMES: Final = ("call_time", "call_out_time", "ring_time", "answer_time", "release_time")


@dataclass(frozen=True)
class Told:
    """What both sides saw of one story."""

    caller: list[Seen]
    callee: list[Seen]

    @property
    def caller_ladder(self) -> list[str]:
        """Such as "-> INVITE", "<- 180 INVITE": as the caller saw it."""
        return ladder(self.caller)

    @property
    def callee_ladder(self) -> list[str]:
        return ladder(self.callee)

    @property
    def final(self) -> Seen:
        """The final response to the caller's first request."""
        method = self.caller[0].method
        return next(m for m in self.caller if not m.is_sent and m.status >= 200 and m.method == method)

    @property
    def caller_call_id(self) -> str:
        return self.caller[0].call_id

    @property
    def callee_call_id(self) -> str:
        return self.callee[0].call_id if self.callee else ""


def ladder(messages: list[Seen]) -> list[str]:
    """One line a message: its direction as the party itself sees it, and what it is."""
    return [f"{'->' if message.is_sent else '<-'} {message.shown}" for message in messages]


class Stage:
    """A node with the parties that are bound through X, and the SIPp programs around it."""

    def __init__(self, node: Node, sipp: Callable[..., Sipp]) -> None:
        self.node = node
        self.place = node.place
        self._sipp = sipp

    def play(self, uac: str, uas: str, *, x: str = X, caller: str = A, callee: str = B, dialled_as: str = "") -> Told:
        """A story in which both sides take part, each with its scenario file; neither may fail nor repeat anything.

        `dialled_as` is how the caller writes its own number, where that is not the canonical form.
        """
        place = self.place
        caller_host, callee_host = place.caller, place.callee
        if not caller.startswith("138"):
            caller_host, callee_host = callee_host, caller_host
        port = INBOX_PORT if callee.startswith("136") else 5060
        answering = self._sipp(uas, callee_host, port=port)
        calling = self._sipp(uac, caller_host, target=place.node, rows=[(x, dialled_as or caller)])
        assert_clean(calling.wait())
        assert_clean(answering.wait())
        told = Told(calling.messages, answering.messages)
        assert_private(
            Side(told.caller, caller_host, caller, CALLER_CANARY), Side(told.callee, callee_host, callee, CALLEE_CANARY)
        )
        return told

    def refuse(self, uac: str, *, x: str = X, caller: str = A) -> Told:
        """A story that is refused: not one byte reaches the host of the other side."""
        with udp_socket(self.place.callee) as callee, udp_socket(self.place.callee, INBOX_PORT) as inbox:
            calling = self._sipp(uac, self.place.caller, target=self.place.node, rows=[(x, caller)])
            assert_clean(calling.wait())
            self.stop()
            assert drain(callee) == []
            assert drain(inbox) == []
        return Told(calling.messages, [])

    def sipp(self, scenario: str, host: str, **settings: Any) -> Sipp:
        """One more SIPp, for stories of more than two parties."""
        return self._sipp(scenario, host, **settings)

    def stop(self) -> None:
        """The node ends well, with nothing in progress and no bug shown."""
        status = self.node.status()
        assert_sound(status["counters"])
        assert (status["calls"], status["spooled"], status["store_fault"]) == (0, 0, "")
        assert self.node.stop() == 0

    def record(self) -> dict[str, Any]:
        """The only record, after the node has ended."""
        if self.node.process is not None:
            self.stop()
        report = self.node.verify()
        assert report.is_clean, report
        records = self.node.records()
        assert len(records) == 1
        return records[0]


def assert_clean(counted: Counted) -> None:
    """SIPp is content: one call, no failure, nothing sent twice."""
    assert replace(counted, errors="") == Counted(0, 1, 0, 0, 0, ""), counted


def answered(told: Told, binding: Bound = BINDING, **changed: object) -> dict[str, object]:
    """The record of a call of A that was answered, and ended by A, as far as it is known beforehand."""
    expected: dict[str, object] = {
        **_known(told), **of_binding(binding), "tel_x": binding.x, "caller": binding.a, "callee": binding.b,
        "egress_peer": "callee-side", "callee_call_id": told.callee_call_id, "release_cause": "NORMAL",
        "sip_status": 200, "q850": 16, "release_direction": "caller", "decided_by": "caller",
    }  # fmt: skip
    return expected | changed


def refused(told: Told, cause: str, status: int, q850: int, decided_by: str, **changed: object) -> dict[str, object]:
    """The record of an attempt of A that policy refused; of a binding it knows nothing."""
    expected: dict[str, object] = {
        **_known(told), "mode": "", "subs_id": "", "binding_version": 0, "app_platform": "", "business_user": "",
        "order_id": "", "scenario": "", "presented_number": "", "callee": None, "egress_peer": "", "attempts": [],
        "callee_call_id": "", "release_cause": cause, "sip_status": status, "q850": q850,
        "release_direction": "platform", "decided_by": decided_by,
    }  # fmt: skip
    return expected | changed


def _known(told: Told) -> dict[str, object]:
    """What stands in every record of a test."""
    kind = "message" if told.caller[0].method == "MESSAGE" else "voice"
    return {
        "node": "veil-test", "seq": 1, "kind": kind, "tel_x": X, "tel_y": "", "caller": A, "group_member": None,
        "ingress_peer": "caller-side", "caller_call_id": told.caller_call_id, "parts": 1 if kind == "message" else 0,
        "octets": len(told.caller[0].body) if kind == "message" else 0,
    }  # fmt: skip


def of_binding(binding: Bound) -> dict[str, object]:
    """What a binding writes into a record."""
    return {
        "mode": "AXB", "binding_version": 1, "app_platform": "ap-test", "business_user": "bu-test",
        "order_id": binding.order_id, "scenario": "express", "presented_number": binding.x,
    }  # fmt: skip


def assert_record(record: Mapping[str, Any], expected: Mapping[str, object]) -> None:
    """Every field that is known beforehand is as expected, and times and durations fit together."""
    assert {name: record[name] for name in expected} == expected
    assert len(record["record_id"]) > 20
    assert bool(record["subs_id"]) == bool(record["mode"])
    times = [datetime.fromisoformat(record[name]) for name in _TIMES if record[name] is not None]
    assert times == sorted(times)
    assert record["call_time"] is not None and record["release_time"] is not None
    assert bool(record["attempts"]) == (record["call_out_time"] is not None)
    assert abs(record["ring_ms"] - _between(record, "ring_time", "answer_time", "release_time")) <= 2
    if record["kind"] == "voice":
        assert abs(record["duration_ms"] - _between(record, "answer_time", "release_time")) <= 2
    assert record["bill_seconds"] == -(-record["duration_ms"] // 1000)
    assert (record["icid_in"], record["icid_out"]) == ("", "")


def _between(record: Mapping[str, Any], start: str, *ends: str) -> float:
    """Milliseconds from one time of a record to the first other that it has; 0 when the first is missing."""
    if record[start] is None:
        return 0.0
    end = next(record[name] for name in ends if record[name] is not None)
    return (datetime.fromisoformat(end) - datetime.fromisoformat(record[start])).total_seconds() * 1000


def many(first: int, count: int, callees: str, block: str = BLOCK) -> list[Bound]:
    """Bindings of distinct X and of distinct people, from the `first` number of the block on."""
    return [
        Bound(f"{block}{n:04}", f"138{n * 7919 % 10**8:08}", f"{callees}{n * 6101 % 10**8:08}")
        for n in range(first, first + count)
    ]


def x_in(messages: list[Seen]) -> str:
    """The 700 number of a call or message: what the caller dialled, or what the callee was shown."""
    address = messages[0].start_line if messages[0].is_sent else messages[0].value("From")
    start = address.index("sip:700") + 4
    return address[start : start + 15]
