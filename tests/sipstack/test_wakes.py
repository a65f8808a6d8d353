"""Readers that are called from within the selector: none of asyncio's own business waits for them, or they for it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable

from sipstack.aio.loop import NodeLoop
from tests.sipstack.timed_rig import WAIT_S, Ends, run

MANY = 1000


class Reads:
    """A reader that keeps what it reads, and does something more."""

    def __init__(
        self, loop: NodeLoop, near: socket.socket, more: Callable[[bytes], object] = lambda data: None
    ) -> None:
        self._near = near
        self._more = more
        self.found: list[bytes] = []
        loop.add_reader(near, self.read)

    def read(self) -> None:
        data = self._near.recv(100)
        self.found.append(data)
        self._more(data)


def test_what_a_reader_asks_of_the_loop_is_not_kept_waiting(ends: Ends) -> None:
    """With no timer at all the loop would wait for ever, with one until then."""
    near, far = ends

    async def soon(loop: NodeLoop) -> None:
        done = loop.create_future()
        Reads(loop, near, lambda data: done.set_result(None))
        far.send(b"1")
        await done
        loop.remove_reader(near)

    async def later(loop: NodeLoop) -> float:
        done = loop.create_future()
        begun = loop.time()
        Reads(loop, near, lambda data: loop.call_later(0.02, done.set_result, None))
        far.send(b"1")
        await done
        loop.remove_reader(near)
        return loop.time() - begun

    run(soon)
    assert 0.019 < run(later) < WAIT_S / 2


def test_many_reads_take_no_turn_of_the_loop_and_timers_are_on_time_meanwhile(ends: Ends) -> None:
    near, far = ends

    async def story(loop: NodeLoop) -> tuple[int, float]:
        done = loop.create_future()
        begun, turns, turns_of_many = loop.time(), 0, 0

        def more(data: bytes) -> None:
            nonlocal begun, turns_of_many
            if len(reads.found) == MANY:
                begun, turns_of_many = loop.time(), turns
                loop.call_later(0.1, done.set_result, None)
            if not done.done() and loop.time() < begun + WAIT_S / 2:  # until then a timer might wait for the last one
                far.send(b"again")

        reads = Reads(loop, near, more)
        far.send(b"1")
        turn = loop._run_once  # type: ignore[attr-defined]

        def counted() -> None:
            nonlocal turns
            turns += 1
            turn()

        loop._run_once = counted  # type: ignore[attr-defined]
        await done
        took = loop.time() - begun
        loop.remove_reader(near)
        return turns_of_many, took

    turns, took = run(story)
    assert turns < 10 and 0.099 < took < WAIT_S / 2


def test_of_what_can_always_be_read_the_loop_has_its_turn_at_once(ends: Ends) -> None:
    near, far = ends

    async def story(loop: NodeLoop) -> int:
        done = loop.create_future()

        def more(data: bytes) -> None:
            far.send(b"again")
            if len(reads.found) == 10:
                loop.call_soon(lambda: done.set_result(len(reads.found)))

        reads = Reads(loop, near, more)
        far.send(b"1")
        waits = loop.call_later(WAIT_S / 2, done.cancel)
        found: int = await done
        waits.cancel()
        loop.remove_reader(near)
        return found

    assert run(story) == 10


def test_what_is_to_be_done_before_waiting_is_done_once_behind_all_that_was_ready() -> None:
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
    said: list[str] = []

    async def story(loop: NodeLoop) -> None:
        done = loop.create_future()

        def last() -> None:
            said.append("last")
            if said.count("last") == 1:
                loop.before_waiting(last)  # what it asks for itself is done in the same turn
            else:
                done.set_result(None)

        def read(near: socket.socket) -> None:
            said.append(near.recv(100).decode())
            if len(said) == 1:
                loop.before_waiting(last)

        for near, far in pairs:
            loop.add_reader(near, read, near)
            far.send(b"datagram")
        await done
        for near, _ in pairs:
            assert loop.remove_reader(near) and not loop.remove_reader(near)

    run(story)
    assert said == ["datagram", "datagram", "last", "last"]
    for pair in pairs:
        for end in pair:
            end.close()


def test_before_waiting_from_a_turn_of_the_loop() -> None:
    async def story(loop: NodeLoop) -> float:
        done = loop.create_future()
        begun = loop.time()
        loop.before_waiting(lambda: done.set_result(None))
        await done
        return loop.time() - begun

    assert run(story) < WAIT_S / 2


def test_a_reader_that_fails_is_told_of_and_called_again(ends: Ends) -> None:
    near, far = ends
    told: list[str] = []

    async def story(loop: NodeLoop) -> None:
        loop.set_exception_handler(lambda _, about: told.append(repr(about["exception"])))
        done = loop.create_future()

        def more(data: bytes) -> None:
            if data == b"bad":
                raise ValueError("a bug of ours")
            done.set_result(None)

        Reads(loop, near, more)
        far.send(b"bad")
        far.send(b"good")
        await done
        loop.remove_reader(near)

    run(story)
    assert told == ["ValueError('a bug of ours')"]


def test_asyncio_has_its_own_descriptors_threads_and_signals(ends: Ends) -> None:
    near, far = ends

    async def story(loop: NodeLoop) -> list[object]:
        heard = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, heard.set)
        reading = asyncio.ensure_future(loop.sock_recv(far, 100))
        Reads(loop, near, lambda data: near.send(data + b" back"))
        await asyncio.sleep(0)
        await loop.sock_sendall(far, b"there")  # the same descriptor is read and written by asyncio
        found: list[object] = [await reading]
        assert far.fileno() not in loop._selector.get_map()  # type: ignore[attr-defined]
        found.append(await loop.run_in_executor(None, threading.get_ident) != threading.get_ident())
        threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        await heard.wait()
        loop.remove_reader(near)
        return found

    assert run(story) == [b"there back", True]


class Hears(asyncio.Protocol):
    """The end of a stream as asyncio reads it; it is told more so many times."""

    def __init__(self, heard: list[bytes], far: socket.socket, times: int = 0) -> None:
        self._heard = heard
        self._far = far
        self._left = times

    def data_received(self, data: bytes) -> None:
        self._heard.append(data)
        if self._left:
            self._left -= 1
            self._far.send(b"more")


def test_what_was_ready_first_is_heard_first_whoever_reads_it(ends: Ends) -> None:
    near, far = ends
    stream, peer = socket.socketpair()
    heard: list[bytes] = []

    async def story(loop: NodeLoop) -> None:
        transport, _ = await loop.create_connection(lambda: Hears(heard, peer), sock=stream)
        Reads(loop, near, heard.append)
        await asyncio.sleep(0.01)
        peer.send(b"first")
        far.send(b"second")
        await asyncio.sleep(0.01)
        loop.remove_reader(near)
        transport.close()

    run(story)
    peer.close()
    assert heard == [b"first", b"second"]


def test_a_stream_that_goes_on_and_on_keeps_no_reader_waiting(ends: Ends) -> None:
    near, far = ends
    stream, peer = socket.socketpair()
    heard: list[bytes] = []

    async def story(loop: NodeLoop) -> None:
        transport, _ = await loop.create_connection(lambda: Hears(heard, peer, MANY), sock=stream)
        reads = Reads(loop, near, lambda data: heard.append(b"datagram"))
        await asyncio.sleep(0.01)
        peer.send(b"more")
        far.send(b"1")
        while len(heard) < MANY + 2:
            await asyncio.sleep(0.01)
        assert len(reads.found) == 1
        loop.remove_reader(near)
        transport.close()

    run(story)
    peer.close()
    assert heard.index(b"datagram") < 10


def test_a_descriptor_that_is_read_by_itself_may_wait_for_room_by_asyncio(ends: Ends) -> None:
    near, far = ends

    async def story(loop: NodeLoop) -> list[bytes]:
        writable = asyncio.Event()
        reads = Reads(loop, near)
        loop.add_writer(near, writable.set)
        await writable.wait()
        loop.remove_writer(near)
        far.send(b"still read")
        await asyncio.sleep(0.01)
        loop.remove_reader(near)
        far.send(b"nobody reads")
        await asyncio.sleep(0.01)
        return reads.found

    assert run(story) == [b"still read"]


def test_a_reader_may_take_another_away_that_is_ready_too() -> None:
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
    read: list[bytes] = []

    async def story(loop: NodeLoop) -> None:
        def take(near: socket.socket) -> None:
            read.append(near.recv(100))
            for other, _ in pairs:
                loop.remove_reader(other)

        for near, far in pairs:
            loop.add_reader(near, take, near)
            far.send(b"datagram")
        await asyncio.sleep(0.01)

    run(story)
    assert read == [b"datagram"]
    for pair in pairs:
        for end in pair:
            end.close()


def test_its_time_is_that_of_asyncio() -> None:
    async def story(loop: NodeLoop) -> bool:
        before = asyncio.SelectorEventLoop.time(loop)
        return before <= loop.time() <= asyncio.SelectorEventLoop.time(loop)

    assert run(story)
