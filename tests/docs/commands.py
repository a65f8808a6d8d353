"""The commands of a page, taken out of it, run in order in a folder of their own, and held against what the page shows.

Three comments, which no browser shows, stand right before a block of code:

    <!-- run: NAME -->             run it; all blocks of one name on a page are one story, in their order
    <!-- run: NAME background -->  start it and leave it running, as in a terminal of its own
    <!-- run: NAME exit=1 -->      its last command must end so
    <!-- shown -->                 not run: what the commands of the block before have printed

A block in which lines begin with `$ ` is a dialogue: each such line is run, and must print what stands below it. Any
other block is a script; a background one has started once it has printed what is shown, has bound its UDP port, or,
for `make run` and `veil700 run`, says so. `<!-- setup: NAME ... -->` holds commands that the reader does not see, with
the same words behind the name. In what is shown, times, identifiers, hashes and milliseconds stand for any such, `...`
for anything, on a line of its own for any lines.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from scenarios.rig.place import is_free
from tests.docs.pages import ROOT, tokens

SHOWN_HOST: Final = "127.0.0.1"
PORTS: Final = (5060, 5070, 5080)
STEP_S: Final = 120.0  # for one command on a machine that is busy with other tests

_MARK: Final = re.compile(r"<!-- (run|setup): ([\w-]+)(?: (background)| exit=(\d+))?\s(.*?)-->", re.DOTALL)
_SHOWN: Final = re.compile(r"<!-- shown -->")
_HOST: Final = re.compile(r"(?<![\d.])127\.0\.0\.1(?![\d.]*\d)")
_SIPP_PORT: Final = re.compile(r"\b(?:sipp|scenario play)\b.* -p (\d+)\b")
_VARIES: Final = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"), "<time>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<hash>"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "<id>"),
    (re.compile(r"\b[0-9a-f]{12}-[A-Za-z]{12}\b"), "<record>"),
    (re.compile(r'(_call_id": )"[^"]+"'), r'\1"<call>"'),
    (re.compile(r'(ms": )\d+'), r"\1<ms>"),
    (re.compile(r"z9hG4bK\w+|(?<=;tag=)\w+|(?<=Call-ID: )\w+|(?<=o=- )\d+ \d+"), "<made anew>"),
    (re.compile(r"(?<=CSeq: )\d+|(?<=Content-Length: )\d+"), "<number>"),
    (re.compile(r"\d+ us: read \d+, looked up \d+, decided \d+, sent \d+"), "<us>"),
    (re.compile(r"[ \t]+$", re.MULTILINE), ""),
)


@dataclass(frozen=True)
class Step:
    """One block, or one command of a dialogue."""

    commands: str
    line: int  # of the page, where its block begins
    shown: str | None = None
    is_background: bool = False
    status: int = 0


def stories(page: Path) -> dict[str, list[Step]]:
    """The steps of a page by name of their story."""
    found: dict[str, list[Step]] = {}
    if _MARK.search(page.read_text("utf-8")) is None:
        return found
    mark: re.Match[str] | None = None
    steps: list[Step] | None = None
    is_shown = False
    for token in tokens(page):
        if token.type == "html_block":
            mark, is_shown = _MARK.match(token.content), _SHOWN.match(token.content) is not None
            if mark is not None and mark[1] == "setup":
                step = Step(mark[5], token.map[0] if token.map else 0, is_background=mark[3] is not None)
                found.setdefault(mark[2], []).append(step)
                mark = None
            continue
        if token.type == "fence" and is_shown:
            assert steps, f"{page.name}: nothing has been run that this could be shown of"
            steps[-1] = replace(steps[-1], shown=token.content)
        elif token.type == "fence" and mark is not None:
            steps = found.setdefault(mark[2], [])
            steps += _steps(token.content, token.map[0] + 1 if token.map else 0, mark)
        mark, is_shown = None, False
    return found


def _steps(content: str, line: int, mark: re.Match[str]) -> list[Step]:
    status = int(mark[4] or 0)
    if not content.startswith("$ "):
        return [Step(content, line, None, mark[3] is not None, status)]
    dialogue = []
    for part in re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]:
        command, rest = _command(part.splitlines())
        dialogue.append(Step(command, line, "\n".join(rest)))
    dialogue[-1] = replace(dialogue[-1], status=status)
    return dialogue


def _command(lines: list[str]) -> tuple[str, list[str]]:
    """A command with the lines that continue it, and the lines behind it."""
    count = 1
    while lines[count - 1].endswith("\\"):
        count += 1
    return "\n".join(lines[:count]), lines[count:]


def differs(shown: str, printed: str) -> bool:
    """True unless `printed` is what a page may show as `shown`."""
    lines = _without_what_varies(shown).strip().split("\n")
    patterns = [".*" if line == "..." else re.escape(line).replace(r"\.\.\.", "[^\n]*") for line in lines]
    return re.fullmatch("\n".join(patterns), _without_what_varies(printed).strip(), re.DOTALL) is None


def _without_what_varies(text: str) -> str:
    for varies, word in _VARIES:
        text = varies.sub(word, text)
    return text


class Workshop:
    """A folder that looks like a fresh checkout to the commands, with a loopback address of its own for 127.0.0.1."""

    def __init__(self, folder: Path, host: str) -> None:
        assert all(is_free(host, port) for port in PORTS), f"the ports of {host} are in use"
        self._folder = folder
        self._host = host
        self._running: list[subprocess.Popen[bytes]] = []
        for name in ("configs", "docs"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for file in (folder / "configs").glob("*.toml"):
            file.write_text(self._placed(file.read_text("utf-8")), "utf-8")
        (folder / "scenarios").symlink_to(ROOT / "scenarios")
        for name in ("Makefile", "pyproject.toml"):
            shutil.copy(ROOT / name, folder / name)
        os.utime(folder / "pyproject.toml", (0, 0))  # the environment is not to be made anew from here
        (folder / ".venv").symlink_to(sys.prefix)
        self._environment = {
            "PATH": f"{folder / '.venv' / 'bin'}:{os.environ['PATH']}", "HOME": str(folder), "LANG": "C.UTF-8",
            "TERM": "xterm",
        }  # fmt: skip

    def _placed(self, text: str) -> str:
        return _HOST.sub(self._host, text)

    def run(self, step: Step) -> None:
        """Runs a step, and holds what it does against what its page says."""
        if step.is_background:
            self._start(step)
            return
        done = subprocess.run(
            self._argv(step), cwd=self._folder, env=self._environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=STEP_S, check=False,
        )  # fmt: skip
        printed = done.stdout.decode(errors="replace").replace(self._host, SHOWN_HOST)
        said = f"line {step.line}: {step.commands}\nexit status {done.returncode}, printed:\n{printed}\n"
        assert done.returncode == step.status, said
        if step.shown is not None:
            assert not differs(step.shown, printed), f"{said}the page shows:\n{step.shown}"

    def _start(self, step: Step) -> None:
        output = self._folder / f"output.{len(self._running)}"
        with output.open("wb") as printed:
            process = subprocess.Popen(
                self._argv(step), cwd=self._folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=printed,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._running.append(process)
        deadline = time.monotonic() + STEP_S
        while not self._has_started(step, output):
            said = f"line {step.line}: {step.commands}\n{output.read_text(errors='replace')}"
            assert process.poll() is None, f"it has ended: {said}"
            assert time.monotonic() < deadline, f"it does not start: {said}"
            time.sleep(0.02)

    def _has_started(self, step: Step, output: Path) -> bool:
        if step.shown is not None:
            return not differs(step.shown, output.read_text(errors="replace").replace(self._host, SHOWN_HOST))
        if step.commands.strip().startswith(("make run", "veil700 run")):
            return "veil700 ready " in output.read_text(errors="replace")
        port = _SIPP_PORT.search(step.commands)
        assert port is not None, f"line {step.line}: nothing tells when this has started"
        wanted = b":%04X" % int(port[1])
        address = b"%08X" % int.from_bytes(bytes(map(int, self._host.split("."))), "little")
        return address + wanted in Path("/proc/net/udp").read_bytes()

    def _argv(self, step: Step) -> list[str]:
        return ["bash", "-e", "-c", self._placed(step.commands)]

    def close(self) -> None:
        """Ends what runs in the background, newest first."""
        for process in reversed(self._running):
            for by in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(process.pid, by)  # the group that it leads: nothing else is in it
                    process.wait(20.0)
                    break
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue
