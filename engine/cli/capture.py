"""The verb capture: the messages of the running node as a capture file."""

from __future__ import annotations

import errno
import os
import re
import select
import signal
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, final

import typer

from engine.capture.captures import HEARTBEAT_S
from engine.cli.common import DONE, FAILED, JSON, REASON, UsageFault, asker, configuration, say_facts, say_json, tell
from engine.cli.progress import running_line
from engine.config.values import shown
from engine.control.client import ControlError, follow
from engine.core.numbers import PRIVACY, canonical_real, read_number
from engine.core.settings import NumberFormat
from sipstack.pcapng import PcapngWriter

_SILENCE_S: Final = 10 * HEARTBEAT_S
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION: Final = re.compile(r"([0-9]{1,6})([smhd]?)")
_STDOUT: Final = "-"

# Why a capture has ended, by what the node says.
_ENDS: Final = {"time": "its time is over", "calls": "the calls have ended", "stop": "the node has stopped"}
_ASKED: Final = "interrupted"
_GONE: Final = "the node went away"


def add_to(app: typer.Typer) -> None:
    """Hang the verb of this module into the application."""
    app.command("capture")(capture)


def capture(
    context: typer.Context,
    out: Annotated[
        str, typer.Option("--out", metavar="FILE|-", help="Where the capture goes; -: to stdout.", show_default=False)
    ],
    duration: Annotated[
        str | None,
        typer.Option("--for", metavar="30s", help="So long: 30s, 5m, 2h. Default: until Ctrl-C.", show_default=False),
    ] = None,
    calls: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Until so many calls have begun and ended.", show_default=False),
    ] = None,
    number: Annotated[
        str | None,
        typer.Option(metavar="X", help="Calls of this 700 number, or of this real one.", show_default=False),
    ] = None,
    peer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only what this peer sends and gets.", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over FILE when there is one.")] = False,
    reveal: Annotated[bool, typer.Option("--reveal", help="Real numbers in clear; is audited.")] = False,
    reason: Annotated[str | None, REASON] = None,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Write what the running node sends and receives as pcapng, for Wireshark, tshark and sngrep.

    Real numbers are replaced by pseudonyms in the node, before anything leaves it. Needs no root. Ctrl-C ends it.

    \b
    Status 0: ended as asked. 1: the node has gone or refused.
    Example:
      veil700 capture --out call.pcapng --number 700123456780001 --calls 1
      veil700 capture --out - --for 30s | tshark -r -
    """
    who = asker(reveal, reason)
    if as_json and out == _STDOUT:
        raise UsageFault("--json goes with --out FILE")
    if out == _STDOUT and sys.stdout.isatty():
        raise UsageFault("--out -: a capture is no text: send it to a file or a pipe")
    config = configuration(context)
    wanted: dict[str, object] = {}
    if duration is not None:
        wanted["for_s"] = _seconds(duration)
    wanted |= {"calls": calls} if calls is not None else {}
    wanted |= {"number": _number(number)} if number is not None else {}
    wanted |= {"peer": peer} if peer is not None else {}
    if who is not None:
        wanted |= {"reveal": True, "actor": who.actor, "reason": who.reason}
    answers = follow(config.data_dir, "capture", wanted, _SILENCE_S)
    with closing(answers):
        next(answers, None)  # whether there is a node, and whether it will
        with _opened(out, force) as file:
            for ending in (signal.SIGINT, signal.SIGTERM):  # also where they are ignored, as behind `&` in a script
                signal.signal(ending, signal.default_int_handler)
            tell(f"veil700: capturing into {'stdout' if out == _STDOUT else out}; Ctrl-C ends it")
            written = _Written(file, is_revealed=who is not None)
            with running_line() as show:
                why = written.take(answers, show)
    _say(written, why, out, as_json)
    return FAILED if why in (_GONE, _ENDS["stop"]) else DONE


@final
class _Written:
    """What has come of a capture, and the file that it goes into: whole after every line of the node's."""

    def __init__(self, file: BinaryIO, *, is_revealed: bool) -> None:
        self.counts: dict[str, int] = {"seen": 0, "shown": 0, "lost": 0, "withheld": 0, "gaps": 0}
        self._file = file
        self._writer = PcapngWriter()
        how = "real numbers in clear" if is_revealed else "real numbers replaced by pseudonyms"
        self._put(self._writer.begin("veil700", "veil700", f"{how}; headers of IP, UDP and TCP are made up"))

    def take(self, answers: Iterator[dict[str, object]], show: Callable[[str], None]) -> str:
        """Writes all that comes, and shows how much that is; why no more does.

        A pipe whose reader has gone raises BrokenPipeError.
        """
        why = _GONE
        try:
            for answer in answers:
                why = _ENDS.get(str(answer.get("end")), why)
                self._take_one(answer)
                show(self._text())
        except KeyboardInterrupt:
            why = _ASKED
        except ControlError as error:
            tell(f"veil700: {error}")
        counts = self.counts
        comment = f"{why}; {self._text()}"
        self._put(self._writer.end(time.time(), counts["seen"], counts["lost"] + counts["withheld"], comment))
        return why

    def _take_one(self, answer: dict[str, Any]) -> None:
        blocks = []
        for one in answer.get("messages", ()):
            local, remote = (str(one["local"][0]), int(one["local"][1])), (str(one["remote"][0]), int(one["remote"][1]))
            source, destination = (local, remote) if one["sent"] else (remote, local)
            blocks.append(
                self._writer.message(
                    one["at"], one["transport"], source, destination, b64decode(one["data"]), is_sent=one["sent"]
                )
            )
        if answer.get("gaps", 0) > self.counts["gaps"]:
            tell("veil700: a worker is away: what it does until it is back may be missing")
        self.counts |= {name: answer[name] for name in self.counts if name in answer}
        self._put(b"".join(blocks))

    def _text(self) -> str:
        counts = self.counts
        gaps = f"; {counts['gaps']} times a worker was away, and what it did may be missing" if counts["gaps"] else ""
        return (
            f"{counts['seen']} messages seen, {counts['shown']} written, {counts['lost']} lost since they came too "
            f"fast, {counts['withheld']} withheld since a real number may stand in them{gaps}"
        )

    def _put(self, data: bytes) -> None:
        """Also nothing: a pipe whose reader has gone ends the capture while there is no traffic, too."""
        if not data and _is_deserted(self._file):
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        self._file.write(data)
        self._file.flush()


