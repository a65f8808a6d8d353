"""One thread that writes: what has queued shares a transaction, and is answered when that is durable."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, final

from engine.domain.problems import Problem, ProblemCode
from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, open_database, reason
from engine.store.errors import StoreError

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]

MAX_QUEUED: Final = 4000  # more wait for no good: who asks is told to come back
MAX_GROUP: Final = 256  # one commit answers so many at the most, so that the first does not wait for long
BUSY_MS: Final = 5000  # so long another writer, a command or an import, is waited for

CACHE_KIB: Final = 32_768  # all pages that 10,000 bindings touch: with less they are written twice
LOG_PAGES: Final = 12_000  # 48 MiB: what several requests in bulk change is brought into the database once

_Job = tuple[Operation[Any], "asyncio.Future[Any]"]
_Answer = tuple["asyncio.Future[Any]", Any, BaseException | None]


def overload(detail: str) -> Problem:
    """What is asked cannot be done now, and may be asked again."""
    return Problem(ProblemCode.OVERLOAD, "", detail)


@final
class Writer:
    """Runs operations in its own thread, each under a savepoint of a transaction that it shares with its neighbours.

    An operation that raises leaves nothing behind; the others of its transaction are not touched by it.
    """

    def __init__(self, path: Path, cipher: NumberCipher, first: Operation[None]) -> None:
        """Opens bindings.db and starts the thread; must be called where the loop runs. StoreError.

        `first` is done at the beginning of each transaction, whatever becomes of the operations in it.
        """
        self._first = first
        self._path = path
        self._connection = open_database(path, BINDINGS, cipher, busy_ms=BUSY_MS, any_thread=True)
        self._connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._waiting = 0
        self._thread = threading.Thread(target=self._run, name="writer")
        self._thread.start()

    async def run(self, operation: Operation[T]) -> T:
        """What `operation` returns, once it is durable.

        Raises what the operation raises; Problem OVERLOAD when too many wait, or another writer does not let go;
        StoreError when it cannot be written.
        """
        if self._waiting >= MAX_QUEUED:
            raise overload("too many requests are waiting to be written")
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting += 1
        self._queue.put((operation, future))
        try:
            return await future  # who hangs up meanwhile does not undo it: nobody takes it out of the queue
        finally:
            self._waiting -= 1

    def stop(self) -> None:
        """Writes what has queued, and ends the thread."""
        self._queue.put(None)
        self._thread.join()
        self._connection.close()

    # -- in the thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        is_last = False
        while not is_last:
            job = self._queue.get()
            jobs: list[_Job] = []
            while job is not None:
                jobs.append(job)
                if len(jobs) >= MAX_GROUP:
                    break
                try:
                    job = self._queue.get_nowait()
                except queue.Empty:
                    break
            else:
                is_last = True
            if jobs:
                answers = self._group(jobs)
                self._loop.call_soon_threadsafe(_tell, answers)

    def _group(self, jobs: list[_Job]) -> list[_Answer]:
        """One transaction; what to tell each."""
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._first(connection)
            answers = [self._one(operation, future) for operation, future in jobs]
            connection.execute("COMMIT")
            return answers
        except Exception as error:  # whatever it is, the thread goes on
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            fault = error
            if isinstance(error, sqlite3.Error):
                fault = StoreError(f"{self._path}: {reason(error)}")
                if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                    fault = overload("another process is writing to the store")
            return [(future, None, fault) for _, future in jobs]

    def _one(self, operation: Operation[Any], future: asyncio.Future[Any]) -> _Answer:
        """sqlite3.Error where the whole transaction is lost."""
        connection = self._connection
        connection.execute("SAVEPOINT one")
        try:
            value = operation(connection)
        except Exception as error:
            if not connection.in_transaction:  # a full disk, for one, takes the transaction back by itself
                raise sqlite3.OperationalError(str(error)) from error
            connection.execute("ROLLBACK TO one")
            connection.execute("RELEASE one")
            if isinstance(error, sqlite3.Error):
                error = StoreError(f"{self._path}: {reason(error)}")
            return future, None, error
        connection.execute("RELEASE one")
        return future, value, None


def _tell(answers: list[_Answer]) -> None:
    for future, value, error in answers:
        if future.done():
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
