"""What `datagrams.c` makes, where the build has compiled it: `PlainDatagrams` of `sipstack.aio.udp` and `PlainReady` of
`sipstack.aio.wakes`, in C."""

from collections.abc import Callable
from typing import final

from sipstack.events import Flow

@final
class Datagrams:
    """Of a UDP socket that does not block, by its descriptor and family; who has opened it closes it.

    `make` is asked for the flow of a host and a port from which something has come. The last ones are remembered, so
    that one far end has one flow.
    """

    def __init__(self, descriptor: int, family: int, make: Callable[[str, int], Flow], /) -> None: ...
    def receive(self) -> tuple[bytes, Flow] | None:
        """The datagram that waits and where it is from; None when none does. Raises OSError."""

    def send(self, data: bytes, host: str, port: int, /) -> int:
        """0, or an errno; -1 without a try where the host is not an address as inet_pton takes it for this family."""

@final
class Ready:
    """Of an epoll by its descriptor; who has opened it closes it."""

    def __init__(self, epoll: int, /) -> None: ...
    def wait(self, left_s: float, /) -> int:
        """As `PlainReady.wait`."""

    def next(self) -> int:
        """As `PlainReady.next`."""
