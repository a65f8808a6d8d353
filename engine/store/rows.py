"""From a record's snapshot to stored rows: times, JSON, cipher text, column lists."""

from __future__ import annotations

import json
import time
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, final

from engine.core.records import EXTENSION_COLUMNS, FIELDS, RECORD_COLUMNS
from engine.store.crypto import ColumnCipher, NumberCipher

NUMBER_COLUMNS: Final = ("caller", "callee", "group_member")
TIME_COLUMNS: Final = ("call_time", "call_out_time", "ring_time", "answer_time", "release_time")

# Known only when an attempt has ended: not in call_open.
_END_COLUMNS: Final = frozenset((
    "release_time", "ring_ms", "duration_ms", "duration_source", "bill_seconds", "release_direction",
    "release_cause", "sip_status", "q850",
))  # fmt: skip
# What may have changed between the opening of a call and its answer: these columns stand in call_answer.
ANSWER_COLUMNS: Final = (
    "egress_peer", "attempts", "callee_call_id", "call_out_time", "ring_time", "answer_time", "decided_by",
    "icid_out",
)  # fmt: skip

OPEN_COLUMNS: Final = tuple(name for name in RECORD_COLUMNS if name not in _END_COLUMNS)
CDR_COLUMNS: Final = (*FIELDS, *EXTENSION_COLUMNS, "key_id")
# What the ledger knows of a row of `cdr`.
SEQ: Final = FIELDS.index("seq")
PREV_HASH: Final = FIELDS.index("prev_hash")
HASH: Final = FIELDS.index("hash")


# Often NULL where they stand. sqlite3 looks for an adapter of None and of bytes, and words an error when there is none:
# 2,700 instructions. It looks for none of text and bytearray.
_NULL_AT_OPEN: Final = ("group_member", "call_out_time", "ring_time", "answer_time")
NULL_IN_CDR: Final = ("group_member", "ring_time")


def _insert(table: str, columns: tuple[str, ...], mostly_null: tuple[str, ...] = ()) -> str:
    """`mostly_null`: columns that get "" or None for NULL.

    A row that its table refuses takes back its transaction. To say so (OR FAIL) keeps SQLite from copying each page
    that a statement changes, which is a fifth of it.
    """
    values = ["nullif(?, '')" if name in mostly_null else "?" for name in columns]
    return f"INSERT OR FAIL INTO {table} ({', '.join(columns)}) VALUES ({', '.join(values)})"


INSERT_OPEN: Final = _insert("call_open", ("slot", *OPEN_COLUMNS, "boot_id", "key_id", "owner_epoch"), _NULL_AT_OPEN)
INSERT_ANSWER: Final = _insert("call_answer", ("slot", "record_id", *ANSWER_COLUMNS, "dialogs", "key_id"))
INSERT_CDR: Final = _insert("cdr", CDR_COLUMNS, NULL_IN_CDR)

NEVER: Final = "9999"  # sorts behind every time

Row = tuple[object, ...]
OPEN_CALL_TIME: Final = OPEN_COLUMNS.index("call_time")

_AT: Final = {name: index for index, name in enumerate(RECORD_COLUMNS)}
_RECORD_ID: Final = _AT["record_id"]
_CALL_TIME: Final = _AT["call_time"]
_ATTEMPTS: Final = _AT["attempts"]
_CALLER_CALL_ID: Final = _AT["caller_call_id"]
_CALLER_BRANCH: Final = _AT["caller_branch"]
_ICID_IN: Final = _AT["icid_in"]
_TIMES_END: Final = _CALL_TIME + len(TIME_COLUMNS)  # they stand in a row
_OPEN_NUMBERS: Final = tuple((_AT[name], f"call_open.{name}") for name in NUMBER_COLUMNS)
_CDR_NUMBERS: Final = tuple((_AT[name], f"cdr.{name}") for name in NUMBER_COLUMNS)
_pick_open: Final = itemgetter(*[_AT[name] for name in OPEN_COLUMNS])
_pick_answer: Final = itemgetter(*[_AT[name] for name in ANSWER_COLUMNS])
_EMPTY_AT_OPEN: Final = tuple(_AT[name] for name in _NULL_AT_OPEN)
DIALOGS: Final = "call_answer.dialogs"
_MS: Final = tuple(f"{ms:03d}Z" for ms in range(1000))
_MEMO_LIMIT: Final = 4096  # entries; a memo that is full starts anew

# What an answered call needs to be served on, nested in tuples, lists and dicts; bytes become {"latin1": text}.
extra_to_json: Final = json.JSONEncoder(
    separators=(",", ":"), default=lambda value: {"latin1": value.decode("latin-1")}
).encode


