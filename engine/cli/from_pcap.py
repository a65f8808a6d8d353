"""The verb `scenario from-pcap`: a pair of scenarios out of a captured call."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from engine.cli.captures import read_capture, tell_what_is_missing
from engine.cli.common import DONE, JSON, USAGE, UsageFault, say, say_json, say_table, tell
from engine.core.numbers import is_privacy_number, mask, masked_identifier
from engine.diff import is_masked
from sipstack.pcap import SipCapture
from sipstack.scenario.captured import MOST_MESSAGES, MOST_NUMBERS, CapturedCall, Pair, calls_of, pair_of
from sipstack.scenario.loader import load_scenario
from sipstack.scenario.model import MAX_FILE_BYTES, ScenarioError

_COLUMNS: Final = {"began": 24, "method": 7, "status": 6, "messages": 8, "from": 21, "to": 21, "call_id": 0}
_FILES: Final = ("uac.xml", "uas.xml", "rows.csv")


def from_pcap(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A capture, pcap or pcapng.", show_default=False)],
    call_id: Annotated[
        str | None,
        typer.Option(
            "--call-id", metavar="ID", help="Which call, by the Call-ID of any leg of it.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where uac.xml, uas.xml and rows.csv go; made when it is not there.")
    ] = Path(),
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Make a pair of scenarios out of a captured call: uac.xml, uas.xml and rows.csv.

    Its numbers become fields of the row; Call-ID, tags, branches, lengths and addresses are made anew by whoever plays.
    rows.csv has the numbers in clear, and nothing is overwritten.

    \b
    Example:
      veil700 scenario from-pcap trunk.pcap --out story
      veil700 scenario play story/uas.xml -i 127.0.0.2 -inf story/rows.csv -m 1
      veil700 scenario play story/uac.xml 127.0.0.1:5060 -i 127.0.0.3 -inf story/rows.csv -m 1
      veil700 scenario from-pcap trunk.pcap --json
    """
    capture = read_capture(file)
    tell_what_is_missing(file, capture)
    calls = calls_of(capture.messages)
    chosen = [call for call in calls if call_id is None or _has(call, call_id)]
    pair = _pair(chosen[0]) if len(chosen) == 1 else None
    if pair is not None:
        _write(out, pair)
    notes = [*pair.notes, *_reports(chosen[0], calls), *_pseudonyms(capture)] if pair is not None else []
    if as_json:
        say_json(_document(file, calls, chosen, pair, out, notes))
    elif pair is not None:
        for name in _FILES:
            say(str(out / name))
    elif len(calls) > 1 and call_id is None:
        say_table(_COLUMNS, (_row(call) for call in calls))
    for note in notes:
        tell(f"veil700: {note}")
    if pair is None:
        tell(f"veil700: {file}: {_why_none(calls, chosen, call_id)}")
    return DONE if pair is not None else USAGE


def _has(call: CapturedCall, call_id: str) -> bool:
    """By the Call-ID as it is, or as it is shown."""
    return any(call_id in (leg.call_id, masked_identifier(leg.call_id)) for leg in call.legs)


def _why_none(calls: list[CapturedCall], chosen: list[CapturedCall], call_id: str | None) -> str:
    if not calls:
        return "no call begins in it"
    if call_id is None:
        return f"{len(calls)} calls begin in it: choose one with --call-id"
    if chosen:
        return f"{len(chosen)} calls have that Call-ID"
    return f"none of the {len(calls)} calls that begin in it has that Call-ID"


def _pair(call: CapturedCall) -> Pair:
    pair = pair_of(call)
    if pair is None:
        raise UsageFault(f"the call is too long: it has more than {MOST_MESSAGES} messages or {MOST_NUMBERS} numbers")
    return pair


def _pseudonyms(capture: SipCapture) -> list[str]:
    return ["its numbers are pseudonyms: put those to be played into rows.csv"] if is_masked(capture) else []


def _reports(call: CapturedCall, calls: list[CapturedCall]) -> list[str]:
    """What answers a message in a message of its own, as the delivery reports of 3GPP do (TS 24.341)."""
    asked = {leg.call_id for leg in call.legs}
    found = [
        one for one in calls if one is not call and any(leg.first.value("In-Reply-To") in asked for leg in one.legs)
    ]
    shown = ", ".join(masked_identifier(one.inward.call_id) for one in found)
    return [f"what answers it (In-Reply-To) is a call of its own, and not in the pair: {shown}"] if found else []


def _write(folder: Path, pair: Pair) -> None:
    """All three files, or none. UsageFault."""
    texts = dict(zip(_FILES, (pair.uac, pair.uas, pair.rows), strict=True))
    if any(len(text) > MAX_FILE_BYTES for text in texts.values()):
        raise UsageFault(f"the call is too long: a scenario has at most {MAX_FILE_BYTES // 1024} KiB")
    made: list[Path] = []
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, text in texts.items():
            path = folder / name
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            made.append(path)
            with os.fdopen(descriptor, "w", encoding="ascii", newline="") as file:
                file.write(text)
        for path in made[:2]:
            load_scenario(path)
    except BaseException as error:
        for path in made:
            with suppress(OSError):
                path.unlink()
        if isinstance(error, FileExistsError):
            raise UsageFault(f"{error.filename}: is there already: name another folder with --out") from None
        if isinstance(error, OSError):
            raise UsageFault(f"{error.filename}: {error.strerror}") from None
        if isinstance(error, ScenarioError):
            raise UsageFault(f"the call cannot be written as a scenario: {error.faults[0].text}") from None
        raise


# -- what is told ------------------------------------------------------------------------------------------------------


def _document(
    file: Path, calls: list[CapturedCall], chosen: list[CapturedCall], pair: Pair | None, out: Path, notes: list[str]
) -> dict[str, object]:
    """The answer as JSON (docs/replay.md)."""
    return {
        "file": str(file),
        "calls": [_call(call) for call in calls],
        "chosen": masked_identifier(chosen[0].inward.call_id) if pair is not None else None,
        "written": [str(out / name) for name in _FILES] if pair is not None else [],
        "fields": [_shown(number) for number in pair.fields] if pair is not None else [],
        "notes": notes,
    }


def _call(call: CapturedCall) -> dict[str, object]:
    inward, outward = call.inward, call.outward
    return {
        "call_id": masked_identifier(inward.call_id),
        "legs": [
            {
                "call_id": masked_identifier(leg.call_id),
                "transport": leg.transport.lower(),
                "from": _address(leg.caller),
                "to": _address(leg.callee),
                "status": leg.status,
                "messages": len(leg.exchanges),
                "part": "caller" if leg is inward else "callee" if leg is outward else "between",
            }
            for leg in call.legs
        ],
        "method": inward.method,
        "began": _time(inward.began_s),
        "status": inward.status,
    }


def _row(call: CapturedCall) -> tuple[object, ...]:
    inward = call.inward
    return (
        _time(inward.began_s), inward.method, inward.status or "-", sum(len(leg.exchanges) for leg in call.legs),
        _address(inward.caller), _address(call.outward.callee), masked_identifier(inward.call_id),
    )  # fmt: skip


def _time(at_s: float) -> str:
    try:
        return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return "?"


def _address(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _shown(number: str) -> str:
    return number if is_privacy_number(number) else mask(number)
