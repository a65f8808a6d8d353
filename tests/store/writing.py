"""A writer of records with both of its ends in this process, each in a thread of its own; and what a start does."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

from engine.core.records import Step
from engine.recording import client
from engine.recording.client import Done
from engine.recording.frames import Hello, say_hello
from engine.recording.serving import Server
from engine.store.crypto import NumberCipher
from engine.store.database import RECORDS, open_database, store_errors
from engine.store.feed import Feed
from engine.store.left_rows import LeftRows
from engine.store.loader import Loader
from engine.store.loading import load_all, make_folder
from engine.store.lock import lock_records
from engine.store.records import GroupWriter
from engine.store.restart import TakenOver
from engine.store.rows import Row
from engine.store.signing import open_signing_key

PATIENCE_S = 60.0


class RecordWriter:
    """`engine.recording.client.RecordWriter` for a thread without a loop; `on_done` is called in another one.

    What was submitted before `start` is there when the other end begins to look.
    """

    def __init__(
        self, path: Path, cipher: NumberCipher, node: str, boot_id: str, window_ms: float,
        on_done: Callable[[Done], None], announces: bool = False,
    ) -> None:  # fmt: skip
        self.group_writer = GroupWriter(path, cipher, node, boot_id, announces)
        self._lobby, others = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.server = Server(others, self.group_writer, window_ms / 1000.0)
        self._others = others
        self._serving = threading.Thread(target=self._serve, name="records", daemon=True)
        self._loop = asyncio.new_event_loop()
        self._looping = threading.Thread(target=self._loop.run_forever, name="loop", daemon=True)
        self._looping.start()
        self._on_done = on_done
        self.told: list[str] = []
        self.client: client.RecordWriter = self.in_loop(self._connect)
        self._is_stopped = False
        self.is_patient = True  # no step is refused for what a busy machine takes for those before it

    def in_loop(self, work: Callable[[], Any]) -> Any:
        """What `work` returns in the loop's thread."""
        found: Future[Any] = Future()

        def do() -> None:
            try:
                found.set_result(work())
            except BaseException as error:
                found.set_exception(error)

        self._loop.call_soon_threadsafe(do)
        return found.result(PATIENCE_S)

    def start(self) -> None:
        self.in_loop(lambda: None)  # behind the flush of what was submitted last, which the loop does a turn later
        self._serving.start()

    def submit(self, step: Step, values: Row, extra: object, token: object) -> bool:
        if self._is_stopped:
            return self.client.submit(step, values, extra, token)
        return bool(self.in_loop(lambda: self._submitted(step, values, extra, token)))

    def stop(self) -> None:
        if self._is_stopped:
            return
        self._is_stopped = True
        if self._serving.ident is None:
            self._serving.start()
        self.in_loop(self.client.stop)
        self._lobby.close()
        self._serving.join(PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._looping.join(PATIENCE_S)
        self._loop.close()

    def join(self) -> None:
        self._serving.join(PATIENCE_S)

    def is_alive(self) -> bool:
        return not self._is_stopped

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def _submitted(self, step: Step, values: Row, extra: object, token: object) -> bool:
        waiting = self.client._waiting
        if waiting and self.is_patient:
            waiting[0].taken_s = time.monotonic()
        return self.client.submit(step, values, extra, token)

    def _connect(self) -> client.RecordWriter:
        hello = Hello(0, 1, begins=False)
        made = client.RecordWriter(self._lobby, say_hello(self._lobby, hello), hello, self._on_done, self.told.append)
        made.start()
        return made

    def _serve(self) -> None:
        with self._others:
            self.server.run()


def recover(
    path: Path, cipher: NumberCipher, progress: Callable[[int, int], None] = lambda _at, _last: None,
    announces: bool = False,
) -> list[str]:  # fmt: skip
    """What the process that writes records does first; what was found damaged, one line each."""
    lock = lock_records(path)
    try:
        with closing(open_database(path, RECORDS, cipher)) as connection, store_errors(path):
            feed = Feed(connection, cipher) if announces else None
            loader = Loader(connection, make_folder(path), cipher, open_signing_key(path.parent), feed)
            with closing(loader):
                load_all(loader, progress)
            return loader.notes
    finally:
        os.close(lock)


def take_over(path: Path, cipher: NumberCipher, node: str, wall_s: float, announces: bool = False) -> TakenOver:
    """What a run begins with, both sides of it."""
    lock = lock_records(path)
    left = TakenOver()
    try:
        with closing(open_database(path, RECORDS, cipher)) as connection, store_errors(path):
            feed = Feed(connection, cipher) if announces else None
            rows = LeftRows(connection, cipher, node)
            left.read(rows.rows, cipher)
            left.begun(*rows.begin(open_signing_key(path.parent), feed, left.unreadable, wall_s))
    finally:
        os.close(lock)
    return left
