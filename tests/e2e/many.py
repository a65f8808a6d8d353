"""Many bindings in the store of a node that does not run, made as an import makes them."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from engine.domain.problems import Problem
from engine.store.bulk_binder import BulkBinder
from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, open_database, open_read_only, transaction
from engine.store.inventory import apply_inventory, read_inventory
from engine.store.rows import utc_text
from scenarios.rig.node import Node

MANY: Final = 10_000_000
# A folder in which those many bindings are kept from one run to the next, or shall be: to make them takes ten minutes
# of a processor, and eight gigabytes. They are in force for a day, then they end within nine.
KEPT: Final = "VEIL700_MANY_BINDINGS"
HOW_MANY: Final = "VEIL700_HOW_MANY"  # in place of ten million, where there is no time for them

BATCH: Final = 20_000
BLOCK_SIZE: Final = 10_000
AT_A_TIME: Final = 1_000_000  # bindings of one transaction, and of the blocks that are filled at a time
FIRST_END_S: Final = 86_400
LAST_END_S: Final = 10 * 86_400
CACHE_KIB: Final = 2 * 1024 * 1024  # pages that a transaction changes are written once

_BLOCK: Final = """
[[number_block]]
prefix = "{}"
operator = "1"
app_platform = "ap-test"
business_user = "bu-test"
certificate_no = "CERT-1"
state = "assigned"
"""


def binding_of(number: int) -> tuple[str, str, str]:
    """X, A and B of a binding. Those that are made one after the other lie in a hundred blocks."""
    million, place = divmod(number, AT_A_TIME)
    blocks = AT_A_TIME // BLOCK_SIZE
    x = f"7001{million * blocks + place % blocks:07d}{place // blocks:04d}"
    return x, f"138{number * 37 % 10**8:08d}", f"139{number * 53 % 10**8:08d}"


def many_bindings(make_node: Any) -> tuple[Node, int]:
    """A node with as many as the environment asks for, and how many these are; those that are kept are found again."""
    kept = os.environ.get(KEPT)
    node: Node = make_node(*([kept] if kept else []))
    path = node.data_dir / "bindings.db"
    if not path.exists():
        fill(node, int(os.environ.get(HOW_MANY, MANY)))
    with closing(open_read_only(path, node.cipher())) as connection:
        count = int(connection.execute("SELECT max(id) FROM binding").fetchone()[0])
    _name_blocks(node, count)
    return node, count


def forget(node: Node) -> None:
    """Makes room for other tests, unless its bindings are kept."""
    if not os.environ.get(KEPT):
        shutil.rmtree(node.data_dir)


def fill(node: Node, count: int, first_s: float = FIRST_END_S, last_s: float = LAST_END_S) -> None:
    """That many bindings in AXB, which end one after the other, in the order in which they were made.

    The first ends in so many seconds from now, the last in so many.
    """
    _name_blocks(node, count)
    path = node.data_dir / "bindings.db"
    cipher = node.cipher()
    apply_inventory(path, cipher, read_inventory(node.inventory))
    first_end_s = time.time() + first_s
    step_s = (last_s - first_s) / count
    for first in range(0, count, AT_A_TIME):
        bind_range(path, cipher, range(first, min(count, first + AT_A_TIME)), first_end_s, step_s)


def _name_blocks(node: Node, count: int) -> None:
    """All blocks in which they lie stand in the node's inventory, which it reads when it starts."""
    text = node.inventory.read_text()
    prefixes = sorted(
        {binding_of(number)[0][:11] for million in range(0, count, AT_A_TIME) for number in _first(million)}
    )
    node.inventory.write_text(text + "".join(_BLOCK.format(prefix) for prefix in prefixes if prefix not in text))


def _first(million: int) -> range:
    """The first binding of each block of a million."""
    return range(million, million + AT_A_TIME // BLOCK_SIZE)


def bind_range(path: Path, cipher: NumberCipher, numbers: range, first_end_s: float, step_s: float) -> None:
    """Those of them in one transaction."""
    with closing(open_database(path, BINDINGS, cipher)) as connection:
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        with transaction(connection):
            bulk = BulkBinder(connection, cipher, None, secrets.randbelow, time.time(), announces=False)
            for number in numbers:
                x, a, b = binding_of(number)
                ends = utc_text(float(int(first_end_s + step_s * number)))
                bulk.add_values(number + 1, ("AXB", x, "", a, b, "", "bu-test", f"order-{number}", "express", ends))
                if (number + 1) % BATCH == 0:
                    assert not [1 for _, result in bulk.flush() if isinstance(result, Problem)]
            assert not [1 for _, result in bulk.flush() if isinstance(result, Problem)]
