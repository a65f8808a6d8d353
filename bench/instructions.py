"""How many instructions one call executes in the core, counted by valgrind.

Seconds depend on the machine and on who else works on it; this count hardly does: the same code on the same
interpreter comes out the same within 0.5 %, on a busy machine, too.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from bench.counted import NOTHING
from engine.core.compiled import is_compiled

ROOT: Final = Path(__file__).resolve().parents[1]
CALLS: Final = 50  # of each conversation; twice as many change the figures by less than 1 %
LIMIT_S: Final = 300.0  # a run takes about 12 s of CPU


class CountError(Exception):
    """Nothing could be counted; the text is one clear line, or what the program said."""


def interpreter() -> str:
    """Names the build of this interpreter: another compiler or other flags execute something else.

    The digest stands for the options of configure and compiler as sysconfig tells them; a compiled core, which has the
    scan in C as well, is a build of its own.
    """
    options = f"{sysconfig.get_config_var('CONFIG_ARGS')} {sysconfig.get_config_var('PY_CORE_CFLAGS')}"
    words = (platform.python_implementation(), platform.python_version(), platform.python_compiler())
    compiled = ("compiled", "with", "scan") if is_compiled() else ()
    build = (platform.machine(), sha256(options.encode()).hexdigest()[:8], *compiled)
    return " ".join((*words, *build))


def count(conversations: Sequence[str]) -> dict[str, int]:
    """Instructions per call of each conversation. Raises CountError."""
    return per_call("bench.counted", CALLS, conversations)


def per_call(program: str, calls: int, works: Sequence[str]) -> dict[str, int]:
    """Instructions per call of each of a program's works, beyond those of its process that does nothing.

    `program` takes `--calls` and the names of works, does each in a process of its own, one that does nothing besides,
    and prints name and process id of each, as `bench.counted` does. Raises CountError.
    """
    if shutil.which("valgrind") is None:
        raise CountError("valgrind is missing: apt-get install -y valgrind")
    _run(program, 1, works, under=())  # says what is wrong in one second, and leaves the bytecode
    with tempfile.TemporaryDirectory(prefix="veil700-count-") as folder:
        under = ("valgrind", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={folder}/%p")
        printed = _run(program, calls, works, under=under)
        totals = {name: _total(Path(folder, process)) for name, process in map(str.split, printed.splitlines())}
    return {name: round((totals[name] - totals[NOTHING]) / calls) for name in works}


def _run(program: str, calls: int, works: Sequence[str], under: Sequence[str]) -> str:
    """What the program prints. No variable of the caller's may change how the interpreter works."""
    command = [*under, sys.executable, "-m", program, "--calls", str(calls), *works]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["PYTHONHASHSEED"] = "0"
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=LIMIT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise CountError(f"not done within {LIMIT_S:.0f} s: {' '.join(command)}") from None
    if done.returncode != 0:
        raise CountError(f"{' '.join(command)} failed:\n{done.stderr.strip()}")
    return done.stdout


def _total(file: Path) -> int:
    """The instructions of one process, from the last line of its cachegrind file."""
    label, _, total = file.read_text().rpartition("\n")[0].rpartition("\n")[2].partition(" ")
    if label != "summary:":
        raise CountError(f"{file}: no summary in what valgrind wrote")
    return int(total)
