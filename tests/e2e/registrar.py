"""A registrar for a phone that insists on one, and sends it whatever else it has to say: that is passed on."""

from __future__ import annotations

import socket
import threading

from scenarios.rig.place import PORT
from scenarios.rig.seen import Seen
from tests.e2e.datagrams import udp_socket

REGISTRAR_PORT = 5062
_END = b""  # a datagram that nobody else sends


class Registrar(threading.Thread):
    """One UDP socket on the phone's own host: what the phone says comes from there, as the node sees it.

    It takes every REGISTER, and passes anything else on between phone and node.
    """

    def __init__(self, host: str, node: str) -> None:
        super().__init__(name="registrar", daemon=True)
        self.address = (host, REGISTRAR_PORT)
        self.contacts: list[str] = []  # of each REGISTER, in order; "" of one that ends the registration
        self._node = (node, PORT)
        self._phone = ("", 0)
        self._socket = udp_socket(*self.address)
        self._socket.settimeout(None)

    def run(self) -> None:
        """Until `close`."""
        while (received := self._socket.recvfrom(65_536))[0] != _END:
            data, source = received
            if data.startswith(b"REGISTER "):
                self._phone = source
                self._socket.sendto(self._register(Seen(0.0, False, data)), source)
            else:
                self._socket.sendto(data, self._phone if source == self._node else self._node)

    def close(self) -> None:
        """Ends the thread, then the socket."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(_END, self.address)
        self.join()
        self._socket.close()

    def _register(self, request: Seen) -> bytes:
        """200 (RFC 3261 §10.3), whoever it is."""
        expires, contact = request.value("Expires"), request.value("Contact")
        self.contacts.append("" if expires == "0" else contact)
        lines = [
            "SIP/2.0 200 OK",
            f"Via: {request.value('Via')}",
            f"From: {request.value('From')}",
            f"To: {request.value('To')};tag=registrar",
            f"Call-ID: {request.value('Call-ID')}",
            f"CSeq: {request.value('CSeq')}",
            *([f"Contact: {contact};expires={expires}"] if self.contacts[-1] else []),
            "Content-Length: 0",
        ]
        return "\r\n".join([*lines, "", ""]).encode()
