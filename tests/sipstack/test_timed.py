"""What keeps its time with the selector: called when it is due, without a turn of the loop, and in nobody's way."""

from __future__ import annotations

import asyncio
import socket

from sipstack.aio.endpoint import Endpoint
from sipstack.aio.loop import NodeLoop
from sipstack.aio.udp import open_udp
from sipstack.events import Flow, Output, SendMessage
from sipstack.testing.doubles import Note
from tests.sipstack.endpoint_rig import NOWHERE, Fault, Rig, raw_socket, read
from tests.sipstack.timed_rig import WAIT_S, Alarm, Ends, Turns, run, served

# ---------------------------------------------------------------------- the selector


def test_each_time_is_kept_without_a_turn_of_the_loop_and_never_early() -> None:
    async def story(loop: NodeLoop) -> tuple[list[float], int]:
        done = loop.create_future()
        turns = Turns(loop)
        alarm = Alarm([number / 1000 for number in range(50)], lambda: done.set_result(None) if alarm.is_over else None)
        last = Alarm([0.03])  # due before the last one of those: it is called in the same look at the latest
        loop.wakes.keep_time(alarm)
        loop.wakes.keep_time(last)
        await done
        await asyncio.sleep(0)
        assert len(last.late) == 1
        loop.wakes.keep_no_time(last)
        loop.wakes.keep_no_time(alarm)
        return alarm.late, turns.count

    late, turns = run(story)
    assert len(late) == 50 and min(late) >= 0.0
    assert turns < 10


def test_nobody_is_called_who_keeps_no_time_any_more() -> None:
    async def story(loop: NodeLoop) -> list[float]:
        second = Alarm([0.0])
        first = Alarm([0.0], lambda: loop.wakes.keep_no_time(first))
        gone = Alarm([0.01])
        for one in (first, gone, second):
            loop.wakes.keep_time(one)
        loop.wakes.keep_no_time(gone)
        await asyncio.sleep(0.05)
        return [len(one.late) for one in (first, gone, second)]

    assert run(story) == [1, 0, 1]


def test_what_is_ready_is_read_first_and_what_a_time_asks_for_is_done_before_waiting(ends: Ends) -> None:
    near, far = ends
    said: list[str] = []

    async def story(loop: NodeLoop) -> None:
        done = loop.create_future()

        def last() -> None:
            said.append("before waiting")
            if said.count("before waiting") == 2:
                done.set_result(None)

        def come() -> None:
            said.append("time")
            loop.before_waiting(last)

        def take() -> None:
            said.append(near.recv(100).decode())
            loop.before_waiting(last)
            alarm.set(0.005)
            alarm.stand_still()

        alarm = Alarm([], come)
        loop.add_reader(near, take)
        loop.wakes.keep_time(alarm)
        far.send(b"datagram")
        await done
        loop.remove_reader(near)

    run(story)
    assert said == ["datagram", "before waiting", "time", "before waiting"]


