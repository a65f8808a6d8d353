"""What the API does to calls of the node beside it, over sockets: they go on, or the next ones are refused."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from scenarios.rig.binding import Bound
from scenarios.rig.node import Node
from scenarios.rig.place import Place
from sipstack import headers as h
from sipstack.message import Message
from tests.e2e.ends import WAIT_S, Party, UdpEnd, answered, ask, hang_up
from tests.e2e.stopwatch import stopwatch
from tests.e2e.test_domain_calls import QUIET_S, A, B

X = "700123456780051"
BEFORE = "17000001051"  # X's predecessor, which is none of 700
STRANGER = "13800138077"
EFFECTIVE_WITHIN_S = 1.0
SERVES_S = 15.0  # so long something is in force: enough for a few calls on a machine that is busy with other tests

NodeFactory = Callable[..., Node]


class Line:
    """Two phones, and an operator at the API of the node between them."""

    def __init__(self, node: Node, place: Place) -> None:
        self.node = node
        self.place = place
        self.a = Party(A, UdpEnd(place.caller, place.node))
        self.b = Party(B, UdpEnd(place.callee, place.node))
        made = node.command("api-key", "create", "--role", "operator", "--json")
        self._token = json.loads(made.stdout)["secret"]
        self._calls = 0

    def api(self, method: str, path: str, **body: object) -> tuple[int, Any]:
        """One request; status and answer."""
        asked = urllib.request.Request(
            f"http://{self.place.node}:8700/v1{path}", json.dumps(body).encode() if body else None, method=method,
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(asked, timeout=WAIT_S) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.load(refused)

    def bind(self, x: str = X, **changes: str) -> tuple[int, Any]:
        """A and B for an hour, unless said otherwise."""
        request = {
            "mode": "AXB", "tel_x": x, "tel_a": A, "tel_b": B, "business_user": "bu-test", "order_id": "o-1",
            "scenario": "express", "expiration": later(3600),
        }  # fmt: skip
        return self.api("POST", "/bindings", **request | changes)

    def talk(self) -> Message:
        """A has called B, and they talk; the INVITE that B has got."""
        ask(self.a, X, self.call_id())
        invite = self.b.take("INVITE ")
        answered(self.a, self.b, invite)
        return invite

    def reaches(self, caller: Party, number: str, callee: Party) -> Message:
        """The callee's phone rings, and is busy; the INVITE that it has got."""
        ask(caller, number, self.call_id())
        invite = callee.take(f"INVITE sip:{callee.number}@")
        callee.answer(invite, 486)
        callee.take("ACK ")
        acknowledge(caller, caller.take("SIP/2.0 486"))
        return invite

    def is_refused(self, caller: Party, number: str, status: int, cause: str) -> None:
        """The caller hears so, and nobody's phone rings."""
        ask(caller, number, self.call_id())
        acknowledge(caller, caller.take(f"SIP/2.0 {status}"))
        self.is_silent()
        assert self.node.records()[-1]["release_cause"] == cause

    def is_silent(self) -> None:
        for party in (self.b, self.a):
            party.end.opened.settimeout(QUIET_S)
            with pytest.raises(TimeoutError):
                party.end.receive()
            party.end.opened.settimeout(WAIT_S)

    def message(self, status: int) -> None:
        """A writes to B; what it hears, after B has taken what came."""
        call_id = self.call_id()
        rows = [
            f"MESSAGE sip:{X}@veil.example SIP/2.0", f"Via: SIP/2.0/UDP {self.a.address};branch=z9hG4bK{call_id}",
            "Max-Forwards: 70", f"From: <sip:{A}@{self.a.address}>;tag=t", f"To: <sip:{X}@veil.example>",
            f"Call-ID: {call_id}", "CSeq: 1 MESSAGE", "Content-Type: text/plain", "Content-Length: 2", "", "hi",
        ]  # fmt: skip
        self.a.end.send("\r\n".join(rows).encode())
        if status < 300:
            self.b.answer(self.b.take("MESSAGE "), 200)
        self.a.take(f"SIP/2.0 {status}")

    def call_id(self) -> str:
        """One that no call had before."""
        self._calls += 1
        return f"call-{self._calls}"


def acknowledge(party: Party, final: Message) -> None:
    """The ACK of a refusal: of the same transaction."""
    rows = ["ACK sip:x@veil.example SIP/2.0", *(f"Via: {via}" for via in final.values(h.VIA)), "Max-Forwards: 70"]
    rows += [f"From: {final.value(h.FROM)}", f"To: {final.value(h.TO)}", f"Call-ID: {final.call_id}", "CSeq: 1 ACK"]
    party.end.send("\r\n".join([*rows, "Content-Length: 0", "", ""]).encode())


def later(seconds: float) -> str:
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat(timespec="milliseconds")


