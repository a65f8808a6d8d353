"""`make demo`: a call and a message through a real node, and what each side really sent and saw.

The node runs on the embedded default configuration, on loopback addresses and in a folder of its own; the parties are
the stories `answered` and `message`, played by our own player. Exit status 0 when call and message went through, both
records are there and no real number crossed; 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from scenarios.demo.ladder import CALLEE, CALLER, Ladder, Moment, Party, coloured
from scenarios.demo.picture import picture
from scenarios.rig.errors import RigError
from scenarios.rig.node import ROOT, Node
from scenarios.rig.place import PORT, Place, Places
from scenarios.rig.privacy import CALLEE_CANARY, CALLER_CANARY, Side, leaks
from scenarios.rig.stage import play
from scenarios.rig.story import read_story
from scenarios.rig.told import Told

X: Final = "700123456780001"
A: Final = "13800138000"
B: Final = "13900139000"
STORIES: Final = {"answered": "A dials X and reaches B; A hangs up", "message": "A sends X a message"}
SECOND_OCTET: Final = 98  # of the loopback addresses; `make scenarios` has 99, the tests those above
PIPE_COLUMNS: Final = 104  # where there is no terminal to ask
SHOWN_FIELDS: Final = (
    "kind", "tel_x", "caller", "callee", "presented_number", "release_cause", "sip_status", "q850", "decided_by",
    "bill_seconds",
)  # fmt: skip
PLANTED: Final = f"Their phones write {CALLER_CANARY} and {CALLEE_CANARY} wherever a phone may name itself."


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the demonstration and prints it."""
    parser = argparse.ArgumentParser(prog="make demo", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="write what is printed as a picture, too")
    file: Path | None = parser.parse_args(argv).picture
    console = _console(file is not None)
    with tempfile.TemporaryDirectory(prefix="veil700-demo-") as folder:
        try:
            status = _demo(Path(folder), console)
        except (RigError, OSError, subprocess.SubprocessError) as error:
            print(f"demo failed: {str(error) or type(error).__name__}", file=sys.stderr)
            return 1
    if file is not None:
        file.write_text(picture(console, "make demo"), "utf-8")
    return status


def _console(is_picture: bool) -> Console:
    """As wide as the terminal; in a picture or a pipe wide enough for the whole ladder."""
    if is_picture:
        return Console(record=True, width=PIPE_COLUMNS, force_terminal=True, highlight=False)
    return Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS, highlight=False)


def _demo(folder: Path, console: Console) -> int:
    place = Places(SECOND_OCTET).take()
    node = embedded_node(place, folder)
    parties = [Party("A", A, f"{place.caller}:{PORT}"), Party("B", B, f"{place.callee}:{PORT}")]
    console.print(coloured(Text(f"A has {A}, B has {B}. All that they know of each other is X = {X}."), X, parties))
    console.print(PLANTED)
    node.start()
    try:
        console.print(Text(node.stdout.strip()))
        _veil(node, "bind", "--mode", "AXB", "--tel-x", X, "--tel-a", A, "--tel-b", B, "--business-user", "bu-express",
              "--order-id", "demo-1", "--scenario", "express",
              "--expiration", (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds"))  # fmt: skip
        ladder = Ladder(parties, X, f"{place.node}:{PORT}", console.width)
        stories = [_tell(console, ladder, node, name) for name in STORIES]
    finally:
        node.close()
    return report(console, stories, node, parties)


def embedded_node(place: Place, folder: Path) -> Node:
    """A node on the embedded default configuration: only its addresses and its data folder are others."""
    node = Node(place, folder)
    text = (ROOT / "configs" / "embedded.toml").read_text("utf-8")
    for usual, here in (("../var", "var"), ("127.0.0.1:5060", "{node}:5060"), ("127.0.0.1:5080", "{callee}:5060")):
        text = text.replace(f'"{usual}"', f'"{here}"').replace(f"sip:{usual}", f"sip:{here}")
    node.config.write_text(place.filled(text), "utf-8")
    node.inventory.write_text((ROOT / "configs" / "inventory.toml").read_text("utf-8"), "utf-8")
    return node


def _tell(console: Console, ladder: Ladder, node: Node, name: str) -> Told:
    """Plays one story and draws it. Raises RigError when a party has not come to its end."""
    story = read_story(name)
    told = play(node, replace(story, call=replace(story.call, caller=A, dialled=X, callee=B)))
    moments = [Moment(CALLER, seen) for seen in told.caller] + [Moment(CALLEE, seen) for seen in told.callee]
    console.print(f"\n[bold]{STORIES[name]}[/bold]\n")
    for line in ladder.lines(moments):
        console.print(line, no_wrap=True, crop=False, overflow="ignore")
    if told.faults:
        raise RigError("; ".join(told.faults))
    return told


def report(console: Console, stories: Sequence[Told], node: Node, parties: Sequence[Party]) -> int:
    """The records, and whether a real number crossed; the exit status."""
    records = [json.loads(line) for line in _veil(node, "cdr", "export").splitlines()]
    table = Table(title="The records (numbers masked here, encrypted on disk)", title_justify="left", show_header=False)
    for name in SHOWN_FIELDS:
        table.add_row(name, *(coloured(Text(str(record[name])), X, parties) for record in records))
    console.print("")
    console.print(table)
    console.print(f"chain: {_veil(node, 'cdr', 'verify').splitlines()[-1]}\n")
    if len(records) != len(stories):
        console.print(f"[bold red]NOT GOOD: {len(records)} records of {len(stories)} stories.[/bold red]")
        return 1
    return verdict(console, stories, node.place)


def verdict(console: Console, stories: Sequence[Told], place: Place) -> int:
    """One line, from the bytes that each side received; a line more for each thing that crossed."""
    received, crossed = 0, list[str]()
    for told in stories:
        caller = Side(told.caller, place.caller, A, CALLER_CANARY)
        callee = Side(told.callee, place.callee, B, CALLEE_CANARY)
        received += len(caller.received) + len(callee.received)
        crossed += [f"to A: {leak}" for leak in leaks(caller, callee)]
        crossed += [f"to B: {leak}" for leak in leaks(callee, caller)]
    for leak in crossed:
        console.print(Text(leak, "red"))
    if crossed:
        console.print(f"[bold red]NOT GOOD: {len(crossed)} of the other side's secrets crossed.[/bold red]")
        return 1
    console.print(
        f"[bold green]No real number crossed[/bold green], nor a name, host or identifier: {received} received messages"
        " searched byte by byte."
    )
    return 0


def _veil(node: Node, *words: str) -> str:
    """Runs a verb of `veil700` on the node's data and returns what it printed. Raises RigError."""
    done = node.command(*words)
    if done.returncode != 0:
        raise RigError(done.stderr.strip())
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
