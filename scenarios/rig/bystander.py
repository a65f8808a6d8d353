"""An address at which nobody may hear anything, or at which a host is that never answers."""

from __future__ import annotations

import socket
import time
from typing import Final

from scenarios.rig.errors import RigError
from scenarios.rig.place import PORT
from scenarios.rig.seen import Seen

_LARGEST: Final = 65_536


class Bystander:
    """A bound socket that says nothing, and what has come to it."""

    def __init__(self, host: str, port: int = PORT) -> None:
        """Raises RigError when somebody else has the address."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind((host, port))
        except OSError as error:
            self._socket.close()
            raise RigError(f"cannot listen on {host}:{port}: {error.strerror}") from None
        self._socket.setblocking(False)

    def heard(self) -> list[Seen]:
        """All that has come; when each came is not known."""
        heard: list[Seen] = []
        try:
            while True:
                heard.append(Seen(time.time(), False, self._socket.recv(_LARGEST)))
        except BlockingIOError:
            return heard

    def close(self) -> None:
        """Lets go of the address."""
        self._socket.close()
