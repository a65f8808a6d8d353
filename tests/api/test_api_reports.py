"""Reports, complaints and credit over HTTP: what they say, and the alarm that the process gives by itself."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import closing

import pytest

from engine.api.app import Api
from engine.api.chores import Chores
from engine.config import Config
from engine.domain.days import china_day
from engine.logging import set_up_logging
from engine.store.database import open_read_only
from tests.api.asking import Client

BLOCK = "70012345671"
X = f"{BLOCK}0001"
DAY_S = 86_400


@pytest.fixture
async def later(config: Config) -> AsyncIterator[Api]:
    """The API as it is ten days later."""
    api = Api(config, set_up_logging("warning", "console"), lambda: time.time() + 10 * DAY_S)
    yield api
    await api.close()


@pytest.mark.usefixtures("same_day")
async def test_a_report_says_what_the_command_says(operator: Client) -> None:
    today = china_day(time.time())
    answer = await operator.ask("GET", f"/v1/reports/opening?day={today}")
    assert (answer.status, answer.json["ok"], answer.json["report"]) == (200, True, "opening")
    assert [row[-1] for row in answer.json["rows"]] == ["due"] * len(answer.json["rows"])
    marked = await operator.ask("POST", f"/v1/reports/opening/{BLOCK}", {})
    assert marked.json == {"prefix": BLOCK, "reported_day": today}
    rows = (await operator.ask("GET", f"/v1/reports/opening?day={today}")).json["rows"]
    assert {row[0]: row[-1] for row in rows}[BLOCK] == "reported"
    assert (await operator.ask("GET", f"/v1/reports/operation?day={today}")).code == "ILLEGAL_ARGUMENT"
    assert (await operator.ask("GET", f"/v1/reports/nonsense?day={today}")).code == "NOT_FOUND"
    assert (await operator.ask("GET", "/v1/reports/ledger")).json["field"] == "day"


@pytest.mark.usefixtures("same_day")
async def test_an_overdue_report_is_told_once_a_day(config: Config, later: Api) -> None:
    told: list[object] = []
    chores = Chores(later.app.state.desk, lambda *words, **more: told.append((words, more)))
    await chores.alarm()
    await chores.alarm()
    await Chores(later.app.state.desk, lambda *words, **more: told.append((words, more))).alarm()
    with closing(open_read_only(config.data_dir / "bindings.db", None)) as connection:
        rows = connection.execute("SELECT subject, payload FROM outbox WHERE kind = 'report.due'").fetchall()
    assert len([subject for subject, _ in rows if subject == BLOCK]) == 1
    assert {json.loads(payload)["status"] for _, payload in rows} == {"overdue"}
    assert told == []


async def test_a_platform_hears_and_blocks_complaints_about_its_own_numbers(platform: Client, stranger: Client) -> None:
    wanted = {"tel_x": X, "complainant": "13700137000", "detail": "13800138000 sells"}
    assert (await stranger.ask("POST", "/v1/complaints", wanted)).code == "NOT_FOUND"
    assert (await stranger.ask("GET", "/v1/complaints")).json["items"] == []
    made = await platform.ask("POST", "/v1/complaints", wanted)
    assert (made.status, made.json["detail"], made.json["complainant"]) == (201, "138****8000 sells", "137****7000")
    where = f"/v1/complaints/{made.json['id']}"
    assert (await stranger.ask("POST", f"{where}/block", {"reason": "r"})).code == "NOT_FOUND"
    blocked = await platform.ask("POST", f"{where}/block", {"reason": "r"})
    assert (blocked.json["state"], blocked.json["to_block_s"] >= 0) == ("blocked", True)
    assert (await platform.ask("GET", f"/v1/numbers/{X}")).json["state"] == "killed"
    assert (await platform.ask("POST", f"{where}/close", {"reason": "r"})).json["state"] == "closed"


async def test_an_offence_is_seen_by_the_platform_of_the_company(
    operator: Client, platform: Client, stranger: Client
) -> None:
    wanted = {"business_user": "bu-one", "offence": "fraud", "detail": "d", "at": "2026-01-05T08:00:00+08:00"}
    assert (await operator.ask("POST", "/v1/credit_events", wanted)).json["credit_score"] == 40
    assert (await operator.ask("POST", "/v1/credit_events", wanted)).code == "ILLEGAL_ARGUMENT"
    (seen,) = (await platform.ask("GET", "/v1/credit_events?business_user=bu-one")).json["items"]
    assert (seen["offence"], seen["at"], seen["source"]) == ("fraud", "2026-01-05T00:00:00.000Z", "veil.example")
    assert (await platform.ask("GET", "/v1/credit_events")).json["field"] == "business_user"
    assert (await stranger.ask("GET", "/v1/credit_events?business_user=bu-one")).code == "NOT_FOUND"
