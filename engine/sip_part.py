"""The part of a node that serves calls: the one process of it, or each of its workers, has one."""

from __future__ import annotations

import asyncio
import gc
import secrets
import socket
import sys
from functools import partial
from typing import Any, Final, NamedTuple, final

from engine.capture.captures import Captures, audit_capture
from engine.capture.tapped import Tapped
from engine.config import Config
from engine.control.server import AskingVerb, StreamVerb, Verb
from engine.core.context import Run
from engine.core.limits import Shared
from engine.core.ownership import owner_letter
from engine.core.routing import Routing
from engine.core.service import CallService
from engine.core.settings import CoreSettings
from engine.core.tokens import TokenSource
from engine.core.try_ids import KEY_BYTES
from engine.hook_client import SOCKET, HookClient
from engine.listening import BoundSockets
from engine.names import Names
from engine.recording.beginning import begin_run
from engine.recording.client import RecordWriter
from engine.recording.frames import Hello
from engine.runner import Runner, wall_offset_s
from engine.starting import StartError, boot_id
from engine.store.binding_reader import BindingReader
from engine.store.crypto import NumberCipher
from engine.store.day_calls import DayCalls
from engine.store.group_calls import GroupCalls
from engine.target_log import TargetLog
from sipstack.events import Output
from sipstack.location import LookupFailed
from sipstack.timers import Timing
from sipstack.transactions import Transactions

# New objects (less those freed) before a young collection, young ones before a middle one, middle ones before an old
# one: collections come while calls pile up, not while as many end as begin.
GC_THRESHOLDS: Final = (20_000, 50, 50)

# So long the loop waits for the interpreter while a thread computes, as one that masks a capture.
SWITCH_S: Final = 0.001

# Repeats of requests from before the start come for 64*T1 at the longest (RFC 3261 §17.2).
REPEATS_KEPT_S: Final = 64.0


class Prepared(NamedTuple):
    """Another configuration, with all that can fail about it done; nothing of it is in force."""

    config: Config
    settings: CoreSettings
    routing: Routing


