"""The writer of records: it appends groups of steps to the journal, and has a thread bring that into records.db."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final, final

from engine.store.crypto import NumberCipher
from engine.store.database import RECORDS, TOOL_BUSY_MS, open_database, reason, store_errors
from engine.store.feed import Feed, OutboxReader
from engine.store.journal import Journal
from engine.store.left_rows import LeftRows
from engine.store.loader import Loader
from engine.store.loading import LoadingThread, load_all, make_folder
from engine.store.lock import lock_records
from engine.store.owner import owner_epoch
from engine.store.rows import Row
from engine.store.signing import open_signing_key

SLOW_GROUP_S: Final = 1.0  # who has waited longer for a group may have given up a step of it ...
HOLD_S: Final = 3.0  # ... and has so long to say how that attempt ended, before the table takes what the group says
LEFTOVER_WAIT_S: Final = 10.0  # the writer of a node that is gone may have so much to write and to load
BUSY_MS: Final = 1_000  # another process may hold the write lock this long before the database counts as down
FIRST_RETRY_S: Final = 0.05  # then doubled ...
LAST_RETRY_S: Final = 1.0  # ... up to this, so that a store that is back is noticed within a second


@final
class GroupWriter:
    """The only writer of one data folder. All of it is for one thread, which never waits for the tables.

    While the journal cannot be written every group is refused at once, and what a refused group holds is forgotten.
    """

    def __init__(self, path: Path, cipher: NumberCipher, node: str, boot_id: str, announces: bool = False) -> None:
        """Opens records.db; StoreError when it cannot be used or has a writer. `start` begins, `stop` ends.

        `announces`: platforms are told of it, and of what the outbox of bindings.db beside it has to tell.
        """
        self._path = path
        self._cipher = cipher
        self._node = node
        self._boot_id = boot_id
        self._lock = lock_records(path, LEFTOVER_WAIT_S)
        try:
            self._folder, signer = make_folder(path), open_signing_key(path.parent)
            self._connection = open_database(path, RECORDS, cipher, busy_ms=BUSY_MS, any_thread=True)
            with store_errors(path):
                feed = Feed(self._connection, cipher) if announces else None
                self._loader = Loader(self._connection, self._folder, cipher, signer, feed)
                run = boot_id, owner_epoch(self._connection)
        except BaseException:
            os.close(self._lock)
            raise
        outbox = OutboxReader(path.with_name("bindings.db")) if announces else None
        self._loading = LoadingThread(self._connection, self._loader, node, outbox)
        self._fresh = self._loader.fresh
        self.notes: Final[list[str]] = self._loader.notes  # what of the journal could not be read back, one line each
        self._journal = Journal(self._folder, cipher, node, run, self._loader.last_number)
        self._loaded_before = 0  # bytes that an earlier writer had left
        self._hold_until_s = 0.0  # 0.0: nothing is held
        self.fault = ""  # why the journal cannot be written
        self._retry_at_s = 0.0
        self._retry_in_s = FIRST_RETRY_S

    def start(self, progress: Callable[[int, int], None], done: Callable[[str], None]) -> None:
        """Loads what an earlier writer has left, in the other thread, which calls both; nothing is written before.

        `progress` as for `load_all`; `done` is told what is wrong, "" when all is there.
        """

        def load() -> None:
            fault = self._without_error(lambda: load_all(self._loader, progress))
            self._loaded_before = self._loader.loaded
            done(fault)

        self._loading.ask(load)
        self._loading.start()

    def left_rows(self, worker: int, workers: int, done: Callable[[LeftRows | None, str], None]) -> None:
        """What a worker has left open, read in the other thread, which calls `done`: with it, or with what is wrong.

        `workers` is how many there are now: what one of more has left goes to one of these.
        """
        found: list[LeftRows] = []

        def read() -> None:
            fault = self._without_error(
                lambda: found.append(LeftRows(self._connection, self._cipher, self._node, worker, workers))
            )
            done(found[0] if found else None, fault)

        # Not the end of the journal: in a segment that has only begun there is nothing to be loaded up to.
        self._loading.ask(read, self._journal.last_group_end)

    def begin_run(
        self, rows: LeftRows, unreadable: Collection[str], wall_s: float, done: Callable[[int, list[Row], str], None]
    ) -> None:
        """As `LeftRows.begin`, in the other thread, which calls `done`: with its result, and what is wrong."""
        begun: list[tuple[int, list[Row]]] = []

        def begin() -> None:
            fault = self._without_error(lambda: begun.append(self._loader.hand_over(rows, unreadable, wall_s)))
            epoch, recent = begun[0] if begun else (0, [])
            self._journal.run = self._boot_id, max(epoch, self._journal.run[1])
            done(epoch, recent, fault)

        self._loading.ask(begin)

    def write(self, pieces: Sequence[bytes], count: int, now_s: float, at_once: bool = False) -> bool:
        """Make `count` encoded steps durable as one group; a piece may be several of them. False: none of them is.

        `at_once`: it is tried also when it is not time yet to try again.
        """
        if self.fault and now_s < self._retry_at_s and not at_once:
            return False
        journal = self._journal
        try:
            journal.leave_old(now_s)
            group = journal.append(pieces, count)
        except OSError as error:
            self._go_down(error)
            return False
        self._fresh.put(group)
        if self.fault:
            self._come_back()
        ended_s = time.monotonic()
        if ended_s - now_s > SLOW_GROUP_S:
            self._hold_until_s = ended_s + HOLD_S
        return True

    def retry(self) -> None:
        """Nothing is to be written: try whether it could be, when it is time."""
        if not self.fault or time.monotonic() < self._retry_at_s:
            return
        try:
            self._journal.begin()
        except OSError as error:
            self._go_down(error)
        else:
            self._come_back()

    def publish(self) -> bool:
        """What is written may be loaded. False: not yet, somebody may have given up a step and kept its end."""
        if self.fault:
            return False
        if self._hold_until_s:
            if time.monotonic() < self._hold_until_s:
                return False
            self._hold_until_s = 0.0
        if self._fresh.publish(self._journal.end):
            self._loading.wake()
        return True

    def stop(self) -> None:
        """Load what is written, close, and wait for the end of the other thread."""
        self._journal.close()
        self._loading.stop()
        if not self._loading.is_alive():  # else the end of the process lets go of it
            os.close(self._lock)

    @property
    def retry_in_s(self) -> float | None:
        """When to call `retry`; None while nothing is wrong."""
        return max(0.0, self._retry_at_s - time.monotonic()) if self.fault else None

    @property
    def lost(self) -> int:
        """Ends that their table refused."""
        return self._loader.lost

    @property
    def faults(self) -> tuple[str, str, str]:
        """Why the journal cannot be written, why records.db cannot, why the outbox cannot be taken; one line each."""
        return self.fault, self._loading.fault, self._loading.feed_fault

    @property
    def unloaded_bytes(self) -> int:
        """Bytes of the journal that are not in records.db yet."""
        return max(0, self._journal.appended + self._loaded_before - self._loader.loaded)

    def _without_error(self, work: Callable[[], None]) -> str:
        """What is wrong, on one line; "" when it is done. Another process may hold the database longer than else."""
        try:
            self._connection.execute(f"PRAGMA busy_timeout = {TOOL_BUSY_MS}")
            work()
            self._connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        except sqlite3.Error as error:
            return f"{self._path}: {reason(error)}"
        except OSError as error:
            return f"{error.filename or self._path}: {error.strerror or error}"
        except Exception as error:  # a bug of ours must be seen, and whoever has asked must hear of it
            return f"{self._path}: {type(error).__name__} when what the last run has left was read"
        return ""

    def _go_down(self, error: OSError) -> None:
        self.fault = f"journal: {error.strerror or error}"
        self._retry_at_s = time.monotonic() + self._retry_in_s
        self._retry_in_s = min(2.0 * self._retry_in_s, LAST_RETRY_S)

    def _come_back(self) -> None:
        self.fault, self._retry_in_s = "", FIRST_RETRY_S
