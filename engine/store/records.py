"""The writer of records: one thread that appends whatever has queued to the journal, and tells the outcome."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import compress, islice
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, final

from engine.core.records import CLOSE, KEEP, OPEN, RECORD_COLUMNS, ReleaseCause, Step
from engine.store.crypto import NumberCipher
from engine.store.database import RECORDS, lock_records, open_database, store_errors
from engine.store.feed import Feed, OutboxReader
from engine.store.journal import Journal
from engine.store.loader import Loader
from engine.store.loading import LoadingThread, make_folder
from engine.store.owner import owner_epoch
from engine.store.rows import Row, extra_to_json
from engine.store.signing import open_signing_key

QUEUE_LIMIT: Final = 10_000  # steps that wait: three seconds of 1,000 calls/s; slower is as good as down
CLOSE_RESERVE: Final = 10_000  # beyond it only steps of calls in progress are taken: they must get their records
GROUP_LIMIT: Final = 1_000  # steps in one append: bounds what one of them waits for
SPOOL_LIMIT: Final = 50_000  # ends kept in memory while the store is down, about 2 KB each: 100 MB at worst
SLOW_S: Final = 1.0  # a group that takes longer: new calls are refused
JOURNAL_LIMIT: Final = 256 * 1024 * 1024  # bytes that wait to be loaded; beyond it new calls are refused
BUSY_MS: Final = 1_000  # another process may hold the write lock this long before the database counts as down
FIRST_RETRY_S: Final = 0.05  # then doubled ...
LAST_RETRY_S: Final = 1.0  # ... up to this, so that a store that is back is noticed within a second
STOP_WAIT_S: Final = 10.0  # a disk that is stuck must not hold up the end for ever

Done = list[tuple[object, bool]]
_Job = tuple[Step, Row, object, object]  # step, snapshot, extra, token

_CALL_OUT_TIME: Final = RECORD_COLUMNS.index("call_out_time")
_RELEASE_CAUSE: Final = RECORD_COLUMNS.index("release_cause")


@final
class RecordWriter(threading.Thread):
    """Takes steps from the loop's thread, makes them durable in groups, tells the outcome once per group.

    `on_done` gets [(token, ok), ...] in this writer's thread; it must hand over and return. ok=True: the step is
    durable. ok=False: it is not, and nothing of it is kept: whoever has asked sends KEEP for an end. While the journal
    cannot be written every step is refused at once. Another thread brings the journal into records.db.
    """

    def __init__(
        self, path: Path, cipher: NumberCipher, node: str, boot_id: str, commit_window_ms: float,
        on_done: Callable[[Done], None], announces: bool = False,
    ) -> None:  # fmt: skip
        """Opens records.db; StoreError when it cannot be used or has a writer. `start` begins, `stop` ends.

        `announces`: platforms are told of it, and of what the outbox of bindings.db beside it has to tell.
        """
        super().__init__(name="records", daemon=True)
        self._lock = lock_records(path)
        try:
            folder, signer = make_folder(path), open_signing_key(path.parent)
            connection = open_database(path, RECORDS, cipher, busy_ms=BUSY_MS, any_thread=True)
            with store_errors(path):
                feed = Feed(connection, cipher) if announces else None
                self._loader = Loader(connection, folder, cipher, signer, feed)
                epoch = owner_epoch(connection)
        except BaseException:
            os.close(self._lock)
            raise
        outbox = OutboxReader(path.with_name("bindings.db")) if announces else None
        self._loading = LoadingThread(connection, self._loader, node, outbox)
        self._journal = Journal(folder, cipher, node, (boot_id, epoch), self._loader.last_number)
        self._window_s = commit_window_ms / 1000.0
        self._on_done = on_done
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()  # None: look at the spool, or whether to stop
        self._is_stopping = False
        self._spool: deque[_Job] = deque()  # of KEEP
        self._kept: set[object] = set()  # attempts that were kept while other steps of theirs may be in the queue
        self._began_s = 0.0  # when the group at work began to be written; 0 while none is
        self._next_group_s = 0.0
        self._is_busy = False  # the last group was of several steps
        self._fault = ""
        self._retry_at_s = 0.0
        self._retry_in_s = FIRST_RETRY_S
        self._ends = 0
        self._refused = 0  # ends that nobody has kept: counted by the thread that submits ...
        self._unfit = 0  # ... and ends that cannot be stored, by the writer's

    def submit(self, step: Step, values: Row, extra: object, token: object) -> bool:
        """Queue one step; never blocks. False: not taken, `on_done` will not speak of it.

        `values` is `CallRecord.snapshot()`; `extra` (ANSWER and CHANGE only) what `extra_to_json` takes. KEEP is
        always taken, `on_done` never speaks of it, and nothing of its attempt may follow it.
        """
        if step is KEEP:
            self._keep((step, values, extra, token))
            return True
        if self._fault or self._is_stopping or self._queue.qsize() >= QUEUE_LIMIT + CLOSE_RESERVE:
            return False
        if (step is OPEN or (step is CLOSE and _is_refused(values))) and self.is_overloaded:
            return False  # it can be refused at once
        self._queue.put((step, values, extra, token))
        return True

    def stop(self) -> None:
        """Write what has queued, give the spool a last chance, load it, close, and wait for the end of the threads."""
        self._is_stopping = True
        self._queue.put(None)
        if self.ident is not None:  # not `is_alive`: a thread that ends this very moment has closed by itself
            self.join(STOP_WAIT_S)
        else:
            self._journal.close()
        self._loading.stop(is_whole=not self.is_alive())
        if not (self.is_alive() or self._loading.is_alive()):  # else the end of the process lets go of it
            os.close(self._lock)

    @property
    def is_overloaded(self) -> bool:
        """True when new calls must be refused: the journal is slow, or the tables are too far behind it."""
        began_s = self._began_s
        return (
            (began_s > 0.0 and time.monotonic() - began_s > SLOW_S)
            or self._queue.qsize() >= QUEUE_LIMIT
            or self.unloaded_bytes > JOURNAL_LIMIT
        )

    @property
    def written(self) -> int:
        """Records that are durable, since the start."""
        return self._ends - self._loader.superseded - self._loader.lost

    @property
    def spooled(self) -> int:
        """Records that wait in memory for the journal to come back."""
        return len(self._spool)

    @property
    def lost(self) -> int:
        """Records that could not be kept: the spool was full, or the row itself was refused."""
        return self._refused + self._unfit + self._loader.lost

    @property
    def fault(self) -> str:
        """Why the journal cannot be written, on one line; empty while it can."""
        return self._fault

    @property
    def load_fault(self) -> str:
        """Why records.db cannot be written, on one line; empty while it can. Calls go on meanwhile."""
        return self._loading.fault

    @property
    def feed_fault(self) -> str:
        """Why the outbox of bindings.db cannot be taken, on one line; empty while it can."""
        return self._loading.feed_fault

    @property
    def unloaded_bytes(self) -> int:
        """Bytes of the journal that are not in records.db yet."""
        return self._journal.appended - self._loader.loaded

    @property
    def damaged(self) -> int:
        """Places of the journal that could not be read back."""
        return len(self._loader.notes)

    # -- the thread ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Both threads begin."""
        self._loading.start()
        super().start()

    def run(self) -> None:
        """The thread's body: gather, append, tell."""
        try:
            is_last = False
            while not is_last or (self._spool and not self._fault):
                jobs, is_last = self._gather()
                self._tell(self._process(jobs))
            if self._fault:
                self._retry_at_s = 0.0
                self._process([])
        finally:
            self._journal.close()

    def _tell(self, done: Done) -> None:
        if done:
            with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                self._on_done(done)

    def _keep(self, job: _Job) -> None:
        if len(self._spool) >= SPOOL_LIMIT or self._is_stopping:
            self._refused += 1
            return
        self._spool.append(job)
        if not self._fault:  # else it is written when it is time to try again
            self._queue.put(None)

    def _gather(self) -> tuple[list[_Job], bool]:
        """The next group, and whether it is the last; an empty one when it is time to try again."""
        wait_s: float | None = None
        if self._fault:
            wait_s = max(0.0, self._retry_at_s - time.monotonic())
        elif self._spool:
            wait_s = 0.0
        elif self._is_busy:  # a step will come within the window: to be woken by it, and to sleep then, costs more
            self._wait_for_window()
        try:
            job = self._queue.get(timeout=wait_s)
        except Empty:
            return [], self._is_stopping
        self._wait_for_window()
        self._next_group_s = time.monotonic() + self._window_s
        queued = [job]
        waiting = self._queue.qsize()
        queued += [self._queue.get_nowait() for _ in range(min(waiting, GROUP_LIMIT - 1))]
        jobs = [job for job in queued if job is not None]
        self._is_busy = len(jobs) > 1
        return jobs, self._is_stopping and self._queue.empty()

    def _wait_for_window(self) -> None:
        """Groups begin a window apart at least: one flush costs as much as many steps."""
        left_s = self._next_group_s - time.monotonic()
        if left_s > 0.0 and not self._is_stopping and not self._fault:
            time.sleep(left_s)

    def _process(self, jobs: list[_Job]) -> Done:
        """Write a group, what was kept first; or say at once that it cannot be written."""
        self._began_s = time.monotonic()
        if self._fault and self._began_s < self._retry_at_s:
            results = [False] * len(jobs)
        elif self._spool or self._kept:
            results = self._write_with_kept(jobs)
        else:
            results = self._write(jobs)
        if not self._spool and not self._fault:
            # Not before what was kept is there, too: of two ends of one attempt the table takes the later.
            self._loading.publish(self._journal.end)
        self._began_s = 0.0
        return [(job[3], ok) for job, ok in zip(jobs, results, strict=True)]

    def _write_with_kept(self, jobs: list[_Job]) -> list[bool]:
        """What was kept goes first, and steps of its attempts that are still in the queue go nowhere."""
        kept = list(islice(self._spool, GROUP_LIMIT))
        self._kept.update(job[1][0] for job in kept)
        is_drained = self._queue.empty()  # then all steps that were queued before those ends are in `jobs`
        is_wanted = [job[1][0] not in self._kept for job in jobs]
        results = self._write([*kept, *compress(jobs, is_wanted)])
        if not self._fault:
            for _ in kept:
                self._spool.popleft()
            if is_drained:
                self._kept.clear()
        outcomes = iter(results[len(kept) :])
        return [wanted and next(outcomes) for wanted in is_wanted]

    def _write(self, jobs: list[_Job]) -> list[bool]:
        """Append one group; the outcome of each step. With nothing to write it only tries whether it could."""
        try:
            if jobs:
                group = self._journal.append([(int(step), values, extra) for step, values, extra, _ in jobs])
                self._loader.fresh.put(group)
            elif self._fault:
                self._journal.begin()
        except OSError as error:
            self._go_down(error)
            return [False] * len(jobs)
        except ValueError:  # something of a step cannot be stored
            return self._write_singly(jobs)
        self._ends += sum(job[0] in (CLOSE, KEEP) for job in jobs)
        if self._fault:
            self._fault, self._retry_in_s = "", FIRST_RETRY_S
        return [True] * len(jobs)

    def _write_singly(self, jobs: list[_Job]) -> list[bool]:
        """One bad step must not sink its group."""
        if len(jobs) > 1:
            return [result for job in jobs for result in self._write([job])]
        step, values, extra, token = jobs[0]
        with suppress(TypeError, AttributeError):
            plain = json.loads(extra_to_json(extra))  # no named tuples, no members of enumerations
            if plain != extra:
                return self._write([(step, values, plain, token)])
        self._unfit += step in (CLOSE, KEEP)
        return [False]

    def _go_down(self, error: OSError) -> None:
        self._fault = f"journal: {error.strerror or error}"
        self._retry_at_s = time.monotonic() + self._retry_in_s
        self._retry_in_s = min(2.0 * self._retry_in_s, LAST_RETRY_S)


def _is_refused(values: Row) -> bool:
    """True for an end that nobody needs to wait for: nothing of it has left, or the store itself was the reason."""
    return values[_CALL_OUT_TIME] is None or values[_RELEASE_CAUSE] == ReleaseCause.INTERNAL
