"""The feed as it is pulled, bindings that expire, and what is removed of the outbox and of old events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from engine.api import chores
from engine.api.app import Api
from engine.api.chores import Chores
from engine.api.desk import Desk
from engine.config import Config
from engine.logging import set_up_logging
from engine.store import expiry
from engine.store.api_keys import Role
from engine.store.crypto import open_key
from engine.store.database import BINDINGS, RECORDS, open_database, open_read_only, transaction
from engine.store.events import events_after, reach, remove_events
from engine.store.feed import Feed
from engine.store.history import publish
from engine.store.rows import utc_text
from tests.api.asking import Client
from tests.api.conftest import MakeKey

NOW_S = 1_795_482_123.0


class Node:
    """Takes the outbox into the feeds, as a node does."""

    def __init__(self, config: Config) -> None:
        self.cipher = open_key(config.data_dir)
        self.records = config.data_dir / "records.db"
        self.bindings = open_database(config.data_dir / "bindings.db", BINDINGS, self.cipher)
        self.connection = open_database(self.records, RECORDS, self.cipher)
        self.reader = open_read_only(config.data_dir / "bindings.db", None)
        self.feed = Feed(self.connection, self.cipher)
        self.take()

    def take(self) -> None:
        while self.feed.take_outbox(self.reader):
            pass

    def tell(self, *subjects: str, platform: str = "ap-one", wall_s: float = NOW_S) -> None:
        for subject in subjects:
            publish(self.bindings, platform, "number.status", subject, {"state": "locked"}, wall_s)
        self.take()

    def close(self) -> None:
        for connection in (self.bindings, self.connection, self.reader):
            connection.close()


@pytest.fixture
def node(config: Config) -> Iterator[Node]:
    node = Node(config)
    yield node
    node.close()


@pytest.fixture
async def running(api: Api) -> Api:
    await api.begin()
    return api


async def pull(client: Client, query: str = "after=0") -> tuple[int, list[str]]:
    answer = await client.ask("GET", f"/v1/events?{query}")
    assert answer.status == 200, answer.body
    return answer.json["next"], [row["subject"] for row in answer.json["items"] if row["kind"] == "number.status"]


async def test_events_are_pulled_behind_the_last_one(node: Node, platform: Client, stranger: Client) -> None:
    start, _ = await pull(platform)
    node.tell("x1", "x2", "x3")
    node.tell("y1", platform="ap-two")
    following, subjects = await pull(platform, f"after={start}&limit=2")
    assert subjects == ["x1", "x2"]
    following, subjects = await pull(platform, f"after={following}")
    assert (following, subjects) == (start + 3, ["x3"])
    assert await pull(platform, f"after={following}") == (following, [])
    assert "x1" not in (await pull(stranger))[1]


@pytest.mark.usefixtures("running")
async def test_an_answer_waits_for_the_next_event(node: Node, platform: Client) -> None:
    start, _ = await pull(platform)
    asked = asyncio.create_task(pull(platform, f"after={start}&wait_s=30"))
    await asyncio.sleep(0.3)
    assert not asked.done()
    node.tell("x1")
    assert (await asyncio.wait_for(asked, 60))[1] == ["x1"]
    before_s = time.monotonic()
    assert (await pull(platform, f"after={start + 1}&wait_s=1"))[1] == []
    assert time.monotonic() - before_s >= 1
    assert (await platform.ask("GET", "/v1/events?wait_s=31")).status == 400


@pytest.mark.usefixtures("node")
async def test_who_waits_is_answered_when_the_process_ends(running: Api, platform: Client) -> None:
    start, _ = await pull(platform)
    asked = [asyncio.create_task(pull(platform, f"after={start}&wait_s=30")) for _ in range(3)]
    await asyncio.sleep(0.1)
    running.let_go()
    assert await asyncio.wait_for(asyncio.gather(*asked), 60) == [(start, [])] * 3


async def test_what_is_kept_no_more_is_said_so(node: Node, config: Config, platform: Client) -> None:
    start, _ = await pull(platform)
    remove_events(node.records, node.cipher, utc_text(time.time() + 1))
    node.tell("x1", "x2", "x3", wall_s=NOW_S)
    node.tell("x4", wall_s=NOW_S + 10)
    node.tell("x5", wall_s=NOW_S)  # recorded later than it happened
    assert remove_events(node.records, node.cipher, utc_text(NOW_S + 1)) == 3
    gone = await platform.ask("GET", f"/v1/events?after={start}")
    assert (gone.status, gone.code, gone.json["oldest"]) == (410, "EVENTS_GONE", start + 4)
    assert (await pull(platform, f"after={start + 3}"))[1] == ["x4", "x5"]
    assert remove_events(node.records, node.cipher, utc_text(NOW_S + 99)) == 2
    assert reach(node.connection, "ap-one") == (start + 6, start + 5)
    assert await pull(platform, f"after={start + 5}") == (start + 5, [])
    node.tell("x6")
    assert await pull(platform, f"after={start + 5}") == (start + 6, ["x6"])


# -- chores ------------------------------------------------------------------------------------------------------------


def bind(node: Node, subs_id: str, expires_at: float, valid_to: float | None = None) -> None:
    node.bindings.execute(
        "INSERT INTO binding (subs_id, version, mode, tel_x, tel_y, group_id, business_user, app_platform, order_id,"
        " scenario, expires_at, valid_from, valid_to, key_id)"
        " VALUES (?, 1, 'AXB', '700123456710001', '', '', 'bu-one', 'ap-one', 'o', 'express', ?, 1, ?, 'k')",
        (subs_id, expires_at, valid_to),
    )


def expired(node: Node) -> list[str]:
    rows = node.bindings.execute("SELECT subject FROM outbox WHERE kind = 'binding.expired' ORDER BY id")
    return [subject for (subject,) in rows]


def sweep(node: Node, wall_s: float, few: int = 100) -> list[int]:
    """How many each transaction has told of, once, or as often as there was more."""
    told = []
    are_all = False
    while not are_all:
        found = expiry.find_expired(node.bindings, wall_s)
        are_all = len(found) < expiry.FOUND_AT_ONCE
        with transaction(node.bindings):
            expiry.tell_expired(node.bindings, found[:few], are_all and len(found) <= few, wall_s)
        told.append(len(found[:few]))
        are_all = are_all and len(found) <= few
    return told


def test_each_binding_that_has_expired_is_told_of_once(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "FOUND_AT_ONCE", 4)
    bind(node, "old", NOW_S - 10)
    assert expiry.is_expiry_due(node.bindings, NOW_S)
    assert sweep(node, NOW_S) == [0]  # the first time of all
    assert not expiry.is_expiry_due(node.bindings, NOW_S)
    for subs_id in ("a", "b", "c", "d"):
        bind(node, subs_id, NOW_S + 10)  # all at one time, over two transactions
    bind(node, "later", NOW_S + 20)
    bind(node, "unbound", NOW_S + 5, valid_to=NOW_S + 1)
    assert not expiry.is_expiry_due(node.bindings, NOW_S + 9)
    assert sweep(node, NOW_S + 10, 3) == [3, 1]
    assert not expiry.is_expiry_due(node.bindings, NOW_S + 10)
    assert expired(node) == ["a", "b", "c", "d"]
    assert sweep(node, NOW_S + 86_400 * 5) == [1]  # after days of standstill
    assert expired(node) == ["a", "b", "c", "d", "later"]
    at, payload = node.bindings.execute("SELECT at, payload FROM outbox WHERE subject = 'later'").fetchone()
    assert at == utc_text(NOW_S + 20)
    assert json.loads(payload)["tel_x"] == "700123456710001"


def test_who_is_unbound_while_many_are_told_of_has_not_expired(node: Node) -> None:
    sweep(node, NOW_S)
    for subs_id in ("a", "b", "c"):
        bind(node, subs_id, NOW_S + 1)
    found = expiry.find_expired(node.bindings, NOW_S + 2)
    node.bindings.execute(
        "UPDATE binding SET valid_to = ?, ended_because = 'unbound' WHERE subs_id = 'b'", (NOW_S + 1,)
    )
    expiry.tell_expired(node.bindings, found, True, NOW_S + 2)
    assert expired(node) == ["a", "c"]


@pytest.mark.parametrize("count", [0, 3, 6, 7])
async def test_a_sweep_tells_of_all(node: Node, api: Api, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    desk: Desk = api.app.state.desk
    sweep(node, desk.now() - 60)
    for module in (expiry, chores):
        monkeypatch.setattr(module, "FOUND_AT_ONCE", 3)
        monkeypatch.setattr(module, "ROWS_AT_ONCE", 2)
    names = [f"s{number}" for number in range(count)]
    for name in names:
        bind(node, name, desk.now() - 1)
    await Chores(desk, print).sweep()
    assert expired(node) == names
    assert not expiry.is_expiry_due(node.bindings, desk.now())


def test_those_that_end_in_one_second_are_not_looked_at_for_each_few(node: Node) -> None:
    """A million in one second held the writer up for two seconds, a thousand times; and then each look of the loop."""
    sweep(node, NOW_S)
    for number in range(3_000):
        bind(node, f"s{number}", NOW_S + 1)
    found = expiry.find_expired(node.bindings, NOW_S + 2)
    assert len(found) == 3_000
    looked = 0

    def count() -> int:
        nonlocal looked
        looked += 1
        return 0

    node.bindings.set_progress_handler(count, 100)  # steps of SQLite's machine
    expiry.tell_expired(node.bindings, found[:10], False, NOW_S + 2)
    few, looked = looked, 0
    expiry.tell_expired(node.bindings, found[10:], True, NOW_S + 2)
    looked = 0
    assert not expiry.is_expiry_due(node.bindings, NOW_S + 2)
    assert (few < 30, looked) == (True, 0)


def test_a_sweep_that_is_rolled_back_has_told_nothing(node: Node) -> None:
    sweep(node, NOW_S)
    bind(node, "a", NOW_S + 1)
    found = expiry.find_expired(node.bindings, NOW_S + 2)
    with suppress(RuntimeError), transaction(node.bindings):
        expiry.tell_expired(node.bindings, found, True, NOW_S + 2)
        raise RuntimeError
    assert expired(node) == []
    assert sweep(node, NOW_S + 2) == [1]


async def test_what_the_feeds_have_leaves_the_outbox(node: Node, api: Api, config: Config) -> None:
    node.tell("x1", "x2")
    publish(node.bindings, "ap-one", "number.status", "x3", {}, NOW_S)
    desk: Desk = api.app.state.desk
    await Chores(desk, print).prune()
    left = [subject for (subject,) in node.bindings.execute("SELECT subject FROM outbox")]
    assert left == ["x3"]
    node.take()
    await Chores(desk, print).prune()
    node.tell("x4")
    last, rows = reach(node.connection, "ap-one")[1], events_after(node.connection, "ap-one", 0, 100)
    assert [row["subject"] for row in rows][-4:] == ["x1", "x2", "x3", "x4"]
    assert [row["seq"] for row in rows] == [*range(1, last + 1)]


async def test_an_older_copy_of_the_bindings_is_not_pruned(node: Node, api: Api) -> None:
    node.tell("x1", "x2")
    node.bindings.execute("UPDATE sqlite_sequence SET seq = seq - 1 WHERE name = 'outbox'")
    await Chores(api.app.state.desk, print).prune()
    assert node.bindings.execute("SELECT count(*) FROM outbox WHERE subject = 'x1'").fetchone() == (1,)


async def test_answers_are_kept_for_seven_days(node: Node, api: Api) -> None:
    desk: Desk = api.app.state.desk
    week = 7 * 86_400.0
    for req_id, age_s in (("old", week + 60), ("oldest", 2 * week), ("young", week - 60)):
        row = ("ap-one", req_id, desk.now() - age_s)
        node.bindings.execute("INSERT INTO api_request VALUES (?, ?, x'', 201, '{}', ?)", row)
    await Chores(desk, print).prune()
    assert node.bindings.execute("SELECT req_id FROM api_request").fetchall() == [("young",)]


async def test_the_process_sweeps_by_itself(node: Node, config: Config, make_key: MakeKey) -> None:
    """By a clock of the test's: what a busy machine bound late could else have expired before the sweep before."""
    late_s = 0.0
    api = Api(config, set_up_logging("warning", "console"), lambda: time.time() + late_s)
    operator = Client(api, token=make_key(Role.OPERATOR).secret)
    await api.begin()
    with closing(open_database(node.records.with_name("bindings.db"), BINDINGS, node.cipher)) as connection:
        while not connection.execute("SELECT 1 FROM meta WHERE name = ?", (expiry.NAME,)).fetchone():
            await asyncio.sleep(0.05)
    bind(node, "soon", time.time() + 600)
    late_s = 601.0
    async with asyncio.timeout(60):
        subjects: list[str] = []
        while "soon" not in subjects:
            await asyncio.sleep(0.1)
            node.take()
            answer = await operator.ask("GET", "/v1/events?app_platform=ap-one")
            subjects = [row["subject"] for row in answer.json["items"]]
    await api.close()
