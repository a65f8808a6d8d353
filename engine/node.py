"""The composition root: the one place that builds a node and knows who needs whom."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import secrets
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from engine.api_child import ApiChild, ApiStartError
from engine.capture.captures import Captures
from engine.config import Config, ConfigError, load
from engine.config.api import EVENTS_DAYS
from engine.control.server import AskingVerb, ControlServer, Verb
from engine.core.context import Run
from engine.core.service import CallService
from engine.core.tokens import TokenSource
from engine.core.try_ids import KEY_BYTES
from engine.daily import DailyJob
from engine.deciding.expects import failing_expects
from engine.hook_client import SOCKET, HookClient
from engine.listening import BoundSockets, ListenError
from engine.logging import set_up_logging
from engine.names import Names
from engine.reload import Reload
from engine.runner import Runner
from engine.store.audit import Asker, audit_row, write_audit
from engine.store.binding_reader import BindingReader
from engine.store.bindings import open_bindings
from engine.store.crypto import NumberCipher, open_key
from engine.store.day_calls import DayCalls
from engine.store.errors import StoreError
from engine.store.group_calls import GroupCalls
from engine.store.inventory import apply_inventory, read_inventory
from engine.store.loading import recover
from engine.store.records import RecordWriter
from engine.store.restart import take_over
from engine.target_log import TargetLog
from sipstack.events import Output
from sipstack.location import LookupFailed
from sipstack.timers import Timing
from sipstack.transactions import Transactions

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2

# New objects (less those freed) before a young collection, young ones before a middle one, middle ones before an old
# one: collections come while calls pile up, not while as many end as begin.
GC_THRESHOLDS: Final = (20_000, 50, 50)

# So long the loop and the threads of the store wait for the interpreter while another one computes. With Python's 5 ms
# a call that meets the loader waits for several of them; shorter than this was no better (measured).
SWITCH_S: Final = 0.001

# Repeats of requests from before the start come for 64*T1 at the longest (RFC 3261 §17.2).
REPEATS_KEPT_S: Final = 64.0


class StartError(Exception):
    """The node cannot start; the text is one clear line."""


def run_node(config_file: Path | None) -> int:
    """Runs a node in the foreground until SIGTERM or SIGINT; the exit status of `veil700 run`."""
    try:
        config = load(config_file)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return USAGE
    log = set_up_logging(config.log.level, config.log.format)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold the numbers of all calls in clear
    try:
        return asyncio.run(_Node(config_file, config, log).run())
    except ConfigError as error:  # of what is in the files that it names
        print(error, file=sys.stderr)
        return USAGE
    except (ApiStartError, ListenError, StartError, StoreError) as error:
        print("\n".join(f"veil700: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return FAILED


class _Node:
    """One `veil700 run`, from its sockets to its last record."""

    def __init__(self, config_file: Path | None, config: Config, log: Any) -> None:
        self._config_file = config_file
        self._config = config
        self._log = log
        self._settings = config.core_settings()
        self._stops = 0
        self._stop = asyncio.Event()
        self._hooks = HookClient(config.data_dir / SOCKET)
        self._api = ApiChild(config_file, log.warning) if config.api is not None else None
        self._adopted: list[Output] = []  # what the calls of the last run have to say first

    async def run(self) -> int:
        """Starts, serves, drains."""
        sockets = BoundSockets(self._config)
        gc.disable()  # a long journal and many calls are read: collections would take twenty times as long as that
        names = Names(self._settings, self._config.dns.settings(), self._log.warning)
        try:
            cipher = await self._open_stores()
            api_url = asyncio.ensure_future(self._start_api())  # it begins while the journal is read
            await asyncio.sleep(0)
            await _start_names(names)
            runner, service = self._build(cipher, names)
        except BaseException:
            await self._stop_api()
            await names.stop()
            sockets.close()
            raise
        config, log = self._config, self._log
        daily = DailyJob(
            self._settings.node, config.data_dir, config.cdr.retention_days,
            EVENTS_DAYS if config.api is None else config.api.events_days, config.archive_dir, log.info, log.error,
        )  # fmt: skip
        reload = Reload(self._config_file, config, cipher, (runner, sockets, names, daily), log.info, log.warning)
        verbs: dict[str, Verb] = {
            "status": lambda: {**runner.status(), **reload.status(), "targets": names.status(), **self._api_status()},
            "calls": runner.calls, "drain": runner.take_no_more, "resume": runner.take_again, "reload": reload.reload,
            "rehearse_reload": reload.rehearse,
        }  # fmt: skip
        asking: dict[str, AskingVerb] = {
            "release": runner.release, "standing": lambda asked: {**runner.standing(asked), **reload.in_force()},
        }  # fmt: skip
        captures = Captures(
            config.listeners, runner.tap, service.trunks.peer_name, lambda: service.trunks.names, runner.parties,
            partial(_audit_capture, config.data_dir / "bindings.db", cipher),
        )  # fmt: skip
        control = ControlServer(self._config.data_dir, verbs, asking, {"capture": captures.run})
        try:
            await _start_control(control)
            api_part = await api_url
            sockets.serve(runner.endpoint, service.trunks.pool_of, log.warning)
            runner.socket_counters = sockets.counters
            runner.endpoint.perform(self._adopted)
            runner.follow_targets()
            names.on_change(runner.follow_targets)
            self._install_signals(reload.signalled)
            daily.start()
            _tame_collector()
            sys.setswitchinterval(SWITCH_S)
            _tell(f"veil700 ready sip={sockets.shown}{api_part}")
            asyncio.get_running_loop().call_later(REPEATS_KEPT_S, service.last_run.forget)
            await self._stop.wait()
            if self._api is not None:
                self._api.let_go()
            return await self._drain(runner)
        finally:
            await reload.stop()
            await names.stop()
            await daily.stop()
            await self._stop_api()
            await control.close()
            await self._hooks.close()
            runner.stop()

    async def _start_api(self) -> str:
        """Its part of the line that says that the node is ready."""
        if self._api is None:
            return ""
        url = await self._api.start()
        if alibaba_url := self._api.status()["alibaba_url"]:
            self._log.info("Alibaba's operations are offered", url=alibaba_url)
        return f" api={url}"

    async def _stop_api(self) -> None:
        if self._api is not None:
            await self._api.stop()

    def _api_status(self) -> dict[str, object]:
        return {} if self._api is None else {"api": self._api.status()}

    async def _open_stores(self) -> NumberCipher:
        """Key, schemas, inventory; makes what is missing. Raises StoreError."""
        config = self._config
        cipher = open_key(config.data_dir)
        async with open_bindings(config.data_dir / "bindings.db", cipher):
            pass
        if config.inventory_file is not None:
            apply_inventory(
                config.data_dir / "bindings.db", cipher, read_inventory(config.inventory_file), only_new=True
            )
        return cipher

    def _build(self, cipher: NumberCipher, names: Names) -> tuple[Runner, CallService]:
        config, settings = self._config, self._settings
        records = config.data_dir / "records.db"
        transactions = Transactions(Timing(settings.t1_ms / 1000))
        announces = config.api is not None
        for fault in failing_expects(config, time.time()):
            self._log.warning("an expect of the configuration does not hold", reason=fault)
        for note in recover(records, cipher, self._tell_loading, announces):
            self._log.warning(note)
        left = take_over(records, cipher, settings.node, time.time(), announces)
        run = Run(_boot_id(), left.epoch, cipher.derived_key("identifiers of tries", KEY_BYTES))
        service = CallService(settings, transactions, TokenSource(secrets.token_bytes), run)
        names.attach(service)  # before the calls of the last run: their INVITEs are taken back where they have gone
        loop_time = asyncio.get_running_loop().time()
        service.set_wall_clock(time.time() - loop_time)
        service.last_run.repeats, service.last_run.ended = left.repeats, left.ended
        service.last_run.adopt_reports(left.pending, left.reported, loop_time)
        callers, days = GroupCalls(records, cipher), DayCalls(records, cipher)
        reader = BindingReader(config.data_dir / "bindings.db", cipher, callers=callers, days=days)
        targets = TargetLog(self._log.info, self._log.warning)
        runner = Runner(service, reader, settings.node, self._log.warning, self._log.error, targets, self._hooks)
        window_ms = config.cdr.commit_window_ms
        runner.start(
            RecordWriter(records, cipher, settings.node, run.boot_id, window_ms, runner.records_done, announces)
        )
        self._adopted = service.last_run.adopt_calls(left.answered, loop_time, left.unreadable)
        self._adopted += service.last_run.take_back(left.unfinished, loop_time)
        if lost := left.unreadable + service.counters.get("adoptions_failed", 0):
            self._log.error("attempts of the last run could not be taken over: NODE_RESTART", count=lost)
        return runner, service

    def _tell_loading(self, segment: int, last: int) -> None:
        self._log.info("loading the journal of the last run", segment=segment, last_segment=last)

    def _install_signals(self, reload: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop)
        loop.add_signal_handler(signal.SIGHUP, reload)

    def _asked_to_stop(self) -> None:
        self._stops += 1
        self._stop.set()

    async def _drain(self, runner: Runner) -> int:
        """Waits for what is in progress; a second signal ends the wait at once (contract §3)."""
        draining = asyncio.ensure_future(runner.drain())
        self._stop.clear()
        second = asyncio.ensure_future(self._stop.wait())
        if self._stops < 2:
            await asyncio.wait({draining, second}, return_when=asyncio.FIRST_COMPLETED)
        for task in (draining, second):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if runner.in_progress:
            self._log.warning("calls still open, served on by the next start", count=runner.in_progress)
        return DONE


def _audit_capture(path: Path, cipher: NumberCipher, asker: Asker, detail: str) -> None:
    write_audit(path, cipher, audit_row(time.time(), asker, "capture", detail))


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


def _boot_id() -> str:
    """Names the start of the machine, since which the monotonic clock counts; where nothing does, this run alone."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return secrets.token_hex(16)


def _tell(line: str) -> None:
    """One line on stdout, without a buffer that the end of the interpreter would try to write once more."""
    if sys.stdout is None:
        return  # closed by whoever started us
    try:
        os.write(sys.stdout.fileno(), f"{line}\n".encode())
    except OSError as error:
        raise StartError(f"cannot write to stdout: {error.strerror}") from None


async def _start_names(names: Names) -> None:
    try:
        await names.start()
    except LookupFailed as error:
        raise StartError(f"cannot resolve targets: {error}, and [dns] servers is empty") from None


async def _start_control(control: ControlServer) -> None:
    try:
        await control.start()
    except OSError as error:
        raise StartError(f"cannot open the control socket: {error}") from None
