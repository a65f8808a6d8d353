"""A network in memory: cores joined by a link that loses, doubles and reorders, all from one seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from heapq import heappop, heappush
from typing import final

from sipstack.events import Flow, Output, SendMessage
from sipstack.testing.playbook import Core


@final
class LossyLink:
    """Cores at addresses, and the datagrams on their way between them, on simulated time.

    `loss` and `duplicate` are probabilities; a datagram takes between 1 ms and `delay_s`, so that later ones overtake.
    """

    def __init__(self, seed: int, loss: float = 0.0, duplicate: float = 0.0, delay_s: float = 0.001) -> None:
        self._random = random.Random(seed)
        self._loss = loss
        self._duplicate = duplicate
        self._delay_s = delay_s
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
        copies = 2 if self._random.random() < self._duplicate else 1
        for _ in range(copies):
            if self._random.random() >= self._loss:
                self._count += 1
                arrival = self.now + self._random.uniform(0.001, max(0.001, self._delay_s))
                flow = Flow(output.flow.transport, source[0], source[1])
                heappush(self._in_flight, (arrival, self._count, output.data, flow, target))
