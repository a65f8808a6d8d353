"""The process that writes records, at work: it gathers what has come, makes it durable, and tells the outcomes.

Everything happens in one thread, which waits for sockets and for the disk and for nothing else; a second one loads the
journal (`engine.store.loading`).
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final, final

from engine.recording.frames import (
    BEGUN,
    FAULTS,
    LAST,
    LOADING,
    MORE_KEPT,
    NOTES,
    READ_BYTES,
    REFUSED,
    ROWS,
    ROWS_AT_ONCE,
    STEPS,
    UNREADABLE,
    Hello,
    Reader,
    content_of,
    done,
    next_hello,
    told,
)
from engine.store.left_rows import LeftRows
from engine.store.records import GroupWriter
from engine.store.rows import Row

GROUP_LIMIT: Final = 1_000  # steps in one append: bounds what one of them waits for
LOOK_S: Final = 0.1  # so often figures are looked at that change without a step
IDLE_S: Final = 1.0  # ... and when none is about to
TURNS: Final = 50  # of a busy process in which it looks only for steps
LATE_S: Final = 0.00012  # so much later than asked for a sleep ends on a machine that rests (measured, kernel 6.18)


class RefusedError(Exception):
    """What an earlier writer has left cannot be read; the text is one clear line."""


@final
class Link:
    """One stream."""

    __slots__ = ("_recv", "_send", "_waiting", "hello", "is_open", "keeps_more", "left", "reader", "socket", "steps")

    def __init__(self, hello: Hello, stream: socket.socket) -> None:
        self.hello = hello
        self.socket = stream
        self.is_open = True  # False: the other end has nothing more to say
        self.keeps_more = False
        self.left: LeftRows | None = None  # what it has been handed
        self.reader: Final = Reader()
        self.steps = 0  # gathered from it, and not written yet
        self._waiting = bytearray()
        self._recv: Callable[[int], bytes] = stream.recv  # bound once, as in `engine.recording.frames`
        self._send: Callable[[bytes], int] = stream.send

    def read(self) -> bool:
        """What has come is in the reader; False: nothing has. A stream at its end is not open any more."""
        try:
            data = self._recv(READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:  # reset: it has ended with answers unread
            data = b""
        if not data:
            self.is_open = False
            return False
        self.reader.add(data)
        return True

    def send(self, data: bytes) -> bool:
        """Never blocks. False: there was no room for all of it, and the rest waits for `send_more`."""
        if self._waiting:
            self._waiting += data
            return False
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError:  # it is gone
            return True
        if sent == len(data):
            return True
        self._waiting += data[sent:]
        return False

    def send_more(self) -> None:
        """There is room again, or nobody is left who would make some."""
        waiting = bytes(self._waiting)
        self._waiting.clear()
        self.send(waiting)

    @property
    def is_done(self) -> bool:
        """Nothing more comes, and nothing is left to be said."""
        return not (self.is_open or self._waiting)

    @property
    def events(self) -> int:
        """What to wait for."""
        return (select.POLLIN if self.is_open else 0) | (select.POLLOUT if self._waiting else 0)


@final
class Server:
    """Serves all streams of one node until nobody is left."""

    def __init__(self, lobby: socket.socket, writer: GroupWriter, window_s: float) -> None:
        """Groups begin `window_s` apart, LATE_S less at the least: one flush costs as much as many steps."""
        self._lobby = lobby
        self._writer = writer
        self._window_s = window_s
        self._links: dict[int, Link] = {}  # by descriptor
        self._each: list[Link] = []  # the same
        self._has_ended = False  # one of them is not open any more
        self._pieces: list[bytes] = []  # encoded steps of the next group
        self._steps = 0  # how many
        self._is_last = False  # nothing follows on one of the streams
        self._is_lobby_open = True
        self._fault: str | None = None  # None: what an earlier writer has left is being loaded
        self._notes_before = 0  # damaged places of which the log is told
        self._early: list[Link] = []  # before the process is gone in whose place they come
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()  # left here by the other thread
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._next_group_s = 0.0
        self._is_published = True  # what was written may be loaded
        # What was told last.
        self._unloaded_bytes = 0
        self._lost = 0
        self._damaged = 0
        self._faults = "", "", ""
        self._poll = select.poll()

    def run(self) -> None:
        """Until the last stream is at its end and nobody can ask for another. RefusedError, of which all are told."""
        self._lobby.setblocking(False)
        self._poll.register(self._lobby, select.POLLIN)
        self._poll.register(self._wake, select.POLLIN)
        self._writer.start(
            lambda at, last: self._later(lambda: self._tell_all(told(LOADING, (at, last)))),
            lambda fault: self._later(lambda: self._loaded(fault)),
        )
        try:
            while self._is_lobby_open or self._links:
                self._turn()
                if self._fault:
                    self._tell_all(told(REFUSED, self._fault))
                    raise RefusedError(self._fault)
        finally:
            self._writer.stop()
            for link in self._links.values():
                link.socket.close()

    def _turn(self) -> None:
        """One look at everything, and some at steps alone while there are many."""
        for descriptor, events in self._poll.poll(self._wait_ms()):
            if descriptor == self._lobby.fileno():
                self._greet()
            elif descriptor == self._wake:
                self._do_work()
            elif events & select.POLLOUT:
                self._links[descriptor].send_more()
                self._wait_for(self._links[descriptor])
        turns = TURNS
        while self._serve_steps() and turns:
            turns -= 1
        self._look()

    def _wait_ms(self) -> float:
        waits = LOOK_S if self._unloaded_bytes or any(self._faults) else IDLE_S
        retry_s = self._writer.retry_in_s
        return 1000.0 * (waits if retry_s is None else min(waits, retry_s))

    # -- steps -----------------------------------------------------------------------------------------------------

    def _serve_steps(self) -> bool:
        """Write what has come; True when more is to be expected before anything else has to be looked at."""
        if self._fault is None:
            return False
        left_s = self._next_group_s - time.monotonic() - LATE_S
        if left_s > 0.0:
            time.sleep(left_s)
        count = 0
        for link in self._each:
            if link.read():
                count = self._gather(link) or count
            elif not link.is_open:
                self._has_ended = True
        if self._pieces:
            count = self._write_group()
        if self._has_ended:
            self._let_go()
        return count > 1

    def _gather(self, link: Link) -> int:
        """What one stream has brought; the steps of the last group that was full with it, and is written."""
        reader = link.reader
        count = 0
        while reader.next():
            if reader.kind != STEPS:
                self._begin_run(link, reader)
                continue
            self._pieces.append(reader.content)
            self._steps += reader.steps
            link.steps += reader.steps
            link.keeps_more = bool(reader.flags & MORE_KEPT)
            self._is_last = self._is_last or bool(reader.flags & LAST)
            if self._steps >= GROUP_LIMIT:
                count = self._write_group()
        return count

    def _write_group(self) -> int:
        """What is gathered becomes durable, and those who have sent it are told; how many steps it was."""
        now_s = time.monotonic()
        self._next_group_s = now_s + self._window_s
        pieces, count, at_once = self._pieces, self._steps, self._is_last
        self._pieces, self._steps, self._is_last = [], 0, False
        is_durable = self._writer.write(pieces, count, now_s, at_once)
        if self._writer.fault != self._faults[0]:
            self._tell_faults()
        self._has_news()
        for link in self._each:
            if link.steps:
                steps, link.steps = link.steps, 0
                if not link.send(done(steps, is_durable, self._unloaded_bytes, self._lost, self._damaged)):
                    self._wait_for(link)
        self._is_published = False
        self._publish()
        return count

    def _publish(self) -> None:
        """Not before what is kept is there, too: of two ends of one attempt the table takes the later."""
        for link in self._each:
            if link.keeps_more:
                return
        self._is_published = self._writer.publish()

    # -- figures ---------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """What changes without a step: the journal is back, or has been loaded; or the tables are out of order."""
        self._writer.retry()
        if not self._is_published:
            self._publish()
        if self._has_news():
            self._tell_all(done(0, True, self._unloaded_bytes, self._lost, self._damaged))
        self._tell_faults()

    def _has_news(self) -> bool:
        """Takes the figures as they are now; False when they are those that were told last."""
        writer = self._writer
        unloaded_bytes, lost, damaged = writer.unloaded_bytes, writer.lost, len(writer.notes) - self._notes_before
        if unloaded_bytes == self._unloaded_bytes and lost == self._lost and damaged == self._damaged:
            return False
        self._unloaded_bytes, self._lost, self._damaged = unloaded_bytes, lost, damaged
        return True

    def _tell_faults(self) -> None:
        faults = self._writer.faults
        if faults != self._faults:
            self._faults = faults
            self._tell_all(told(FAULTS, faults))

    def _tell_all(self, data: bytes) -> None:
        for link in self._each:
            self._send(link, data)

    def _send(self, link: Link, data: bytes) -> None:
        if link.socket.fileno() in self._links and not link.send(data):  # else it has been closed meanwhile
            self._wait_for(link)

    def _wait_for(self, link: Link) -> None:
        self._poll.register(link.socket, link.events)

    # -- beginnings and ends ---------------------------------------------------------------------------------------

    def _later(self, work: Callable[[], None]) -> None:
        """From the other thread."""
        self._work.put(work)
        os.eventfd_write(self._wake, 1)

    def _do_work(self) -> None:
        os.eventfd_read(self._wake)
        while True:
            try:
                work = self._work.get_nowait()
            except Empty:
                return
            work()

    def _loaded(self, fault: str) -> None:
        """What an earlier writer has left is in the tables, or cannot be read."""
        self._fault = fault
        self._notes_before = len(self._writer.notes)
        if not fault:
            for link in self._links.values():
                self._receive(link)

    def _greet(self) -> None:
        try:
            hello = next_hello(self._lobby)
        except BlockingIOError:
            return
        if hello is None:
            self._is_lobby_open = False
            self._poll.unregister(self._lobby)
            return
        link = Link(*hello)
        self._links[link.socket.fileno()] = link
        self._each = [*self._links.values()]
        if self._fault is not None:
            self._receive(link)

    def _receive(self, link: Link) -> None:
        """Whoever goes on may send steps at once; whoever begins is handed what was left open.

        Not before all is written that the process has sent in whose place it comes.
        """
        if link.hello.begins and any(self._is_of_last_run(other, link) for other in self._links.values()):
            self._early.append(link)
            return
        self._wait_for(link)
        if self._writer.notes and not link.hello.worker:  # once for each node
            self._send(link, told(NOTES, self._writer.notes))
        if link.hello.begins:
            self._writer.left_rows(
                link.hello.worker, link.hello.workers,
                lambda rows, fault: self._later(lambda: self._hand_over(link, rows, fault)),
            )  # fmt: skip
        else:
            self._send(link, told(BEGUN, ()) + told(FAULTS, self._faults))

    @staticmethod
    def _is_of_last_run(other: Link, link: Link) -> bool:
        return other is not link and other.hello.worker == link.hello.worker

    def _hand_over(self, link: Link, left: LeftRows | None, fault: str) -> None:
        if left is None:
            self._send(link, told(REFUSED, fault))
            return
        link.left = left
        for at in range(0, len(left.rows), ROWS_AT_ONCE):
            self._send(link, told(ROWS, left.rows[at : at + ROWS_AT_ONCE]))
        self._send(link, told(ROWS, []))

    def _begin_run(self, link: Link, read: Reader) -> None:
        assert read.kind == UNREADABLE and link.left is not None
        unreadable, wall_s = content_of(read.content)

        def begun(epoch: int, recent: list[Row], fault: str) -> None:
            self._later(lambda: self._send(link, told(REFUSED, fault) if fault else self._begun(epoch, recent)))

        self._writer.begin_run(link.left, unreadable, wall_s, begun)
        link.left = None

    def _begun(self, epoch: int, recent: list[Row]) -> bytes:
        return told(BEGUN, (epoch, recent)) + told(FAULTS, self._faults)

    def _let_go(self) -> None:
        """Of those that are not open any more, once nothing is left to be said to them."""
        ended = [link for link in self._each if not link.is_open]
        self._has_ended = False
        for link in ended:
            if link.is_done:
                self._close(link)
            else:
                self._has_ended = True
                self._wait_for(link)

    def _close(self, link: Link) -> None:
        descriptor = link.socket.fileno()
        with suppress(KeyError):  # it was to wait
            self._poll.unregister(descriptor)
        del self._links[descriptor]
        self._each = [*self._links.values()]
        link.socket.close()
        early, self._early = self._early, []
        for waiting in early:
            if waiting is not link:
                self._receive(waiting)
