"""The account of one call or message: a line for each thing that was read, decided or made, and what came of it.

The lines are told from what the core itself left behind (the facts, the hops, the bytes), by asking the functions that
it asks. Each names the key of the configuration or the row of the store that made it so.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from time import perf_counter_ns
from typing import Final, final

from engine.config import Config
from engine.config.values import shown
from engine.core.attempt import AttemptBase
from engine.core.binding import Binding, Miss
from engine.core.numbers import REAL, Dialled, DialledKind
from engine.core.policy import STEPS_AFTER_LOOKUP, STEPS_BEFORE_LOOKUP, Refusal, Step, caller_entitled
from engine.core.routing import Hop, shown_address
from engine.core.settings import DIGEST, CoreSettings, MessageText, PeerSettings
from engine.core.turned_away import TurnedAway
from engine.deciding import Caller, Live
from engine.deciding.arrival import Arrival
from engine.deciding.live import Resolved
from engine.deciding.login import logged_in
from engine.deciding.rehearsal import GroupFinder, Rehearsal
from engine.explain import ways
from engine.explain.beside import beside, counts
from engine.explain.conditions import limits, questions, row_of
from engine.explain.rules import rule_of
from engine.explain.spelling import RulePlaces, spellings
from engine.explain.told import Explanation, Line, veiled
from engine.store.rows import utc_text
from sipstack import headers as h
from sipstack.events import SendMessage
from sipstack.message import ENCODING, Message
from sipstack.parser import parse

BUILT_IN: Final = "built in"

# Asks the running node what it knows of a caller; None when none answers.
AskNode = Callable[[Caller], Live | None]

_MEANING: Final = {
    DialledKind.PRIVACY: "the 700 number",
    DialledKind.PRIVACY_SHORT: "a 700 number with too few digits:",
    DialledKind.PRIVACY_LONG: "a 700 number with too many digits:",
    DialledKind.REAL: "the real number",
    DialledKind.UNKNOWN: "no number",
}


def explain(
    config: Config, arrival: Arrival, finder: GroupFinder, wall_s: float, resolved: Resolved, *, reveal: bool = False,
    ask_node: AskNode | None = None,
) -> Explanation:  # fmt: skip
    """What the node would do with `arrival` at `wall_s` (seconds since the epoch), when targets are `resolved` so.

    The callee's number is masked in every text unless `reveal`, or in transit, where it is the number that was asked
    about. What a running node knows decides as well, where it runs with this file.
    """
    settings = config.core_settings()
    rehearsal, arrival, user = _rehearsed(settings, arrival, Rehearsal(settings, finder, wall_s, resolved))
    node = None
    if ask_node is not None:
        asked = _caller(rehearsal, arrival)
        node = ask_node(asked)
        if node is not None and counts(config, node):
            if node.last_member:
                finder.last_called(asked.subs_id, node.last_member)
            resolved = {**resolved, **{place: at for place, at in node.resolved.items() if place in resolved}}
            live = Rehearsal(settings, finder, wall_s, resolved, (node, asked))
            rehearsal, arrival, user = _rehearsed(settings, arrival, live)
    told = _Account(config, arrival, rehearsal, resolved, user).told(node)
    is_open = reveal or (rehearsal.attempt is not None and rehearsal.attempt.is_transit)
    return told if is_open else veiled(told, spellings(told.callee, settings))


def _rehearsed(settings: CoreSettings, arrival: Arrival, rehearsal: Rehearsal) -> tuple[Rehearsal, Arrival, str]:
    """Once it has run: with the password of an account where one is asked for, whose user is the third."""
    rehearsal.run(arrival.data, arrival.flow)
    if arrival.peer.caller is DIGEST and rehearsal.attempt is None and rehearsal.answer is not None:
        found = logged_in(settings, arrival, rehearsal.answer)
        if found is not None:
            rehearsal.run(found[1].data, found[1].flow)
            return rehearsal, found[1], found[0].user
    return rehearsal, arrival, ""


def _caller(rehearsal: Rehearsal, arrival: Arrival) -> Caller:
    attempt = rehearsal.attempt
    if attempt is None:
        return Caller(arrival.peer.name, "", "")
    return Caller(arrival.peer.name, attempt.record.caller, attempt.record.tel_x, attempt.record.subs_id)


@final
class _Account:
    """Tells one rehearsal."""

    def __init__(self, config: Config, arrival: Arrival, rehearsal: Rehearsal, resolved: Resolved, user: str) -> None:
        """`user` of the account that the request shows the password of, "" when it need not."""
        self._user = user
        self._config = config
        self._places = config.places
        self._rules = RulePlaces(config)
        self._index = {peer.name: index for index, peer in enumerate(config.peer)}
        self._arrival = arrival
        self._rehearsal = rehearsal
        self._resolved = resolved

    def told(self, node: Live | None) -> Explanation:
        """The whole account."""
        attempt, answer = self._rehearsal.attempt, self._rehearsal.answer
        arrives = _text(self._arrival.data)
        if attempt is None:
            assert answer is not None  # from a known peer, and with a Via to answer to
            said = f"{answer.status} {answer.reason}: counted, not recorded"
            lines = (self._peer(), Line("answer", "sip", said, BUILT_IN), self._time())
            return Explanation(lines, arrives, seen_status=answer.status, took_us=self._rehearsal.took_us)
        record, found, leaving = attempt.record, attempt.facts.found, self._rehearsal.request
        told = Explanation(
            lines=(
                *self._lines(attempt), *beside(self._config, attempt.peer, attempt.choice.hops, node), self._time(),
            ),
            arrives=arrives,
            subs_id=record.subs_id,
            callee=found.callee if isinstance(found, Binding) else "",
            presented_number=record.presented_number,
            is_live=node is not None and counts(self._config, node),
            took_us=self._rehearsal.took_us,
        )  # fmt: skip
        if leaving is not None:
            return _sent(told, self._place(attempt), leaving)
        refusal = attempt.refusal
        assert refusal is not None
        return _refused(told, attempt, refusal)

    def _lines(self, attempt: AttemptBase) -> Iterator[Line]:
        """In the order in which the core works."""
        found = attempt.facts.found
        yield replace(self._peer(), took_us=self._rehearsal.took_us["read"])
        if self._user:
            yield self._login()
        yield self._called(attempt)
        yield self._caller(attempt)
        if isinstance(attempt, TurnedAway):
            assert attempt.refusal is not None
            said = f"refused, {_told(attempt.refusal)}: nothing of it is decided"
            yield Line("intake", attempt.refusal.decided_by, said, "status of the running node")
            yield self._answer(attempt, attempt.refusal)
            return
        if attempt.is_transit:
            yield self._transit(attempt)
            passed = found is not None
        else:
            yield from self._no_transit(attempt)
            if attempt.facts.called.kind is REAL and isinstance(found, Binding):
                said = "passed: no 700 number, but bound as the one of before"
                yield Line("policy", "called_number", said, _row(attempt))
                passed = True
            else:
                passed = yield from self._steps(STEPS_BEFORE_LOOKUP, attempt, True)
            yield self._binding(attempt)
            yield from limits(attempt, _row(attempt))
            passed = yield from self._steps(STEPS_AFTER_LOOKUP, attempt, passed and found is not None)
            yield from questions(self._rehearsal.asked)
        if passed and isinstance(found, Binding):
            yield from ways.routes(self._config, attempt, found)
            yield from ways.names(self._config, attempt, found, self._resolved)
            yield from ways.targets(self._config, self._rehearsal, attempt)
        if attempt.choice.hops:
            yield from self._translation(attempt, self._place(attempt).peer)
            yield self._gate(attempt)
        if attempt.refusal is not None:
            yield self._answer(attempt, attempt.refusal)

    # -- what came in ----------------------------------------------------------------------------------------------

    def _peer(self) -> Line:
        arrival = self._arrival
        if not arrival.peer.match:
            said = f"{arrival.chosen}; over TLS, with {arrival.entry} in its certificate"
            return Line("peer", arrival.peer.name, said, self._of_peer(arrival.peer, "tls_names", 0))
        made_by = self._of_peer(arrival.peer, "match", arrival.peer.match.index(arrival.entry))
        return Line(
            "peer", arrival.peer.name, f"{arrival.chosen}; {shown_address(arrival.flow)} is in {arrival.entry}", made_by
        )

    def _place(self, attempt: AttemptBase) -> Hop:
        """The place that its request is written for."""
        return ways.taken_place(self._rehearsal, attempt) or attempt.choice.hops[0]

    def _time(self) -> Line:
        """How long the core and the store took, with nothing else to do."""
        took = self._rehearsal.took_us
        parts = ", ".join(f"{part.replace('_', ' ')} {us:.0f}" for part, us in took.items())
        return Line("time", "core", f"{sum(took.values()):.0f} us: {parts}", "measured here", sum(took.values()))

    def _login(self) -> Line:
        index = self._index_of_account()
        said = "asked for a password, as if its phone had shown it"
        return Line("account", self._user, said, self._places.of("account", index, "user"))

    def _index_of_account(self) -> int:
        names = [(entry.peer, entry.user) for entry in self._config.account]
        return names.index((self._arrival.peer.name, self._user))

    def _called(self, attempt: AttemptBase) -> Line:
        result = f"{attempt.request.uri_text} is {_meaning(attempt.facts.called)}"
        made_by = self._of_peer(attempt.peer, "number_format") + self._rules.of_read(attempt.facts.called, attempt.peer)
        return Line("number", "called", result, made_by)

    def _caller(self, attempt: AttemptBase) -> Line:
        request = attempt.request
        written = [f"From {(request.value(h.FROM) or '').partition(';tag=')[0]}"]
        written += [f"P-Asserted-Identity {value}" for value in request.values(h.P_ASSERTED_IDENTITY)]
        shows = ", ".join(written)
        if self._user and attempt.facts.caller.kind is DialledKind.UNKNOWN:
            made_by = self._places.of("account", self._index_of_account(), "numbers")
            return Line("number", "caller", f"{shows} names no number of account {self._user}", made_by)
        result = f"{shows} is {_meaning(attempt.facts.caller)}"
        made_by = self._of_peer(attempt.peer, "caller") + self._rules.of_read(attempt.facts.caller, attempt.peer)
        return Line("number", "caller", result, made_by)

    def _transit(self, attempt: AttemptBase) -> Line:
        refusal = attempt.refusal if attempt.facts.found is None else None
        result = "passed" if refusal is None else f"refused by {refusal.decided_by}, {_told(refusal)}"
        rule = "a real number is relayed, identities untouched, unless one of them is a 700 number"
        return Line("policy", "transit", f"{result} ({rule})", self._of_transit(attempt.facts.called.number, attempt))

    def _no_transit(self, attempt: AttemptBase) -> Iterator[Line]:
        """Why no route with transit takes what is called as a real number."""
        called = attempt.facts.called
        if called.kind is not REAL:
            return
        for index, route in enumerate(self._config.route):
            if route.transit:
                said = f"{route.called} does not match {called.number}"
                yield Line("transit", route.name, said, self._places.of("route", index, "called"))
        if not any(route.transit for route in self._config.route):
            said = "no route has transit = true, so that no real number is relayed"
            yield Line("transit", "none", said, self._places.of("route"))

    def _of_transit(self, called: str, attempt: AttemptBase) -> str:
        route = attempt.context.routing.route_of(called, is_transit=True)
        assert route is not None
        index = [entry.name for entry in self._config.route].index(route.name)
        return self._places.of("route", index, "transit", value="true")

    # -- what was decided ------------------------------------------------------------------------------------------

    def _steps(self, steps: tuple[Step, ...], attempt: AttemptBase, passed: bool) -> Generator[Line, None, bool]:
        """Each step, asked again with the facts that it was asked with; returns whether all let it pass."""
        for step in steps:
            start = perf_counter_ns()
            refusal = step(attempt.facts) if passed else None
            took_us = (perf_counter_ns() - start) / 1000 if passed else None
            result = f"refused, {_told(refusal)}" if refusal is not None else "passed" if passed else "not reached"
            yield Line("policy", step.__name__, f"{result} ({rule_of(step)})", self._of_step(step, attempt), took_us)
            passed = passed and refusal is None
        return passed

    def _of_step(self, step: Step, attempt: AttemptBase) -> str:
        if step is caller_entitled:
            return self._of_peer(attempt.peer, "serves_700")
        if step in STEPS_AFTER_LOOKUP and attempt.facts.found is not None:
            return row_of(step, attempt) or _row(attempt)
        return BUILT_IN

    def _binding(self, attempt: AttemptBase) -> Line:
        return replace(self._found(attempt), took_us=self._rehearsal.took_us["looked_up"])

    def _found(self, attempt: AttemptBase) -> Line:
        found = attempt.facts.found
        if isinstance(found, Binding):
            what = f"{found.mode} {found.subs_id} version {found.version}"
            whose = f"order {found.order_id} of {found.business_user}"
            until = utc_text(found.expires_at)
            result = f"{what}, {whose}: reaches {found.callee}, shows {found.presented}, until {until}"
            return Line("binding", "found", result, _row(attempt))
        if isinstance(found, Miss):
            return Line("binding", "none", found.value, _row(attempt))
        if self._rehearsal.looked_up is None:
            return Line("binding", "none", "not looked up", BUILT_IN)
        return Line("binding", "none", f"the store does not answer: {self._rehearsal.store_fault}", BUILT_IN)

    # -- what was made ---------------------------------------------------------------------------------------------

    def _translation(self, attempt: AttemptBase, peer: PeerSettings) -> Iterator[Line]:
        """What the outgoing request says of the two parties, read from its bytes."""
        leaving = self._rehearsal.request
        if leaving is None:
            return
        message = parse(leaving.data)
        to_callee = f"{_row(attempt)}; {self._of_peer(peer, 'number_format')}"
        to_callee += self._rules.of_written(attempt.record.callee, peer)
        yield Line("translation", "Request-URI", message.uri_text, to_callee)
        written = _row(attempt) if attempt.is_transit else to_callee
        yield Line("translation", "To", message.value(h.TO) or "", written)
        sender = (message.value(h.FROM) or "").partition(";tag=")[0]
        if not attempt.is_transit:
            written = f"{_row(attempt)}; {self._places.of('node', 'domain')}"
        yield Line("translation", "From", sender, written)
        identity = message.value(h.P_ASSERTED_IDENTITY) or "none"
        yield Line("translation", "P-Asserted-Identity", identity, self._of_peer(peer, "trusted"))
        contact = message.value(h.CONTACT)
        if contact is not None:
            local = leaving.flow.local
            key = "address" if self._config.listen[local].advertise is None else "advertise"
            yield Line("translation", "Contact", contact, self._places.of("listen", local, key))
        if message.method == "MESSAGE":
            yield self._message_text(attempt.request, message)

    def _message_text(self, arrived: Message, leaving: Message) -> Line:
        is_same = arrived.body == leaving.body
        result = "as it was written" if is_same else "the sender's own number in it is masked"
        return Line("translation", "text", result, self._of_text())

    def _gate(self, attempt: AttemptBase) -> Line:
        """The leak verdict."""
        refusal = attempt.refusal
        if refusal is not None:
            return Line("gate", refusal.decided_by, f"stopped, {_told(refusal)}: nothing of it leaves", BUILT_IN)
        if attempt.is_transit:
            return Line("gate", "disclosure", "passed: in transit nothing is hidden, so nothing is searched", BUILT_IN)
        policy = attempt.context.settings.policy
        if attempt.request.method == "MESSAGE" and policy.message_text is MessageText.RELAY:
            result = "passed: the caller's number is in none of the rows that cross; the text is not searched"
            return Line("gate", "disclosure", result, self._of_text())
        return Line("gate", "disclosure", "passed: the caller's number is in nothing that crosses", BUILT_IN)

    def _answer(self, attempt: AttemptBase, refusal: Refusal) -> Line:
        answer = self._rehearsal.answer
        assert answer is not None
        result = f"{answer.status} {answer.reason}, Reason: {answer.values(h.REASON)[0]}"
        is_own = attempt.seen_by_caller(refusal) == (refusal.status, refusal.q850)
        made_by = BUILT_IN if is_own else self._of_peer(attempt.peer, "uniform_refusals")
        return Line("answer", "caller sees", result, made_by)

    def _of_peer(self, peer: PeerSettings, key: str, position: int | None = None) -> str:
        """Where a key of a peer stands: with its value, or one entry of it, which the line itself shows."""
        index = self._index[peer.name]
        if position is not None:
            return self._places.of("peer", index, key, position)
        return self._places.of("peer", index, key, value=shown(getattr(self._config.peer[index], key)))

    def _of_text(self) -> str:
        return self._places.of("policy", "message_text", value=shown(self._config.policy.message_text))


def _sent(told: Explanation, hop: Hop, leaving: SendMessage) -> Explanation:
    return replace(
        told,
        sent=True,
        egress_peer=hop.peer.name,
        target=hop.target.uri,
        next_hop=shown_address(leaving.flow),
        leaves=_text(leaving.data),
    )


def _refused(told: Explanation, attempt: AttemptBase, refusal: Refusal) -> Explanation:
    status, q850 = attempt.seen_by_caller(refusal)
    return replace(
        told,
        cause=refusal.cause.value,
        sip_status=refusal.status,
        q850=refusal.q850,
        decided_by=refusal.decided_by,
        seen_status=status,
        seen_q850=q850,
    )


def _meaning(dialled: Dialled) -> str:
    return f"{_MEANING[dialled.kind]} {dialled.number}".rstrip()


def _told(refusal: Refusal) -> str:
    return f"{refusal.cause.value} {refusal.status} / Q.850 {refusal.q850}"


def _row(attempt: AttemptBase) -> str:
    """The row of `target` that was found, or was not there."""
    facts = attempt.facts
    if attempt.is_transit:
        return "as it came"
    key = f"target ({facts.called.number}, {facts.caller.number})"
    return f"row {key}" if isinstance(facts.found, Binding) else f"no row {key}"


def _text(data: bytes) -> str:
    """A message for people: line ends as the terminal has them, octets that are no UTF-8 as U+FFFD."""
    return data.decode(ENCODING, "replace").replace("\r\n", "\n")
