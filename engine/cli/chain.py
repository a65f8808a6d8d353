"""Verbs about the chain of the records: cdr verify, cdr purge."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.common import (
    DONE,
    FAILED,
    JSON,
    UsageFault,
    actor,
    configuration,
    existing,
    midnight,
    printable,
    say,
    say_json,
    tell,
)
from engine.cli.progress import counted_bar
from engine.store.archive_verify import ArchiveReport, verify_archive
from engine.store.audit import Asker
from engine.store.crypto import open_key
from engine.store.manifest import is_archived
from engine.store.purge import NodePurge, Purged, last_day_to_go, plan_purge, purge
from engine.store.signing import PUBLIC_KEY_FILE, read_public_keys
from engine.store.verify import NodeReport, verify


def add_to(group: typer.Typer) -> None:
    """Hang the verbs of this module into the group `cdr`."""
    group.command("verify")(verify_)
    group.command("purge")(purge_)


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
        answer = {"clean": is_clean, "records": report.records, "journal_bytes": report.journal_bytes}
        say_json({**answer, "nodes": nodes, "archive": shelf})
    else:
        for node in report.nodes:
            _say_node(node)
        if archived is not None:
            _say_archive(archived)
        if report.journal_bytes:
            say(f"{report.journal_bytes} bytes of the journal are not in records.db yet")
        say(f"{report.records} records, {'clean' if is_clean else 'NOT CLEAN'}")
    return DONE if is_clean else FAILED


def purge_(
    context: typer.Context,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="DAY", help="Only days before this one, UTC; default: all that are due.", show_default=False
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only say what would go.")] = False,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Remove the records of whole days that are older than retention_days, oldest first.

    \b
    Only says what would go, unless --yes. The node may be running; what is removed is audited.
    Example:
      veil700 cdr purge
      veil700 cdr purge --until 2026-01-01 --yes
    """
    config = configuration(context)
    now_s = time.time()
    last_day = _last_day(until, now_s, config.cdr.retention_days)
    path = existing(config.data_dir / "records.db")
    folder = config.archive_dir
    plans = plan_purge(path, last_day, None if folder is None else lambda day: is_archived(folder, day))
    done: Purged | None = None
    if yes:
        with counted_bar("records") as progress:
            done = purge(path, open_key(config.data_dir), plans, Asker(actor()), now_s, progress)
    if as_json:
        say_json(
            {"dry_run": not yes, "nodes": [_as_json(plan) for plan in plans], **({} if done is None else asdict(done))}
        )
    else:
        _say_purge(plans, done)
    for plan in plans:
        if plan.not_archived:
            tell(f"veil700: {plan.node}: {plan.not_archived} is not in the archive: it stays, and what lies behind it")
    return FAILED if any(plan.not_archived for plan in plans) else DONE


def _last_day(until: str | None, now_s: float, retention_days: int) -> str:
    """The last day that goes; UsageFault when `until` would take what is too young."""
    due = last_day_to_go(now_s, retention_days)
    if until is None:
        return due
    before_s = midnight("--until", until, "+00:00")
    last_day = datetime.fromtimestamp(before_s - 1, UTC).date().isoformat()
    if last_day > due:
        raise UsageFault(
            f"--until: {last_day} is younger than retention_days ({retention_days}), {due} is the last to go"
        )
    return last_day


def _say_purge(plans: list[NodePurge], done: Purged | None) -> None:
    for plan in plans:
        if plan.records:
            days = f"{plan.days[0].day} to {plan.days[-1].day}" if plan.days else "the rest of an earlier purge"
            say(printable(f"{plan.node}: {days}, {plan.records} records, about {plan.octets / 1e6:.1f} MB"))
    if done is not None and done.records:
        say(f"{done.records} records removed, at most {done.longest_lock_s * 1000:.0f} ms without a pause")
    elif any(plan.records for plan in plans):
        say("nothing was removed: --yes does it")
    elif any(plan.not_archived for plan in plans):
        say("nothing can go yet")
    else:
        say("nothing is old enough")


def _as_json(plan: NodePurge) -> dict[str, object]:
    found = asdict(plan)
    found["days"] = [day.day for day in plan.days]
    return found


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
