"""The sockets of several workers, opened once by the process above them, which keeps them open for all of its life.

So the place of a socket in its group stays the same, and what comes while a worker is started again waits for it, as
much as the buffers hold.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Final, final

from engine.config.models import Config
from engine.core.listeners import Listener
from engine.listening import bind_listener, tls_contexts
from engine.steering.group import steer
from engine.steering.passed import Passed

# Room for what others hand to one worker; the kernel caps it as it likes (net.core.wmem_max).
SEND_BUFFER_BYTES: Final = 4 * 1024 * 1024


@final
class SharedSockets:
    """For each worker its UDP sockets and an inbox; stream listeners for all."""

    def __init__(self, config: Config, workers: int, warn: Callable[..., None]) -> None:
        """Reads certificates, binds, steers. Raises ConfigError and ListenError, and then no socket is left.

        `warn` is told where the kernel cannot steer.
        """
        self._workers: Final = workers
        self._shown: Final = [listen.shown for listen in config.listen]
        self._listeners: Final[list[list[socket.socket]]] = []
        self._mail: Final[list[tuple[socket.socket, socket.socket]]] = []  # into which a worker's mail goes, and out of
        tls_contexts(config)
        try:
            for listener, name in zip(config.listeners, self._shown, strict=True):
                bound = bind_listener(listener, name, config.sip.dscp, workers)
                self._listeners.append(bound)
                if listener.transport == "UDP":
                    try:
                        steer(bound, Listener(listener).via_start)
                    except OSError as error:
                        warn("the kernel does not steer: workers hand messages on", listener=name, reason=str(error))
            for _ in range(workers):
                self._mail.append(_mailbox())
        except BaseException:
            self.close()
            raise

    @property
    def shown(self) -> str:
        """`udp:127.0.0.1:5060,tcp:127.0.0.1:5060`."""
        return ",".join(self._shown)

    def passed(self, worker: int) -> Passed:
        """What a worker is handed, each time it is started."""
        mine = [bound[worker if len(bound) > 1 else 0].fileno() for bound in self._listeners]
        outboxes = [None if one == worker else self._mail[one][0].fileno() for one in range(self._workers)]
        return Passed(worker, self._workers, tuple(mine), self._mail[worker][1].fileno(), tuple(outboxes))

    def close(self) -> None:
        """Closes all of them, once no worker is started any more."""
        for bound in self._listeners:
            for one in bound:
                one.close()
        for sender, receiver in self._mail:
            sender.close()
            receiver.close()


def _mailbox() -> tuple[socket.socket, socket.socket]:
    """Two ends of one way: all others write to the first, its owner reads from the second.

    How much it holds is up to the buffer of the first one alone: a pair has no short queue, as sockets with names have.
    """
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for end in (sender, receiver):
        end.setblocking(False)
    with contextlib.suppress(OSError):
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    return sender, receiver
