"""What a run goes on with of what earlier runs have left open, read from the rows (`engine.store.left_rows`).

Calls that are answered are taken over, and served on. A short message whose report is awaited stays open: the node goes
on waiting (`engine.store.pending`). Everything else gets its record, NODE_RESTART.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, final

from engine.core.frozen_call import FrozenCall, invite_of, read_frozen
from engine.core.last_run import EndedCalls, RepeatKey
from engine.core.records import CallRecord
from engine.core.report_relay import ReportEntry
from engine.store.crypto import NumberCipher
from engine.store.open_rows import read_record
from engine.store.pending import pending_message
from engine.store.rows import DIALOGS, OPEN_COLUMNS, Row

_Row = dict[str, object]


@final
class RecentAttempt:
    """An attempt that ended shortly before this start: a repeat of its request gets this answer again."""

    __slots__ = (
        "callee_call_id", "caller_branch", "caller_call_id", "caller_cseq", "egress_peer", "ingress_peer", "kind",
        "q850", "release_direction", "sip_status",
    )  # fmt: skip

    def __init__(
        self, kind: str, caller_call_id: str, caller_cseq: int, caller_branch: str, sip_status: int, q850: int,
        callee_call_id: str, release_direction: str, ingress_peer: str, egress_peer: str,
    ) -> None:  # fmt: skip
        self.kind = kind  # voice | message
        self.caller_call_id = caller_call_id
        self.caller_cseq = caller_cseq
        self.caller_branch = caller_branch
        self.sip_status = sip_status
        self.q850 = q850
        self.callee_call_id = callee_call_id
        self.release_direction = release_direction
        self.ingress_peer = ingress_peer
        self.egress_peer = egress_peer

    @property
    def is_reported(self) -> bool:
        """True when it may be a short message whose report was taken: a repeat of that report is answered, no more."""
        return self.kind == "message" and self.release_direction == "callee"


@final
class TakenOver:
    """What this run goes on with: `answered` calls and `pending` messages, which are open still, and `recent` attempts.

    A pending message is one whose report is awaited. Recent attempts stand latest first.
    `unfinished` are calls without an answer, which get their record: their INVITEs may be out. `unreadable` are the
    record ids of what could not be read, or not whole: whatever is wrong with it, it must not keep the node from
    starting. `epoch` and `recent` are known when the run has begun.
    """

    __slots__ = ("answered", "epoch", "pending", "recent", "unfinished", "unreadable")

    def __init__(self) -> None:
        self.epoch = 0
        self.answered: list[tuple[CallRecord, FrozenCall]] = []
        self.pending: list[tuple[CallRecord, ReportEntry]] = []
        self.unfinished: list[CallRecord] = []
        self.recent: list[RecentAttempt] = []
        self.unreadable: list[str] = []

    def read(self, rows: Iterable[tuple[Any, ...]], cipher: NumberCipher) -> None:
        """Sorts rows of `LeftRows`."""
        for *values, dialogs in rows:
            try:
                self._sort(tuple(values), dialogs, cipher)
            except Exception:  # whatever comes of a row that this program has not written
                self.unreadable.append(values[0])

    def begun(self, epoch: int, recent: Iterable[tuple[Any, ...]]) -> None:
        """The run has begun, with what `LeftRows.begin` returns."""
        self.epoch = epoch
        self.recent = [RecentAttempt(*values) for values in recent]

    def _sort(self, values: Row, dialogs: bytes | None, cipher: NumberCipher) -> None:
        row = dict(zip(OPEN_COLUMNS, values, strict=True))
        if dialogs is None:
            if _may_ring(row):
                self.unfinished.append(read_record(values, cipher))
        elif row["kind"] == "message":
            self.pending.append(pending_message(values, dialogs, cipher))
        else:
            self.answered.append((read_record(values, cipher), _frozen(dialogs, cipher)))

    @property
    def repeats(self) -> dict[RepeatKey, tuple[int, int]]:
        """What repeats of their requests are answered."""
        return {
            (one.ingress_peer, one.kind, one.caller_call_id, one.caller_cseq, one.caller_branch): (
                one.sip_status,
                one.q850,
            )
            for one in self.recent
        }

    @property
    def ended(self) -> EndedCalls:
        """Both sides of calls whose BYE may be repeated."""
        calls: EndedCalls = {}
        for one in self.recent:
            if one.kind == "voice":
                calls.setdefault(one.caller_call_id, set()).add(one.ingress_peer)
                if one.callee_call_id:
                    calls.setdefault(one.callee_call_id, set()).add(one.egress_peer)
        return calls

    @property
    def reported(self) -> set[str]:
        """Call-IDs of ours under which short messages left whose report was taken."""
        return {one.callee_call_id for one in self.recent if one.is_reported}


def _may_ring(row: _Row) -> bool:
    return row["kind"] == "voice" and row["answer_time"] is None and row["attempts"] != "[]"


def _frozen(dialogs: bytes, cipher: NumberCipher) -> FrozenCall:
    """Raises ValueError for what another version of this program has written, and RemoteSipError for a call whose
    INVITE cannot be made again: its caller has sent longer rows than the node reads."""
    frozen = read_frozen(json.loads(cipher.decrypt(dialogs, DIALOGS)))
    invite_of(frozen)
    return frozen