@final
class RowMaker:
    """Makes rows from snapshots (`CallRecord.snapshot`, order of RECORD_COLUMNS). For one thread."""

    def __init__(self, cipher: NumberCipher, boot_id: str, epoch: int = 0) -> None:
        """`boot_id` and `epoch` (`engine.store.owner`) are those of the run whose rows these are."""
        self._cipher = cipher
        self._open_numbers = [(at, cipher.of_column(column)) for at, column in _OPEN_NUMBERS]
        self._cdr_numbers = [(at, cipher.of_column(column)) for at, column in _CDR_NUMBERS]
        self._key_id = cipher.key_id
        self._boot_id = boot_id
        self._epoch = epoch
        self._clock = UtcText()
        self._targets: dict[tuple[str, str, str], str] = {}
        self._attempts: dict[object, str] = {}  # a target as configured has no number in it

    def open_row(self, values: Row) -> Row:
        """Parameters of INSERT_OPEN behind `slot`; ValueError without call_time."""
        stored = self._as_text(values)
        _hide_numbers(stored, self._open_numbers)
        for at in _EMPTY_AT_OPEN:
            stored[at] = stored[at] or ""
        return (*_pick_open(stored), self._boot_id, self._key_id, self._epoch)

    def answer_row(self, values: Row, dialogs: str | None) -> Row:
        """Parameters of INSERT_ANSWER behind `slot`; ValueError without call_time.

        `dialogs` is what `extra_to_json` made.
        """
        stored = self._as_text(values)
        hidden = None if dialogs is None else bytearray(self._cipher.encrypt(dialogs, DIALOGS))
        return (stored[_RECORD_ID], *_pick_answer(stored), hidden, self._key_id)

    def closing(self, values: Row) -> list[object]:
        """Parameters of INSERT_CDR, the ledger's still without a value; ValueError without call_time."""
        stored = self._as_text(values)
        _hide_numbers(stored, self._cdr_numbers)
        stored.insert(SEQ, 0)
        stored.insert(PREV_HASH, "")
        stored.insert(HASH, "")
        stored.append(self._key_id)
        return stored

    def _as_text(self, values: Row) -> list[Any]:
        """A copy with times and attempts as text; numbers still in clear."""
        stored: list[Any] = list(values)
        if stored[_CALL_TIME] is None:
            raise ValueError("a record without call_time")
        text = self._clock.text
        for at in range(_CALL_TIME, _TIMES_END):
            if stored[at] is not None:
                stored[at] = text(stored[at])
        attempts = stored[_ATTEMPTS]
        stored[_ATTEMPTS] = self._attempts.get(attempts) or self._attempts_json(attempts)
        # The three that a peer chooses freely: what is no text must not cost the attempt its record.
        if not (stored[_CALLER_CALL_ID].isascii() and stored[_CALLER_BRANCH].isascii() and stored[_ICID_IN].isascii()):
            for at in (_CALLER_CALL_ID, _CALLER_BRANCH, _ICID_IN):
                stored[at] = stored[at].encode("utf-8", "backslashreplace").decode()
        return stored

    def _attempts_json(self, attempts: tuple[tuple[str, str, int, int, int | None, str], ...]) -> str:
        """The `attempts` column: a JSON array of objects.

        `bye` only where a BYE was relayed and answered, `address` only where the target is a name.
        """
        tries = []
        for peer, target, status, ms, bye, address in attempts:
            head = self._targets.get((peer, target, address))
            if head is None:
                known = {"peer": peer, "target": target, **({"address": address} if address else {})}
                head = json.dumps(known, ensure_ascii=False, separators=(",", ":"))[:-1]
                _remember(self._targets, (peer, target, address), head)
            tail = "}" if bye is None else f',"bye":{bye}}}'
            tries.append(f'{head},"status":{status},"ms":{ms}{tail}')
        text = f"[{','.join(tries)}]"
        _remember(self._attempts, attempts, text)
        return text


@final
class UtcText:
    """Seconds since the epoch as RFC 3339 UTC with milliseconds, with a memo of seconds. For one thread."""

    def __init__(self) -> None:
        self._prefixes: dict[int, str] = {}
        self._second, self._prefix = 0, "1970-01-01T00:00:00."  # the last one

    def text(self, seconds: float) -> str:
        """2026-11-24T01:02:03.456Z, rounded to the millisecond."""
        total_ms = rounded(seconds * 1000.0)
        second = total_ms // 1000
        if second != self._second:
            prefix = self._prefixes.get(second)
            if prefix is None:
                prefix = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
                _remember(self._prefixes, second, prefix)
            self._second, self._prefix = second, prefix
        return self._prefix + _MS[total_ms - second * 1000]


def rounded(number: float) -> int:
    """As `round`, to which compiled code goes a long way."""
    whole = int(number)
    rest = number - whole
    if rest > 0.5 or (rest == 0.5 and whole % 2):
        return whole + 1
    return whole if rest > -0.5 else round(number)


def _hide_numbers(stored: list[Any], columns: list[tuple[int, ColumnCipher]]) -> None:
    for at, column in columns:
        text = stored[at]
        stored[at] = bytearray(column.encrypt(text)) if text else None


def _remember(memo: dict[Any, str], key: object, text: str) -> None:
    if len(memo) >= _MEMO_LIMIT:
        memo.clear()
    memo[key] = text


@lru_cache(maxsize=1024)
def utc_text(seconds: float) -> str:
    """RFC 3339 UTC with milliseconds, for single use."""
    return UtcText().text(seconds)


def utc_period(since_s: float | None, until_s: float | None) -> tuple[str, str]:
    """A period, its end exclusive, as stored times compare with it; None is open, an open end is NEVER."""
    return "" if since_s is None else utc_text(since_s), NEVER if until_s is None else utc_text(until_s)


def utc_seconds(text: str) -> float:
    """Seconds since the epoch of a stored time."""
    return datetime.fromisoformat(text).timestamp()
