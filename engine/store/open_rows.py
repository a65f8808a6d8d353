"""Open rows read back into the records that they were made from."""

from __future__ import annotations

import json
from typing import Final, cast

from engine.core.records import Attempt, CallRecord
from engine.store.crypto import NumberCipher
from engine.store.rows import ANSWER_COLUMNS, NUMBER_COLUMNS, OPEN_COLUMNS, TIME_COLUMNS, utc_seconds

_ANSWERED: Final = frozenset(ANSWER_COLUMNS)
# Of call_open with call_answer beside it, in the order of OPEN_COLUMNS: what the answer changed stands there.
ANSWERED_COLUMNS: Final = ", ".join(
    f"{'call_answer' if name in _ANSWERED else 'call_open'}.{name}" for name in OPEN_COLUMNS
)


def read_record(values: tuple[object, ...], cipher: NumberCipher) -> CallRecord:
    """The record as its last step left it; `values` in the order of OPEN_COLUMNS."""
    row = dict(zip(OPEN_COLUMNS, values, strict=True))
    record = CallRecord(str(row["record_id"]), str(row["node"]), str(row["kind"]))
    for name, value in row.items():
        setattr(record, name, _value(name, value, cipher))
    return record


def _value(name: str, stored: object, cipher: NumberCipher) -> object:
    """The attribute of a record that a column holds."""
    if name in NUMBER_COLUMNS:
        return cipher.decrypt(stored, f"call_open.{name}") if isinstance(stored, bytes) else ""
    if name in TIME_COLUMNS:
        return None if stored is None else utc_seconds(cast(str, stored))
    if name == "attempts":
        return [_attempt(tried) for tried in json.loads(cast(str, stored))]
    return stored


def _attempt(tried: dict[str, object]) -> Attempt:
    attempt = Attempt(str(tried["peer"]), str(tried["target"]), address=str(tried.get("address", "")))
    attempt.status, attempt.ms = cast(int, tried["status"]), cast(int, tried["ms"])
    return attempt
