"""Several workers answer as one node."""

from __future__ import annotations

from typing import Any

from engine.workers.merging import calls_of, standing_of, status_of


def status(**more: Any) -> dict[str, Any]:
    told: dict[str, Any] = dict.fromkeys(
        ("calls", "attempts", "adopted", "records", "open", "waiting", "spooled", "missing", "uss_kb"), 1
    )
    told |= {"store_fault": "", "load_fault": "", "feed_fault": "", "unloaded_bytes": 7, "wait_ms": 2}
    told |= {
        "shed_share": 0.0,
        "compiled": True,
        "complete": True,
        "uptime_s": 5.0,
        "health": [],
        "counters": {},
        "kept": {"timers": 2},
    }
    return told | {"node": "veil-1", "peers": ["core"]} | more


def target(state: str, barred_s: float = 0.0) -> dict[str, Any]:
    return {"peer": "core", "target": "sip:a", "address": "udp:a:5060", "state": state, "barred_s": barred_s}


def test_what_each_counts_is_added_and_what_all_tell_alike_is_not() -> None:
    one = status(counters={"merged": 2, "records_lost": 3}, calls=4)
    other = status(counters={"merged": 1, "handed": 5, "records_lost": 3}, calls=6, unloaded_bytes=9)
    merged = status_of([one, other])
    assert (merged["calls"], merged["records"], merged["uss_kb"]) == (10, 2, 2)
    assert (merged["unloaded_bytes"], merged["kept"]) == (9, {"timers": 4})
    assert merged["counters"] == {"merged": 3, "handed": 5, "records_lost": 3}
    assert (merged["node"], merged["peers"]) == ("veil-1", ["core"])


def test_the_worst_is_told() -> None:
    merged = status_of([status(), status(complete=False, missing=2, store_fault="disk full", wait_ms=40)])
    assert (merged["complete"], merged["missing"], merged["store_fault"], merged["wait_ms"]) == (
        False, 3, "disk full", 40,
    )  # fmt: skip


def test_a_target_is_as_the_worker_sees_it_to_which_it_is_worst() -> None:
    views = [[target("up")], [target("silent", 1.5)], [target("silent", 0.5)]]
    merged = status_of([status(health=view) for view in views])
    assert merged["health"] == [target("silent", 1.5)]


def test_calls_stand_oldest_first() -> None:
    merged = calls_of([{"calls": [{"record_id": "b"}, {"record_id": "d"}]}, {"calls": [{"record_id": "c"}]}])
    assert [call["record_id"] for call in merged["calls"]] == ["b", "c", "d"]


def test_what_is_in_use_is_what_all_have_in_use() -> None:
    def standing(calls: dict[str, int], rates: dict[str, float], caller: tuple[int, float]) -> dict[str, Any]:
        used = {"calls": calls, "rates_s": rates, "caller_calls": caller[0], "caller_rate_s": caller[1]}
        return {
            "state": "running", "is_store_behind": False, "shed_share": 0.0, "in_use": used, "calls_of_day": 0,
            "unwell": [], "last_member": "", "resolved": [],
        }  # fmt: skip

    quiet, busy = standing({"core": 1}, {"core": 0.2}, (1, 0.0)), standing({"core": 2, "x": 1}, {"core": 0.5}, (1, 9.0))
    busy |= {"is_store_behind": True, "calls_of_day": 3, "unwell": [{"host": "a"}], "last_member": "m"}
    merged = standing_of([quiet, busy])
    assert merged["in_use"] == {
        "calls": {"core": 3, "x": 1}, "rates_s": {"core": 0.5}, "caller_calls": 2, "caller_rate_s": 9.0,
    }  # fmt: skip
    assert (merged["is_store_behind"], merged["calls_of_day"], merged["last_member"]) == (True, 3, "m")
    assert merged["unwell"] == [{"host": "a"}]
