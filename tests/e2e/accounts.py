"""What callers were told, held against the records of the node: one for each answer, and that answer in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from scenarios.rig.binding import Bound
from scenarios.rig.node import Node
from scenarios.rig.privacy import holds_number
from scenarios.rig.seen import Seen, by_call_id
from scenarios.rig.sipp import Sipp
from tests.e2e.stories import x_in

REASON_TO_BE_THERE = "a run in which nothing was interrupted proves nothing"

Record = dict[str, Any]


@dataclass(frozen=True)
class Account:
    """One attempt as its caller saw it, and the record of it."""

    messages: list[Seen]
    record: Record | None

    @property
    def asked_at_s(self) -> float:
        """When the caller sent its INVITE or MESSAGE first; seconds since the epoch."""
        return self.messages[0].at_s

    @property
    def status(self) -> int:
        """The final response that the caller had to it; 0 when it had none."""
        final = self._final
        return 0 if final is None else final.status

    @property
    def wait_s(self) -> float:
        """From the first sending to the final response; 0 when there was none."""
        final = self._final
        return 0.0 if final is None else final.at_s - self.asked_at_s

    @property
    def _final(self) -> Seen | None:
        method = self.messages[0].method
        return next((m for m in self.messages if not m.is_sent and m.status >= 200 and m.method == method), None)

    @property
    def bye_wait_s(self) -> float | None:
        """From its first BYE to the 200 to it; None when it sent none, infinite when no answer came."""
        sent_at_s = self.bye_at_s
        if sent_at_s is None:
            return None
        answers = (m.at_s for m in self.messages if not m.is_sent and m.method == "BYE" and m.status == 200)
        return next(answers, float("inf")) - sent_at_s

    @property
    def bye_at_s(self) -> float | None:
        """When the caller sent its BYE first."""
        return next((m.at_s for m in self.messages if m.is_sent and m.start_line.startswith("BYE ")), None)


def accounts_of(node: Node, seen: list[Seen]) -> list[Account]:
    """One for each Call-ID that the callers used, in the order in which they called; the chain is clean.

    No attempt has two records, and none is left open.
    """
    report = node.verify()
    assert report.is_clean, report
    records = node.records()
    times = Counter(record["caller_call_id"] for record in records)
    assert [call_id for call_id, count in times.items() if count != 1] == []
    by_id = {record["caller_call_id"]: record for record in records}
    attempts = by_call_id(seen)
    assert set(by_id) <= set(attempts), "a record of an attempt that nobody made"
    accounts = [Account(messages, by_id.get(call_id)) for call_id, messages in attempts.items()]
    print(len(accounts), "attempts, told:", dict(Counter(account.status for account in accounts)))
    print(len(records), "records:", dict(Counter(record["release_cause"] for record in records)))
    return accounts


def unrecorded(accounts: list[Account]) -> list[Account]:
    """Those that were told something which is in no record."""
    return [account for account in accounts if account.status and account.record is None]


def told_otherwise(accounts: list[Account]) -> dict[str, tuple[int, Record]]:
    """Those that were told something else than their record says."""
    return {
        account.messages[0].call_id: (account.status, account.record)
        for account in accounts
        if account.status and account.record is not None and account.record["sip_status"] != account.status
    }


def check_numbers(calling: Sipp, answering: Sipp, bound: list[Bound]) -> None:
    """No real number crossed in any byte, whatever was interrupted."""
    a_of, b_of = {b.x: b.a for b in bound}, {b.x: b.b for b in bound}
    checked = 0
    for run, numbers in ((calling, b_of), (answering, a_of)):
        for messages in by_call_id(run.messages).values():
            number = numbers.get(x_in(messages))
            if number is None:
                continue  # the X that was dialled is nobody's
            for message in messages:
                if not message.is_sent:
                    checked += 1
                    assert not holds_number(message.data, number), message.data
    assert checked > len(bound), REASON_TO_BE_THERE
