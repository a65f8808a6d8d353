"""The transaction layer under any interleaving: requests, copies, answers, lost interest, time, from few small pools.

Whatever happens, nothing is raised, no request is decided twice, and everything ends.
"""

from __future__ import annotations

from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sipstack.client_transaction import TERMINATED, ClientTransaction
from sipstack.events import (
    AckMissed,
    AckReceived,
    CancelReceived,
    MalformedReceived,
    Output,
    RequestFailed,
    RequestReceived,
    RequestTimedOut,
    ResponseReceived,
    SendMessage,
    StraySuccessReceived,
)
from sipstack.message import Message
from sipstack.server_transaction import TERMINATED as TERMINATED_SERVER
from sipstack.server_transaction import ServerTransaction
from sipstack.testing.playbook import flow_of
from sipstack.timers import T4_S, Timing
from sipstack.transactions import Transactions
from tests.sipstack.transaction_bench import NODE, PEER, answer, request

HOSTS: Final = (PEER, "192.0.2.2:5070")
BRANCHES: Final = (";branch=z9hG4bK1", ";branch=z9hG4bK2;rport", ";branch=old", "")
STATUSES: Final = (100, 180, 200, 202, 302, 486, 603)

METHODS = st.sampled_from(("INVITE", "BYE", "MESSAGE", "CANCEL", "ACK"))
SOURCES = st.sampled_from(HOSTS)
VIAS = st.tuples(SOURCES, st.sampled_from(BRANCHES)).map("".join)
STEPS_S = st.sampled_from((0.0, 0.001, 0.3, 0.5, 1.0, 4.0, 5.0, 31.0, 32.0)) | st.floats(0, 40)


