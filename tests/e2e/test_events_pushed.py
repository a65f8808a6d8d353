"""Calls at 100/s while the webhook fails, hangs and is away, and the API is killed: the feed against the records."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import urllib.request
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from scenarios.rig.node import Node
from tests.api.receiver import Receiver
from tests.e2e.loaded import Load

RATE = 100
RUN_S = 8.0
PORT = 8700
PLATFORM = "ap-test"
WITHIN_S = 120.0


class Asker:
    """An operator of a node's API."""

    def __init__(self, node: Node) -> None:
        made = json.loads(node.command("api-key", "create", "--role", "operator", "--json").stdout)
        self._base = f"http://{node.place.node}:{PORT}/v1"
        self._headers = {"Authorization": f"Bearer {made['secret']}"}

    def ask(self, method: str, path: str, content: object = None) -> Any:
        body = None if content is None else json.dumps(content).encode()
        asked = urllib.request.Request(self._base + path, body, self._headers, method=method)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.load(answer)

    def everything(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["seq"] if found else 0
            page = self.ask("GET", f"/events?app_platform={PLATFORM}&after={after}&limit=500")
            found += page["items"]
            if page["next"] == page["last"]:
                return found


@pytest.mark.paced
async def test_every_call_is_told_in_order(make_node: Callable[..., Node], sipp: Any) -> None:
    node = make_node()
    with node.config.open("a") as config:
        config.write(f'\n[api]\naddress = "{node.place.node}:{PORT}"\nwebhook_hosts = ["{node.place.callee}"]\n')
    load = Load(node, sipp, RATE, RUN_S)
    await asyncio.to_thread(load.start)
    receiver = Receiver(node.place.callee)
    await receiver.start()
    asker = await asyncio.to_thread(Asker, node)
    wish = {"url": receiver.url, "after": 0}
    receiver.secret = (await asyncio.to_thread(asker.ask, "PUT", f"/webhooks/{PLATFORM}", wish))["secret"]
    trouble: dict[int, web.Response | float] = {
        3: web.Response(status=503),
        14: web.json_response({"code": 7}),
        18: 4.0,
    }
    receiver.behave = lambda number: trouble.pop(number, None)
    calling = asyncio.create_task(asyncio.to_thread(load.wait))
    await asyncio.sleep(3.0)
    await receiver.stop()
    await asyncio.sleep(1.5)
    await receiver.start()
    pid = (await asyncio.to_thread(node.status))["api"]["pid"]
    os.kill(pid, signal.SIGKILL)
    await calling
    async with asyncio.timeout(WITHIN_S):
        while (api := (await asyncio.to_thread(node.status))["api"])["state"] != "running" or api["pid"] == pid:
            await asyncio.sleep(0.2)
        while (await asyncio.to_thread(node.status))["unloaded_bytes"]:
            await asyncio.sleep(0.2)
        pulled = await asyncio.to_thread(asker.everything)
        while not receiver.seqs or max(receiver.seqs) < pulled[-1]["seq"]:
            await asyncio.sleep(0.2)
    assert receiver.bad == [] and trouble == {}
    first = dict(zip(receiver.seqs[::-1], receiver.events[::-1], strict=True))
    print(f"{len(pulled)} events, {receiver.posts} POSTs, {len(receiver.seqs) - len(first)} events came twice")
    assert len(receiver.seqs) > len(first)
    assert sorted(first) == [event["seq"] for event in pulled] == [*range(1, len(pulled) + 1)]
    assert [first[event["seq"]] for event in pulled] == pulled
    assert all(later - earlier <= 1 for earlier, later in zip(receiver.seqs, receiver.seqs[1:], strict=False))
    await receiver.stop()
    await asyncio.to_thread(load.check_node)
    await asyncio.to_thread(load.check_records)
    check_against_records(load, pulled)


def check_against_records(load: Load, pulled: list[dict[str, Any]]) -> None:
    """Each record of the platform has its events, with the same figures; nothing else was told of a call."""
    records = {one.record["record_id"]: one.record for one in load.accounts if one.record is not None}
    own = {record_id for record_id, record in records.items() if record["app_platform"] == PLATFORM}
    assert own
    kinds: dict[str, list[str]] = {}
    for event in pulled:
        if event["kind"].startswith(("call.", "cdr")):
            kinds.setdefault(event["subject"], []).append(event["kind"])
        if event["kind"] == "cdr":
            record = records[event["subject"]]
            for name in ("subs_id", "release_cause", "duration_ms", "answer_time", "release_time", "hash"):
                assert event["payload"][name] == record[name], name
    assert set(kinds) == own
    print(Counter(map(tuple, kinds.values())))
    assert {tuple(one) for one in kinds.values()} <= {
        ("call.start", "call.ring", "call.answer", "call.end", "cdr"), ("call.start", "call.answer", "call.end", "cdr"),
    }  # fmt: skip
    assert len({event["subject"] for event in pulled if event["kind"] == "binding.created"}) == len(load.bound)
