"""The verbs in one typer application, and the one place where an error becomes a line and an exit status."""

from __future__ import annotations

import functools
import io
import os
import platform
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Final

import typer
from typer.main import get_group

from engine.cli.common import DONE, FAILED, INTERRUPTED, USAGE, UsageFault, printable, tell
from engine.config import ConfigError
from engine.control.client import ControlError
from engine.core.compiled import is_compiled
from engine.core.numbers import masked_runs
from engine.domain.problems import Problem
from engine.store.errors import StoreError

PROGRAM: Final = "veil700"

# The modules of the verbs, in the order of the help, each with the first words that it answers to: a command loads the
# one that it needs. Half the time of a short command went into loading them all.
_PARTS: Final = {
    "node": ("run", "check", "config", "status", "calls", "drain", "reload"),
    "inventory": ("inventory",),
    "explain": ("explain",),
    "capture": ("capture",),
    "diff": ("diff",),
    "replay": ("replay",),
    "bind": ("bind", "rebind", "unbind"),
    "bindings": ("bindings",),
    "groups": ("group",),
    "blacklist": ("blacklist",),
    "cdr": ("cdr",),
    "trace": ("trace",),
    "audit": ("audit",),
    "api_key": ("api-key",),
    "hook": ("hook",),
    "leak_test": ("leak-test",),
    "scenario": ("scenario",),
    "states": ("state", "kill", "restore"),
    "report": ("report",),
    "complaint": ("complaint",),
    "credit": ("credit",),
}
PART_OF: Final = {word: part for part, words in _PARTS.items() for word in words}


def _say_version(is_asked: bool) -> None:
    if is_asked:
        from importlib import metadata  # no verb needs it

        how = "compiled" if is_compiled() else "not compiled"
        typer.echo(f"{PROGRAM} {metadata.version(PROGRAM)} ({how}), Python {platform.python_version()}")
        raise typer.Exit


def _root(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="Configuration, before or after the verb. Default: $VEIL700_CONFIG, else configs/embedded.toml.",
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_say_version,
            is_eager=True,
            help="Say which veil700 this is, and whether it is compiled.",
        ),
    ] = False,
) -> None:
    """veil700 carries calls and messages to 15-digit 700 privacy numbers.

    `veil700 VERB --help` explains a verb.
    """


@functools.cache
def verbs(part: str = "") -> typer.core.TyperGroup:
    """The application as typer runs it, with the verbs of one part, or with all of them."""
    app = typer.Typer(
        name=PROGRAM,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        epilog="Exit status: 0 done, 1 the answer is no or the work failed, 2 wrong usage or configuration.",
    )
    for name in (part,) if part else _PARTS:
        import_module(f"engine.cli.{name}").add_to(app)
    app.callback()(_root)
    return get_group(app)


def run_cli(argv: list[str]) -> int:
    """Run one verb; the exit status. Errors are lines on stderr, and nothing is raised."""
    sys.stdout = sys.stdout or io.StringIO()  # a process can be started with them closed
    sys.stderr = sys.stderr or io.StringIO()
    try:
        rest, config = _take_config(argv)
        part = PART_OF.get(rest[0], "") if rest else ""  # what is no verb is told of all of them
        status = verbs(part).main(args=rest, prog_name=PROGRAM, standalone_mode=False, obj=config)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BaseException as error:
        return _report(error)
    return status if isinstance(status, int) else DONE


def _take_config(argv: list[str]) -> tuple[list[str], Path | None]:
    """The words without `--config FILE`, wherever it stands, and the file; the last one counts."""
    rest: list[str] = []
    config: Path | None = None
    words = iter(argv)
    for word in words:
        if word == "--":
            return [*rest, word, *words], config
        name, equals, value = word.partition("=")
        if name != "--config":
            rest.append(word)
            continue
        value = value if equals else next(words, "")
        if not value:
            raise UsageFault("--config needs the name of a file")
        config = Path(value)
    return rest, config


def _report(error: BaseException) -> int:
    """Say what went wrong; the exit status for it."""
    if isinstance(error, BrokenPipeError | SystemExit):  # typer ends with SystemExit when the reader of a pipe left
        _mute_stdout()
        return FAILED
    from sipstack.scenario.model import ScenarioError  # a tenth of a short command's time, and only few play anything

    if isinstance(error, ConfigError | ScenarioError):
        tell("\n".join(map(printable, str(error).splitlines())))
        return USAGE
    if isinstance(error, UsageFault):
        tell(f"{PROGRAM}: {masked_runs(str(error))}")
        return USAGE
    if isinstance(error, typer.TyperException):
        return _report_usage(error)
    if isinstance(error, StoreError | Problem | ControlError):
        tell("\n".join(f"{PROGRAM}: {line}" for line in str(error).splitlines()))
    elif isinstance(error, OSError):
        if error.filename is None:  # of what is open, only our output can fail so
            _mute_stdout()
        name = error.filename or "output"
        tell(f"{PROGRAM}: {name}: {error.strerror or error}")
    else:  # a fault of ours: its text may hold a number
        tell(f"{PROGRAM}: internal fault: {type(error).__name__}{_place(error)}")
    return FAILED


def _report_usage(error: typer.TyperException) -> int:
    """typer's own words on one line, with the verb that they are about."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else PROGRAM
    message = " ".join(error.format_message().split()).rstrip(".").replace(": Value error, ", ": ")
    if "unexpected extra argument" in message and ".toml" in message:
        message += ": --config names a file"
    tell(f"{path}: {masked_runs(message)}; see {path} --help")
    return USAGE


def _place(error: BaseException) -> str:
    """Where it happened: file and line of the innermost frame."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f" at {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace is not None else ""


def _mute_stdout() -> None:
    """Let the flush at the end of the interpreter go nowhere: what it holds cannot be written."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    except (OSError, ValueError):
        return
