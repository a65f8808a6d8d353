"""Decides many questions under one configuration, with the code that decides the node's calls.

An attempt of the core is made for each of them that neither records nor sends: it ends where a call would build its
first request. So the search of what would leave (LEAK_STOPPED) is not among it; `Rehearsal` has that as well.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Final, final

from engine.core.asking import AskHook, HookAnswer
from engine.core.attempt_record import begun
from engine.core.binding import Binding, Miss
from engine.core.context import CoreContext
from engine.core.decision import Decision
from engine.core.numbers import Dialled
from engine.core.outputs import LookUpBinding
from engine.core.settings import DIGEST, CoreSettings, PeerSettings
from engine.core.tokens import TokenSource
from engine.deciding.arrival import Arrivals, Question, caller_address, request_uri
from engine.deciding.live import Resolved
from engine.deciding.login import Holders, logged_in
from engine.deciding.rehearsal import Finder, Rehearsal
from engine.deciding.verdict import Outcome, Verdict, Ways, verdict_of
from engine.store.errors import StoreError
from sipstack import headers as h
from sipstack.message import Message
from sipstack.parser import parse
from sipstack.server_transaction import ServerTransaction
from sipstack.timers import Timing
from sipstack.transactions import Transactions
from sipstack.uri import parse_uri, uri_host

_ANY_NUMBER: Final = "13800138000"
_MOST_DIGITS: Final = 32

# Between two questions: nobody's calls in a second or a minute are those of the question before.
_APART_S: Final = 3600.0


@final
class _Post:
    """What the questions about one peer and method have in common: a request, of which only the numbers differ."""

    def __init__(self, peer: PeerSettings, data: bytes, transaction: ServerTransaction) -> None:
        request = parse(data)
        self.peer: Final = peer
        self.transaction: Final = transaction
        self.request: Final = request
        self.host: Final = uri_host(transaction.source.host)
        self._at = {field: request.ids.index(field) for field in (h.FROM, h.TO)}
        self._asserted = [place for place, field in enumerate(request.ids) if field == h.P_ASSERTED_IDENTITY]
        self._last: tuple[Question, Message] | None = None
        self.numbers: tuple[Dialled, Dialled] | None = None  # called and caller of the last one, once they are read

    def letter(self, question: Question, domain: str) -> Message:
        """The request of a question; the same one when it is asked twice in a row."""
        if self._last is not None and self._last[0] is question:
            return self._last[1]
        uri = request_uri(question.called, self.peer, domain)
        made = self._made(caller_address(question.caller, self.peer, self.host), uri)
        self._last, self.numbers = (question, made), None
        return made

    def _made(self, caller: str, uri: str) -> Message:
        """`caller` as From has it, `uri` as it is dialled."""
        model = self.request
        lines, first = model.lines.copy(), list(model.first)
        first[h.FROM] = sender = f" {caller};tag={model.from_tag}"
        first[h.TO] = to = f" <{uri}>"
        lines[self._at[h.FROM]], lines[self._at[h.TO]] = f"From:{sender}", f"To:{to}"
        for place in self._asserted:
            first[h.P_ASSERTED_IDENTITY] = f" {caller}"
            lines[place] = f"P-Asserted-Identity: {caller}"
        made = Message((uri, 0, ""), lines, model.ids, model.body, first)
        made.uri, made.method, made.cseq = parse_uri(uri), model.method, model.cseq
        made.call_id, made.from_tag, made.top_via = model.call_id, model.from_tag, model.top_via
        return made


@final
class Decider:
    """One configuration. Each question is decided as if no call had been before it, and none were in progress."""

    def __init__(self, settings: CoreSettings, resolved: Resolved, beside: Decider | None = None) -> None:
        """`resolved`: the addresses of targets that are names. `beside`: one that is asked the same question just
        before: what peers write that are the same in both need not be made and read twice."""
        self._settings = settings
        self._resolved = resolved
        timing = Timing(settings.t1_ms / 1000)
        self._context = CoreContext(settings, Transactions(timing), TokenSource(secrets.token_bytes))
        for place, (addresses, _) in resolved.items():
            if self._context.targets.tell(place, addresses):
                self._context.routing.readdress(place)
        self._arrivals = Arrivals(settings, self._context.routing)
        self._holders = Holders(settings)
        self._posts: dict[tuple[str, str], _Post] = {}
        self._ways = Ways(self._context.routing)
        self._peers = {peer.name: peer for peer in settings.peers}
        self._now = 0.0
        self._beside = beside

    def decide(self, question: Question, finder: Finder, wall_s: float) -> Verdict:
        """What becomes of a question at `wall_s` (seconds since the epoch). QuestionFault when it cannot be asked."""
        if not _is_plain(question):
            return self._rehearsed(question, finder, wall_s)
        post = self._post_of(question)
        peer = post.peer
        request = post.letter(question, self._settings.domain)
        numbers = post.numbers
        if peer.caller is DIGEST and (numbers := self._holders.numbers(peer, request)) is None:
            return Verdict(Outcome.ANSWERED, seen_status=401)
        self._now += _APART_S
        context = self._context
        context.wall_offset_s = wall_s - self._now
        post.transaction.request = request
        known = begun(context, request, peer, "voice" if request.method == "INVITE" else "message", self._now, numbers)
        post.numbers = known[0].called, known[0].caller
        decision = Decision(context, post.transaction, peer, "", known)
        self._run(decision, finder, wall_s)
        context.leave(decision.record.record_id)
        return verdict_of(decision, self._ways)

    def _run(self, decision: Decision, finder: Finder, wall_s: float) -> None:
        """What the shell does for an attempt until it is decided."""
        context, now = self._context, self._now
        decision.begin(now)
        while context.out:
            (output,) = context.take()
            if isinstance(output, LookUpBinding):
                found: Binding | Miss | None
                try:
                    found = finder.find(output.x, output.caller, wall_s)
                except StoreError:
                    found = None
                if isinstance(found, Binding) and found.conditions.calls_per_day:
                    context.intake.calls_of_day.assume(found.tel_x, output.caller, 0, wall_s)
                decision.looked_up(found, now)
            elif isinstance(output, AskHook):
                decision.hook_answered(output, HookAnswer(True), now)

    def _post_of(self, question: Question) -> _Post:
        peer = self._peers.get(question.peer or "")
        if peer is None:
            peer = self._arrivals.peer_of(question)[0]
        post = self._posts.get((peer.name, question.method))
        if post is None and (post := self._post_beside(peer, question.method)) is not None:
            self._posts[peer.name, question.method] = post
        if post is None:
            arrival = self._arrivals.of(replace(question, caller=_ANY_NUMBER, called=_ANY_NUMBER, peer=peer.name))
            transaction = ServerTransaction(parse(arrival.data), arrival.flow)
            post = self._posts[peer.name, question.method] = _Post(peer, arrival.data, transaction)
        return post

    def _post_beside(self, peer: PeerSettings, method: str) -> _Post | None:
        """The other one's, where all that a request of it and its reading are made of is the same."""
        other = self._beside
        if other is None or peer.caller is DIGEST:
            return None
        mine, its = self._settings, other._settings
        if (mine.domain, mine.listeners) != (its.domain, its.listeners) or peer not in its.peers:
            return None
        if self._arrivals.source_of(peer) != other._arrivals.source_of(peer):
            return None
        return other._posts.get((peer.name, method))

    def _rehearsed(self, question: Question, finder: Finder, wall_s: float) -> Verdict:
        """The whole way, for what must be parsed first, or is more than two numbers."""
        arrival = self._arrivals.of(question)
        rehearsal = Rehearsal(self._settings, finder, wall_s, self._resolved)
        rehearsal.run(arrival.data, arrival.flow)
        if rehearsal.attempt is None and rehearsal.answer is not None and arrival.peer.caller is DIGEST:
            shown = logged_in(self._settings, arrival, rehearsal.answer)
            if shown is not None:
                rehearsal.run(shown[1].data, shown[1].flow)
        if rehearsal.attempt is None:
            return Verdict(Outcome.ANSWERED, seen_status=rehearsal.answer.status if rehearsal.answer else 0)
        return verdict_of(rehearsal.attempt, Ways(rehearsal.attempt.context.routing))


def _is_plain(question: Question) -> bool:
    """Two numbers as anybody dials them, and nothing else."""
    if question.arrived is not None:
        return False
    return not question.headers and _is_digits(question.caller) and _is_digits(question.called)


def _is_digits(text: str) -> bool:
    digits = text[1:] if text[:1] == "+" else text
    return digits.isdigit() and digits.isascii() and len(digits) <= _MOST_DIGITS
