"""The two parties of a black-box test: plain UDP sockets that keep every byte, and plant words that must not cross."""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from engine.leaktest.canaries import Canaries
from engine.leaktest.scan import Scanner
from scenarios.rig.place import PORT
from scenarios.rig.seen import Seen

PATIENCE_S: Final = 30.0  # for anything that a node that lives is to send, on a machine that is busy with other things
SDP_TYPE: Final = "application/sdp"

# Where media goes is the ends' own business (docs/privacy.md).
_MEDIA_LINES: Final = (b"c=", b"a=candidate:")


class NothingCame(AssertionError):
    """What a test waits for has not come."""


@dataclass(eq=False)
class Party:
    """One side: what names it, its socket, and all that it sent and received since `begin`."""

    name: str
    host: str
    port: int
    number: str  # real, canonical
    canaries: Canaries
    node: tuple[str, int]
    socket: socket.socket = field(init=False)
    capture: list[Seen] = field(default_factory=list)
    fresh: list[Seen] = field(default_factory=list)  # received, not asked for yet; without repeats
    old: set[str] = field(default_factory=set)  # Call-IDs of tests before this one
    scanner: Scanner = field(default_factory=Scanner)
    transport = "UDP"

    def __post_init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.host, self.port))
        self.scanner.add(self.number)

    def begin(self) -> None:
        """Forgets what the tests before have left."""
        self.take_in()
        self.old |= {seen.call_id for seen in self.capture if seen.call_id}
        self.capture.clear()
        self.fresh.clear()
        self.scanner = Scanner()
        self.scanner.add(self.number)

    @property
    def sent_by(self) -> str:
        """For Via and Contact."""
        return f"{self.host}:{self.port}"

    @property
    def contact(self) -> str:
        """Where it takes requests."""
        parameter = "" if self.transport == "UDP" else f";transport={self.transport.lower()}"
        return f"<sip:{self.number}@{self.sent_by}{parameter}>"

    @property
    def sockets(self) -> list[socket.socket]:
        """What something may be read from."""
        return [self.socket]

    def close(self) -> None:
        self.socket.close()

    @property
    def received(self) -> list[Seen]:
        """All that came since `begin`, repeats too."""
        return [seen for seen in self.capture if not seen.is_sent]

    @property
    def texts(self) -> list[str]:
        """A ladder of what came: "100 INVITE", "BYE"."""
        return [seen.shown for seen in self.received]

    def word(self) -> str:
        """A word that the other side must not see."""
        word = self.canaries.word()
        self.scanner.add(word)
        return word

    def send(self, data: bytes | str, to: tuple[str, int] | None = None) -> Seen:
        """One datagram to the node."""
        octets = data if isinstance(data, bytes) else data.encode()
        seen = Seen(time.monotonic(), True, octets)  # before: what it starts cannot be early then
        self.socket.sendto(octets, to or self.node)
        self.capture.append(seen)
        return seen

    def take_in(self) -> None:
        """Everything that waits in the socket."""
        while select.select([self.socket], [], [], 0)[0]:
            self.heard(self.socket.recv(65_536))

    def heard(self, data: bytes) -> None:
        """One message has come."""
        seen = Seen(time.monotonic(), False, data)
        if seen.call_id in self.old:
            return
        if data not in [before.data for before in self.capture if not before.is_sent]:
            self.fresh.append(seen)
        self.capture.append(seen)

    def copies(self, message: Seen) -> list[float]:
        """When these very bytes came, in monotonic seconds."""
        return [seen.at_s for seen in self.received if seen.data == message.data]

    def answer(
        self,
        request: Seen,
        status: int,
        *rows: str,
        tag: str = "",
        body: bytes = b"",
        contact: str | None = "",
        content_type: str = SDP_TYPE,
    ) -> bytes:
        """A response to a request of the node; its phrase and Server are words of this party's."""
        to = request.value("To")
        if "tag=" not in to and status > 100:
            to = f"{to};tag={tag or self.word()}"
        lines = [f"SIP/2.0 {status} {self.word()}"]
        lines += [f"Via: {via}" for via in request.values("Via")]
        lines += [f"Record-Route: {route}" for route in request.values("Record-Route")]
        lines += [f"From: {request.value('From')}", f"To: {to}", f"Call-ID: {request.call_id}"]
        lines.append(f"CSeq: {request.value('CSeq')}")
        if contact is not None and request.method not in ("BYE", "CANCEL", "MESSAGE") and 100 < status < 300:
            lines.append(f"Contact: {contact or self.contact}")
        lines += [*rows, f"Server: {self.word()}"]
        return written(lines, body, content_type)

    def description(self, port: int = 4000) -> bytes:
        """An SDP body; its name and session are words of this party's."""
        lines = (
            "v=0", f"o={self.word()} 1 1 IN IP4 {self.host}", f"s={self.word()}", f"c=IN IP4 {self.host}", "t=0 0",
            f"m=audio {port} RTP/AVP 8", "a=rtpmap:8 PCMA/8000",
        )  # fmt: skip
        return "\r\n".join(lines).encode() + b"\r\n"


def written(lines: Iterable[str], body: bytes = b"", content_type: str = SDP_TYPE) -> bytes:
    """A whole message of its lines and its body."""
    kind = [f"Content-Type: {content_type}"] if body else []
    return "\r\n".join([*lines, *kind, f"Content-Length: {len(body)}", "", ""]).encode() + body


def crossed(receiver: Party, other: Party, hosts: Iterable[str]) -> list[str]:
    """What `receiver` got that tells it about `other`: number and words in any spelling, and its hosts."""
    names = "|".join(re.escape(host) for host in hosts)
    host = re.compile(rf"(?<![0-9.])(?:{names})(?![0-9])".encode())
    found = []
    for data in dict.fromkeys(seen.data for seen in receiver.received):
        shown = Seen(0.0, False, data).shown
        found += [f"{shown}: {value} ({spelling})" for value, spelling in other.scanner.find(data).items()]
        lines = [line for line in data.split(b"\r\n") if not line.startswith(_MEDIA_LINES)]
        if host.search(b"\r\n".join(lines)):
            found.append(f"{shown}: the host")
    return found


def watch(parties: Iterable[Party], done: Callable[[], bool], within_s: float = PATIENCE_S) -> bool:
    """Takes in what comes to any of the parties until `done`; False when it is not in time."""
    everybody = list(parties)
    deadline = time.monotonic() + within_s
    while not done():
        left = deadline - time.monotonic()
        ends = {end: party for party in everybody for end in party.sockets}
        readable = select.select(list(ends), [], [], max(0.0, left))[0]
        if not readable:
            return done()
        for end in readable:
            ends[end].take_in()
    return True


__all__ = ("PATIENCE_S", "PORT", "NothingCame", "Party", "crossed", "watch", "written")
