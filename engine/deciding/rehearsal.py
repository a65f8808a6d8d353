"""One request through a core of its own: no socket, no timer, no writer behind it."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol, final

from engine.core.asking import AskHook, HookAnswer
from engine.core.attempt import AttemptBase
from engine.core.binding import Binding, Miss
from engine.core.outputs import CommitRecord, LookUpBinding
from engine.core.service import CallService
from engine.core.settings import CoreSettings
from engine.core.tokens import TokenSource
from engine.deciding.live import Caller, Live, Resolved, take_up
from engine.store.errors import StoreError
from sipstack.events import Flow, Output, SendMessage
from sipstack.message import Message
from sipstack.parser import parse
from sipstack.timers import Timing
from sipstack.transactions import Transactions

# What of a rehearsal is timed, in order.
PARTS: Final = ("read", "looked_up", "decided", "sent")


class Finder(Protocol):
    """What answers a lookup: `BindingReader`, or one that reads as it does."""

    def find(self, x: str, caller: str, wall_s: float) -> Binding | Miss:
        """The target of (X, caller) or why there is none; StoreError when the store does not answer."""


class GroupFinder(Finder, Protocol):
    """One that can be told what a running node remembers of a group: `Glance`."""

    def last_called(self, subs_id: str, remembered: str) -> None:
        """Which member has called last through a binding (`Live.last_member`)."""


@final
class Rehearsal:
    """What the core does with a request until it has answered it, or has sent its own to the other side.

    It is told that every record is durable, and nothing is recorded. `attempt` is None when the request was answered
    without one (contract §5: a rule of SIP, nothing of ours).
    """

    def __init__(
        self, settings: CoreSettings, finder: Finder, wall_s: float, resolved: Resolved,
        live: tuple[Live, Caller] | None = None,
    ) -> None:  # fmt: skip
        """`wall_s`: when it happens, seconds since the epoch. `resolved`: the addresses of targets that are names.

        `live`: what a running node has said of itself for this caller; without, no call is in progress and all is well.
        """
        self.attempt: AttemptBase | None = None
        self.looked_up: LookUpBinding | None = None
        self.asked: list[AskHook] = []  # of the app platform, which is taken to let it pass
        self.store_fault = ""  # why the store did not answer
        self.request: SendMessage | None = None  # to the other side
        self.answer: Message | None = None  # to the caller: the last one
        self.took_us: dict[str, float] = dict.fromkeys(PARTS, 0.0)
        self._finder = finder
        self._wall_s = wall_s
        transactions = Transactions(Timing(settings.t1_ms / 1000))
        self._service = CallService(settings, transactions, TokenSource(secrets.token_bytes))
        self._service.set_wall_clock(wall_s)
        for place, (addresses, _) in resolved.items():
            self._service.trunks.resolved(place, addresses)
        if live is not None:
            take_up(self._service, *live, wall_s)

    def run(self, data: bytes, flow: Flow) -> None:
        """The request comes in, at the monotonic time 0."""
        with self._timed("read"):
            waiting = deque(self._service.receive(data, flow, 0.0))
        while waiting:
            waiting.extend(self._perform(waiting.popleft()))

    def _perform(self, output: Output) -> list[Output]:
        """What the shell does with an output; what the core says to that."""
        if isinstance(output, SendMessage):
            message = parse(output.data)
            if message.is_request:
                self.request = output
            else:
                self.answer = message
        elif isinstance(output, LookUpBinding):
            self.attempt = output.attempt
            self.looked_up = output
            found = self._find(output)
            with self._timed("decided"):
                return self._service.binding_looked_up(output, found, 0.0)
        elif isinstance(output, AskHook):
            self.asked.append(output)
            with self._timed("decided"):
                return self._service.hook_answered(output, HookAnswer(True), 0.0)
        elif isinstance(output, CommitRecord):
            if isinstance(output.attempt, AttemptBase):
                self.attempt = output.attempt
                self.attempt.context.sheds = False  # its end is what is asked about
            with self._timed("sent"):
                return self._service.record_committed(output.attempt, output.step, True, 0.0)
        return []

    def _find(self, query: LookUpBinding) -> Binding | Miss | None:
        try:
            with self._timed("looked_up"):
                return self._finder.find(query.x, query.caller, self._wall_s)
        except StoreError as error:
            self.store_fault = str(error)
            return None

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        start = time.perf_counter_ns()
        try:
            yield
        finally:
            self.took_us[part] += (time.perf_counter_ns() - start) / 1000