def test_what_reads_without_end_keeps_no_time_waiting(ends: Ends) -> None:
    """Of asyncio's own as well as of ours."""
    near, far = ends

    async def story(loop: NodeLoop) -> bool:
        stream, peer = socket.socketpair()

        class Hears(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                peer.send(b"more")

        def read() -> None:
            near.recv(100)
            far.send(b"again")

        transport, _ = await loop.create_connection(Hears, sock=stream)
        loop.add_reader(near, read)
        far.send(b"1")
        peer.send(b"1")
        alarm = Alarm([0.01])
        loop.wakes.keep_time(alarm)
        ends_s = loop.time() + WAIT_S / 2
        while not alarm.late and loop.time() < ends_s:
            await asyncio.sleep(0.001)
        loop.remove_reader(near)
        transport.close()
        peer.close()
        return bool(alarm.late)

    assert run(story)


def test_one_that_is_always_due_keeps_nobody_waiting(ends: Ends) -> None:
    near, far = ends

    async def story(loop: NodeLoop) -> tuple[bytes, int]:
        read = loop.create_future()
        loop.add_reader(near, lambda: read.set_result(near.recv(100)))
        always = Alarm([0.0] * 1_000_000)
        loop.wakes.keep_time(always)
        loop.call_later(0.01, far.send, b"datagram")
        data: bytes = await read
        loop.remove_reader(near)
        await asyncio.sleep(0.01)  # and the loop has its turns
        loop.wakes.keep_no_time(always)
        return data, len(always.late)

    data, calls = run(story)
    assert data == b"datagram" and calls > 1


def test_a_loop_that_is_always_asked_for_keeps_no_time_waiting() -> None:
    async def story(loop: NodeLoop) -> bool:
        alarm = Alarm([0.01])
        loop.wakes.keep_time(alarm)
        ends = loop.time() + WAIT_S / 2
        while not alarm.late and loop.time() < ends:
            await asyncio.sleep(0)
        return bool(alarm.late)

    assert run(story)


def test_one_that_fails_is_told_of_and_called_again() -> None:
    told: list[str] = []

    async def story(loop: NodeLoop) -> int:
        loop.set_exception_handler(lambda _, about: told.append(repr(about["exception"])))

        def fail() -> None:
            raise ValueError("a bug of ours")

        alarm = Alarm([0.0, 0.001], fail)
        loop.wakes.keep_time(alarm)
        await asyncio.sleep(0.02)
        return len(alarm.late)

    assert run(story) == 2
    assert told == ["ValueError('a bug of ours')"] * 2


# ---------------------------------------------------------------------- an endpoint


def test_the_timer_of_an_endpoint_takes_no_turn(host: str) -> None:
    async def story(loop: NodeLoop) -> tuple[list[str], int]:
        rig = served(host)
        turns = Turns(loop)

        def again(data: bytes, flow: Flow) -> list[Output]:
            if len(rig.core.calls) < 20:
                rig.core.deadline = loop.time() + 0.001
            return [Note("timer")]

        rig.core.answer = again
        rig.core.deadline = loop.time() + 0.001
        await rig.core.until(20)
        rig.endpoint.close()
        assert rig.notes == ["timer"] * 20 and rig.faults == []
        return rig.core.calls, turns.count

    calls, turns = run(story)
    assert calls == ["timer"] * 20
    assert turns < 40  # each call has woken up the story, and nobody else


def test_a_timer_that_a_datagram_sets_or_a_fault_leaves_is_kept(host: str) -> None:
    async def story(loop: NodeLoop) -> tuple[list[str], list[str]]:
        rig = Rig()
        transport = open_udp(rig.endpoint, host, 0)

        def answer(data: bytes, flow: Flow) -> list[Output]:
            if data == b"timer":
                return [SendMessage(b"fired", sender)]
            rig.core.deadline = loop.time()
            if data == b"bug":
                raise Fault("in receive")
            return [SendMessage(data, flow)]

        rig.core.answer = answer
        with raw_socket(host) as peer:
            sender = Flow("UDP", *peer.getsockname())
            found = []
            for data in (b"good", b"bug"):
                peer.sendto(data, transport.local)
                while not found or found[-1] != b"fired":
                    found.append(await read(peer))
                found.append(b"")
        rig.endpoint.close()
        assert found == [b"good", b"fired", b"", b"fired", b""]
        return rig.core.calls, rig.faults

    calls, faults = run(story)
    assert calls == ["receive good", "timer", "receive bug", "timer"]
    assert faults == ["in receive"]


def test_a_bug_in_a_timer_is_told_and_the_next_one_comes(host: str) -> None:
    async def story(loop: NodeLoop) -> tuple[list[str], list[str]]:
        rig = served(host)

        def fail(data: bytes, flow: Flow) -> list[Output]:
            if len(rig.core.calls) < 2:
                rig.core.deadline = loop.time()
            raise Fault("in a timer")

        rig.core.answer = fail
        rig.core.deadline = loop.time()
        await rig.core.until(2)
        rig.endpoint.close()
        return rig.core.calls, rig.faults

    assert run(story) == (["timer"] * 2, ["in a timer"] * 2)


def test_a_closed_endpoint_has_no_time_and_the_others_keep_theirs(host: str) -> None:
    async def story(loop: NodeLoop) -> tuple[list[str], list[str]]:
        closed, stays = served(host), served(host)
        for rig in (closed, stays):
            rig.core.deadline = loop.time() + 0.01
        closed.endpoint.perform([SendMessage(b"x", NOWHERE)])  # whose failure is still to be told
        closed.endpoint.close()
        closed.endpoint.close()
        await stays.core.until(1)
        await asyncio.sleep(0.01)
        stays.endpoint.close()
        return closed.core.calls, stays.core.calls

    assert run(story) == ([], ["timer"])


def test_an_endpoint_that_is_closed_by_its_own_timer(host: str) -> None:
    async def story(loop: NodeLoop) -> list[str]:
        rig = served(host)
        endpoint: Endpoint = rig.endpoint

        def close(data: bytes, flow: Flow) -> list[Output]:
            endpoint.close()
            rig.core.deadline = loop.time()
            return []

        rig.core.answer = close
        rig.core.deadline = loop.time()
        await rig.core.until(1)
        await asyncio.sleep(0.01)
        return rig.core.calls

    assert run(story) == ["timer"]


def test_an_endpoint_without_a_socket_is_closed() -> None:
    async def story(loop: NodeLoop) -> int:
        rig = Rig()
        rig.endpoint.close()
        rig.core.deadline = loop.time()
        await asyncio.sleep(0.01)
        return len(rig.core.calls)

    assert run(story) == 0