@pytest.fixture
def line(make_node: NodeFactory, place: Place) -> Iterator[Line]:
    node = make_node(extra=f'[api]\naddress = "{place.node}:8700"\n')
    node.bind()
    node.start()
    made = Line(node, place)
    yield made
    made.a.end.close()
    made.b.end.close()


def test_an_unbind_leaves_a_call_in_progress_alone(line: Line) -> None:
    """I9: they talk on until they hang up, the record is whole, and the next call finds nothing."""
    _, bound = line.bind()
    invite = line.talk()
    status, ended = line.api("DELETE", f"/bindings/{bound['subs_id']}")
    assert (status, ended["subs_id"]) == (200, bound["subs_id"])
    line.is_silent()
    assert [call["state"] for call in line.node.calls()] == ["Talking"]
    line.is_refused(line.a, X, 404, "NUMBER_COOLING")
    hang_up(line.a, line.b, invite)
    record = next(one for one in line.node.records() if one["release_cause"] == "NORMAL")
    told = [record[name] for name in ("subs_id", "binding_version", "caller", "callee", "tel_x", "release_direction")]
    assert told == [bound["subs_id"], 1, A, B, X, "callee"]
    assert record["duration_ms"] >= 1000 * QUIET_S
    assert line.node.calls() == []
    assert line.node.verify().is_clean


def test_a_second_after_its_end_a_binding_leads_nowhere(line: Line) -> None:
    """To the moment, by nobody's doing, and the conversation of before goes on."""
    line.node.bind(Bound(X, A, B, ttl_s=86_400 + SERVES_S, made_ago_s=86_400))  # as of yesterday, for a day and some s
    ((_, ends_at),) = {(row["subs_id"], row["expires_at"]) for row in line.api("GET", "/bindings")[1]["items"]}
    invite = line.talk()
    line.message(200)
    time.sleep(max(0.0, datetime.fromisoformat(ends_at).timestamp() + 1.0 - time.time()))
    line.is_refused(line.a, X, 404, "BINDING_EXPIRED")
    line.is_refused(line.b, X, 404, "BINDING_EXPIRED")
    line.message(404)
    line.is_silent()
    assert line.node.records()[-1]["release_cause"] == "BINDING_EXPIRED"
    assert [call["state"] for call in line.node.calls()] == ["Talking"]
    hang_up(line.a, line.b, invite)


LEVELS = [
    ("number", X, 404, "NUMBER_FROZEN"),
    ("number_block", X[:11], 404, "NUMBER_FROZEN"),
    ("business_user", "bu-test", 403, "TENANT_SUSPENDED"),
    ("app_platform", "ap-test", 403, "TENANT_SUSPENDED"),
    ("everything", "", 403, "TENANT_SUSPENDED"),
]


def test_a_kill_switch_of_each_level_holds_for_the_next_call_message_and_binding(line: Line) -> None:
    """In both processes at once; a restore is as quick."""
    line.bind()
    for kind, key, status, cause in LEVELS:
        assert line.api("POST", "/restrictions", kind=kind, id=key, reason="exercise")[0] == 201
        since_thrown = stopwatch(line.node)
        ask(line.a, X, line.call_id())
        acknowledge(line.a, line.a.take(f"SIP/2.0 {status}"))
        assert since_thrown() < EFFECTIVE_WITHIN_S
        line.message(status)
        line.is_silent()
        assert [record["release_cause"] for record in line.node.records()[-2:]] == [cause, cause]
        refused, why = line.bind(tel_x=X, tel_a=STRANGER, tel_b="13900139077")
        assert (refused, why["code"]) in [(409, "NUMBER_FROZEN"), (403, "PARTNER_IS_CLOSED")]
        assert line.api("POST", "/restrictions:restore", kind=kind, id=key, reason="over")[0] == 200
        line.reaches(line.a, X, line.b)


def test_the_number_of_before_leads_where_x_leads_until_its_day(line: Line) -> None:
    """Both ways, shown as X; for parties only; and from its moment on not at all, while X serves on."""
    until_s = time.time() + SERVES_S
    assert line.bind(legacy_x=BEFORE, legacy_until=later(until_s - time.time()))[0] == 201
    for caller, callee in ((line.a, line.b), (line.b, line.a)):
        invite = line.reaches(caller, BEFORE, callee)
        assert f"<sip:{X}@" in (invite.value(h.FROM) or "")
        assert f"<sip:{X}@" in (invite.value(h.P_ASSERTED_IDENTITY) or "")
        assert BEFORE.encode() not in invite.to_bytes() and caller.number.encode() not in invite.to_bytes()
    line.is_refused(Party(STRANGER, line.a.end), BEFORE, 403, "NOT_IN_CALLER_SET")
    time.sleep(max(0.0, until_s - time.time()))
    line.is_refused(line.a, BEFORE, 404, "NO_BINDING")
    line.is_refused(line.b, BEFORE, 404, "NO_BINDING")
    line.reaches(line.a, X, line.b)