class AnyTraffic(RuleBasedStateMachine):
    """The transaction user of this machine answers at random, and repeats its 2xx as RFC 6026 wants it to."""

    def __init__(self) -> None:
        super().__init__()
        self.core = Transactions(Timing())
        self.now = 1000.0
        self.received: list[bytes] = []  # every datagram so far, for copies
        self.servers: list[ServerTransaction] = []
        self.clients: list[ClientTransaction] = []
        self.asked: dict[ServerTransaction, object] = {}  # what its request was, which it need not keep
        self.success: dict[int, bytes] = {}  # server number -> its 2xx
        self.finals: dict[int, set[bytes]] = {}  # server number -> final responses on the wire
        self.ends: dict[ClientTransaction, str] = {}  # how each request of ours ended
        self.written = 0

    # ---- what the core says

    def do(self, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, SendMessage):
                self.sent(output.data)
            elif isinstance(output, RequestReceived | CancelReceived):
                self.new_request(output.transaction, output.request)
            elif isinstance(output, ResponseReceived):
                self.new_response(output.transaction, output.response.status)
            elif isinstance(output, RequestTimedOut):
                assert self.ends.setdefault(output.transaction, "timeout") == "timeout"
                assert output.transaction.state == TERMINATED
            elif isinstance(output, RequestFailed):
                assert output.transaction.state == TERMINATED
                self.ends.setdefault(output.transaction, "failed")
            elif isinstance(output, AckMissed):
                assert output.transaction.method == "INVITE"
            else:
                assert isinstance(output, AckReceived | MalformedReceived | StraySuccessReceived)

    def sent(self, data: bytes) -> None:
        """At most one final response of a transaction, whatever its copies and its user do."""
        number = data.partition(b"X-Of: ")[2].partition(b"\r\n")[0]
        if number and not data.startswith(b"SIP/2.0 1"):
            finals = self.finals.setdefault(int(number), set())
            finals.add(data)
            assert len(finals) == 1

    def new_request(self, transaction: ServerTransaction, message: Message) -> None:
        """Each request is seen once by its user: there is no living transaction with its keys.

        A CANCEL from another host is none of the copies: it may be forged.
        """
        assert message.method != "ACK"
        for other in self.servers:
            is_there = other.state != TERMINATED_SERVER and other.method == message.method
            if is_there and (message.method != "CANCEL" or other.source.host == transaction.source.host):
                assert self.asked[other] != identity(message)
        self.servers.append(transaction)
        self.asked[transaction] = identity(message)

    def new_response(self, transaction: ClientTransaction, status: int) -> None:
        if status < 200:
            assert transaction not in self.ends
        elif transaction.method == "INVITE" and status < 300:
            assert self.ends.setdefault(transaction, "2xx") == "2xx"
        else:
            assert transaction not in self.ends
            self.ends[transaction] = "final"

    # ---- the wire

    @rule(method=METHODS, via=VIAS, source=SOURCES, call=st.sampled_from("ab"), tag=st.sampled_from(("", ";tag=node")))
    def request_arrives(self, method: str, via: str, source: str, call: str, tag: str) -> None:
        data = request(method, via=via, call_id=call, to_tag=tag)
        self.received.append(data)
        self.do(self.core.receive(data, flow_of(source), self.now))

    @precondition(lambda self: self.received)
    @rule(data=st.data(), source=SOURCES)
    def copy_arrives(self, data: st.DataObject, source: str) -> None:
        copy = data.draw(st.sampled_from(self.received))
        self.do(self.core.receive(copy, flow_of(source), self.now))

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), status=st.sampled_from(STATUSES), tag=st.sampled_from("xy"))
    def response_arrives(self, data: st.DataObject, status: int, tag: str) -> None:
        client = data.draw(st.sampled_from(self.clients))
        asked = request(client.method, via=f"{NODE};branch={client.branch}", call_id="ours")
        reply = answer(asked, status, tag)
        self.received.append(reply)
        self.do(self.core.receive(reply, flow_of(PEER), self.now))

    @rule(data=st.sampled_from((b"", b"\r\n\r\n", b"INVITE", b"\xff" * 9)) | st.binary(max_size=40))
    def junk_arrives(self, data: bytes) -> None:
        assert all(isinstance(out, MalformedReceived) for out in self.core.receive(data, flow_of(PEER), self.now))

    @rule(address=SOURCES)
    def sending_fails(self, address: str) -> None:
        self.do(self.core.transport_failed(flow_of(address), b""))

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), octets=st.sampled_from((0, 100, 10_000)))
    def request_comes_back(self, data: st.DataObject, octets: int) -> None:
        client = data.draw(st.sampled_from(self.clients))
        self.do(self.core.transport_failed(client.flow, client.last_sent[:octets]))

    # ---- the transaction user

    @precondition(lambda self: self.servers)
    @rule(data=st.data(), status=st.sampled_from(STATUSES))
    def user_answers(self, data: st.DataObject, status: int) -> None:
        number = data.draw(st.integers(0, len(self.servers) - 1))
        server = self.servers[number]
        if server.is_accepted and 200 <= status < 300:
            written = self.success[number]
        else:
            self.written += 1
            written = server.head.build(status, "node", [f"X-Of: {number}", f"X-Written: {self.written}"])
            if 200 <= status < 300 and not server.is_answered:
                self.success[number] = written
        self.do(self.core.respond(server, status, written, self.now))

    @precondition(lambda self: self.servers)
    @rule(data=st.data())
    def user_abandons(self, data: st.DataObject) -> None:
        self.core.abandon(data.draw(st.sampled_from(self.servers)))

    @rule(method=st.sampled_from(("INVITE", "BYE")), address=SOURCES)
    def user_asks(self, method: str, address: str) -> None:
        branch = f"z9hG4bKnode{len(self.clients)}"
        data = request(method, via=f"{NODE};branch={branch}", call_id="ours")
        client = ClientTransaction(method, branch, data, flow_of(address), None)
        self.clients.append(client)
        self.do(self.core.start(client, self.now))

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def user_drops(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from(self.clients))
        self.core.drop(client)
        self.ends.setdefault(client, "dropped")

    # ---- time

    @rule(seconds=STEPS_S, late=st.booleans())
    def time_passes(self, seconds: float, late: bool) -> None:
        """Every timer at its own time, or all of them late and at once."""
        end = self.now + seconds
        while not late and (deadline := self.core.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.do(self.core.handle_timer(self.now))
        self.now = end
        self.do(self.core.handle_timer(self.now))
        assert (self.core.next_deadline() or end + 1) > end

    @invariant()
    def registers_hold_the_living(self) -> None:
        living = [server for server in self.servers if server.state != TERMINATED_SERVER]
        asking = [client for client in self.clients if client.state != TERMINATED]
        merged = self.core.counters["merged"]
        assert len(living) + len(asking) <= len(self.core) <= len(living) + len(asking) + merged
        assert len(self.core.wheel) <= 2 * len(self.core)  # a repeat and a deadline
        assert len(self.core._context.merged) <= len(living)

    def teardown(self) -> None:
        """The user gives every request its answer, nobody says any more, and 64*T1 + T4 later nothing is left."""
        for server in self.servers:
            if not server.is_answered:
                self.do(self.core.respond(server, 500, server.head.build(500, "node"), self.now))
        for client in self.clients:
            if client.awaits_final:
                self.core.drop(client)
        self.time_passes(self.core.timing.transaction_s + T4_S, late=False)
        assert len(self.core) == 0
        assert len(self.core.wheel) == 0
        assert self.core._context.merged == {}
        assert all(client.state == TERMINATED for client in self.clients)


def identity(message: Message) -> tuple[object, ...]:
    """What makes two requests of one method one transaction (§17.2.3)."""
    via = message.top_via
    assert via is not None
    if via.branch.startswith("z9hG4bK"):
        return (via.branch, via.sent_by)
    return (message.uri_text, message.from_tag, message.call_id, message.cseq, via.text)


AnyTraffic.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestAnyTraffic = AnyTraffic.TestCase
