"""Events as they are pushed: in order, signed, again until they are taken; and where they may go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing

import pytest
from aiohttp import web

from engine.api import push
from engine.api.app import Api
from engine.config import Config, load
from engine.logging import set_up_logging
from engine.store import webhooks as table
from engine.store.audit import Asker
from engine.store.database import BINDINGS, open_database, transaction
from engine.store.events import remove_events
from engine.store.rows import utc_text
from engine.store.webhooks import DEAD_AFTER_S, find_webhook, note_failure
from tests.api.asking import Client
from tests.api.receiver import Receiver
from tests.api.test_api_events import NOW_S, Node
from tests.sipstack.endpoint_rig import own_address

HOOK = "/v1/webhooks/ap-one"


@pytest.fixture
def config(config: Config) -> Config:
    file = config.path
    file.write_text(f'{file.read_text()}webhook_hosts = ["127.0.0.0/8"]\n')
    return load(file)


@pytest.fixture
def node(config: Config, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """A POST that a busy machine makes late is not sent a second time."""
    monkeypatch.setattr(push, "TIMEOUT_S", 60.0)
    node = Node(config)
    yield node
    node.close()


@pytest.fixture
async def api(api: Api, node: Node) -> Api:
    assert node
    await api.begin()
    return api


@pytest.fixture
async def receiver(request: pytest.FixtureRequest) -> AsyncIterator[Receiver]:
    receiver = Receiver(own_address(request))  # nobody takes its port while it is away
    await receiver.start()
    yield receiver
    await receiver.stop()


async def hooked(platform: Client, receiver: Receiver, **wish: object) -> int:
    """Makes the webhook; the seq behind which it begins."""
    made = await platform.ask("PUT", HOOK, {"url": receiver.url, **wish})
    assert made.status == 200, made.body
    receiver.secret = made.json["secret"]
    return int(made.json["acked_seq"])


async def until(holds: Callable[[], bool], within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.02)


async def state(platform: Client) -> dict[str, object]:
    shown = await platform.ask("GET", HOOK)
    assert shown.status == 200
    return dict(shown.json)


async def test_events_are_pushed_in_order_fifty_at_a_time(node: Node, platform: Client, receiver: Receiver) -> None:
    node.tell("before")
    start = await hooked(platform, receiver)
    node.tell(*(f"x{number}" for number in range(120)))
    node.tell("other", platform="ap-two")
    await until(lambda: len(receiver.events) >= 120)
    assert receiver.seqs == [*range(start + 1, start + 121)]
    assert [event["subject"] for event in receiver.events[:2]] == ["x0", "x1"]
    assert max(receiver.sizes) == 50 and receiver.bad == []
    node.tell("later")
    await until(lambda: len(receiver.events) == 121)
    shown = await state(platform)
    assert (shown["state"], shown["failing_since"], shown["last_error"]) == ("active", None, "")


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (lambda: web.Response(status=500), "status 500"),
        (lambda: web.Response(status=302, headers={"Location": "/told"}), "status 302"),
        (lambda: web.json_response({"code": 1}), "without"),
        (lambda: web.json_response({"code": False}), "without"),
        (lambda: web.Response(text="[" * 100_000), "without"),
        (lambda: web.json_response({"code": 0}, status=201), "status 201"),
        (lambda: 2.5, "no answer within"),
    ],
)  # fmt: skip
async def test_what_is_not_taken_goes_again(
    node: Node, platform: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[], web.Response | float], fault: str,
) -> None:  # fmt: skip
    if fault == "no answer within":
        monkeypatch.setattr(push, "TIMEOUT_S", 1.0)
    monkeypatch.setattr(table, "FIRST_PAUSE_S", 0.5)
    monkeypatch.setattr(table, "LAST_PAUSE_S", 0.5)
    refused = 0

    def refuse(_number: int) -> web.Response | float:
        nonlocal refused
        refused += 1
        return answer()

    receiver.behave = refuse
    start = await hooked(platform, receiver)
    node.tell("x1", "x2")
    await until(lambda: find_webhook(node.bindings, "ap-one").last_error != "")
    shown = await state(platform)
    assert fault in str(shown["last_error"]) and shown["failing_since"] is not None
    assert shown["acked_seq"] == start
    monkeypatch.setattr(push, "TIMEOUT_S", 60.0)
    receiver.behave = lambda _number: None
    await until(lambda: find_webhook(node.bindings, "ap-one").last_error == "")
    assert receiver.posts == refused + 1
    assert receiver.seqs[-2:] == [start + 1, start + 2]


async def test_a_server_that_is_away_and_comes_back(
    node: Node, platform: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "LAST_PAUSE_S", 0.2)
    monkeypatch.setattr(table, "FIRST_PAUSE_S", 0.1)
    start = await hooked(platform, receiver)
    node.tell("x1")
    await until(lambda: receiver.seqs == [start + 1])
    await until_acked(node, start + 1)
    await receiver.stop()
    node.tell("x2", "x3")
    await asyncio.sleep(0.5)
    await receiver.start()
    await until(lambda: receiver.seqs == [start + 1, start + 2, start + 3])


async def test_after_a_start_of_the_process_it_goes_on(
    node: Node, config: Config, api: Api, platform: Client, receiver: Receiver
) -> None:
    start = await hooked(platform, receiver)
    node.tell("x1")
    await until(lambda: receiver.seqs == [start + 1])
    await until_acked(node, start + 1)
    await api._push.close()
    node.tell("x2")
    again = Api(config, set_up_logging("warning", "console"))
    tasks = [asyncio.create_task(one.run()) for one in (again._desk.feed, again._push)]
    await until(lambda: receiver.seqs == [start + 1, start + 2])
    tasks[0].cancel()
    await again.close()


async def until_acked(node: Node, seq: int) -> None:
    await until(lambda: find_webhook(node.bindings, "ap-one").acked_seq == seq)


async def test_it_may_be_paused_resumed_and_set_back(node: Node, platform: Client, receiver: Receiver) -> None:
    start = await hooked(platform, receiver)
    assert (await platform.ask("POST", f"{HOOK}/state", {"state": "paused", "reason": "r"})).status == 200
    node.tell("x1")
    await asyncio.sleep(0.6)
    assert receiver.posts == 0
    assert (await platform.ask("POST", f"{HOOK}/state", {"state": "paused", "reason": "r"})).code == "ILLEGAL_STATE"
    assert (await platform.ask("POST", f"{HOOK}/state", {"state": "dead", "reason": "r"})).status == 400
    assert (await platform.ask("POST", f"{HOOK}/state", {"state": "active", "reason": "r"})).status == 200
    await until(lambda: receiver.seqs == [start + 1])
    await until_acked(node, start + 1)
    assert (await platform.ask("PATCH", HOOK, {"after": start})).json["acked_seq"] == start
    await until(lambda: receiver.seqs == [start + 1, start + 1])
    assert (await platform.ask("DELETE", HOOK)).status == 204
    assert (await platform.ask("GET", HOOK)).status == 404
    node.tell("x2")
    await asyncio.sleep(0.6)
    assert receiver.posts == 2 and receiver.bad == []


async def test_what_is_kept_no_more_is_passed_over(node: Node, platform: Client, receiver: Receiver) -> None:
    node.tell("x1", "x2")
    remove_events(node.records, node.cipher, utc_text(time.time() + 10 * 365 * 86400))
    await hooked(platform, receiver, after=0)
    await until_acked(node, 0 + find_last(node))
    node.tell("x3")
    await until(lambda: receiver.seqs == [find_last(node)])


def find_last(node: Node) -> int:
    return int(node.connection.execute("SELECT last_seq FROM feed WHERE app_platform = 'ap-one'").fetchone()[0])


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/x", "https://10.0.0.1/", "https://169.254.169.254/latest", "https://[::1]/",
        "ftp://a.example/", "https://user:secret@example.com/", "https://localhost/", "https://0x7f.1/", "https://[::ffff:10.0.0.1]/",
        "no url",
    ],
)  # fmt: skip
async def test_where_nothing_may_be_pushed(platform: Client, url: str) -> None:
    refused = await platform.ask("PUT", HOOK, {"url": url})
    assert (refused.status, refused.json["field"]) == (400, "url")
    assert (await platform.ask("GET", HOOK)).status == 404


async def test_a_secret_is_shown_once_and_whose_it_is(
    api: Api, platform: Client, stranger: Client, operator: Client, receiver: Receiver
) -> None:
    await hooked(platform, receiver)
    for client in (platform, operator):
        for target in ("/v1/webhooks", HOOK):
            assert receiver.secret not in (await client.ask("GET", target)).body.decode()
    assert (await stranger.ask("GET", "/v1/webhooks")).json["items"] == []
    assert (await stranger.ask("PUT", HOOK, {"url": receiver.url})).status == 404
    assert (await operator.ask("PUT", "/v1/webhooks/none", {"url": receiver.url})).status == 404
    first = receiver.secret
    await hooked(platform, receiver)
    assert receiver.secret != first
    assert api is operator.api


def test_after_72_hours_it_is_dead(node: Node) -> None:
    asker = Asker("api")
    with closing(open_database(node.records.with_name("bindings.db"), BINDINGS, node.cipher)) as connection:
        table.put_webhook(connection, node.cipher, "ap-one", "https://example.com/", 7, asker, NOW_S)
        at_s, pauses = NOW_S, []
        while True:
            hook = find_webhook(connection, "ap-one")
            with transaction(connection):
                is_dead = note_failure(connection, hook, "no answer", asker, at_s)
            if is_dead:
                break
            retry_s = find_webhook(connection, "ap-one").retry_s
            assert retry_s is not None
            pauses.append(retry_s - at_s)
            at_s = retry_s
        assert pauses[:5] == [1, 1, 2, 4, 8]
        assert max(pauses) == 600 and DEAD_AFTER_S <= at_s - NOW_S < DEAD_AFTER_S + 600
        hook = find_webhook(connection, "ap-one")
        assert (hook.state, hook.acked_seq, hook.last_error) == ("dead", 7, "no answer")
        table.move_webhook(connection, "ap-one", "active", asker, at_s)
        assert find_webhook(connection, "ap-one").failing_since_s is None
