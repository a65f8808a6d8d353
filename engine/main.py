"""The entry of `veil700`: it loads either the node or the commands.

The libraries of the commands would stay in the memory of a node for years, and what a node is built of is a third of
the time that a short command takes.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path


def main() -> int:
    """The console script `veil700`."""
    argv = sys.argv[1:]
    wanted = _run_arguments(argv)
    gc.disable()  # what loads stays: a tenth of a start went into looking through it again and again
    if wanted is None:
        from engine.cli import run_cli

        _let_collect()
        return run_cli(argv)
    from engine.node import run_node

    _let_collect()
    return run_node(wanted.get("config"))


def _let_collect() -> None:
    """From now on, and without what is there: of a hundred objects it would find one that is not needed."""
    gc.freeze()
    gc.enable()


def _run_arguments(argv: list[str]) -> dict[str, Path] | None:
    """The options of a plain `run`; None for any other verb, and for what the command line must explain."""
    options: dict[str, Path] = {}
    rest = list(argv)
    verbs: list[str] = []
    while rest:
        word = rest.pop(0)
        if word == "--config" and rest:
            options["config"] = Path(rest.pop(0))
        elif word.startswith("--config="):
            options["config"] = Path(word.partition("=")[2])
        else:
            verbs.append(word)
    return options if verbs == ["run"] else None


if __name__ == "__main__":
    sys.exit(main())
