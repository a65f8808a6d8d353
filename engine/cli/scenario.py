"""The verbs `scenario check`, `scenario play` and `scenario from-pcap`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.common import DONE, FAILED, JSON, UsageFault, printable, say, say_json
from engine.cli.from_pcap import from_pcap
from engine.cli.play import PlayCommand, play
from sipstack.scenario.loader import load_scenario
from sipstack.scenario.model import Fault, ScenarioError


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module into the application."""
    group = typer.Typer(help="Conversations in SIPp's XML.", rich_markup_mode=None)
    group.command("play", cls=PlayCommand)(play)
    group.command("check")(check)
    group.command("from-pcap")(from_pcap)
    app.add_typer(group, name="scenario")


def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.xml...", help="Scenarios.", show_default=False)],
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Load scenarios and list, by line, what is not supported, what is accepted without effect,
    and words in brackets that want a -key.

    \b
    Example:
      veil700 scenario check uac.xml uas.xml
    """
    found = {str(file): _looked_at(file) for file in files}
    if as_json:
        say_json([
            {"file": file, "ok": not faults, "faults": list(map(asdict, faults)), "notes": list(map(asdict, notes))}
            for file, (faults, notes) in found.items()
        ])  # fmt: skip
    else:
        for file, (faults, notes) in found.items():
            for fault in sorted([*faults, *notes], key=lambda fault: fault.line):
                say(printable(f"{file}:{fault.line}: {fault.text}"))
            if not faults:
                say(f"{file}: ok")
    return FAILED if any(faults for faults, _ in found.values()) else DONE


def _looked_at(file: Path) -> tuple[list[Fault], list[Fault]]:
    """What stops a file, and what is to be known of it: what is without effect, and words that want a `-key`."""
    try:
        scenario = load_scenario(file)
        return [], _notes(file, scenario.without_effect, scenario.keywords)
    except ScenarioError as error:
        return error.faults, _notes(file, error.notes, error.keywords)
    except OSError as error:
        raise UsageFault(f"{file}: {error.strerror or error}") from None


def _notes(file: Path, without_effect: tuple[Fault, ...], keywords: frozenset[str]) -> list[Fault]:
    return [*without_effect, *_keys_wanted(file.read_bytes(), keywords)] if keywords else [*without_effect]


def _keys_wanted(text: bytes, names: frozenset[str]) -> Iterator[Fault]:
    """Each word in brackets that is no keyword, where it first stands: it may be misspelled."""
    for name in sorted(names):
        before, _, _ = text.partition(f"[{name}]".encode("latin-1", "replace"))
        yield Fault(before.count(b"\n") + 1, f"[{name}] is no keyword: it wants -key {name} VALUE")
