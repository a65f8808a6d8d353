"""A million bindings end in one second: calls, and whoever binds over HTTP, hardly notice, and each end is told of."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scenarios.rig.node import Node
from tests.e2e.loaded import Load, sleep_until
from tests.e2e.many import HOW_MANY, fill
from tests.e2e.test_events_pushed import PLATFORM, PORT, Asker

RATE = 50
MILLION = 1_000_000
MADE_A_SECOND = 4_000  # at the least, on a busy machine
TOLD_A_SECOND = 5_000
BIND_S = 1.0
EVERY_S = 0.1


class Binding(threading.Thread):
    """Binds over HTTP now and then until it is stopped, and knows how long each took."""

    def __init__(self, asker: Asker) -> None:
        super().__init__()
        self._asker = asker
        self.enough = threading.Event()
        self.took_s: list[float] = []

    def run(self) -> None:
        while not self.enough.wait(EVERY_S):
            number = len(self.took_s)
            wanted = {
                "mode": "AXB", "tel_x": f"70012345678{9999 - number:04d}", "tel_a": f"137{number:08d}",
                "tel_b": f"137{50_000_000 + number:08d}", "business_user": "bu-test", "order_id": f"o-{number}",
                "scenario": "express", "expiration": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
            }  # fmt: skip
            begin = time.monotonic()
            self._asker.ask("POST", "/bindings", wanted)
            self.took_s.append(time.monotonic() - begin)


def ends_at_once(make_node: Callable[..., Node], sipp: Any, count: int) -> None:
    node = make_node()
    with node.config.open("a") as config:
        config.write(f'\n[api]\naddress = "{node.place.node}:{PORT}"\n')
    in_s = 100.0 + count / MADE_A_SECOND
    end_s = time.time() + in_s
    fill(node, count, in_s, in_s)
    told_by_s = end_s + 20.0 + count / TOLD_A_SECOND
    load = Load(node, sipp, RATE, told_by_s - end_s)
    sleep_until(end_s - 30.0)
    load.start()
    asker = Asker(node)
    binding = Binding(asker)
    binding.start()
    calling = threading.Thread(target=load.wait)
    calling.start()
    sleep_until(end_s)
    while (last := asker.ask("GET", f"/events?app_platform={PLATFORM}&after=0&limit=1")["last"]) < count:
        assert time.time() < told_by_s, f"{last} events"
        time.sleep(1.0)
    told_s = time.time() - end_s
    calling.join()
    binding.enough.set()
    binding.join()
    took_s = sorted(binding.took_s)
    print(
        f"{count} ends in one second, told of within {told_s:.0f} s; binds: {took_s[len(took_s) // 2] * 1e3:.0f} ms,"
        f" p99 {took_s[int(len(took_s) * 0.99)] * 1e3:.0f} ms, {took_s[-1] * 1e3:.0f} ms at most;"
        f" load {os.getloadavg()[0]:.1f}"
    )
    assert took_s[-1] < BIND_S
    load.check_node()
    load.check_records()


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(1200)
def test_a_million(make_node: Callable[..., Node], sipp: Any) -> None:
    ends_at_once(make_node, sipp, int(os.environ.get(HOW_MANY, MILLION)))
