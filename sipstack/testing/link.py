"""A network in memory: cores joined by a link that loses, doubles and reorders, all from one seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final, final

from sipstack.events import Flow, Output, SendMessage
from sipstack.testing.playbook import Core

FASTEST_S: Final = 0.001  # what a datagram takes that nothing holds up


@final
class Weather:
    """What becomes of each datagram on its way, all from one seed.

    `loss`, `duplicate` and `spoil` are probabilities: one that is doubled comes 2 to `copies` times, each of which may
    be lost; one that is spoilt arrives with one octet changed. The part `late` of all takes up to `delay_s`, so that
    later ones overtake.
    """

    def __init__(
        self, seed: int, loss: float = 0.0, duplicate: float = 0.0, delay_s: float = FASTEST_S, *, copies: int = 2,
        late: float = 1.0, spoil: float = 0.0,
    ) -> None:  # fmt: skip
        self._random = random.Random(seed)
        self._loss = loss
        self._duplicate = duplicate
        self._delay_s = max(FASTEST_S, delay_s)
        self._copies = copies
        self._late = late
        self._spoil = spoil

    def fate(self, data: bytes) -> list[tuple[float, bytes]]:
        """The copies that arrive: seconds after it was sent, and what arrives."""
        chance = self._random
        copies = 1
        if chance.random() < self._duplicate:
            copies = 2 if self._copies == 2 else chance.randint(2, self._copies)
        return [(self._delay(), self._spoilt(data)) for _ in range(copies) if chance.random() >= self._loss]

    def _delay(self) -> float:
        is_late = self._late >= 1.0 or self._random.random() < self._late
        return self._random.uniform(FASTEST_S, self._delay_s) if is_late else FASTEST_S

    def _spoilt(self, data: bytes) -> bytes:
        if not data or not self._spoil or self._random.random() >= self._spoil:
            return data
        place = self._random.randrange(len(data))
        return data[:place] + bytes([data[place] ^ self._random.randint(1, 255)]) + data[place + 1 :]


@final
class LossyLink:
    """Cores at addresses, and the datagrams on their way between them, on simulated time."""

    def __init__(self, seed: int, loss: float = 0.0, duplicate: float = 0.0, delay_s: float = FASTEST_S) -> None:
        """All but `seed` as for Weather."""
        self._weather = Weather(seed, loss, duplicate, delay_s)
        self._cores: dict[tuple[str, int], tuple[Core, Callable[[Output], list[Output]]]] = {}
        self._in_flight: list[tuple[float, int, bytes, Flow, tuple[str, int]]] = []
        self._count = 0
        self.now = 1000.0
        self.carried: list[tuple[tuple[str, int], Flow, bytes]] = []

    def join(self, address: tuple[str, int], core: Core, execute: Callable[[Output], list[Output]]) -> None:
        """Puts a core at an address; `execute` handles its outputs that are no SendMessage and returns what follows."""
        self._cores[address] = (core, execute)

    def perform(self, address: tuple[str, int], outputs: list[Output]) -> None:
        """Does what the core at `address` wants done."""
        for output in outputs:
            if isinstance(output, SendMessage):
                self._carry(output, address)
            else:
                self.perform(address, self._cores[address][1](output))

    def run(self, seconds: float) -> None:
        """Lets simulated time pass: datagrams arrive and timers fire, each at its time."""
        end = self.now + seconds
        while True:
            arrival = self._in_flight[0][0] if self._in_flight else end
            timers = [(d, a) for a, (core, _) in self._cores.items() if (d := core.next_deadline()) is not None]
            deadline, address = min(timers, default=(end, ("", 0)))
            if min(arrival, deadline) >= end:
                break
            if arrival <= deadline:
                self.now, _, data, flow, target = heappop(self._in_flight)
                self.perform(target, self._cores[target][0].receive(data, flow, self.now))
            else:
                self.now = max(self.now, deadline)
                self.perform(address, self._cores[address][0].handle_timer(self.now))
        self.now = end

    def _carry(self, output: SendMessage, source: tuple[str, int]) -> None:
        target = (output.flow.host, output.flow.port)
        self.carried.append((source, output.flow, output.data))
        if target not in self._cores:
            return
        flow = Flow(output.flow.transport, source[0], source[1])
        for delay_s, data in self._weather.fate(output.data):
            self._count += 1
            heappush(self._in_flight, (self.now + delay_s, self._count, data, flow, target))
