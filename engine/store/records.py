"""The writer of records: one thread, one connection, one transaction for whatever has queued."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, final

from engine.core.records import ANSWER, CHANGE, CLOSE, OPEN, Step
from engine.store.crypto import NumberCipher
from engine.store.database import RECORDS, lock_records, open_database, reason
from engine.store.ledger import Ledger
from engine.store.owner import owner_epoch
from engine.store.rows import Row, RowMaker
from engine.store.signing import open_signing_key

QUEUE_LIMIT: Final = 10_000  # steps that wait: three seconds of 1,000 calls/s; slower is as good as down
CLOSE_RESERVE: Final = 10_000  # beyond it only ends are taken: calls let in before must get their records
GROUP_LIMIT: Final = 1_000  # steps in one transaction, about 30 ms of work: bounds what one of them waits for
SPOOL_LIMIT: Final = 50_000  # ends kept in memory while the store is down, about 2 KB each: 100 MB at worst
CROWD: Final = 4  # steps in a group; a commit costs as much CPU as three, so more make the next group wait longer ...
LONGEST_WINDOW_S: Final = 0.010  # ... up to this, which nobody who waits for a ring notices
BUSY_MS: Final = 1_000  # another process may hold the write lock this long before the store counts as down
FIRST_RETRY_S: Final = 0.05  # then doubled ...
LAST_RETRY_S: Final = 1.0  # ... up to this, so that a store that is back is noticed within a second

Done = list[tuple[object, bool]]
_Job = tuple[Step, Row, object, object]  # step, snapshot, extra, token

# Errors of sqlite3 that blame the row. All others (full, locked, I/O, damaged) mean that the store is down.
_ROW_ERRORS: Final = (
    sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.InterfaceError,
)  # fmt: skip


def window_s(configured_s: float, last_group: int) -> float:
    """Seconds for which a group is gathered: the larger the last one was, the longer, within LONGEST_WINDOW_S."""
    longest_s = max(configured_s, LONGEST_WINDOW_S)
    return min(configured_s * max(1.0, last_group / CROWD), longest_s)


@final
class RecordWriter(threading.Thread):
    """Takes steps from the loop's thread, commits them in groups, tells the outcome once per group.

    `on_done` gets [(token, ok), ...] in this writer's thread; it must hand over and return. ok=True: the step
    is durable. ok=False: it is not; an end whose commit failed because the store is down waits in the spool
    and is written first when the store is back. While the store is down every step is answered False at once.
    """

    def __init__(
        self, path: Path, cipher: NumberCipher, node: str, boot_id: str, commit_window_ms: float,
        on_done: Callable[[Done], None],
    ) -> None:  # fmt: skip
        """Opens records.db; StoreError when it cannot be used or has a writer. `start` begins, `stop` ends."""
        super().__init__(name="records", daemon=True)
        self._lock = lock_records(path)
        try:
            signer = open_signing_key(path.parent)
            self._connection = open_database(path, RECORDS, cipher, busy_ms=BUSY_MS, any_thread=True)
        except BaseException:
            os.close(self._lock)
            raise
        self._ledger = Ledger(self._connection, node, signer)
        self._rows = RowMaker(cipher, boot_id, owner_epoch(self._connection))
        self._window_s = commit_window_ms / 1000.0
        self._last_group = 0  # steps in it
        self._on_done = on_done
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._is_stopping = False
        self._spool: deque[_Job] = deque()
        self._fault = ""
        self._retry_at_s = 0.0
        self._retry_in_s = FIRST_RETRY_S
        self._written = 0
        self._lost = 0

    def submit(self, step: Step, values: Row, extra: object, token: object) -> bool:
        """Queue one step; never blocks. False: not taken, `on_done` will not speak of it.

        `values` is `CallRecord.snapshot()`; `extra` (ANSWER and CHANGE only) what `RowMaker.answer_row` takes.
        """
        limit = QUEUE_LIMIT + CLOSE_RESERVE if step is CLOSE else QUEUE_LIMIT
        if self._is_stopping or self._queue.qsize() >= limit:
            return False
        self._queue.put((step, values, extra, token))
        return True

    def stop(self) -> None:
        """Write what has queued, give the spool a last chance, close, and wait for the end of the thread."""
        self._is_stopping = True
        self._queue.put(None)
        if self.ident is not None:  # not `is_alive`: a thread that ends this very moment has closed by itself
            self.join()
        else:
            self._close()

    @property
    def written(self) -> int:
        """Records committed since the start."""
        return self._written

    @property
    def spooled(self) -> int:
        """Records that wait in memory for the store to come back."""
        return len(self._spool)

    @property
    def lost(self) -> int:
        """Records that could not be kept: the spool was full, or the row itself was refused."""
        return self._lost

    @property
    def fault(self) -> str:
        """Why the store is down, on one line; empty while it works."""
        return self._fault

    def run(self) -> None:
        """The thread's body: gather, commit, tell."""
        try:
            is_last = False
            while not is_last:
                jobs, is_last = self._gather()
                done = self._process(jobs)
                if done:
                    with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                        self._on_done(done)
            if self._fault:
                self._retry_at_s = 0.0
                self._process([])
        finally:
            self._close()

    def _close(self) -> None:
        self._connection.close()
        os.close(self._lock)

    def _gather(self) -> tuple[list[_Job], bool]:
        """The next group, and whether it is the last; an empty one when it is time to try the store again."""
        wait_s = max(0.0, self._retry_at_s - time.monotonic()) if self._fault else None
        try:
            job = self._queue.get(timeout=wait_s)
        except Empty:
            return [], False
        if job is not None and self._window_s > 0.0 and not self._is_stopping and not self._fault:
            time.sleep(window_s(self._window_s, self._last_group))
        jobs: list[_Job] = []
        while job is not None:
            jobs.append(job)
            if len(jobs) == GROUP_LIMIT:
                return jobs, False
            try:
                job = self._queue.get_nowait()
            except Empty:
                return jobs, False
        return jobs, True

    def _process(self, jobs: list[_Job]) -> Done:
        """Write a group, or say at once that it cannot be written."""
        self._last_group = len(jobs)
        if self._fault and (time.monotonic() < self._retry_at_s or not self._drain_spool()):
            results: list[bool] = []
        else:
            results = self._attempt(jobs)
        done = [(job[3], ok) for job, ok in zip(jobs, results, strict=False)]
        for job in jobs[len(results) :]:
            self._keep(job)
            done.append((job[3], False))
        return done

    def _attempt(self, jobs: list[_Job]) -> list[bool]:
        """Outcome of each job, in order; fewer when the store went down: the others are undecided."""
        try:
            closings = self._write(jobs)
        except Exception as error:  # whatever a row provokes, the writer must live on
            if isinstance(error, sqlite3.Error) and not isinstance(error, _ROW_ERRORS):
                self._go_down(error)
                return []
            return self._attempt_singly(jobs)
        self._written += closings
        if self._fault:
            self._come_back()
        return [True] * len(jobs)

    def _attempt_singly(self, jobs: list[_Job]) -> list[bool]:
        """One bad row must not sink its group."""
        if len(jobs) == 1:
            self._lost += jobs[0][0] is CLOSE
            return [False]
        results: list[bool] = []
        for job in jobs:
            result = self._attempt([job])
            if not result:
                break
            results += result
        return results

    def _write(self, jobs: list[_Job]) -> int:
        """One transaction; the number of records in it."""
        opens = [values for step, values, _, _ in jobs if step is OPEN]
        ends = [values for step, values, _, _ in jobs if step is CLOSE]
        rows = self._rows
        try:
            rows.expect(opens, ends)
            open_rows = [rows.open_row(values) for values in opens]
            answers = [(values, extra) for step, values, extra, _ in jobs if step in (ANSWER, CHANGE)]
            answer_rows = [rows.answer_row(values, extra) for values, extra in answers]
            closings = [rows.closing(values) for values in ends]
        finally:
            rows.forget()
        self._ledger.write(open_rows, answer_rows, closings)
        return len(closings)

    def _keep(self, job: _Job) -> None:
        if job[0] is not CLOSE:
            return
        if len(self._spool) < SPOOL_LIMIT:
            self._spool.append(job)
        else:
            self._lost += 1

    def _drain_spool(self) -> bool:
        """Write the spool, oldest first; False when the store is still down."""
        while self._spool:
            chunk = list(islice(self._spool, GROUP_LIMIT))
            try:
                # A commit that was reported as failed may have reached the disk.
                missing = self._ledger.missing(values[0] for _, values, _, _ in chunk)
            except sqlite3.Error as error:
                self._go_down(error)
                return False
            pending = [job for job in chunk if job[1][0] in missing]
            undecided = pending[len(self._attempt(pending)) :]
            for job in chunk:
                if undecided and job is undecided[0]:
                    return False
                self._spool.popleft()
        return True

    def _go_down(self, error: sqlite3.Error) -> None:
        if not self._fault:
            # Refusals must not wait for a store that is down.
            self._connection.execute("PRAGMA busy_timeout = 0")
        self._fault = reason(error)
        self._retry_at_s = time.monotonic() + self._retry_in_s
        self._retry_in_s = min(2.0 * self._retry_in_s, LAST_RETRY_S)

    def _come_back(self) -> None:
        self._connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        self._fault = ""
        self._retry_in_s = FIRST_RETRY_S
