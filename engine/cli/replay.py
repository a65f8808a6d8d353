"""The verb replay: what another configuration would do with the requests of a capture."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.captures import read_capture, tell_what_is_missing
from engine.cli.common import JSON, configuration, existing, instant
from engine.cli.diff import answered, compared
from engine.config import Config, load
from engine.diff import of_capture
from engine.store.bound_callers import BoundCallers
from engine.store.crypto import open_key


def add_to(app: typer.Typer) -> None:
    """Hang the verb of this module into the application."""
    app.command("replay")(replay)


def replay(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A capture, pcap or pcapng.", show_default=False)],
    against: Annotated[
        Path, typer.Option("--against", metavar="NEW.toml", help="The configuration to be.", show_default=False)
    ],
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When they happen, RFC 3339. Default: now.", show_default=False),
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Decide the captured requests under the configuration and under another one, and tell what changes.

    INVITEs and MESSAGEs that begin something count, as they came and from where they came. Nothing is sent or written.
    The bindings are those in the data folder of the configuration. Numbers are shown masked.

    \b
    Status 0: nothing changes. 1: something does. 2: that cannot be told.
    Example:
      veil700 replay trunk.pcap --against new.toml
      veil700 replay trunk.pcap --against new.toml --config veil700.toml --json
    """
    at_s = instant("--at", at)
    wall_s = time.time() if at_s is None else at_s
    before, after = configuration(context), load(against)
    capture = read_capture(file)
    tell_what_is_missing(file, capture)
    with answered(), closing(_callers(before)) as callers:
        corpus = of_capture(
            capture, f"requests in {file.name}", before.core_settings().listeners,
            lambda x: callers.of(x, wall_s),
        )  # fmt: skip
    return compared(before, after, corpus, wall_s, as_json)


def _callers(config: Config) -> BoundCallers:
    return BoundCallers(existing(config.data_dir / "bindings.db"), open_key(config.data_dir))
