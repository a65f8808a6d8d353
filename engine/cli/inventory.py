"""Verbs about the inventory: apply a file, and prove that what was bound and recorded keeps the invariants."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

import typer

from engine.cli.common import (
    DONE,
    FAILED,
    JSON,
    asker_because,
    configuration,
    existing,
    printable,
    say,
    say_json,
    tell,
)
from engine.cli.progress import counted_bar
from engine.config import Config
from engine.domain.spells import Finding
from engine.store.crypto import open_key
from engine.store.database import open_read_only, store_errors
from engine.store.export_invariants import ExportInvariants
from engine.store.invariants import BindingInvariants
from engine.store.inventory import apply_inventory, read_inventory
from engine.store.record_invariants import RecordInvariants

MAX_SHOWN: Final = 1000  # findings of one invariant that are listed; the others are counted


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module into the application."""
    group = typer.Typer(help="Who holds which numbers.", rich_markup_mode=None)
    group.command("apply")(apply)
    group.command("verify")(verify)
    app.add_typer(group, name="inventory")


def apply(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="The inventory.", show_default=False)],
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Write app platforms, business users, contracts, scenarios, number blocks and pools into the store.

    All or nothing; applying a file twice changes nothing; what it does not name stays.

    \b
    Example:
      veil700 inventory apply inventory.toml
    """
    config = configuration(context)
    inventory = read_inventory(file)
    path = config.data_dir / "bindings.db"
    counts = apply_inventory(path, open_key(config.data_dir), inventory, asker_because(None))
    if as_json:
        say_json(counts)
    else:
        say("applied " + ", ".join(f"{table} {count}" for table, count in counts.items()))


def verify(
    context: typer.Context,
    exports: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Look at the exports in this folder, not at the store.", show_default=False),
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Prove the invariants of the domain on bindings, targets, register of use and records; status 1 when one fails.

    With --exports on what `bindings export` and `cdr export` have written there, which needs neither store nor key.

    \b
    Example:
      veil700 inventory verify
      veil700 inventory verify --exports exports --json
    """
    config = configuration(context)
    report = _Report(as_json)
    if exports is not None:
        looked = _verify_exports(report, exports, config)
    else:
        looked = _verify_store(report, config)
    return report.end(looked)


def _verify_store(report: _Report, config: Config) -> dict[str, int]:
    path = existing(config.data_dir / "bindings.db")
    cipher = open_key(config.data_dir)
    with store_errors(path), closing(open_read_only(path, cipher)) as bindings:
        of_bindings = BindingInvariants(bindings, cipher, time.time())
        with counted_bar("bindings") as progress:
            report.take(of_bindings.findings(progress))
        looked = {"bindings": of_bindings.bindings, "numbers": of_bindings.numbers}
        return looked | {"records": _verify_records(report, config, bindings)}


def _verify_records(report: _Report, config: Config, bindings: sqlite3.Connection) -> int:
    path = config.data_dir / "records.db"
    if not path.is_file():
        return 0
    cipher = open_key(config.data_dir)
    with store_errors(path), closing(open_read_only(path, cipher)) as records:
        of_records = RecordInvariants(records, bindings, cipher, _serves_700(config))
        with counted_bar("records") as progress:
            report.take(of_records.findings(progress))
        return of_records.records


def _verify_exports(report: _Report, folder: Path, config: Config) -> dict[str, int]:
    of_exports = ExportInvariants(folder, _serves_700(config))
    report.take(of_exports.findings())
    if of_exports.masked:
        tell(f"veil700: {of_exports.masked} bindings have masked numbers: I1 is not proved of them")
    return {"bindings": of_exports.bindings, "masked": of_exports.masked, "records": of_exports.records}


def _serves_700(config: Config) -> dict[str, tuple[str, ...]]:
    return {peer.name: tuple(peer.serves_700) for peer in config.peer}


class _Report:
    """Findings as they come: a line each, and for JSON as many as are shown."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._counts: Counter[str] = Counter()
        self._kept: list[Finding] = []

    def take(self, findings: Iterable[Finding]) -> None:
        for finding in self._new(findings):
            if self._as_json:
                self._kept.append(finding)
            else:
                say(printable(f"{finding.invariant}: {finding.detail}"))

    def end(self, looked: dict[str, int]) -> int:
        """The last line, and the status."""
        found = sum(self._counts.values())
        if self._as_json:
            findings = [{"invariant": name, "detail": detail} for name, detail in self._kept]
            say_json({"ok": not found, **looked, "found": dict(self._counts), "findings": findings})
        else:
            for name, count in self._counts.items():
                if count > MAX_SHOWN:
                    say(f"{name}: {count - MAX_SHOWN} more of it")
            told = ", ".join(f"{count} {name}" for name, count in looked.items())
            say(f"{'all invariants hold' if not found else f'{found} findings'}: {told}")
        return FAILED if found else DONE

    def _new(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        for finding in findings:
            self._counts[finding.invariant] += 1
            if self._counts[finding.invariant] <= MAX_SHOWN:
                yield finding
