"""The verb about hooks: hook test."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from engine.cli.common import DONE, FAILED, JSON, UsageFault, configuration, say, say_json
from engine.control.client import ControlError
from engine.hook_client import MAX_LINE_BYTES, SOCKET
from engine.store.hooks import KINDS, MAX_TIMEOUT_MS

WAIT_S: Final = MAX_TIMEOUT_MS / 1000 + 2.0
_LIMITS: Final = {"callee": "callee", "presented": "presented", "max_call_s": "max_duration",
                  "ring_timeout_s": "ring_timeout", "proof": "proof"}  # fmt: skip

_KIND: Final = typer.Argument(metavar="KIND", help=f"One of {', '.join(KINDS)}.", show_default=False)
_PLATFORM: Final = typer.Option(help="Whose hook.", show_default=False)


def add_to(app: typer.Typer) -> None:
    """Hang the verb of this module into the application."""
    group = typer.Typer(help="Where app platforms are asked before a bind or a call.", rich_markup_mode=None)
    group.callback()(_group)
    group.command("test")(put_question)
    app.add_typer(group, name="hook")


def _group() -> None:
    """Where app platforms are asked before a bind or a call."""


def put_question(
    context: typer.Context,
    kind: Annotated[str, _KIND],
    app_platform: Annotated[str, _PLATFORM],
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Put one question to a hook, as the node would, and print what comes back; nothing is kept of it.

    \b
    The question is signed, and says `is_test`. It is put by the API process of the node that runs here.
    Example:
      veil700 hook test decision --app-platform ap-demo
    """
    if kind not in KINDS:
        raise UsageFault(f"hook test: KIND is one of {', '.join(KINDS)}")
    said = _ask(configuration(context).data_dir / SOCKET, kind, app_platform)
    verdict, took_ms = said["verdict"], said["took_ms"]
    if as_json:
        say_json({name: value for name, value in said.items() if name != "id"})
    elif verdict == "none":
        say(f"no answer: {said['reason']}")
    else:
        more = "".join(f" {word}={said[name]}" for name, word in _LIMITS.items() if said[name])
        say(f"{verdict} after {took_ms} ms{more}")
    return FAILED if verdict == "none" else DONE


def _ask(path: Path, kind: str, app_platform: str) -> dict[str, Any]:
    """What the API process says. ControlError."""
    question = {"id": 1, "kind": kind, "app_platform": app_platform, "is_test": True}
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(WAIT_S)
            connection.connect(str(path))
            connection.sendall(json.dumps(question).encode() + b"\n")
            with connection.makefile("rb") as lines:
                said = json.loads(lines.readline(MAX_LINE_BYTES) or b"null")
    except (FileNotFoundError, ConnectionRefusedError):
        raise ControlError(f"{path}: no API process runs here") from None
    except (OSError, ValueError) as error:
        raise ControlError(f"{path}: {error}") from None
    if not isinstance(said, dict):
        raise ControlError(f"{path}: the API process went away without an answer")
    if "took_ms" not in said:
        raise ControlError(f"{path}: this question cannot be put")
    return said
