"""Random conversations with two parties that keep to no rule: whatever they say, neither learns of the other.

Messages of both sides interleave, get lost (a party need not listen), come twice, late and mangled; the store answers
at once, late, or not at all. After every step all that has just left is searched; in the end nothing is left open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from engine.core.records import Step
from engine.core.settings import CallerSource, CoreSettings, MessageText, NumberFormat, SessionTimer
from engine.core.spelling import holds_number
from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.message import Message
from sipstack.parser import parse
from tests.core.corenode import CALLEE, CALLEE2, CALLER, SETTINGS, TWO_TARGETS, A, B, CoreNode, with_policy, with_trunk
from tests.core.hostile import BODIES, FORWARDED, Party

Some = TypeVar("Some")

MAX_CALL_S = 60.0
VARIANTS: tuple[CoreSettings, ...] = (
    SETTINGS,
    TWO_TARGETS,
    with_trunk("callee-side", number_format=NumberFormat.TEL),
    with_trunk("callee-side", trusted=False, caller=CallerSource.FROM, uniform_refusals=True),
    with_trunk("caller-side", trusted=False, caller=CallerSource.FROM, number_format=NumberFormat.PREFIX86),
    with_policy(SETTINGS, message_text=MessageText.RELAY),
    replace(SETTINGS, peers=tuple(replace(p, allow_transfer=True, follow_redirect=True) for p in SETTINGS.peers)),
    with_policy(SETTINGS, session_expires_s=8),
    with_policy(TWO_TARGETS, session_expires_s=40),
    with_policy(SETTINGS, session_timer=SessionTimer.RELAY),
)

CHOICE = st.integers(0, 999)
STATUS = st.sampled_from(
    (100, 180, 180, 183, 199, 200, 200, 200, 202, 300, 302, 401, 404, 408, 422, 480, 486, 488, 491, 500, 503, 603)
)
WITHIN = st.sampled_from(
    (
        "BYE",
        "BYE",
        "ACK",
        "ACK",
        "INVITE",
        "UPDATE",
        "INFO",
        "PRACK",
        "OPTIONS",
        "REFER",
        "NOTIFY",
        "MESSAGE",
        "FOO",
        "CANCEL",
    )
)
OUTSIDE = st.sampled_from(
    ("OPTIONS", "REFER", "SUBSCRIBE", "NOTIFY", "PUBLISH", "REGISTER", "BYE", "PRACK", "INFO", "FOO")
)
KIND = st.sampled_from(tuple(BODIES))
SIDE = st.booleans()


def one_of(items: Sequence[Some], choice: int) -> Some:
    """Late ones rather than early ones: a conversation goes on more often than it goes back."""
    return items[-1 - choice % min(len(items), 4 if choice % 3 else len(items))]


class Conversations(RuleBasedStateMachine):
    """A core, a caller and a callee that say anything at any time, and a network and a store that behave as badly."""

    def __init__(self) -> None:
        super().__init__()
        self.a = Party("a", "127.0.0.12", A, 31_000)
        self.b = Party("b", "127.0.0.13", B, 52_000)
        self.seen = 0
        self.sources: dict[str, str] = {"a": CALLER, "b": CALLEE}

    @initialize(variant=CHOICE, durable=st.integers(0, 3))
    def begin(self, variant: int, durable: int) -> None:
        settings_ = with_policy(VARIANTS[variant % len(VARIANTS)], max_call_s=MAX_CALL_S)
        self.policy_of_node = settings_
        self.node = CoreNode(settings_)
        CoreNode.made.remove(self.node)  # looked at here
        self.node.store_gives_up = True
        self.text_crosses = settings_.policy.message_text is MessageText.RELAY
        if not durable:
            self.node.durable = set()

    # -- what happens ----------------------------------------------------------------------------------------------

    def party(self, is_caller: bool) -> Party:
        return self.a if is_caller else self.b

    def says(self, party: Party, data: bytes) -> None:
        self.node.book.wire_in(data, self.sources[party.side])
        self.look()

    @precondition(lambda self: len(self.node.context.attempts) < 4)
    @rule(
        by_caller=st.sampled_from((True, True, False)), choice=CHOICE, kind=st.sampled_from(("sdp", "sdp", "", "isup"))
    )
    def calls(self, by_caller: bool, choice: int, kind: str) -> None:
        party = self.party(by_caller)
        self.says(party, party.first_request("INVITE", choice, kind))

    @precondition(lambda self: len(self.node.context.attempts) < 4)
    @rule(
        choice=CHOICE,
        up_to=st.sampled_from(("180", "200", "ACK", "ACK", "ACK")),
        kind=st.sampled_from(("sdp", "sdp", "")),
    )
    def comes_about(self, choice: int, up_to: str, kind: str) -> None:
        """As most calls do, up to a point: what is said within a conversation needs one."""
        before = len(self.b.heard)
        self.says(self.a, self.a.first_request("INVITE", choice, kind))
        while self.node.held:
            self.store_speaks(True)
        invites = [m for m in self.b.heard[before:] if m.is_request and m.method == "INVITE"]
        if not invites:
            return
        self.says(self.b, self.b.response(invites[0], 180, 0, choice, ""))
        if up_to != "180":
            self.says(self.b, self.b.response(invites[0], 200, 0, choice, "sdp"))
            while self.node.held:
                self.store_speaks(True)
        if up_to == "ACK" and self.a.views:
            self.says(self.a, self.a.within(list(self.a.views.values())[-1], "ACK", choice, "" if kind else "sdp"))

    @rule(by_caller=SIDE, choice=CHOICE, kind=st.sampled_from(("text", "text", "", "sip")))
    def writes(self, by_caller: bool, choice: int, kind: str) -> None:
        party = self.party(by_caller)
        self.says(party, party.first_request("MESSAGE", choice, kind))

    @rule(by_caller=SIDE, method=OUTSIDE, choice=CHOICE, kind=KIND)
    def asks_outside(self, by_caller: bool, method: str, choice: int, kind: str) -> None:
        party = self.party(by_caller)
        self.says(party, party.first_request(method, choice, kind))

    @precondition(lambda self: any(m.is_request and m.method != "ACK" for m in self.b.heard))
    @rule(
        which=CHOICE,
        status=STATUS,
        tag=st.integers(0, 2),
        choice=CHOICE,
        kind=st.sampled_from(("", "sdp", "sdp", "sip")),
    )
    def callee_answers(self, which: int, status: int, tag: int, choice: int, kind: str) -> None:
        self._answers(self.b, which, status, tag, choice, kind)

    @precondition(lambda self: any(m.is_request and m.method != "ACK" for m in self.a.heard))
    @rule(which=CHOICE, status=STATUS, choice=CHOICE, kind=st.sampled_from(("", "sdp", "sip")))
    def caller_answers(self, which: int, status: int, choice: int, kind: str) -> None:
        self._answers(self.a, which, status, 0, choice, kind)

    def _answers(self, party: Party, which: int, status: int, tag: int, choice: int, kind: str) -> None:
        request = one_of([m for m in party.heard if m.is_request and m.method != "ACK"], which)
        self.says(party, party.response(request, status, tag, choice, kind))

    @precondition(lambda self: self.a.views or self.b.views)
    @rule(by_caller=SIDE, which=CHOICE, method=WITHIN, choice=CHOICE, kind=KIND)
    def asks_within(self, by_caller: bool, which: int, method: str, choice: int, kind: str) -> None:
        party = self.party(by_caller) if self.party(by_caller).views else self.party(not by_caller)
        view = one_of(list(party.views.values()), which)
        self.says(party, party.within(view, method, choice, kind, method == "CANCEL"))

    @precondition(lambda self: self.a.said or self.b.said)
    @rule(by_caller=SIDE, which=CHOICE)
    def cancels(self, by_caller: bool, which: int) -> None:
        party = self.party(by_caller)
        invites = [data for data in party.said if data.startswith(b"INVITE ")]
        if invites:
            self.says(party, party.cancel(one_of(invites, which)))

    @precondition(lambda self: self.a.said or self.b.said)
    @rule(by_caller=SIDE, which=CHOICE)
    def repeats(self, by_caller: bool, which: int) -> None:
        """A datagram that comes once more, or that was overtaken."""
        party = self.party(by_caller)
        if party.said:
            self.says(party, one_of(party.said, which))

    @precondition(lambda self: self.a.said or self.b.said)
    @rule(by_caller=SIDE, which=CHOICE, choice=CHOICE, where=st.integers(0, 9999))
    def mangles(self, by_caller: bool, which: int, choice: int, where: int) -> None:
        party = self.party(by_caller)
        if party.said:
            self.says(party, party.mangled(one_of(party.said, which), choice, where))

    @rule(seconds=st.sampled_from((0.01, 0.3, 0.6, 1.0, 4.5, 12.0, 33.0)))
    def waits(self, seconds: float) -> None:
        self.node.wait(seconds)
        self.look()

    @precondition(lambda self: self.node.held)
    @rule(durable=st.sampled_from((True, True, True, False)))
    def store_speaks(self, durable: bool) -> None:
        self.node.release_held(durable)
        self.look()

    @rule(at_once=st.sampled_from((True, True, True, False)))
    def store_changes_its_mind(self, at_once: bool) -> None:
        self.node.durable = {Step.OPEN, Step.ANSWER, Step.CLOSE} if at_once else set()

    # -- what holds ------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """All that has left since the last look."""
        log = self.node.book.log
        for sent in log[self.seen :]:
            to_caller = sent.flow.host == self.a.host
            receiver, other = (self.a, self.b) if to_caller else (self.b, self.a)
            assert to_caller or f"{sent.flow.host}:{sent.flow.port}" in (CALLEE, CALLEE2), sent.flow
            self._names_nobody(sent.data, other)
            message = _parsed(sent.data)
            if message is None:  # an answer to what was mangled, with the mangled rows in it
                assert sent.data.startswith((b"SIP/2.0 4", b"SIP/2.0 5")), sent.data
                continue
            self._shares_nothing(message, other)
            receiver.hears(message)
        self.seen = len(log)
        self.node.book.sent.clear()
        ids = [record["record_id"] for record in self.node.records]
        assert len(ids) == len(set(ids)), "an attempt has two records"

    def _names_nobody(self, data: bytes, other: Party) -> None:
        """Neither the number of the other side, however it is written, nor its name, host or identifiers."""
        assert other.word not in data.decode("latin-1").lower(), data
        assert other.host.encode() not in data, data
        if not (self.text_crosses and data.startswith(b"MESSAGE ")):
            assert not holds_number(data, other.number), data
        if other is self.b:  # whoever it forwards to is as unknown to the caller as itself
            assert not holds_number(data, FORWARDED), data

    def _shares_nothing(self, message: Message, other: Party) -> None:
        """No identifier of ours, or number of a request, is known on both sides."""
        assert message.call_id not in {m.call_id for m in other.heard}, "one Call-ID on both sides"
        assert message.cseq not in {m.cseq for m in other.heard}, "one CSeq number on both sides"
        tags = {tag for m in other.heard for tag in (m.from_tag, m.to_tag)} - {""}
        assert not {message.from_tag, message.to_tag} & tags, "one tag on both sides"
        branches = {m.top_via.branch for m in other.heard if m.top_via is not None}
        assert message.top_via is not None
        assert message.top_via.branch not in branches, "one branch on both sides"
        for value in message.values(h.CONTACT):
            assert value.startswith(("<sip:700", "<tel:700")), value

    def teardown(self) -> None:
        node = getattr(self, "node", None)
        if node is None:
            return
        while node.held:
            node.release_held()
            self.look()
        node.durable = {Step.OPEN, Step.ANSWER, Step.CLOSE}
        node.wait(MAX_CALL_S + 400)
        self.look()
        self._nothing_is_left(node)

    def _nothing_is_left(self, node: CoreNode) -> None:
        context = node.context
        assert not [*context.attempts, *context.dialogs, *context.transactions._context.merged]
        assert (len(context.transactions), len(context.wheel), len(context.transactions.wheel)) == (0, 0, 0)
        assert len(node.records) == node.begun + node.before
        self._no_half_call()

    def _no_half_call(self) -> None:
        """Who has a dialog that was confirmed has heard a BYE in it, or has said one."""
        for party in (self.a, self.b):
            acked = {(m.call_id, m.to_tag) for m in party.heard if m.method == "ACK" and m.is_request}
            told = {(m.call_id, m.to_tag) for m in party.heard if m.method == "BYE" and m.is_request}
            said = {
                (m.call_id, m.from_tag)
                for m in (_parsed(data) for data in party.said if data.startswith(b"BYE "))
                if m is not None
            }
            refused = {
                (m.call_id, m.to_tag)
                for m in (_parsed(data) for data in party.said if not data.startswith(b"SIP/2.0 2"))
                if m is not None and m.method == "INVITE" and m.status >= 300
            }
            assert not acked - told - said - refused, "a dialog is left half open"


def _parsed(data: bytes) -> Message | None:
    try:
        return parse(data)
    except RemoteSipError:
        return None


NO_SHRINK = (Phase.explicit, Phase.generate)
COMMON = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
}


class TestConversations(Conversations.TestCase):  # type: ignore[name-defined, misc]
    settings = settings(max_examples=200, stateful_step_count=50, derandomize=True, phases=NO_SHRINK, **COMMON)


@pytest.mark.long
class TestManyConversations(Conversations.TestCase):  # type: ignore[name-defined, misc]
    settings = settings(max_examples=3000, stateful_step_count=60, **COMMON)
