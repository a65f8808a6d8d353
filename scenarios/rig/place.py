"""Loopback addresses that one node and its parties have for themselves."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from scenarios.rig.errors import RigError

PORT: Final = 5060
INBOX_PORT: Final = 5070  # where messages are taken when calls have a program of their own on the same host
_PLACES: Final = 250


@dataclass(frozen=True)
class Place:
    """Addresses that only one node uses: `node` is ours, every other host is one party."""

    prefix: str  # the first three octets

    def host(self, last: int) -> str:
        """One address of the place; from 20 on they mean nothing to the node's configuration."""
        return f"{self.prefix}.{last}"

    @property
    def node(self) -> str:
        """Where the node listens."""
        return self.host(1)

    @property
    def caller(self) -> str:
        """The trunk of the numbers 138..."""
        return self.host(12)

    @property
    def callee(self) -> str:
        """The trunk of all other numbers."""
        return self.host(13)

    @property
    def second(self) -> str:
        """A further host of the callee's trunk: the numbers 137... are tried here first."""
        return self.host(14)

    @property
    def stranger(self) -> str:
        """A host that no peer matches."""
        return self.host(19)

    def host_of(self, number: str) -> str:
        """The trunk on which a real number lives, or a 700 number calls."""
        return self.caller if number.startswith(("138", "700")) else self.callee

    def filled(self, text: str) -> str:
        """`text` with the hosts in the place of {node}, {caller}, {callee} and {second}."""
        for name in ("node", "caller", "callee", "second"):
            text = text.replace(f"{{{name}}}", getattr(self, name))
        return text


class Places:
    """Hands out places: the second octet is the process's own, the third counts up and skips what is in use."""

    def __init__(self, second: int) -> None:
        """`second` is the second octet."""
        self._second = second
        self._third = os.getpid() % _PLACES  # two runs on one machine begin at different places
        self._lock = threading.Lock()
        self._guards: dict[str, int] = {}  # open files, by prefix

    def take(self) -> Place:
        """The next place that is free; nobody else is given it until it is given back. Raises RigError."""
        with self._lock:
            for _ in range(_PLACES):
                self._third = (self._third + 1) % _PLACES
                place = Place(f"127.{self._second}.{self._third}")
                # Reserved first: to try an address takes it for a moment, which must not be another process's moment.
                if self._reserves(place):
                    if all(is_free(place.host(last)) for last in (1, 12, 13, 14, 19)):
                        return place
                    self._gives_back(place)
        raise RigError(
            f"no loopback address 127.{self._second}.*:{PORT} is free: does a SIP server listen on 0.0.0.0:{PORT}?"
        )

    def give_back(self, place: Place) -> None:
        """Nothing uses it any more. What is never given back is held until the process ends."""
        with self._lock:
            self._gives_back(place)

    def _gives_back(self, place: Place) -> None:
        os.close(self._guards.pop(place.prefix))

    def _reserves(self, place: Place) -> bool:
        """Holds one of its addresses; False when another one holds it."""
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as guard:
            try:
                guard.bind((place.host(2), PORT))
            except OSError:
                return False
            self._guards[place.prefix] = guard.detach()
        return True


def is_free(host: str, port: int = PORT) -> bool:
    """True when nobody holds this UDP address. To ask takes it for a moment: not while somebody else is about to."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
