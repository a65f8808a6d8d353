"""What several workers say, as one node says it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from engine.core.health import STATES

Answer = dict[str, Any]

# Of `veil700 status`: what each worker counts for itself, what is the same for all and told by each, and what the worst
# of them says.
_SUMMED: Final = ("calls", "attempts", "adopted", "records", "open", "waiting", "spooled", "missing", "uss_kb")
_WORST: Final = ("store_fault", "load_fault", "feed_fault", "unloaded_bytes", "wait_ms", "shed_share")


def status_of(answers: Sequence[Answer]) -> Answer:
    """`answers` are those of the workers that answer, at least one. Counters are of the processes that run now."""
    first = answers[0]
    merged = dict(first)
    merged |= {name: sum(one[name] for one in answers) for name in _SUMMED}
    merged |= {name: max(one[name] for one in answers) for name in _WORST}
    merged["compiled"] = all(one["compiled"] for one in answers)
    merged["complete"] = all(one["complete"] for one in answers)
    merged["uptime_s"] = max(one["uptime_s"] for one in answers)
    merged["health"] = _health([one["health"] for one in answers])
    merged["kept"] = _added([one["kept"] for one in answers])
    merged["counters"] = _counters([one["counters"] for one in answers])
    return merged


def calls_of(answers: Sequence[Answer]) -> Answer:
    """Of `veil700 calls`, oldest first."""
    return {"calls": sorted((call for one in answers for call in one["calls"]), key=lambda call: call["record_id"])}


def standing_of(answers: Sequence[Answer]) -> Answer:
    """Of `standing`: calls and rates of all, and for the rest what would have most calls refused."""
    merged = dict(answers[0])
    used = [one["in_use"] for one in answers]
    merged["is_store_behind"] = any(one["is_store_behind"] for one in answers)
    merged["shed_share"] = max(one["shed_share"] for one in answers)
    merged["calls_of_day"] = max(one["calls_of_day"] for one in answers)
    merged["unwell"] = max((one["unwell"] for one in answers), key=len)
    merged["last_member"] = next((one["last_member"] for one in answers if one["last_member"]), "")
    merged["in_use"] = {
        "calls": _added([one["calls"] for one in used]),
        "rates_s": _highest([one["rates_s"] for one in used]),
        "caller_calls": sum(one["caller_calls"] for one in used),
        "caller_rate_s": max(one["caller_rate_s"] for one in used),
    }
    return merged


def _health(views: Sequence[Sequence[Answer]]) -> list[Answer]:
    """Each address as the worker sees it to which it is worst: a view of its own has every one of them."""
    worst: dict[tuple[str, str, str], Answer] = {}
    for view in views:
        for target in view:
            key = (target["peer"], target["target"], target["address"])
            if key not in worst or _badness(target) > _badness(worst[key]):
                worst[key] = target
    return list(worst.values())


def _badness(target: Answer) -> tuple[int, float]:
    return STATES.index(target["state"]), target["barred_s"]


def _counters(told: Sequence[Answer]) -> Answer:
    """Sums; what the process of the records counts each worker tells alike."""
    merged = _added(told)
    for name in ("records_lost", "journal_damaged"):
        merged |= {name: max(one[name] for one in told if name in one)} if name in merged else {}
    return merged


def _added(tables: Sequence[Answer]) -> Answer:
    return {name: sum(one.get(name, 0) for one in tables) for table in tables for name in table}


def _highest(tables: Sequence[Answer]) -> Answer:
    return {name: max(one.get(name, 0.0) for one in tables) for table in tables for name in table}
