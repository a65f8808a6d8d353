"""Verbs about the chain of the records: cdr verify."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.common import DONE, FAILED, JSON, configuration, existing, midnight, printable, say, say_json
from engine.cli.progress import counted_bar
from engine.store.archive_verify import ArchiveReport, verify_archive
from engine.store.signing import PUBLIC_KEY_FILE, read_public_keys
from engine.store.verify import NodeReport, verify


def add_to(group: typer.Typer) -> None:
    """Hang the verbs of this module into the group `cdr`."""
    group.command("verify")(verify_)


def verify_(
    context: typer.Context,
    since: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="Read only records of that UTC day and later ones.", show_default=False),
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="PEM, kept elsewhere; default: signing_key.pub in the data folder."),
    ] = None,
    archive: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Check this archive too, and that the records go on from it."),
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Check that every record is there, unchanged and in its place, and that every day was signed.

    Needs no secret key; the node may be running.

    \b
    Example:
      veil700 cdr verify
      veil700 cdr verify --since 2026-11-01 --public-key /mnt/auditor/veil-1.pub
      veil700 cdr verify --archive /srv/veil700-archive
    """
    if since is not None:
        midnight("--since", since, "+00:00")
    path = existing(configuration(context).data_dir / "records.db")
    with counted_bar("records") as progress:
        report = verify(path, public_key=public_key, since=since or "", progress=progress)
    archived = None
    if archive is not None:
        keys = read_public_keys(public_key or path.with_name(PUBLIC_KEY_FILE))
        with counted_bar("archived records") as progress:
            archived = verify_archive(archive, path, keys, progress)
    is_clean = report.is_clean and (archived is None or archived.is_clean)
    if as_json:
        nodes = [asdict(node) for node in report.nodes]
        shelf = None if archived is None else asdict(archived)
        say_json({"clean": is_clean, "records": report.records, "nodes": nodes, "archive": shelf})
    else:
        for node in report.nodes:
            _say_node(node)
        if archived is not None:
            _say_archive(archived)
        say(f"{report.records} records, {'clean' if is_clean else 'NOT CLEAN'}")
    return DONE if is_clean else FAILED


def _say_node(node: NodeReport) -> None:
    facts = [f"{node.records} records", f"last seq {node.last_seq}", f"{node.open} open"]
    if node.purged:
        facts.append(f"{node.purged} purged")
    facts.append(f"signed up to {node.signed_day or 'no day'}")
    say(printable(f"{node.node}: {', '.join(facts)}"))
    for fault in node.faults:
        say(printable(f"{node.node}: {fault}"))


def _say_archive(report: ArchiveReport) -> None:
    say(f"archive: {report.days} days, {report.records} records")
    for fault in report.faults:
        say(printable(f"archive: {fault}"))
