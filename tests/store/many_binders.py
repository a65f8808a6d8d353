"""A process that binds, changes and unbinds on one block as fast as it can, and writes down what was acknowledged.

Started by test_binder_together.py: folder, number of the process, seconds.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from pathlib import Path
from random import Random

from engine.domain.problems import Problem
from engine.store.binder import Binder, Change
from engine.store.binding_rules import BindRequest
from engine.store.crypto import open_key
from engine.store.database import BINDINGS, open_database, transaction
from engine.store.rows import utc_text

XS = 40  # few numbers and few people: they want the same all the time
PEOPLE = 12


def main(data_dir: Path, number: int, seconds: float) -> None:
    random = Random(number)
    cipher = open_key(data_dir)
    people = [f"1380013{number:04d}" for number in range(PEOPLE)]
    mine: list[str] = []
    done = 0
    with closing(open_database(data_dir / "bindings.db", BINDINGS, cipher, busy_ms=60_000)) as connection:
        binder = Binder(connection, cipher, None, random.randrange, announces=False)
        end = time.monotonic() + seconds
        while time.monotonic() < end or done < 3 * seconds:  # a busy machine needs more time
            act = random.random()
            try:
                with transaction(connection):
                    told = _act(binder, act, random, people, mine)
                done += 1
            except Problem as problem:
                told = {"refused": problem.code}
            print(json.dumps(told), flush=True)


def _act(binder: Binder, act: float, random: Random, people: list[str], mine: list[str]) -> dict[str, object]:
    now = time.time()
    if mine and act < 0.2:
        subs_id = mine.pop(random.randrange(len(mine)))
        return {"unbound": binder.unbind(subs_id, now).subs_id}
    tel_a, tel_b = random.sample(people, 2)
    if mine and act < 0.3:
        changed = binder.update(random.choice(mine), Change(tel_b=tel_b), now)
        return {"changed": changed.subs_id, "version": changed.version}
    tel_x = "" if act < 0.5 else f"70012345678{random.randrange(XS):04d}"
    mode = random.choice(["AXB", "AXYB"])
    request = BindRequest(
        mode, tel_x, "", tel_a, tel_b, "", "bu-express", "order-1", "express", utc_text(now + 3600.0), "any"
    )
    bound = binder.bind(request, now)
    mine.append(bound.subs_id)
    return {"bound": bound.subs_id, "tel_x": bound.tel_x, "tel_y": bound.tel_y}


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
