"""Eight processes bind on one block at the same time: none gets what another one has, and nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from contextlib import closing
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, open_database
from tests.store.conftest import INVENTORY, NOW
from tests.store.shop import DAY_S, open_shop

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = 8


def bind_together(data_dir: Path, seconds: float) -> list[dict[str, Any]]:
    """What the processes were told, all of them."""
    words = [sys.executable, "-m", "tests.store.many_binders", str(data_dir)]
    started = [
        subprocess.Popen([*words, str(number), str(seconds)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for number in range(PROCESSES)
    ]
    told = []
    for process in started:
        out, err = process.communicate(timeout=seconds + 120)
        assert (process.returncode, err) == (0, b"")
        told += [json.loads(line) for line in out.splitlines()]
    return told


@pytest.mark.parametrize("seconds", [3.0, pytest.param(30.0, marks=pytest.mark.long)])
def test_eight_processes(data_dir: Path, cipher: NumberCipher, seconds: float) -> None:
    with open_shop(data_dir, INVENTORY, NOW):
        pass
    told = bind_together(data_dir, seconds)
    done = [words for words in told if "refused" not in words]
    print(f"{len(done)} done, {len(told) - len(done)} refused, in {seconds:.0f} s")
    refusals = {words["refused"] for words in told if "refused" in words}
    assert refusals <= {"BIND_CONFLICT", "NUMBER_COOLING", "MOBILE_NUMBER_ILLEGAL"}, "the last: a change of B to A"
    assert len(done) > 20 * seconds
    with closing(open_database(data_dir / "bindings.db", BINDINGS, cipher)) as connection:
        rows = connection.execute(
            "SELECT subs_id, version, tel_x, tel_y, tel_a, tel_b, valid_from, coalesce(valid_to, expires_at), valid_to"
            " FROM binding ORDER BY id"
        ).fetchall()
        targets = connection.execute("SELECT x, caller, callee, subs_id, version FROM target").fetchall()
    check_nothing_is_lost(done, rows)
    clear = cipher.decrypt
    pairs = [frozenset((clear(row[4], "binding.tel_a"), clear(row[5], "binding.tel_b"))) for row in rows]
    versions = [
        (row[0], row[1], {row[2], row[3]} - {""}, pair, *row[6:]) for row, pair in zip(rows, pairs, strict=True)
    ]
    check_numbers(versions)
    newest = {row[0]: row for row in versions if row[6] is None}
    found = defaultdict(set)
    for x, caller, callee, subs_id, version in targets:
        assert newest[subs_id][1] == version
        found[subs_id].add((x, frozenset((clear(caller, "target.caller"), clear(callee, "target.callee")))))
    for subs_id, (_, _, numbers, pair, *_) in newest.items():
        assert found[subs_id] == {(number, pair) for number in numbers}, "both targets of each, and no other one"


def check_nothing_is_lost(done: list[dict[str, Any]], rows: list[tuple[Any, ...]]) -> None:
    """Each acknowledged act is in the table, and nothing else is."""
    stored = {(row[0], row[1]): row for row in rows}
    for words in done:
        if "bound" in words:
            assert stored[words["bound"], 1][2:4] == (words["tel_x"], words["tel_y"])
        elif "changed" in words:
            assert (words["changed"], words["version"]) in stored
        else:
            assert all(row[8] is not None for row in rows if row[0] == words["unbound"])
    assert len(rows) == sum("unbound" not in words for words in done)


def check_numbers(versions: list[tuple[Any, ...]]) -> None:
    """I1, I2, I5: two bindings with a number and one party in common are a day apart.

    Of the same pair there may be two, the one with the roles of the other turned round.
    """
    by_number = defaultdict(list)
    for row in versions:
        assert len(row[2]) in (1, 2)
        for number in row[2]:
            by_number[number].append(row)
    for rows in by_number.values():
        for one, other in combinations(rows, 2):
            if one[0] == other[0] or one[3] == other[3] or not one[3] & other[3]:
                continue
            first, second = sorted((one, other), key=lambda row: row[4])
            assert first[5] + DAY_S <= second[4]
