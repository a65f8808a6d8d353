"""The writer of records, as a SIP process sees it: steps go out once a turn of the loop, outcomes come back by group.

Nothing here blocks the loop, and there is no thread. Ends that the writer could not take are kept in memory until it
has them, also while its process is started anew.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Final, final

from engine.core.records import CLOSE, KEEP, OPEN, RECORD_COLUMNS, ReleaseCause, Step
from engine.recording.frames import (
    DONE,
    DURABLE,
    FAULTS,
    HEAD_BYTES,
    LAST,
    MORE_KEPT,
    NOTES,
    REFUSED,
    Hello,
    Reader,
    content_of,
    figures_of,
    say_hello,
    steps_frame,
)
from engine.store.rows import Row, extra_to_json
from engine.store.segment import encoded_step

QUEUE_LIMIT: Final = 10_000  # steps that wait: three seconds of 1,000 calls/s; slower is as good as down
CLOSE_RESERVE: Final = 10_000  # beyond it only steps of calls in progress are taken: they must get their records
SPOOL_LIMIT: Final = 50_000  # ends kept in memory while the store is down, about 2 KB each: 100 MB at worst
SENT_AT_ONCE: Final = 1_000  # ends that were kept, in one group
SLOW_S: Final = 1.0  # steps that have been waiting longer: new calls are refused
JOURNAL_LIMIT: Final = 256 * 1024 * 1024  # bytes that wait to be loaded; beyond it new calls are refused
STOP_WAIT_S: Final = 10.0  # a disk that is stuck must not hold up the end for ever
ANSWER_BYTES: Final = 4096  # read at once: a group's outcome takes 36
ASK_AGAIN_S: Final = 1.0  # where not even that could be sent
AWAY: Final = "journal: the process that writes it has ended"

Done = list[tuple[object, bool]]

_CALL_OUT_TIME: Final = RECORD_COLUMNS.index("call_out_time")
_RELEASE_CAUSE: Final = RECORD_COLUMNS.index("release_cause")
_OF_KEPT: Final = object()  # the token of an end that was kept: nobody asks for its outcome
_now_s: Final[Callable[[], float]] = time.monotonic  # the clock of asyncio's loops, without their Python


@final
class _Sent:
    """A step that waits for its outcome."""

    __slots__ = ("record_id", "step", "taken_s", "token")

    def __init__(self, step: Step, record_id: object, token: object, taken_s: float) -> None:
        self.step = step
        self.record_id = record_id
        self.token = token
        self.taken_s = taken_s


@final
class RecordWriter:
    """Takes steps in the loop's thread, has them made durable in groups, tells the outcome once per group.

    `on_done` gets [(token, ok), ...] in the loop. ok=True: the step is durable. ok=False: it is not, and nothing of it
    is kept: whoever has asked sends KEEP for an end. While nothing can be written every step is refused at once.
    """

    def __init__(
        self, lobby: socket.socket, stream: socket.socket, hello: Hello, on_done: Callable[[Done], None],
        tell: Callable[[str], None],
    ) -> None:  # fmt: skip
        """`start` begins, `stop` ends. `tell` hears what a process that was started anew has found damaged.

        `stream` is one on which the run that `hello` is about has begun (`engine.recording.beginning`).
        """
        self._lobby = lobby
        self._use(stream)
        self._tell = tell
        self._hello = hello._replace(begins=False)
        self._on_done = on_done
        self._loop = asyncio.get_running_loop()
        # A loop that reads datagrams without turns of its own takes none for this either.
        self._soon: Callable[[Callable[[], None]], object] = getattr(self._loop, "before_waiting", self._loop.call_soon)
        self._reader = Reader()
        self._flush_once: Callable[[], None] = self._flush
        self._new: list[bytes] = []  # encoded, since the last turn
        self._out: deque[bytes] = deque()  # frames that found no room
        self._waiting: deque[_Sent] = deque()
        self._spool: deque[tuple[object, bytes]] = deque()  # record_id and step of ends that are kept
        self._sent = 0  # of them, and not answered
        self._given_up: set[object] = set()  # attempts that were kept while other steps of theirs were on their way
        self._refused: Done = []  # what no journal can hold: told in the next turn
        self._is_flushing = False
        self._is_stopping = False
        self._fault = ""
        self._load_faults = "", ""
        self._unloaded_bytes = 0
        self._lost_there = 0
        self._damaged_there = 0
        self._lost_before = 0  # by processes that have ended
        self._damaged_before = 0
        self._ends = 0
        self._lost = 0  # ends that nobody has kept

    def start(self) -> None:
        """From now on outcomes are read."""
        self._loop.add_reader(self._stream, self._read)

    def submit(self, step: Step, values: Row, extra: object, token: object) -> bool:
        """Queue one step; never blocks. False: not taken, `on_done` will not speak of it.

        `values` is `CallRecord.snapshot()`; `extra` (ANSWER and CHANGE only) what `extra_to_json` takes. KEEP is
        always taken, `on_done` never speaks of it, and nothing of its attempt may follow it.
        """
        if step is KEEP:
            self._keep(values, extra)
            return True
        if self._fault or self._is_stopping or len(self._waiting) >= QUEUE_LIMIT + CLOSE_RESERVE:
            return False
        if (step is OPEN or (step is CLOSE and _is_refused(values))) and self.is_overloaded:
            return False  # it can be refused at once
        encoded = _encoded(step, values, extra)
        if encoded is None:
            self._lost += step is CLOSE
            self._refused.append((token, False))
        else:
            self._new.append(encoded)
            self._waiting.append(_Sent(step, values[0], token, _now_s()))
        self._flush_soon()
        return True

    def stop(self) -> None:
        """Send what is left, with what is kept, hear how it ends, and close; STOP_WAIT_S at the longest."""
        if self._is_stopping:
            return
        self._is_stopping = True
        if self._stream.fileno() >= 0:  # else nobody could be asked
            self._loop.remove_reader(self._stream)
            self._loop.remove_writer(self._stream)
            with suppress(OSError):  # the process is gone, or its disk is stuck
                self._send_last()
            self._stream.close()

    @property
    def is_overloaded(self) -> bool:
        """True when new calls must be refused: the journal is slow, or the tables are too far behind it."""
        waiting = self._waiting
        return (
            len(waiting) >= QUEUE_LIMIT
            or self._unloaded_bytes > JOURNAL_LIMIT
            or (bool(waiting) and _now_s() - waiting[0].taken_s > SLOW_S and not self._has_answer())
        )

    @property
    def written(self) -> int:
        """Records that are durable, since the start."""
        return self._ends - self._lost_there - self._lost_before

    @property
    def spooled(self) -> int:
        """Records that wait in memory for the journal to come back."""
        return len(self._spool)

    @property
    def lost(self) -> int:
        """Records that could not be kept: the spool was full, or the row itself was refused."""
        return self._lost + self._lost_there + self._lost_before

    @property
    def fault(self) -> str:
        """Why the journal cannot be written, on one line; empty while it can."""
        return self._fault

    @property
    def load_fault(self) -> str:
        """Why records.db cannot be written, on one line; empty while it can. Calls go on meanwhile."""
        return self._load_faults[0]

    @property
    def feed_fault(self) -> str:
        """Why the outbox of bindings.db cannot be taken, on one line; empty while it can."""
        return self._load_faults[1]

    @property
    def unloaded_bytes(self) -> int:
        """Bytes of the journal that are not in records.db yet."""
        return self._unloaded_bytes

    @property
    def damaged(self) -> int:
        """Places of the journal that could not be read back."""
        return self._damaged_there + self._damaged_before

    # -- to the process --------------------------------------------------------------------------------------------

    def _keep(self, values: Row, extra: object) -> None:
        encoded = _encoded(KEEP, values, extra)
        if encoded is None or len(self._spool) >= SPOOL_LIMIT or self._is_stopping:
            self._lost += 1
            return
        if self._waiting:
            self._given_up.add(values[0])
        self._spool.append((values[0], encoded))
        self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._is_flushing:
            self._is_flushing = True
            self._soon(self._flush_once)

    def _flush(self) -> None:
        """One frame for all that has come in this turn, with what was kept."""
        self._is_flushing = False
        if self._refused:
            refused, self._refused = self._refused, []
            self._on_done(refused)
        if self._is_stopping:
            return
        if self._spool and not self._sent and not self._fault:
            self._take_kept()
        if self._new:
            self._send(self._frame())

    def _take_kept(self) -> None:
        kept = list(islice(self._spool, SENT_AT_ONCE))
        self._sent = len(kept)
        now_s = _now_s()
        for record_id, encoded in kept:
            self._new.append(encoded)
            self._waiting.append(_Sent(KEEP, record_id, _OF_KEPT, now_s))

    def _frame(self, flags: int = 0) -> bytes:
        new, self._new = self._new, []
        if len(self._spool) > self._sent:
            flags |= MORE_KEPT
        return steps_frame(new, flags)

    def _send(self, data: bytes) -> None:
        if self._out:
            self._out.append(data)
            return
        try:
            sent = self._send_now(data)
        except BlockingIOError:
            sent = 0
        except OSError:  # it has ended: what can be read says so
            return
        if sent < len(data):
            self._out.append(data[sent:])
            self._loop.add_writer(self._stream, self._send_more)

    def _send_more(self) -> None:
        self._loop.remove_writer(self._stream)
        data = b"".join(self._out)
        self._out.clear()
        self._send(data)

    def _send_last(self) -> None:
        self._stream.settimeout(STOP_WAIT_S)
        ends_s = time.monotonic() + STOP_WAIT_S
        for data in self._out:
            self._stream.sendall(data)
        while True:
            if self._spool and not self._sent:
                self._take_kept()
            if self._new:
                self._stream.sendall(self._frame(LAST))
            if not self._waiting:
                break
            while self._waiting:
                left_s = ends_s - time.monotonic()
                if left_s <= 0.0:
                    return
                self._stream.settimeout(left_s)
                data = self._recv(ANSWER_BYTES)
                if not data:
                    return
                self._take(data)
            if self._fault:
                break
        self._stream.shutdown(socket.SHUT_WR)

    # -- from it ---------------------------------------------------------------------------------------------------

    def _has_answer(self) -> bool:
        """The loop itself was late: what it has not read yet may be the answer that it misses."""
        try:
            return bool(self._stream.recv(HEAD_BYTES, socket.MSG_PEEK))
        except OSError:
            return False

    def _read(self) -> None:
        try:
            data = self._recv(ANSWER_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._take(data)
        else:
            self._lose()

    def _take(self, data: bytes) -> None:
        done: Done = []
        reader = self._reader
        reader.add(data)
        while reader.next():
            if reader.kind == DONE:
                self._unloaded_bytes, self._lost_there, self._damaged_there = figures_of(reader.content)
                self._settle(reader.steps, bool(reader.flags & DURABLE), done)
            else:
                self._hear(reader)
        if self._spool and not self._sent:
            self._flush_soon()
        if done:
            self._on_done(done)

    def _settle(self, count: int, is_durable: bool, done: Done) -> None:
        """The next `count` outcomes."""
        for _ in range(count):
            sent = self._waiting.popleft()
            if sent.token is _OF_KEPT:
                self._sent -= 1
                if is_durable:
                    self._spool.popleft()
                    self._ends += 1
                continue
            # What was given up meanwhile is counted with the end that was kept.
            if sent.step is CLOSE and is_durable and sent.record_id not in self._given_up:
                self._ends += 1
            done.append((sent.token, is_durable))
        if self._given_up and not self._waiting:
            self._given_up.clear()

    def _hear(self, read: Reader) -> None:
        if read.kind == FAULTS:
            self._fault, *others = content_of(read.content)
            self._load_faults = others[0], others[1]
        elif read.kind == REFUSED:
            self._fault = content_of(read.content)
        elif read.kind == NOTES:
            for note in content_of(read.content):
                self._tell(note)

    def _lose(self) -> None:
        """The process has ended: nothing that was on its way counts, and the next one is asked to go on."""
        self._loop.remove_reader(self._stream)
        self._loop.remove_writer(self._stream)
        self._stream.close()
        self._fault = self._fault or AWAY
        self._lost_before, self._damaged_before = self.lost - self._lost, self.damaged
        self._unloaded_bytes, self._lost_there, self._damaged_there = 0, 0, 0
        lost: Done = [(sent.token, False) for sent in self._waiting if sent.token is not _OF_KEPT]
        for left in (self._waiting, self._new, self._out, self._given_up):
            left.clear()
        self._sent = 0
        self._reader = Reader()
        self._ask_again()
        self._on_done(lost)

    def _ask_again(self) -> None:
        """What is sent on the new stream waits until there is a process again."""
        if self._is_stopping:
            return
        try:
            self._use(say_hello(self._lobby, self._hello))
        except OSError:
            self._loop.call_later(ASK_AGAIN_S, self._ask_again)
        else:
            self._loop.add_reader(self._stream, self._read)

    def _use(self, stream: socket.socket) -> None:
        self._stream = stream
        self._recv: Callable[[int], bytes] = stream.recv  # bound once, as in `engine.recording.frames`
        self._send_now: Callable[[bytes], int] = stream.send


def _encoded(step: Step, values: Row, extra: object) -> bytes | None:
    """The step as the journal holds it; None for what it cannot hold."""
    try:
        return encoded_step(step, values, extra)
    except ValueError:  # a named tuple, a member of an enumeration: written as what they are
        with suppress(TypeError, AttributeError, ValueError):
            return encoded_step(step, values, json.loads(extra_to_json(extra)))
    return None


def _is_refused(values: Row) -> bool:
    """True for an end that nobody needs to wait for: nothing of it has left, or the store itself was the reason."""
    return values[_CALL_OUT_TIME] is None or values[_RELEASE_CAUSE] == ReleaseCause.INTERNAL
