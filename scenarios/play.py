"""`python -m scenarios.play`: plays stories through nodes of their own, and says what is wrong with any."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from queue import SimpleQueue
from typing import Final, NoReturn

from scenarios.rig.engine import ENGINES, EngineName
from scenarios.rig.errors import RigError
from scenarios.rig.nodes import Nodes
from scenarios.rig.place import Places
from scenarios.rig.sipp import require_sipp
from scenarios.rig.story import Story, read_story, story_names

EXAMPLE: Final = "example: python -m scenarios.play answered busy --uac sipp"
SECOND_OCTET: Final = 99  # of the loopback addresses; the tests have those from 100 on
NODE: Final = "(node)"
LONGEST_NAME: Final = 20
A_NODE: Final = 12  # stories in a row on one node: to start one costs as much as to play these


@dataclass(frozen=True)
class Result:
    """How one story went."""

    story: str
    title: str
    wrong: list[str]
    seconds: float

    @property
    def line(self) -> str:
        """For people; what is wrong stands below it."""
        verdict = "ok" if not self.wrong else "WRONG"
        first = f"{verdict:6}{self.story:{LONGEST_NAME}} {self.title}"
        return "\n".join([first, *(f"      {what}" for what in self.wrong)])


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0: all as it should be, 1: something is wrong, 2: wrong usage."""
    options = _options(argv)
    try:
        stories = [read_story(name) for name in dict.fromkeys(options.stories or story_names())]
        if "sipp" in (options.uac, options.uas):
            require_sipp()
    except RigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if options.list:
        _list(stories, options.json)
        return 0
    began = time.monotonic()
    results = []
    for result in play_all(stories, options.uac, options.uas):
        results.append(result)
        if not options.json:
            print(result.line, flush=True)
    failed = sum(1 for result in results if result.wrong)
    if options.json:
        print(json.dumps([{**asdict(result), "ok": not result.wrong} for result in results], ensure_ascii=False))
    else:
        seconds = time.monotonic() - began
        print(f"{len(stories)} stories, {failed} wrong; caller {options.uac}, callee {options.uas}; {seconds:.1f} s")
    return 1 if failed else 0


def play_all(stories: Sequence[Story], uac: EngineName, uas: EngineName) -> Iterator[Result]:
    """Plays stories on as many nodes at a time as there are processors, and tells of each as it ends."""
    places = Places(SECOND_OCTET)
    told: SimpleQueue[Result | None] = SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="stories-") as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = []
        for number, row in enumerate(_rows(stories)):
            nodes = Nodes(places, Path(folder, str(number)), row)
            rows.append(pool.submit(_play_row, nodes, row, uac, uas, told))
            rows[-1].add_done_callback(lambda _: told.put(None))
        try:
            for _ in rows:
                while (result := told.get()) is not None:
                    yield result
        finally:
            pool.shutdown(cancel_futures=True)
        for each in rows:
            each.result()  # raises what nobody has expected


def _rows(stories: Sequence[Story]) -> Iterator[list[Story]]:
    """Stories that one node can carry."""
    for _, same in groupby(sorted(stories, key=lambda story: story.ground), lambda story: story.ground):
        row = list(same)
        for start in range(0, len(row), A_NODE):
            yield row[start : start + A_NODE]


def _play_row(
    nodes: Nodes, row: list[Story], uac: EngineName, uas: EngineName, told: SimpleQueue[Result | None]
) -> None:
    try:
        for story in row:
            began = time.monotonic()
            try:
                _, wrong = nodes.tell(story, uac, uas)
            except RigError as error:
                wrong = str(error).splitlines()
            told.put(Result(story.name, story.title, wrong, round(time.monotonic() - began, 3)))
        if wrong := nodes.end():
            told.put(Result(NODE, f"the node of {', '.join(story.name for story in row)}", wrong, 0.0))
    finally:
        nodes.close()


def _list(stories: Sequence[Story], as_json: bool) -> None:
    if as_json:
        print(json.dumps([{"story": s.name, "title": s.title, "proves": s.proves.strip()} for s in stories]))
        return
    for story in stories:
        print(f"{story.name:{LONGEST_NAME}} {story.title}")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, as from every command of ours."""
        self.exit(2, f"{message}\n")


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(
        prog="python -m scenarios.play", description="Plays stories through a node and checks what came of them.",
        epilog=EXAMPLE,
    )  # fmt: skip
    parser.add_argument("stories", nargs="*", metavar="STORY", help="names of stories; all, when none is named")
    parser.add_argument("--uac", choices=ENGINES, default="player", help="who plays the caller (default: player)")
    parser.add_argument("--uas", choices=ENGINES, default="player", help="who plays the callee (default: player)")
    parser.add_argument("--list", action="store_true", help="list the stories and play none")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(argv)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever read the answer has read enough
        os._exit(1)
