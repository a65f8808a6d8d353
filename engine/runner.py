"""The asyncio shell around the core: feeds it, does what it says, watches over what it needs."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Final, final

from engine.completeness import Completeness
from engine.core.asking import AskHook, HookAnswer
from engine.core.binding import Binding, Miss
from engine.core.compiled import is_compiled
from engine.core.killing import KINDS
from engine.core.numbers import mask
from engine.core.outputs import CommitRecord, FaultFound, InProgress, LeakFound, LookUpBinding, TargetChanged
from engine.core.records import CLOSE, OPEN, CallRecord, Step
from engine.core.routing import Routing
from engine.core.service import CallService
from engine.core.settings import CoreSettings
from engine.core.target_states import TargetState
from engine.deciding.live import standing
from engine.hook_client import HookClient
from engine.load_watch import LoadWatch
from engine.logging import where
from engine.recording.child import private_kb
from engine.recording.client import Done, RecordWriter
from engine.store.binding_reader import BindingReader
from engine.store.errors import StoreError
from engine.store.rows import utc_text
from engine.target_log import TargetLog
from sipstack.aio.endpoint import Endpoint, Tap
from sipstack.events import Output

# How often the wall clock is compared with the monotonic one: a step of the clock shows in records within this time.
CLOCK_CHECK_S: Final = 1.0

# How long SIGTERM waits for calls and messages in progress. Calls that talk on are served on by the next start.
DRAIN_LIMIT_S: Final = 30.0
_DRAIN_LOOK_S: Final = 0.05

Log = Callable[..., None]


@final
class Runner:
    """One SIP process at work. Everything happens in the loop's thread."""

    def __init__(
        self, service: CallService, reader: BindingReader, node: str, log: Log, alarm: Log, targets: TargetLog,
        hooks: HookClient,
    ) -> None:  # fmt: skip
        """`log` is told what may pass; `alarm` that a number would have been shown."""
        self._service = service
        self._reader = reader
        self._node = node
        self._log = log
        self._alarm = alarm
        self._loop = asyncio.get_running_loop()
        self._started_at = self._loop.time()
        self._faults = 0
        self._not_durable = 0  # steps in a row; each is counted, the log has one line at either end
        self._clock: asyncio.TimerHandle | None = None
        self._writer: RecordWriter | None = None
        self._books = Completeness()
        self._targets = targets
        self._hooks = hooks
        hooks.attach(self._hook_answered)
        self.socket_counters: Callable[[], dict[str, int]] = dict
        self.endpoint: Final = Endpoint(service, self._execute, self._fault)
        self._load = LoadWatch(service.intake, self.endpoint.waiting_s, log)

    def start(self, writer: RecordWriter) -> None:
        """From now on records are written and time is kept."""
        self._writer = writer
        writer.start()
        self._load.start()
        self._check_clock()

    async def routing_for(self, settings: CoreSettings) -> Routing:
        """The tables for other settings, made in a thread: for a thousand peers it takes a tenth of a second."""
        return await asyncio.to_thread(Routing, settings, self._service.trunks.addresses())

    def reload(self, settings: CoreSettings, routing: Routing) -> None:
        """New attempts find other settings, and the tables that were made for them."""
        self.endpoint.perform(self._service.trunks.reload(settings, routing, self._loop.time()))

    def follow_targets(self) -> None:
        """The sockets are open, or names lead elsewhere: the targets are probed that want it."""
        self.endpoint.perform(self._service.trunks.follow(self._loop.time()))

    @property
    def in_progress(self) -> int:
        """Calls and messages that have no record yet; short messages are not counted that only await their report."""
        return self._service.unfinished

    async def drain(self) -> None:
        """Takes no new calls and waits for those in progress, for DRAIN_LIMIT_S at most."""
        self._service.intake.is_draining = True
        deadline = self._loop.time() + DRAIN_LIMIT_S
        while self._service.unfinished and self._loop.time() < deadline:
            await asyncio.sleep(_DRAIN_LOOK_S)

    def take_no_more(self) -> dict[str, object]:
        """New calls and messages are refused from now on; what there is now, for `veil700 drain`."""
        self._service.intake.is_draining = True
        self._log("draining", in_progress=self._service.unfinished)
        return self._intake()

    def take_again(self) -> dict[str, object]:
        """They are taken again."""
        self._service.intake.is_draining = False
        self._log("taking calls again", in_progress=self._service.unfinished)
        return self._intake()

    def standing(self, request: dict[str, object]) -> dict[str, object]:
        """What decides beside configuration and store, for `veil700 explain`: a few copies, and nothing changes."""
        told = standing(self._service, request, time.time(), self._loop.time())
        return {**told, "last_member": self._reader.remembered(str(request.get("subs_id", "")))}

    def tap(self, tap: Tap | None) -> None:
        """From now on `tap` is shown all messages; None: nobody is."""
        self.endpoint.tap = tap

    def parties(self) -> list[tuple[str, str, str]]:
        """The 700 number and the two real numbers of each call and message in progress, "" for what is not known."""
        records = [attempt.record for attempt in self._service.attempts]
        return [(record.tel_x, record.caller, record.callee) for record in records]

    def release(self, request: dict[str, object]) -> dict[str, object]:
        """Ends the calls in progress that a kill switch is about, for `veil700 kill --release-calls`."""
        kind, entity = request.get("kind"), request.get("id")
        if not (isinstance(kind, str) and kind in KINDS and isinstance(entity, str)):
            return {"error": f"release: kind must be one of {', '.join(KINDS)}, id a text"}
        released, outputs = self._service.release(kind, entity, self._loop.time())
        self.endpoint.perform(outputs)
        self._log("calls released by a kill switch", kind=kind, entity=entity, released=released)
        return {"released": released}

    def _intake(self) -> dict[str, object]:
        return {"state": self._state, "in_progress": self._service.unfinished}

    @property
    def _state(self) -> str:
        return "draining" if self._service.intake.is_draining else "running"

    def stop(self) -> None:
        """Closes sockets, writes what has queued, lets go of the stores."""
        if self._clock is not None:
            self._clock.cancel()
        self._load.stop()
        self.endpoint.close()
        if self._writer is not None:
            self._writer.stop()
        self._reader.close()

    # -- what the core asks for ------------------------------------------------------------------------------------

    def _execute(self, output: Output) -> None:
        if isinstance(output, LookUpBinding):
            self.endpoint.perform(self._looked_up(output, self._find(output)))
        elif isinstance(output, CommitRecord):
            self._commit(output)
        elif isinstance(output, AskHook):
            self._hooks.ask(output)
        elif isinstance(output, LeakFound):
            self._alarm("leak stopped", record_id=output.record_id, message=output.message, peer=output.peer)
        elif isinstance(output, TargetChanged):
            self._targets.changed(output.address, output.state)
        elif isinstance(output, FaultFound):
            self._fault(output.fault)

    def _find(self, query: LookUpBinding) -> Binding | Miss | None:
        """The binding; None when the store does not answer: the call is refused, never passed through."""
        try:
            return self._reader.find(query.x, query.caller, time.time())
        except StoreError as error:
            self._log("binding lookup failed", reason=str(error))
            return None

    def _commit(self, output: CommitRecord) -> None:
        writer = self._writer
        self._books.waiting += output.step is CLOSE
        if writer is None or not writer.submit(output.step, output.values, output.extra, output):
            self._loop.call_soon(self._tell, output)
            self._look_at_store()

    def records_done(self, done: Done) -> None:
        """The writer's answers, in the order in which it was asked: what one leads to is done before the next one."""
        for output, durable in done:
            self.endpoint.perform(self._told(output, durable))
        self._look_at_store()

    def _look_at_store(self) -> None:
        """New calls are refused from their first message on while the store is behind."""
        if self._writer is not None:
            self._service.intake.is_store_behind = self._writer.is_overloaded

    def _tell(self, refused: CommitRecord) -> None:
        self.endpoint.perform(self._told(refused, False))

    def _told(self, output: object, durable: bool) -> list[Output]:
        assert isinstance(output, CommitRecord)
        attempt, step = output.attempt, output.step
        self._books.waiting -= step is CLOSE
        if not durable:
            self._missed(attempt, step)
        elif self._not_durable:
            self._log("records are durable again", missed_steps=self._not_durable)
            self._not_durable = 0
        if step is OPEN and durable and attempt.record.group_member:
            self._called(attempt.record)
        try:
            return self._service.record_committed(attempt, step, durable, self.endpoint.now())
        except Exception as fault:
            self._fault(fault)
            return []

    def _called(self, record: CallRecord) -> None:
        """A call of a group that is durable: where a member has made it, the other party reaches him from now on."""
        if record.group_member == record.caller:
            self._reader.called(record.subs_id, record.caller)

    def _missed(self, attempt: InProgress, step: Step) -> None:
        """A store that is down fails every step of every call: a line for each would fill the log, and the loop."""
        if not self._not_durable:
            reason = self._writer.fault if self._writer is not None else ""
            self._log("record not durable", step=step.name, record_id=attempt.record.record_id, reason=reason)
        self._not_durable += 1

    def _looked_up(self, query: LookUpBinding, found: Binding | Miss | None) -> list[Output]:
        try:
            return self._service.binding_looked_up(query, found, self.endpoint.now())
        except Exception as fault:
            self._fault(fault)
            return []

    def _hook_answered(self, asked: AskHook, answer: HookAnswer | None) -> None:
        try:
            outputs = self._service.hook_answered(asked, answer, self.endpoint.now())
        except Exception as fault:
            self._fault(fault)
        else:
            self.endpoint.perform(outputs)

    def _fault(self, fault: Exception) -> None:
        """A bug of ours."""
        self._faults += 1
        self._log("fault", kind=type(fault).__name__, where=where(fault))

    def _check_clock(self) -> None:
        self._service.set_wall_clock(wall_offset_s())
        self._look_at_store()
        self._load.tell()
        missing = self._account()[0]
        if self._books.must_tell(missing):
            self._alarm("records are missing", missing=missing)
        self._clock = self._loop.call_later(CLOCK_CHECK_S, self._check_clock)

    # -- what tools may know ---------------------------------------------------------------------------------------

    def _account(self) -> tuple[int, dict[str, object]]:
        """How many records are missing, and the figures that say so."""
        service, writer = self._service, self._writer
        counters = service.counters
        attempts = counters.get("attempts_voice", 0) + counters.get("attempts_message", 0)
        in_progress = service.in_progress
        spooled, written = (0, 0) if writer is None else (writer.spooled, writer.written)  # in this order
        unloaded = writer is not None and writer.unloaded_bytes > 0  # it may hold two ends of one attempt
        adopted = counters.get("attempts_adopted", 0)
        missing = self._books.difference(attempts + adopted, in_progress, spooled, written)
        waiting = self._books.waiting
        return missing, {
            "attempts": attempts,
            "adopted": adopted,
            "records": written,
            "open": in_progress,
            "waiting": waiting,
            "spooled": spooled,
            "missing": max(0, missing),
            "complete": self._books.is_complete(missing, is_settled=not (waiting or spooled or unloaded)),
        }

    def status(self) -> dict[str, object]:
        """The answer to `veil700 status` (contract §3)."""
        attempts = self._service.attempts
        writer = self._writer
        counters = self._service.counters
        counters["faults"] = self._faults
        counters["datagrams_dropped"] = self.endpoint.dropped
        counters["hooks_unanswered"] = self._hooks.unanswered
        counters |= self.socket_counters()
        if writer is not None:
            counters["records_lost"] = writer.lost
            counters["journal_damaged"] = writer.damaged
        return {
            "node": self._node,
            "state": self._state,
            "compiled": is_compiled(),
            "uptime_s": round(self._loop.time() - self._started_at, 3),
            "calls": sum(1 for attempt in attempts if attempt.record.kind == "voice"),
            **self._account()[1],
            "store_fault": "" if writer is None else writer.fault,
            "load_fault": "" if writer is None else writer.load_fault,
            "feed_fault": "" if writer is None else writer.feed_fault,
            "unloaded_bytes": 0 if writer is None else writer.unloaded_bytes,
            "wait_ms": round(self._load.wait_s * 1000),
            "shed_share": round(self._service.intake.load.share, 3),
            "peers": self._service.trunks.names,
            "health": [_known(target) for target in self._service.trunks.states(self._loop.time())],
            "uss_kb": private_kb(os.getpid()),
            "kept": {**self._service.kept, "tasks": len(asyncio.all_tasks(self._loop))},
            "counters": counters,
        }

    def calls(self) -> dict[str, object]:
        """The answer to `veil700 calls`: what is in progress, numbers masked."""
        now = self._loop.time()
        return {"calls": [_shown(attempt, self._service.wall(now)) for attempt in self._service.attempts]}


def wall_offset_s() -> float:
    """What the wall clock is ahead of the monotonic one.

    Of three looks the quickest counts: whoever waits for a processor between two clocks finds them further apart.
    """
    looks = []
    for _ in range(3):
        before = time.monotonic()
        wall = time.time()
        after = time.monotonic()
        looks.append((after - before, wall - after))
    return min(looks)[1]


def _known(target: TargetState) -> dict[str, object]:
    return {
        "peer": target.peer,
        "target": target.target,
        "address": target.address,
        "state": target.state,
        "since": "" if target.since_s is None else utc_text(target.since_s),
        "barred_s": round(target.barred_s, 3),
        "probed": target.is_probed,
    }


def _shown(attempt: InProgress, wall_s: float) -> dict[str, object]:
    record = attempt.record
    started = record.call_time
    return {
        "record_id": record.record_id,
        "kind": record.kind,
        "state": attempt.state_name,
        "tel_x": record.tel_x,
        "caller": mask(record.caller),
        "callee": mask(record.callee),
        "ingress_peer": record.ingress_peer,
        "egress_peer": record.egress_peer,
        "age_s": 0.0 if started is None else round(max(0.0, wall_s - started), 3),
        "answered": record.answer_time is not None,
    }
