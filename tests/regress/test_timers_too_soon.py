"""The endpoint's timer, once the selector kept it, fired before there was a socket and before what had come was read.

Calls that had been taken over were given up, since nothing could be sent for them yet; and a node that had stood still
took for missing what lay in its sockets.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from time import monotonic

import pytest

from sipstack.aio.loop import NodeLoop
from sipstack.aio.udp import open_udp
from tests.sipstack.endpoint_rig import Rig, own_address
from tests.sipstack.timed_rig import Alarm, Ends, last_word, run


def test_no_timer_fires_before_there_is_a_socket(request: pytest.FixtureRequest) -> None:
    """What calls of the last run are asked then would be undeliverable, and they would be given up."""

    async def story(loop: NodeLoop) -> tuple[list[str], list[str]]:
        rig = Rig()
        rig.core.deadline = loop.time()
        await asyncio.sleep(0.02)
        before = list(rig.core.calls)
        open_udp(rig.endpoint, own_address(request), 0)
        await rig.core.until(1)
        rig.endpoint.close()
        return before, rig.core.calls

    assert run(story) == ([], ["timer"])


@pytest.mark.parametrize("count", [1, 5])
def test_what_has_come_during_a_long_turn_is_read_before_what_is_due_since(ends: Ends, count: int) -> None:
    """The process may have stood still: an answer that is there is no answer that is missing. A reader reads so much
    and no more each time that it is called."""
    near, far = ends
    said: list[str] = []

    async def story(loop: NodeLoop) -> None:
        done, alarm = last_word(loop, said)

        def stand_still() -> None:
            for _ in range(count):
                far.send(b"datagram")
            alarm.set(0.005)
            alarm.stand_still()

        loop.add_reader(near, lambda: said.append(near.recv(100).decode()))
        loop.call_soon(stand_still)
        await done
        loop.remove_reader(near)

    run(story)
    assert said == ["datagram"] * count + ["time"]


def test_what_has_come_to_asyncio_is_heard_before_what_is_due_since(ends: Ends) -> None:
    near, far = ends
    said: list[str] = []

    async def story(loop: NodeLoop) -> None:
        done, alarm = last_word(loop, said)

        class Hears(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: object) -> None:
                said.append(data.decode())

        def stand_still() -> None:
            far.send(b"datagram")
            alarm.set(0.005)
            alarm.stand_still()

        transport, _ = await loop.create_datagram_endpoint(Hears, sock=near)
        await asyncio.sleep(0.001)  # it listens from now on
        loop.call_soon(stand_still)
        await done
        transport.close()

    run(story)
    assert said == ["datagram", "time"]


def test_a_time_that_follows_a_long_one_is_kept() -> None:
    """Only what is done takes its time, and not once more as long."""

    async def story(loop: NodeLoop) -> float:
        done = loop.create_future()

        def take_long() -> None:
            ends_s = monotonic() + 0.2
            while monotonic() < ends_s:
                pass

        second = Alarm([0.21], lambda: done.set_result(None))
        loop.wakes.keep_time(Alarm([0.0], take_long))
        loop.wakes.keep_time(second)
        await done
        return second.late[0]

    assert min(run(story) for _ in range(5)) < 0.15


def test_who_is_held_up_while_it_waits_reads_first(ends: Ends) -> None:
    """As one that is stopped and goes on: its wait is over, and nothing has been looked at."""
    near, far = ends
    said: list[str] = []

    async def story(loop: NodeLoop) -> None:
        done, alarm = last_word(loop, said)

        def stand_still(*_: object) -> None:
            far.send(b"datagram")
            alarm.stand_still()

        before = signal.signal(signal.SIGUSR1, stand_still)
        try:
            loop.add_reader(near, lambda: said.append(near.recv(100).decode()))
            alarm.set(0.2)
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
            await done
        finally:
            signal.signal(signal.SIGUSR1, before)
        loop.remove_reader(near)

    run(story)
    assert said == ["datagram", "time"]
