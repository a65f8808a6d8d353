"""Totals of reports against the records and the register of use, and what is told when they do not agree."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

import pytest

from engine.domain.problems import Problem
from engine.reports.holidays import calendar
from engine.store.archive import archive
from engine.store.archive_reader import Archive
from engine.store.audit import Asker
from engine.store.export import open_records
from engine.store.moves import Wish, move
from engine.store.openings import announce_due, mark_reported
from engine.store.record_forms import ExportFormat
from engine.store.restrictions import kill, move_number
from tests.reports.shop import BLOCK, DAY_S, NOON_S, OPENED_S, Shop, X, table

WHO = Asker("test", "why")
MORE = """
[[business_user]]
id = "bu-other"
app_platform = "ap-demo"
name = "Other"
uscc = "91110000000000001X"
state = "active"
[[contract]]
id = "c-2"
app_platform = "ap-demo"
business_user = "bu-other"
from = "2026-01-01"
to = "2036-12-31"
"""


def test_totals_are_those_of_the_export(shop: Shop) -> None:
    chance = random.Random(7)
    causes = [("NORMAL", 200), ("BUSY", 486), ("NO_BINDING", 404), ("UNREACHABLE", 480), ("HOOK_CLOSED", 403)]
    records = []
    for _ in range(300):
        cause, status = chance.choice(causes)
        kind = chance.choice(("voice", "message"))
        is_call = kind == "voice" and status == 200
        records.append(
            {
                "kind": kind, "release_cause": cause, "sip_status": status, "parts": chance.randrange(4),
                "duration_ms": chance.randrange(90_000) if is_call else 0,
                "call_time": NOON_S + chance.randrange(-20, 20) * 3600,
            }
        )  # fmt: skip
    shop.record(*records)

    async def exported() -> list[dict[str, object]]:
        since_s = NOON_S - DAY_S / 2
        async with open_records(shop.data_dir, shop.cipher) as reader:
            lines = reader.export(ExportFormat.JSONL, since_s, since_s + DAY_S)
            return [json.loads(line) async for line in lines]

    found = asyncio.run(exported())
    report = shop.report("operation")
    total = dict(zip(report.columns, report.total, strict=True))
    calls = [one for one in found if one["kind"] == "voice"]
    taken = [one for one in found if one["kind"] == "message" and one["release_cause"] == "NORMAL"]
    assert (total["day"], total["attempts"]) == ("total", len(found))
    assert total["answered"] == sum(one["sip_status"] == 200 for one in calls)
    assert total["refused"] == sum(one["release_cause"] in ("NO_BINDING", "HOOK_CLOSED") for one in found)
    assert (total["messages"], total["parts"]) == (len(taken), sum(int(str(one["parts"])) for one in taken))
    by_scenario, by_block = shop.report("scenario"), shop.report("numbers")
    assert dict(zip(by_scenario.columns, by_scenario.total, strict=True))["attempts"] == len(found)
    assert dict(zip(by_block.columns, by_block.total, strict=True))["attempts"] == len(found)


@pytest.mark.parametrize(("which", "count"), [("seq = 2", 1), ("seq <= 3", 3)])
def test_records_that_were_taken_out_are_missed(traded: Shop, which: str, count: int) -> None:
    traded.spoil(traded.records, f"DELETE FROM cdr WHERE {which}")
    assert traded.report("operation").findings == (f"veil-1: {count} records are missing in the chain: see cdr verify",)


def test_a_call_in_progress_is_told(traded: Shop) -> None:
    traded.spoil(
        traded.records,
        "INSERT INTO call_open SELECT 1, record_id, node, kind, mode, subs_id, binding_version, app_platform,"
        " business_user, order_id, scenario, tel_x, tel_y, caller, callee, group_member, presented_number,"
        " ingress_peer, egress_peer, attempts, caller_call_id, callee_call_id, call_time, NULL, NULL, NULL, decided_by,"
        " parts, octets, icid_in, icid_out, 1, 'z9', 'boot', key_id, 0 FROM cdr WHERE seq = 1",
    )
    assert traded.report("operation").findings == ("1 attempts of these days are still in progress",)


def test_attempts_under_whoever_did_not_have_the_block_are_told(traded: Shop) -> None:
    traded.record({"business_user": "bu-other"}, {"business_user": "bu-other"})
    told = f"{BLOCK}: 2 attempts are recorded under bu-other, which did not have it by the register of use"
    for kind in ("scenario", "operation", "numbers"):
        assert traded.report(kind).findings == (told,)


def test_a_block_that_changes_hands_is_told_once_for_each(shop: Shop, tmp_path: Path) -> None:
    more = tmp_path / "more.toml"
    more.write_text(MORE)
    shop.apply(more, OPENED_S)
    shop.write(lambda c: move(c, "number_block", BLOCK, Wish("recalling"), WHO, NOON_S))
    shop.write(lambda c: move(c, "number_block", BLOCK, Wish("assigned", business_user="bu-other"), WHO, NOON_S))
    shop.record({"call_time": NOON_S - 1}, {"business_user": "bu-other", "call_time": NOON_S})
    found = table(shop.report("ledger"))
    assert [(row["business_user"], row["from"], row["until"]) for row in found] == [
        ("bu-express", "2026-11-20T02:00:00.000Z", "2026-11-24T04:00:00.000Z"),
        ("bu-other", "2026-11-24T04:00:00.000Z", ""),
    ]
    assert shop.report("operation").findings == ()
    assert [row["business_user"] for row in table(shop.report("numbers", "2026-11-23"))] == ["bu-express"]
    assert [row["business_user"] for row in table(shop.report("numbers"))] == ["bu-other"]


def test_two_users_of_a_block_at_once_are_told(shop: Shop) -> None:
    shop.spoil(
        shop.bindings,
        f"INSERT INTO assignment (prefix, app_platform, business_user, from_at, until_at)"
        f" VALUES ('{BLOCK}', 'ap-demo', 'bu-other', {OPENED_S + 1}, {OPENED_S + 2})",
    )
    told = f"{BLOCK}: the register gives it to bu-express and bu-other at once"
    assert shop.report("ledger").findings == (told,)
    assert told in shop.report("numbers").findings


def test_numbers_of_a_block_add_up(traded: Shop) -> None:
    traded.write(lambda c: move_number(c, "700123456780009", "locked", WHO, NOON_S))
    traded.write(lambda c: kill(c, "number", X, WHO, NOON_S))
    (row,) = table(traded.report("numbers"))
    assert [row[name] for name in ("in_use", "cooling", "restricted", "free")] == [0, 2, 2, 9996]
    (before,) = table(traded.report("numbers", "2026-11-23"))
    assert [before[name] for name in ("in_use", "cooling", "restricted", "free")] == [1, 1, 0, 9998]
    assert (before["bindings_made"], row["bindings_made"], row["attempts"]) == (2, 2, 7)
    (last,) = table(traded.report("numbers", "2026-11-30"))
    assert [last[name] for name in ("in_use", "cooling", "restricted", "free")] == [0, 0, 2, 9998]


def test_a_report_reads_the_archive_as_well(traded: Shop, tmp_path: Path) -> None:
    before = traded.report("operation")
    folder = tmp_path / "shelf"
    folder.mkdir()
    archive(traded.records, folder, "2026-11-30")
    assert traded.report("operation", archive=Archive(folder)) == before


def test_days_that_are_not_over_and_days_that_are_none_are_refused(shop: Shop) -> None:
    with pytest.raises(Problem, match="2026-11-24 is not over yet"):
        shop.report("operation", wall_s=NOON_S)
    assert table(shop.report("opening", wall_s=NOON_S))
    wrong: list[dict[str, str]] = [
        {"day": "2026-13-01"}, {"day": "20261124"}, {"since": "2026-11-24"}, {"day": ""},
        {"since": "2026-11-24", "until": "2026-11-24"}, {"since": "2024-11-24", "until": "2026-11-24"},
    ]  # fmt: skip
    for how in wrong:
        with pytest.raises(Problem):
            shop.report("operation", **how)


def test_an_opening_is_due_reported_late_or_overdue(shop: Shop) -> None:
    assert table(shop.report("opening", "2026-11-19")) == []
    assert [table(shop.report("opening", day))[0]["status"] for day in ("2026-11-20", "2026-11-27", "2026-11-28")] == [
        "due", "due", "overdue",
    ]  # fmt: skip
    shop.write(lambda c: mark_reported(c, BLOCK, "2026-11-26", WHO, NOON_S + 9 * DAY_S))
    (row,) = table(shop.report("opening", "2026-11-26"))
    assert (row["due_day"], row["reported_day"], row["status"]) == ("2026-11-27", "2026-11-26", "reported")
    assert table(shop.report("opening", "2026-11-25"))[0]["status"] == "due"
    assert table(shop.report("opening", "2026-11-27")) == []  # it was told before
    shop.write(lambda c: mark_reported(c, BLOCK, "2026-11-30", WHO, NOON_S + 9 * DAY_S))
    assert table(shop.report("opening", "2026-11-30"))[0]["status"] == "late"


def test_a_block_in_use_without_a_day_of_opening_is_told(shop: Shop) -> None:
    shop.spoil(shop.bindings, "UPDATE number_block SET opened_day = ''")
    report = shop.report("opening")
    assert report.findings == (f"{BLOCK}: assigned, but the day of its opening is not known",)
    shop.spoil(shop.bindings, "UPDATE number_block SET opened_day = '2026-11-23'")
    told = f"{BLOCK}: opened on 2026-11-23, but in the register of use from 2026-11-20 on"
    assert shop.report("opening").findings == (told,)


def test_terms_that_were_counted_without_holidays_are_told(shop: Shop) -> None:
    shop.spoil(shop.bindings, "UPDATE number_block SET opened_day = '2026-12-30'")
    assert shop.report("opening", "2027-01-01").notes == (
        "the holidays of 2027 are not known here: only weekends count as free",
    )


@pytest.mark.parametrize(
    ("prefix", "day", "told"),
    [
        ("70099999999", "2026-11-24", "there is no number block"),
        (BLOCK, "2026-11-19", "lies before its opening"),
        (BLOCK, "2026-11-25", "has not come yet"),
        (BLOCK, "soon", "must be a day"),
    ],
)
def test_what_cannot_have_been_reported_is_refused(shop: Shop, prefix: str, day: str, told: str) -> None:
    with pytest.raises(Problem, match=told):
        shop.write(lambda c: mark_reported(c, prefix, day, WHO, NOON_S))


def test_a_platform_hears_each_day_of_what_is_due(shop: Shop) -> None:
    told = "SELECT subject, payload FROM outbox WHERE kind = 'report.due' ORDER BY id"

    def announce(days: float) -> list[tuple[str, str]]:
        shop.write(lambda c: announce_due(c, calendar(), OPENED_S + days * DAY_S))
        return [tuple(row) for row in shop.write(lambda c: c.execute(told).fetchall())]

    assert announce(5) == []  # the 25th: due on the 27th
    assert [subject for subject, _ in announce(6)] == [BLOCK]
    assert len(announce(6.1)) == 1
    assert [json.loads(payload)["status"] for _, payload in announce(8)] == ["due", "overdue"]
    shop.write(lambda c: mark_reported(c, BLOCK, "2026-11-28", WHO, OPENED_S + 8 * DAY_S))
    assert len(announce(9)) == 2
