"""Who loads the journal, and when: a thread beside the writer, which begins with what the last run has left."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, final

from engine.store.database import reason
from engine.store.errors import StoreError
from engine.store.feed import OutboxReader
from engine.store.journal import FOLDER
from engine.store.loader import Loader
from engine.store.segment import START, Position

SHORTEST_PAUSE_S: Final = 0.1  # between two loads; a load has a price of its own, whatever it brings, so ...
LONGEST_PAUSE_S: Final = 0.75  # ... the more one has brought the longer steps gather, up to this
BYTES_A_SECOND: Final = 400_000  # of pause: 100 calls/s are loaded five times a second, 1,000 calls/s every 0.75 s
FIRST_RETRY_S: Final = 0.25  # of a database that is down, then doubled ...
LAST_RETRY_S: Final = 2.0  # ... up to this
IDLE_S: Final = 60.0  # without a step for so long: is a day over?
OUTBOX_S: Final = 0.25  # with a feed: so often bindings.db is asked whether there is something to tell
PROGRESS_S: Final = 3.0  # a start with much to load says so as often
STOP_WAIT_S: Final = 10.0  # what is not loaded by then is loaded at the next start


def pause_s(loaded: int) -> float:
    """Seconds until the next load, when the last one has brought so many bytes."""
    return min(LONGEST_PAUSE_S, SHORTEST_PAUSE_S + loaded / BYTES_A_SECOND)


@final
class LoadingThread(threading.Thread):
    """Loads what the writer publishes. Takes the connection over, and closes it at its end."""

    def __init__(
        self, connection: sqlite3.Connection, loader: Loader, node: str, outbox: OutboxReader | None = None
    ) -> None:
        """`node` signs the days on which it has no call; `outbox` is there when the loader has a feed."""
        super().__init__(name="loader", daemon=True)
        self._connection = connection
        self._loader = loader
        self._node = node
        self._outbox = outbox
        self._idle_at_s = time.monotonic() + IDLE_S
        self._asked: deque[tuple[Position, Callable[[], None]]] = deque()
        self._wanted = threading.Event()
        self._ending = threading.Event()
        self.fault = ""  # why the database is down, on one line
        self.feed_fault = ""  # why nothing is taken from the outbox, on one line

    def wake(self) -> None:
        """The writer has published something (`engine.store.fresh`)."""
        self._wanted.set()

    def ask(self, work: Callable[[], None], behind: Position = START) -> None:
        """Has this thread do `work`, which must not raise, once all that stands before `behind` is loaded."""
        self._asked.append((behind, work))
        self._wanted.set()

    def stop(self) -> None:
        """Nobody writes the journal any more: load what is left and end; STOP_WAIT_S at the longest."""
        self._ending.set()
        self._wanted.set()
        if self.ident is None:
            self._connection.close()
        else:
            self.join(STOP_WAIT_S)

    def run(self) -> None:
        """The thread's body."""
        retry_s = FIRST_RETRY_S
        try:
            while not self._ending.is_set():
                if not self._wanted.wait(IDLE_S if self._outbox is None else OUTBOX_S):
                    self._idle()
                    continue
                self._idle_at_s = time.monotonic() + IDLE_S
                self._wanted.clear()
                self._loader.fresh.is_awaited = True  # before it is asked what is published: the rest wakes it again
                loaded = self._loader.loaded
                if self._load():
                    retry_s = FIRST_RETRY_S
                    has_asked = self._do_asked()
                    self._take_outbox()
                    if not has_asked:
                        self._ending.wait(pause_s(self._loader.loaded - loaded))
                else:
                    self._wanted.set()
                    self._ending.wait(retry_s)
                    retry_s = min(2.0 * retry_s, LAST_RETRY_S)
            self._load(to_the_end=True)
        finally:
            self._connection.close()
            self._loader.close()
            if self._outbox is not None:
                self._outbox.close()

    def _idle(self) -> None:
        self._take_outbox()
        if time.monotonic() >= self._idle_at_s:
            self._idle_at_s = time.monotonic() + IDLE_S
            with suppress(sqlite3.Error):  # the next load will say so
                self._loader.sign_day(self._node)

    def _do_asked(self) -> bool:
        """True when there was something: whoever asks may have more to ask."""
        has_asked = False
        while self._asked and self._loader.position >= self._asked[0][0]:
            self._asked.popleft()[1]()
            has_asked = True
        return has_asked

    def _take_outbox(self) -> None:
        if self._outbox is None:
            return
        try:
            self._loader.take_outbox(self._outbox)
        except sqlite3.Error as error:
            self.feed_fault = f"outbox: {reason(error)}"
        except StoreError as error:
            self.feed_fault = str(error)
        else:
            self.feed_fault = ""

    def _load(self, to_the_end: bool = False) -> bool:
        """False when the database or the journal is down. `to_the_end`: nobody writes the journal any more."""
        loader = self._loader
        try:
            while loader.load(None if to_the_end else loader.fresh.published):
                pass
            self._loader.remove_loaded(keep_spare=not self._ending.is_set())
        except sqlite3.Error as error:
            self.fault = reason(error)
        except OSError as error:
            self.fault = f"{error.filename or 'journal'}: {error.strerror or error}"
        except Exception as error:  # a bug of ours must be seen in status, and not leave the tables behind for ever
            self.fault = f"journal: {type(error).__name__} when it was loaded"
        else:
            self.fault = ""
        return not self.fault


def make_folder(records: Path) -> Path:
    """The folder of the journal beside records.db, made when it is not there. Raises StoreError."""
    folder = records.parent / FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror}") from None
    return folder


def load_all(loader: Loader, progress: Callable[[int, int], None]) -> None:
    """Load what the last run has left; while nobody writes the journal.

    `progress` is called every PROGRESS_S with the segment that is being loaded and the last one. What was found damaged
    or missing stands in `loader.notes`. sqlite3.Error and OSError as they come.
    """
    tell_at_s = time.monotonic() + PROGRESS_S
    while loader.load(None):
        if time.monotonic() >= tell_at_s:
            last = loader.last_number
            progress(min(loader.position[0], last), last)
            tell_at_s = time.monotonic() + PROGRESS_S
    loader.remove_loaded(keep_spare=False)
