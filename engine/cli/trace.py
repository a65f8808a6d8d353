"""The verb trace: who was behind a 700 number at a moment, for whoever may ask; every question is audited."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from engine.cli.common import (
    DONE,
    FAILED,
    FROM_ARCHIVE,
    JSON,
    UsageFault,
    asker_because,
    configuration,
    existing,
    moment,
    row_text,
    say,
    say_facts,
    say_json,
    tell,
)
from engine.cli.progress import counted_bar
from engine.cli.unread import tell_what_waits
from engine.core.identity import number_of
from engine.core.numbers import PRIVACY, PRIVACY_LENGTH, read_number
from engine.core.settings import NumberFormat, PeerSettings
from engine.store.archive_reader import Archive
from engine.store.binding_rules import shown
from engine.store.crypto import open_key
from engine.store.rows import utc_text
from engine.store.trace import Bound, Question, Trace, trace
from sipstack.errors import RemoteSipError
from sipstack.uri import parse_uri

HOUR_S: Final = 3600.0
MAX_WINDOW_H: Final = 24 * 366

_FORMAT: Final = NumberFormat.PREFIX86  # of all formats the one that takes every spelling of a 700 number
_ANYBODY: Final = PeerSettings("", (), (), _FORMAT)
_COLUMNS: Final = {
    "call_time": 24, "kind": 7, "caller": 13, "callee": 13, "duration_ms": 11, "release_cause": 17, "subs_id": 32,
    "record_id": 0,
}  # fmt: skip
_IN_PROGRESS: Final = {"duration_ms": "-", "release_cause": "in progress"}


def add_to(app: typer.Typer) -> None:
    """Hang the verb of this module into the application."""
    app.command("trace")(trace_)


def trace_(
    context: typer.Context,
    number: Annotated[str, typer.Option(metavar="X", help="The 700 number, in any spelling.", show_default=False)],
    at: Annotated[str, typer.Option(metavar="TIME", help="The moment, RFC 3339.", show_default=False)],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; goes into the audit.", show_default=False)],
    window: Annotated[
        int,
        typer.Option(metavar="HOURS", min=0, max=MAX_WINDOW_H, help="Calls and messages so long before and after."),
    ] = 24,
    from_archive: Annotated[Path | None, FROM_ARCHIVE] = None,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Tell who was behind a 700 number at a moment, real numbers in clear, with the calls and messages around it.

    \b
    An audit row is written first, whatever is found. Status 1: nobody was.
    Example:
      veil700 trace --number 700123456780001 --at 2026-11-24T09:02:00+08:00 --reason "police, file 4711"
    """
    question = Question(_privacy_number(number), moment("--at", at), window * HOUR_S)
    who = asker_because(reason)
    data_dir = configuration(context).data_dir
    existing(data_dir / "bindings.db")
    archive = None if from_archive is None else Archive(from_archive)
    found = trace(data_dir, open_key(data_dir), question, who, archive)
    if as_json:
        _say_json(found)
    else:
        _say(found)
    if not found.bindings:
        tell(f"veil700: {_nobody(question, found)}")
        return FAILED
    _tell_what_is_missing(found, data_dir / "records.db")
    return DONE


def _tell_what_is_missing(found: Trace, records_db: Path) -> None:
    for day in found.purged_days():
        tell(f"veil700: records of {day} have been purged: --from-archive looks into their archive")
    if records_db.is_file():
        tell_what_waits(records_db)


def _privacy_number(text: str) -> str:
    """The 15 digits of X as dialled: digits in any spelling, or a URI; UsageFault when that is no 700 number."""
    spelled = text.strip()
    is_uri = spelled.lower().startswith(("sip:", "sips:", "tel:"))
    try:
        dialled = number_of(parse_uri(spelled), _ANYBODY) if is_uri else read_number(spelled, _FORMAT)
    except RemoteSipError as error:
        raise UsageFault(f"--number: {shown(text)}: {error}") from None
    if dialled.kind is not PRIVACY:
        raise UsageFault(f"--number: {shown(text)} is not a 700 number of {PRIVACY_LENGTH} digits")
    return dialled.number


def _nobody(question: Question, found: Trace) -> str:
    """Why there is no answer, and when there would be one."""
    before, after = found.nearest
    near = [f"the binding before ended {before}"] if before else []
    near += [f"the next one began {after}"] if after else []
    where = "; ".join(near) or "it never was"
    return f"{question.tel_x} was bound to nobody at {utc_text(question.at_s)}: {where}"


def _say_json(found: Trace) -> None:
    question = found.question
    since, until = found.period()
    with counted_bar("hours") as progress:
        records = list(found.records(progress))
    say_json({
        "number": question.tel_x,
        "at": utc_text(question.at_s),
        "bindings": [asdict(bound) for bound in found.bindings],
        "since": since,
        "until": until,
        "records": records,
        "purged_days": found.purged_days(),
    })  # fmt: skip


def _say(found: Trace) -> None:
    for bound in found.bindings:
        say_facts(_facts(bound))
        say("")
    if not found.bindings:
        return
    since, until = found.period()
    say(f"calls and messages from {since} to {until}:")
    widths = list(_COLUMNS.values())
    say(row_text(_COLUMNS, widths))
    with counted_bar("hours") as progress:
        for record in found.records(progress):
            shown_record = _IN_PROGRESS | record
            say(row_text((shown_record[name] or "-" for name in _COLUMNS), widths))


def _facts(bound: Bound) -> dict[str, object]:
    """What a person needs to know of a binding, names beside ids."""
    return {
        "subs_id": f"{bound.subs_id}, version {bound.version}, mode {bound.mode}",
        "in force": f"from {bound.valid_from} until {_end(bound)}",
        "tel_x": bound.tel_x,
        **({"tel_y": bound.tel_y} if bound.tel_y else {}),
        **({"group": (bound.group_id, *bound.members)} if bound.group_id else {"tel_a": bound.tel_a}),
        "tel_b": bound.tel_b,
        "business_user": (bound.business_user, bound.business_user_name, bound.uscc),
        "app_platform": (bound.app_platform, bound.app_platform_name, bound.licence_no),
        "order_id": bound.order_id,
        "scenario": bound.scenario,
    }


def _end(bound: Bound) -> str:
    if bound.valid_to and bound.valid_to < bound.expiration:
        return f"{bound.valid_to}, when it was ended"
    return f"{bound.expiration}, its expiration"
