"""What is ready, told in C and by Python's epoll: the same descriptors, in as much time."""

from __future__ import annotations

import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import pytest

from sipstack.aio import wakes
from sipstack.aio.wakes import NONE, PlainReady
from tests.sipstack.scans import compile_c

MANY: Final = 70  # more than one look tells of


class Ready(Protocol):
    """Either of them."""

    def wait(self, left_s: float, /) -> int: ...
    def next(self) -> int: ...


@pytest.fixture(scope="module")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The one that the selector uses, or would use."""
    assert (wakes._IN_C is None) == str(wakes.__file__).endswith(".py")
    return wakes._IN_C or compile_c("sipstack.aio.datagrams", tmp_path_factory.mktemp("c")).Ready


@pytest.fixture
def epoll() -> Iterator[select.epoll]:
    with select.epoll() as made:
        yield made


@pytest.fixture(params=["in C", "plain"])
def ready(request: pytest.FixtureRequest, in_c: Any, epoll: select.epoll) -> Ready:
    made: Ready = in_c(epoll.fileno()) if request.param == "in C" else PlainReady(epoll)
    return made


@pytest.fixture
def pairs(epoll: select.epoll) -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    made = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(MANY)]
    for near, _ in made:
        epoll.register(near, select.EPOLLIN)
    yield made
    for near, far in made:
        near.close()
        far.close()


def took(wait: Callable[[], int]) -> tuple[int, float]:
    begun = time.monotonic()
    return wait(), time.monotonic() - begun


def look(ready: Ready, left_s: float) -> list[int]:
    """All that one look tells of."""
    found = [ready.wait(left_s)]
    while found[-1] != NONE:
        found.append(ready.next())
    return found[:-1]


Pairs = list[tuple[socket.socket, socket.socket]]


def test_nothing_is_ready(ready: Ready, pairs: Pairs) -> None:
    assert (ready.wait(0.0), ready.next(), ready.next()) == (NONE, NONE, NONE)


@pytest.mark.parametrize("left_s", [0.0001, 0.003, 0.0201, 0.05])
def test_it_waits_as_long_and_never_shorter(ready: Ready, left_s: float) -> None:
    found, seconds = took(lambda: ready.wait(left_s))
    assert found == NONE and left_s <= seconds < left_s + 10.0


@pytest.mark.parametrize("left_s", [0.0, 5.0, 3600.0])
def test_what_is_ready_is_told_at_once_and_once_a_look(ready: Ready, pairs: Pairs, left_s: float) -> None:
    for at in (3, 1, 2):
        pairs[at][1].send(b"datagram")
    for _ in range(2):  # until it is read
        assert sorted(look(ready, left_s)) == sorted(pairs[at][0].fileno() for at in (1, 2, 3))
    pairs[1][0].recv(100)
    assert sorted(look(ready, left_s)) == sorted(pairs[at][0].fileno() for at in (2, 3))


def test_a_new_look_forgets_the_last_one(ready: Ready, pairs: Pairs) -> None:
    for near, far in pairs[:3]:
        far.send(b"datagram")
        assert ready.wait(0.0) != NONE
        near.recv(100)
    assert (ready.wait(0.0), ready.next()) == (NONE, NONE)


def test_of_many_the_next_look_tells_of_the_others(ready: Ready, pairs: Pairs) -> None:
    for _, far in pairs:
        far.send(b"datagram")
    told = look(ready, 0.0)
    by_number = {near.fileno(): near for near, _ in pairs}
    assert len(told) < MANY
    for number in told:
        by_number.pop(number).recv(100)
    assert sorted(look(ready, 0.0)) == sorted(by_number)


def test_a_far_end_that_has_gone_is_told(ready: Ready, epoll: select.epoll) -> None:
    near, far = socket.socketpair()
    with near:
        epoll.register(near, select.EPOLLIN)
        far.close()
        assert look(ready, 0.0) == [near.fileno()]


def test_a_signal_is_handled_meanwhile(ready: Ready) -> None:
    heard: list[float] = []
    before = signal.signal(signal.SIGALRM, lambda *_: heard.append(time.monotonic()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        ends = time.monotonic() + 30.0
        while not heard and time.monotonic() < ends:
            assert ready.wait(0.2) == NONE
        assert heard
    finally:
        signal.signal(signal.SIGALRM, before)


def test_what_a_signal_raises_comes_out(ready: Ready) -> None:
    def interrupt(*_: object) -> None:
        raise InterruptedError("a signal")

    def wait() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        ready.wait(30.0)

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(InterruptedError, match="a signal"):
            wait()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_threads_go_on_meanwhile(ready: Ready, pairs: Pairs) -> None:
    late = threading.Timer(0.02, pairs[0][1].send, (b"from a thread",))
    late.start()
    assert ready.wait(30.0) == pairs[0][0].fileno()
    late.join()


def test_what_is_no_epoll_is_an_error(in_c: Any) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        in_c(-1).wait(0.0)


@pytest.mark.parametrize("arguments", [(), ("3",), (3, 4), (None,)])
def test_what_is_no_descriptor_and_no_time_is_a_type_error(in_c: Any, arguments: tuple[object, ...]) -> None:
    with pytest.raises(TypeError):
        in_c(*arguments)
    with pytest.raises(TypeError):
        in_c(0).wait("soon")
    with pytest.raises(TypeError):
        in_c(epoll=0)
