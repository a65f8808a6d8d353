"""What SIPp's logs say of calls over a node that was killed, held against its records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from scenarios.rig.privacy import holds_number
from scenarios.rig.seen import Seen, by_call_id
from scenarios.rig.sipp import Sipp
from tests.e2e.stories import x_in

CLOSE_S: Final = 1.0  # so close a duration must come to what both ends saw

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Call:
    """One call as its two ends logged it; `callee` is empty when the callee never heard of it."""

    caller: Sequence[Seen]
    callee: Sequence[Seen]

    @property
    def told(self) -> int:
        """The final status that the caller had to its first request; 0 when it had none."""
        return final_status(self.caller)

    @property
    def bye_sent_s(self) -> float | None:
        """When an end first hung up."""
        return _first(m.at_s for m in (*self.caller, *self.callee) if m.is_sent and _is_request(m, "BYE"))

    @property
    def hung_up(self) -> set[str]:
        """The ends that sent a BYE."""
        sides = {"caller": self.caller, "callee": self.callee}
        return {name for name, seen in sides.items() if any(m.is_sent and _is_request(m, "BYE") for m in seen)}

    @property
    def has_ended(self) -> bool:
        """True when each end that had a dialog has sent or received a BYE, or has given the call up by itself."""
        return all(_has_left(end) for end in (self.caller, self.callee) if _has_dialog(end))

    @property
    def is_released(self) -> bool:
        """True when an end hung up, was told 200, and the other end was told of it."""
        for near, far in ((self.caller, self.callee), (self.callee, self.caller)):
            if any(not m.is_sent and m.status == 200 and m.method == "BYE" for m in near):
                return any(_is_request(m, "BYE") for m in far)
        return False

    def talked_at(self, moment_s: float) -> bool:
        """True when the caller had acknowledged and nobody had hung up, `moment_s` in seconds since the epoch."""
        acknowledged_s = _first(m.at_s for m in self.caller if m.is_sent and _is_request(m, "ACK"))
        if self.told != 200 or acknowledged_s is None or acknowledged_s > moment_s:
            return False
        return self.bye_sent_s is None or self.bye_sent_s > moment_s

    def longest_and_shortest_s(self) -> tuple[float, float] | None:
        """How long it can have lasted for the node, at most and at least; None where an end's log does not say.

        It was answered when the callee said so at the earliest, and when the caller heard of it at the latest; it ended
        between the first BYE and its 200.
        """
        answered = _first(m.at_s for m in self.callee if m.is_sent and m.status == 200 and m.method == "INVITE")
        heard = _first(m.at_s for m in self.caller if not m.is_sent and m.status == 200 and m.method == "INVITE")
        confirmed = _first(
            m.at_s for m in (*self.caller, *self.callee) if not m.is_sent and m.status == 200 and m.method == "BYE"
        )
        asked = self.bye_sent_s
        if answered is None or heard is None or asked is None or confirmed is None:
            return None
        return confirmed - answered, asked - heard


def calls_of(caller: Iterable[Seen], callee: Iterable[Seen], records: Iterable[Record]) -> dict[str, Call]:
    """All calls by the caller's Call-ID; the record names the callee's."""
    far = by_call_id(callee)
    callee_of = {record["caller_call_id"]: record["callee_call_id"] for record in records}
    return {
        call_id: Call(seen, far.get(callee_of.get(call_id, ""), [])) for call_id, seen in by_call_id(caller).items()
    }


def final_status(messages: Sequence[Seen]) -> int:
    """The final response to the first request of a call or message; 0 when there was none."""
    method = messages[0].method
    return next((m.status for m in messages if not m.is_sent and m.status >= 200 and m.method == method), 0)


def doubled(records: Iterable[Record]) -> list[str]:
    """Call-IDs of attempts with more than one record."""
    times = Counter(record["caller_call_id"] for record in records)
    return [call_id for call_id, count in times.items() if count > 1]


def misfits(call: Call, record: Record) -> list[str]:
    """What a record says that the ends saw otherwise."""
    found = []
    if call.told and record["sip_status"] != call.told:
        found.append(f"the caller was told {call.told}, recorded is {record['sip_status']}")
    if call.told == 200 and record["kind"] == "voice":
        found += _misfits_of_end(call, record)
    return found


def _misfits_of_end(call: Call, record: Record) -> list[str]:
    found = []
    ends = (*call.caller, *call.callee)
    is_confirmed = any(not m.is_sent and m.status == 200 and m.method == "BYE" for m in ends)
    wanted = (
        call.hung_up if is_confirmed else call.hung_up | {"platform"}
    )  # what was not confirmed need not be recorded
    if record["release_direction"] not in wanted:
        found.append(f"{wanted} hung up, recorded is {record['release_direction']}")
    if record["answer_time"] is None or record["release_time"] is None:
        found.append("no time of the answer, or of the end")
    elif (limits := call.longest_and_shortest_s()) is not None:
        longest_s, shortest_s = limits
        for source, lasted_s in (("duration_ms", record["duration_ms"] / 1000), ("the times", _between_s(record))):
            if not shortest_s - CLOSE_S <= lasted_s <= longest_s + CLOSE_S:
                found.append(f"by {source} it lasted {lasted_s:.3f} s, seen were {shortest_s:.3f}..{longest_s:.3f}")
    return found


def numbers_shown(calling: Sipp, answering: Sipp, numbers: Mapping[str, tuple[str, str]]) -> tuple[list[bytes], int]:
    """Messages in which an end was shown the other one's number, and how many were looked at.

    `numbers` are those of caller and callee, by X.
    """
    shown, looked_at = [], 0
    for run, other in ((calling, 1), (answering, 0)):
        for messages in by_call_id(run.messages).values():
            pair = numbers.get(x_in(messages))
            for message in messages if pair is not None else ():
                if not message.is_sent:
                    looked_at += 1
                    if pair is not None and holds_number(message.data, pair[other]):
                        shown.append(message.data)
    return shown, looked_at


def _is_request(message: Seen, method: str) -> bool:
    return not message.status and message.method == method


def _has_dialog(end: Sequence[Seen]) -> bool:
    """True when a 2xx to an INVITE has reached it, or has left it."""
    return any(m.status == 200 and m.method == "INVITE" for m in end)


def _has_left(end: Sequence[Seen]) -> bool:
    """SIPp drops a call, and says nothing, once it has repeated a request long enough."""
    if any(_is_request(m, "BYE") for m in end):
        return True
    asked = [at for at, m in enumerate(end) if m.is_sent and not m.status and m.method != "ACK"]
    return bool(asked) and not any(m.status and m.method == end[asked[-1]].method for m in end[asked[-1] :])


def _first(times: Iterable[float]) -> float | None:
    return min(times, default=None)


def _between_s(record: Record) -> float:
    answered, released = (datetime.fromisoformat(record[name]) for name in ("answer_time", "release_time"))
    return (released - answered).total_seconds()
