"""A process that looks up targets as a node does, and tells how long each took.

Its arguments are a data folder, how many bindings it has, and how many of them are to be looked up.
The pages of bindings.db are in memory before it begins, as they are on a machine that serves calls. Standard output is
one line of JSON: `sorted_s`, seconds of each lookup in order of size; `counted_s`, the same of a loop that only counts
and is as long at its best, which tells the machine from the lookup; and `own_kib` before and after: private memory.
"""

from __future__ import annotations

import gc
import json
import re
import sys
import time
from contextlib import closing
from pathlib import Path
from random import Random

from engine.core.binding import Binding
from engine.sip_part import GC_THRESHOLDS
from engine.store.binding_reader import BindingReader
from engine.store.crypto import open_key
from tests.e2e.many import binding_of


def private_kib() -> int:
    """Memory that this process has for itself."""
    found = re.findall(r"^Private_\w+: +(\d+) kB$", Path("/proc/self/smaps_rollup").read_text(), re.M)
    return sum(map(int, found))


def counted(best_s: float, times: int) -> list[float]:
    """Seconds that a loop takes that reads nothing and is as long as `best_s` where nothing disturbs it."""
    clock = time.perf_counter

    def count(rounds: int) -> float:
        begin = clock()
        for _ in range(rounds):
            pass
        return clock() - begin

    rounds = round(1000 * best_s / min(count(1000) for _ in range(1000)))
    return sorted(count(rounds) for _ in range(times))


def main(data_dir: Path, bindings: int, lookups: int) -> None:
    """Looks up random pairs, half of them from A and half from B; each must find its binding."""
    with (data_dir / "bindings.db").open("rb", buffering=0) as file:
        while file.read(1 << 20):
            pass
    random = Random(1)
    pairs = []
    for _ in range(lookups):
        x, a, b = binding_of(random.randrange(bindings))
        pairs.append((x, a, b) if random.random() < 0.5 else (x, b, a))
    took: list[float] = []
    with closing(BindingReader(data_dir / "bindings.db", open_key(data_dir))) as reader:
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        before = private_kib()
        clock = time.perf_counter
        for x, caller, callee in pairs:
            now = time.time()
            begin = clock()
            found = reader.find(x, caller, now)
            took.append(clock() - begin)
            assert isinstance(found, Binding)
            assert (found.callee, found.tel_x) == (callee, x)
        after = private_kib()
    took.sort()
    counting = counted(took[len(took) // 20], len(took))
    print(json.dumps({"sorted_s": took, "counted_s": counting, "own_kib": [before, after]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
