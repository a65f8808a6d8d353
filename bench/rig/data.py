"""The data that is measured on, made once: bindings for Kamailio and for veil700, rows for SIPp, two programs in C.

The same bindings for each system, drawn from fixed seeds. They lie in bench/data and are made anew when what they were
made from changes: the number of bindings, veil700's tables, the files of the rig.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

from bench.rig.inventory import inventory
from bench.rig.systems import API, TWO_WORKERS, WITH_API, RigError, Tell
from bench.rig.tools import kamailio_modules

RIG: Final = Path(__file__).parent
DATA: Final = RIG.parent / "data"  # a folder for each number of bindings
SCHEMA: Final = RIG.parents[1] / "engine" / "store" / "schema"
BLOCK: Final = 10_000  # numbers of a block of 11 digits
LEAST_BLOCKS: Final = 100
BINDINGS: Final = 1_000_000
MAX_BINDINGS: Final = 10_000_000
SIPP_ROWS: Final = 50_000  # bindings that are called, in random order

Row = tuple[str, str, str]  # X, A, B

# The bindings as Kamailio's module for hash tables reads them: keys and values that are text, and do not expire.
_HASH_TABLE: Final = """
    CREATE TABLE version (table_name VARCHAR(32) PRIMARY KEY, table_version INTEGER);
    INSERT INTO version VALUES ('htable', 2);
    CREATE VIEW htable AS
        SELECT x AS key_name, 0 AS key_type, 0 AS value_type, a || ',' || b AS key_value, 0 AS expires FROM bindings;
"""


def ready_data(bindings: int, tell: Tell, root: Path | None = None) -> Path:
    """The data folder with that many bindings; makes it when it is not there. Raises RigError."""
    if not LEAST_BLOCKS <= bindings <= MAX_BINDINGS:
        raise RigError(f"--bindings {bindings}: from {LEAST_BLOCKS} to {MAX_BINDINGS}")
    folder = (root or DATA) / str(bindings)
    made_from, note = _made_from(bindings), folder / "made_from.json"
    if not note.exists() or json.loads(note.read_text()) != made_from:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _make(folder, bindings, tell)
        note.write_text(json.dumps(made_from))  # last: what was cut short is made again
    return folder


def _made_from(bindings: int) -> dict[str, object]:
    """What the data depends on."""
    digest = hashlib.sha256()
    for file in sorted(
        [Path(__file__), RIG / "inventory.py", *SCHEMA.glob("*.sql"), *RIG.glob("c/*.c"), *RIG.glob("*/*.cfg")]
    ):
        digest.update(file.read_bytes())
    digest.update((RIG / "veil700" / "veil700.toml").read_bytes())
    return {"bindings": bindings, "files": digest.hexdigest()}


def _make(folder: Path, bindings: int, tell: Tell) -> None:
    tell(f"making data for {bindings:,} bindings in {folder}")
    _compile(folder)
    draw = random.Random(20261123)
    blocks = [f"700{number:08d}" for number in draw.sample(range(10**8), max(LEAST_BLOCKS, bindings // BLOCK))]
    rows = [_binding(blocks, number) for number in range(bindings)]
    _write_sipp_rows(folder / "rows.csv", rows)
    tell("a table for Kamailio")
    _write_kamailio(folder, rows)
    tell("a file for veil700, and its import")
    _write_veil700(folder, blocks, rows)


def _binding(blocks: list[str], number: int) -> Row:
    """The distinct X of one binding, and its parties."""
    x = f"{blocks[number % len(blocks)]}{number // len(blocks):04d}"
    return x, f"138{number * 37 % 10**8:08d}", f"139{number * 53 % 10**8:08d}"


def _compile(folder: Path) -> None:
    sources = RIG / "c"
    _run(["cc", "-O2", "-o", str(folder / "floor"), str(sources / "floor.c")])
    shared = ["cc", "-O2", "-shared", "-fPIC", "-o", str(folder / "fine_clock.so")]
    _run([*shared, str(sources / "fine_clock.c"), "-ldl"])


def _write_sipp_rows(file: Path, rows: list[Row]) -> None:
    called = random.Random(7).sample(rows, min(SIPP_ROWS, len(rows)))
    file.write_text("SEQUENTIAL\n" + "".join(f"{x};{a};{b};\n" for x, a, b in called))


def _write_kamailio(folder: Path, rows: list[Row]) -> None:
    with closing(sqlite3.connect(folder / "bind.db")) as database:
        database.execute("CREATE TABLE bindings (x TEXT PRIMARY KEY, a TEXT NOT NULL, b TEXT NOT NULL) WITHOUT ROWID")
        database.executemany("INSERT INTO bindings VALUES (?, ?, ?)", sorted(rows))
        database.executescript(_HASH_TABLE)
        database.commit()
        database.execute("PRAGMA journal_mode = WAL")
    for config in (RIG / "kamailio").glob("*.cfg"):
        filled = config.read_text().replace("@DATA@", str(folder)).replace("@MODULES@", str(kamailio_modules()))
        (folder / config.name).write_text(filled)


def _write_veil700(folder: Path, blocks: list[str], rows: list[Row]) -> None:
    config = (RIG / "veil700" / "veil700.toml").read_text()
    (folder / "veil700.toml").write_text(config)
    (folder / WITH_API).write_text(f'{config}\n[api]\naddress = "{API}"\n')
    (folder / TWO_WORKERS).write_text(config.replace("[node]\n", "[node]\nworkers = 2\n", 1))
    (folder / "inventory.toml").write_text(inventory("ap-bench", "bu-bench", blocks))
    with (folder / "bindings.csv").open("w") as file:
        file.write("mode,tel_x,tel_y,tel_a,tel_b,group_id,business_user,order_id,scenario,expiration\n")
        for number, (x, a, b) in enumerate(rows):
            file.write(f"AXB,{x},,{a},{b},,bu-bench,order-{number},express,2036-01-01T00:00:00+08:00\n")
    veil700 = [sys.executable, "-m", "engine.main", "--config", str(folder / "veil700.toml")]
    _run([*veil700, "inventory", "apply", str(folder / "inventory.toml")])
    _run([*veil700, "bindings", "import", str(folder / "bindings.csv")])
    (folder / "bindings.csv").unlink()


def _run(command: list[str]) -> None:
    """Runs a step with its output on stderr, where a terminal shows its progress. Raises RigError."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
    except OSError as error:
        raise RigError(f"{command[0]}: {error.strerror}") from None
    if done.returncode != 0:
        raise RigError(f"failed with status {done.returncode}: {' '.join(command)}")