@final
class SipPart:
    """Built with `open`, at work with `serve`; made inside the loop."""

    def __init__(self, config: Config, sockets: BoundSockets, log: Any) -> None:
        """Takes over `sockets`."""
        gc.disable()  # a long journal and many calls are read: collections would take twenty times as long as that
        self._config = config
        self._settings = config.core_settings()
        self._sockets = sockets
        self._log = log
        self._names = Names(self._settings, config.dns.settings(), log.warning)
        self._hooks = HookClient(config.data_dir / SOCKET)
        self._adopted: list[Output] = []  # what the calls of the last run have to say first
        self._runner: Runner | None = None
        self._service: CallService | None = None
        self._shared: Shared | None = None
        self._is_serving = False  # the sockets are the endpoint's to close

    @property
    def runner(self) -> Runner:
        """There is one once it is open."""
        assert self._runner is not None
        return self._runner

    @property
    def shown(self) -> str:
        """Its part of the line that says that the node is ready."""
        return self._sockets.shown

    def share_limits(self, shared: Shared) -> None:
        """What the other workers of the node have in use counts here, too; before `open`."""
        self._shared = shared

    async def open(self, cipher: NumberCipher, lobby: socket.socket, hello: Hello) -> None:
        """Takes over what the last run has left; no message comes yet. Raises StartError and StoreError.

        At `lobby` it says `hello` to the process that writes records.
        """
        try:
            await self._names.start()
        except LookupFailed as error:
            raise StartError(f"cannot resolve targets: {error}, and [dns] servers is empty") from None
        self._runner, self._service = await self._build(cipher, lobby, hello)
        self.tapped = Tapped(self._runner.tap, self._service.trunks.peer_name, self._runner.parties)
        self._captures = Captures(
            self._config.listeners, self.tapped, lambda: self._trunk_names,
            partial(audit_capture, self._config.data_dir / "bindings.db", cipher),
        )  # fmt: skip

    def serve(self) -> None:
        """From now on messages are answered."""
        runner, service = self.runner, self._service
        assert service is not None
        self._is_serving = True
        self._sockets.serve(runner.endpoint, service.trunks.pool_of, self._log.warning)
        runner.socket_counters = self._sockets.counters
        runner.endpoint.perform(self._adopted)
        runner.follow_targets()
        self._names.on_change(runner.follow_targets)
        _tame_collector()
        sys.setswitchinterval(SWITCH_S)
        asyncio.get_running_loop().call_later(REPEATS_KEPT_S, service.last_run.forget)

    # -- what tools may ask ------------------------------------------------------------------------------------------

    def status(self) -> dict[str, object]:
        """Its part of `veil700 status`."""
        return {**self.runner.status(), "targets": self._names.status()}

    @property
    def verbs(self) -> dict[str, Verb]:
        """Of the control socket: those that need no more than their name."""
        runner = self.runner
        return {"calls": runner.calls, "drain": runner.take_no_more, "resume": runner.take_again}

    @property
    def asking(self) -> dict[str, AskingVerb]:
        """Those that must be told more."""
        return {"release": self.runner.release}

    @property
    def streams(self) -> dict[str, StreamVerb]:
        """Those that go on answering."""
        return {"capture": self._captures.run}

    @property
    def _trunk_names(self) -> list[str]:
        assert self._service is not None
        return self._service.trunks.names

    # -- another configuration ---------------------------------------------------------------------------------------

    async def prepare(self, config: Config, settings: CoreSettings) -> Prepared:
        """What can fail of it comes first. Raises LookupFailed; `abandon` is to be called when it is not taken."""
        await self._names.look_ahead(settings)
        return Prepared(config, settings, await self.runner.routing_for(settings))

    def take(self, prepared: Prepared) -> None:
        """It is in force, in one turn of the loop. Raises ConfigError, with nothing changed, for certificates that were
        good when the file was read."""
        self._sockets.take_certificates(prepared.config)
        self._settings = prepared.settings
        self._names.follow(prepared.settings)
        self.runner.reload(prepared.settings, prepared.routing)
        if self._shared is not None and self._service is not None:
            _count_calls(self._service, prepared.settings)

    def abandon(self) -> None:
        """The old one stays."""
        self._names.follow(self._settings)

    # -- the end -----------------------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Waits for what is in progress, as long as it may."""
        await self.runner.drain()

    def tell_left(self) -> None:
        """Says in the log what is left for the next start."""
        if in_progress := self.runner.in_progress:
            self._log.warning("calls still open, served on by the next start", count=in_progress)

    async def stop(self) -> None:
        """Closes all that it has; also what was never opened."""
        await self._names.stop()
        await self._hooks.close()
        if self._runner is not None:
            self._runner.stop()
        if not self._is_serving:
            self._sockets.close()

    # -- building ----------------------------------------------------------------------------------------------------

    async def _build(self, cipher: NumberCipher, lobby: socket.socket, hello: Hello) -> tuple[Runner, CallService]:
        config, settings = self._config, self._settings
        records = config.data_dir / "records.db"
        transactions = Transactions(Timing(settings.t1_ms / 1000))
        stream, left = await begin_run(lobby, hello, cipher, self._log.warning, self._tell_loading)
        owner = owner_letter(hello.worker) if hello.workers > 1 else ""
        run = Run(boot_id(), left.epoch, cipher.derived_key("identifiers of tries", KEY_BYTES))
        service = CallService(settings, transactions, TokenSource(secrets.token_bytes, owner), run)
        self._names.attach(service)  # before the calls of the last run: their INVITEs are taken back where they went
        loop_time = asyncio.get_running_loop().time()
        service.set_wall_clock(wall_offset_s())
        service.last_run.repeats, service.last_run.ended = left.repeats, left.ended
        service.last_run.adopt_reports(left.pending, left.reported, loop_time)
        callers, days = GroupCalls(records, cipher), DayCalls(records, cipher)
        reader = BindingReader(config.data_dir / "bindings.db", cipher, callers=callers, days=days)
        targets = TargetLog(self._log.info, self._log.warning)
        runner = Runner(service, reader, settings.node, self._log.warning, self._log.error, targets, self._hooks)
        runner.start(RecordWriter(lobby, stream, hello, runner.records_done, self._log.warning))
        self._adopted = service.last_run.adopt_calls(left.answered, loop_time, len(left.unreadable))
        self._adopted += service.last_run.take_back(left.unfinished, loop_time)
        if self._shared is not None:
            service.intake.limits.share(self._shared)
            _count_calls(service, settings)
        if lost := len(left.unreadable) + service.counters.get("adoptions_failed", 0):
            self._log.error("attempts of the last run could not be taken over: NODE_RESTART", count=lost)
        return runner, service

    def _tell_loading(self, segment: int, last: int) -> None:
        self._log.info("loading the journal of the last run", segment=segment, last_segment=last)


def _count_calls(service: CallService, settings: CoreSettings) -> None:
    """Where a limit asks for it each of several workers counts, for the others."""
    if settings.policy.caller_max_calls or any(peer.max_calls for peer in settings.peers):
        service.intake.limits.count()


def _tame_collector() -> None:
    """What is loaded now lives as long as the node, and what ends is free without a collection (`call_end.forget`).

    A collection of the oldest generation looks at every call in memory and stops the loop for 60 ms per 100,000 objects
    (measured): it is left to happen once in a long while, for rings that nobody has thought of.
    """
    gc.collect()
    gc.freeze()
    young, middle, old = GC_THRESHOLDS
    gc.set_threshold(young, middle, old)
    gc.enable()
