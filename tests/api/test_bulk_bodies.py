"""A body in bulk is read in slices: it means what the whole of it means, and nobody waits for long meanwhile."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from engine.api.bulk_bodies import MAX_BULK, MAX_ONE, SLICE, read_bindings
from engine.domain.problems import Problem, ProblemCode
from engine.store.binding_import import COLUMNS
from engine.store.binding_rules import BindRequest


def row(number: int, **more: Any) -> dict[str, Any]:
    return {
        "mode": "AXB", "tel_a": f"138{number:08}", "tel_b": "13900139000", "business_user": "bu", "order_id": "o",
        "scenario": "express", "expiration": "2030-01-31T08:00:00+08:00",
    } | more  # fmt: skip


async def refusal(content: bytes) -> tuple[str, str]:
    with pytest.raises(Problem) as raised:
        await read_bindings(content)
    assert raised.value.code is ProblemCode.ILLEGAL_ARGUMENT
    return raised.value.field, raised.value.detail


@pytest.mark.parametrize("count", [1, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE])
async def test_an_array_and_lines_are_read_alike(count: int) -> None:
    rows = [row(number) for number in range(count)]
    lines = "\r\n \n\n".join(json.dumps(one) for one in rows)
    for content in (
        json.dumps(rows),
        f" \n{json.dumps(rows, indent=1)}\n",
        lines,
        json.dumps(rows, separators=(",", ":")),
    ):
        found = await read_bindings(content.encode())
        assert [one[COLUMNS.index("tel_a")] for one in found if isinstance(one, tuple)] == [
            one["tel_a"] for one in rows
        ]


@pytest.mark.parametrize("at", range(SLICE - 3, SLICE + 3))
async def test_what_stands_between_two_may_stand_in_a_text(at: int) -> None:
    rows = [row(number) for number in range(2 * SLICE)]
    rows[at]["out_id"] = '"},{"' * 20 + "},"
    found = await read_bindings(json.dumps(rows).encode())
    assert [one.out_id if isinstance(one, BindRequest) else "" for one in found] == [
        one.get("out_id", "") for one in rows
    ]


@pytest.mark.parametrize("at", [0, SLICE - 1, SLICE, 2 * SLICE + 7])
async def test_the_first_fault_says_which_one_it_is_about(at: int) -> None:
    rows = [row(number) for number in range(3 * SLICE)]
    rows[at]["tel_b"] = 1
    rows[at + 1]["mode"] = "x"
    assert (await refusal(json.dumps(rows).encode()))[0] == f"{at}.tel_b"
    assert (await refusal("\n".join(map(json.dumps, rows)).encode()))[0] == f"{at}.tel_b"


def test_what_a_member_is_called_is_no_place_for_a_number() -> None:
    field, _ = asyncio.run(refusal(json.dumps([row(0, **{"13800138000": 1})]).encode()))
    assert field == "0.138****8000"


ONE = json.dumps(row(0)).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[", b"[]", b"[ ]", b"]", b"[" + ONE, ONE + b"]", b"[" + ONE + b",]", b"[," + ONE + b"]",
        b"[[" + ONE + b"]]",
        b"[" + ONE + b"]]", b"[" + b",".join([ONE] * SLICE) + b",]", b"[" + b",".join([ONE] * SLICE) + b",,]",
        b"[" + b",".join([ONE] * SLICE) + b"," + ONE[:-1] + b"]", b"[" + ONE * 2 + b"]", b"null", b"\xff",
        b"[" + b",".join([ONE] * (SLICE - 1) + [b'{"mode": "},' * 300]) + b"]",
    ],
)  # fmt: skip
async def test_what_cannot_be_read_is_refused(content: bytes) -> None:
    await refusal(content)


async def test_more_than_may_come_at_once() -> None:
    fits = b"[" + b",".join([ONE] * MAX_BULK) + b"]"
    assert len(await read_bindings(fits)) == MAX_BULK
    for content in (b"[" + b",".join([ONE] * (MAX_BULK + 1)) + b"]", b"\n".join([ONE] * (MAX_BULK + 1))):
        assert (await refusal(content))[1] == f"must be 1 to {MAX_BULK} bindings"
    long = json.dumps(row(0, out_id="x" * MAX_ONE)).encode()
    assert await refusal(b"[" + b",".join([ONE, long]) + b"]") == ("1", f"is longer than {MAX_ONE} octets")


MANY = 5 * 1024 * 1024


LONG: dict[str, Callable[[], bytes]] = {  # made by the test that reads it: together they are 100 MB
    "all that may come": lambda: b"[" + b",".join([ONE] * MAX_BULK) + b"]",
    "empty ones": lambda: b"[" + b",".join([b"{}"] * MANY) + b"]",
    "empty lines": lambda: b"\n".join([b"{}"] * MANY),
    "no objects": lambda: b"[" + b",".join([b"1"] * MANY) + b"]",
    "one without end": lambda: b"[{" + b",".join([b'"k":1'] * (MANY // 2)) + b"}]",
    "members without end": lambda: (
        b"[" + b",".join([b"{" + b",".join(b'"%d":1' % n for n in range(200)) + b"}"] * 9000) + b"]"
    ),
}


@pytest.mark.parametrize("make", LONG.values(), ids=LONG)
async def test_nobody_waits_for_long(make: Callable[[], bytes]) -> None:
    """Processor time between two turns of the loop: a busy machine makes it no longer."""
    content = make()
    longest = 0.0
    is_over = False

    async def watch() -> None:
        nonlocal longest
        while not is_over:
            begun = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - begun)

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0)
    try:
        await read_bindings(content)
    except Problem:
        pass
    is_over = True
    await watching
    assert longest < 0.25, f"{longest:.3f} s"