def _is_deserted(file: BinaryIO) -> bool:
    look = select.poll()
    look.register(file, 0)
    return any(event & select.POLLERR for _, event in look.poll(0))


def _say(written: _Written, why: str, out: str, as_json: bool) -> None:
    if out == _STDOUT:
        tell(f"veil700: {why}: " + ", ".join(f"{count} {name}" for name, count in written.counts.items()))
    elif as_json:
        say_json({"file": out, "ended": why, **written.counts})
    else:
        say_facts({"file": out, "ended": why, **written.counts})


@contextmanager
def _opened(out: str, force: bool) -> Iterator[BinaryIO]:
    """The file, for its owner alone, and no other one's. UsageFault when there is one and it is not to go."""
    if out == _STDOUT:
        yield sys.stdout.buffer
        return
    if force:
        Path(out).unlink(missing_ok=True)
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UsageFault(f"--out: {out}: there is such a file; --force writes over it") from None
    with os.fdopen(descriptor, "wb") as file:
        yield file


def _seconds(text: str) -> int:
    found = _DURATION.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise UsageFault(f"--for: {shown(text)} is no time such as 30s, 5m or 2h")
    return int(found[1]) * _UNITS[found[2]]


def _number(text: str) -> str:
    """A 700 number as 15 digits, or a real one in canonical form."""
    dialled = read_number(text.strip(), NumberFormat.PREFIX86)
    number = dialled.number if dialled.kind is PRIVACY else canonical_real(text)
    if number is None:
        raise UsageFault(f"--number: {shown(text)} is neither a 700 number nor a real one")
    return number
