"""Ten million bindings: a lookup takes no longer for it, and a node starts as soon and stays as small."""

from __future__ import annotations

import secrets
import shutil
import time
from contextlib import closing
from random import Random
from typing import Any

import pytest

from engine.core.binding import Binding
from engine.domain.problems import Problem
from engine.store.binding_reader import BindingReader
from engine.store.bulk_binder import BulkBinder
from engine.store.crypto import open_key
from engine.store.database import BINDINGS, open_database, transaction
from engine.store.inventory import apply_inventory, read_inventory
from engine.store.rows import utc_text
from scenarios.rig.node import Node

LOOKUPS = 20_000
BATCH = 20_000
CACHE_KIB = 131_072  # as an import has
BLOCK_SIZE = 10_000
LOOKUP_P99_S = 50e-6
START_S = 5.0
WORKER_KIB = 80 * 1024

_BLOCK = """
[[number_block]]
prefix = "{}"
operator = "1"
app_platform = "ap-test"
business_user = "bu-test"
certificate_no = "CERT-1"
state = "assigned"
"""


def binding_of(number: int, blocks: int) -> tuple[str, str, str]:
    """X, A and B of one binding; neighbours in time lie in other blocks."""
    x = f"7001{number % blocks:07d}{number // blocks:04d}"
    return x, f"138{number * 37 % 10**8:08d}", f"139{number * 53 % 10**8:08d}"


def fill(node: Node, count: int) -> int:
    """That many bindings in the node's store, a million a transaction; how many blocks they lie in."""
    blocks = -(-count // BLOCK_SIZE)
    with node.inventory.open("a") as inventory:
        inventory.writelines(_BLOCK.format(f"7001{number:07d}") for number in range(blocks))
    cipher = open_key(node.data_dir)
    path = node.data_dir / "bindings.db"
    apply_inventory(path, cipher, read_inventory(node.inventory))
    expiration = utc_text(time.time() + 10 * 86_400)
    with closing(open_database(path, BINDINGS, cipher)) as connection:
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        for first in range(0, count, 50 * BATCH):
            with transaction(connection):
                bulk = BulkBinder(connection, cipher, None, secrets.randbelow, time.time(), announces=False)
                for number in range(first, min(count, first + 50 * BATCH)):
                    x, a, b = binding_of(number, blocks)
                    bulk.add_values(
                        number + 1, ("AXB", x, "", a, b, "", "bu-test", f"order-{number}", "express", expiration)
                    )
                    if (number + 1) % BATCH == 0:
                        assert not [1 for _, result in bulk.flush() if isinstance(result, Problem)]
                assert not [1 for _, result in bulk.flush() if isinstance(result, Problem)]
    return blocks


def look_up(node: Node, count: int, blocks: int) -> list[float]:
    """Seconds that each of many lookups took, in order of size; all find the right binding."""
    random = Random(1)
    took = []
    with closing(BindingReader(node.data_dir / "bindings.db", open_key(node.data_dir))) as reader:
        for _ in range(LOOKUPS):
            x, a, b = binding_of(random.randrange(count), blocks)
            now = time.time()
            begin = time.perf_counter()
            found = reader.find(x, a, now)
            took.append(time.perf_counter() - begin)
            assert isinstance(found, Binding)
            assert (found.callee, found.tel_x) == (b, x)
    return sorted(took)


def run_with(make_node: Any, count: int) -> tuple[float, float, int]:
    """With so many bindings: p99 of a lookup and start of a node in seconds, its own memory in KiB."""
    node: Node = make_node()
    begin = time.monotonic()
    blocks = fill(node, count)
    filled_s = time.monotonic() - begin
    took = look_up(node, count, blocks)
    begin = time.monotonic()
    node.start()
    start_s = time.monotonic() - begin
    uss_kib = node.status()["uss_kb"]
    assert node.stop() == 0
    size = sum(file.stat().st_size for file in node.data_dir.glob("bindings.db*"))
    shutil.rmtree(node.data_dir)
    p99_s = took[int(len(took) * 0.99)]
    print(
        f"{count} bindings in {filled_s:.0f} s ({count / filled_s:.0f}/s), {size / 2**20:.0f} MiB; a lookup takes"
        f" {took[len(took) // 2] * 1e6:.1f} us, p99 {p99_s * 1e6:.1f} us; start {start_s:.1f} s, {uss_kib} KiB"
    )
    return p99_s, start_s, uss_kib


def test_forty_thousand(make_node: Any) -> None:
    run_with(make_node, 2 * BATCH)


@pytest.mark.alone
@pytest.mark.long
@pytest.mark.timeout(3600)
def test_ten_million(make_node: Any) -> None:
    p99_s, start_s, uss_kib = run_with(make_node, 10_000_000)
    assert p99_s < LOOKUP_P99_S
    assert start_s < START_S
    assert uss_kib < WORKER_KIB
