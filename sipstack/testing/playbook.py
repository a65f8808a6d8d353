"""Conversations with a sans-I/O core, on a clock that the test turns.

A test reads as the ladder that it replays: `wire_in` puts a message on the wire, `wire_out` takes the next one that the
core sent and says what it must be, `at` moves the clock, `silence` says that nothing more was sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol, final

from sipstack.events import Flow, Output, SendMessage
from sipstack.message import ENCODING, ERRORS, Message, render
from sipstack.parser import parse


class Core(Protocol):
    """The verbs that a playbook drives."""

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Output]:
        """Bytes of one message."""

    def handle_timer(self, now: float) -> list[Output]:
        """Time has come for something."""

    def next_deadline(self) -> float | None:
        """When `handle_timer` is wanted next."""


def wire(text: str, **fields: object) -> bytes:
    """A message from readable text: indentation removed, CRLF line ends, `{name}` filled in, Content-Length added.

    The body starts behind the first empty line.
    """
    for name, value in fields.items():
        text = text.replace("{" + name + "}", str(value))
    lines = [line.strip() for line in text.strip().splitlines()]
    split = lines.index("") if "" in lines else len(lines)
    body = "".join(f"{line}\r\n" for line in lines[split + 1 :])
    return render(lines[0], lines[1:split], body.encode(ENCODING, ERRORS))


def flow_of(address: str) -> Flow:
    """`127.0.0.12:5060` or `[::1]:5060` -> the UDP flow from or to there; `tcp:127.0.0.12:5060/1` by listener 1."""
    address, _, local = address.partition("/")
    host, _, port = address.rpartition(":")
    transport, colon, bare = host.partition(":")
    if not colon or transport not in ("udp", "tcp", "tls"):
        transport, bare = "udp", host
    return Flow(transport.upper(), bare.strip("[]"), int(port), int(local or 0))


@final
class Playbook:
    """One conversation. Time starts at 1000.0 s so that no test leans on zero."""

    START_S = 1000.0

    def __init__(self, core: Core, execute: Callable[[Output], list[Output]] | None = None) -> None:
        """`execute` stands for the shell: it gets every output that is no SendMessage and returns what follows."""
        self._core = core
        self._execute = execute
        self.now = self.START_S
        self.sent: deque[SendMessage] = deque()
        self.events: list[Output] = []
        self.log: list[SendMessage] = []  # everything ever sent, for checks over a whole conversation

    def wire_in(self, message: bytes, source: str) -> None:
        """A message arrives from `source` ("host:port", see `flow_of`)."""
        self.perform(self._core.receive(message, flow_of(source), self.now))

    def wire_out(self, start: str, to: str | None = None) -> Message:
        """The next message sent must start with `start` (and go to `to`); returns it, parsed."""
        assert self.sent, f"nothing was sent, expected: {start}"
        message = self.sent.popleft()
        line = message.data.partition(b"\r\n")[0].decode(ENCODING, ERRORS)
        assert line.startswith(start), f"sent {line!r}, expected {start!r}"
        assert to is None or message.flow == flow_of(to), f"{line!r} went to {message.flow}, expected {to}"
        return parse(message.data)

    def silence(self) -> None:
        """Nothing more has been sent."""
        lines = [sent.data.partition(b"\r\n")[0] for sent in self.sent]
        assert not lines, f"unexpected: {lines}"

    def at(self, seconds: float) -> None:
        """Moves the clock to `seconds` after the start, firing every timer on the way at its own time."""
        target = self.START_S + seconds
        reached = target + 1e-9  # sums of seconds are not exact
        assert reached >= self.now, f"the clock stands at {self.now - self.START_S} s already"
        while (deadline := self._core.next_deadline()) is not None and deadline <= reached:
            self.now = max(self.now, deadline)
            self.perform(self._core.handle_timer(self.now))
        self.now = max(self.now, target)

    def perform(self, outputs: list[Output]) -> None:
        """Sorts what a verb returned: messages to be taken by `wire_out`, the rest to the shell or to `events`."""
        for output in outputs:
            if isinstance(output, SendMessage):
                self.sent.append(output)
                self.log.append(output)
            elif self._execute is not None:
                self.perform(self._execute(output))
            else:
                self.events.append(output)
