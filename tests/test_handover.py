"""What threads hand to the loop arrives there, all of it, once, in order."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest

from engine.handover import Handover

MANY = 2_000


async def test_all_items_of_each_thread_come_in_order_in_the_thread_of_the_loop() -> None:
    came: list[tuple[str, int]] = []
    threads: set[int] = set()
    is_whole = asyncio.Event()

    def take(item: tuple[str, int]) -> None:
        came.append(item)
        threads.add(threading.get_ident())
        if len(came) == 2 * MANY:
            is_whole.set()

    handover = Handover(take)
    senders = [
        threading.Thread(target=lambda name=name: [handover.put((name, number)) for number in range(MANY)])
        for name in ("one", "other")
    ]
    for sender in senders:
        sender.start()
    async with asyncio.timeout(20):
        await is_whole.wait()
    for sender in senders:
        sender.join()
    handover.close()
    assert threads == {threading.get_ident()}
    for name in ("one", "other"):
        assert [number for who, number in came if who == name] == list(range(MANY))
    assert len(came) == 2 * MANY


async def test_what_one_item_provokes_costs_the_next_ones_nothing() -> None:
    came: list[int] = []
    reported: list[dict[str, Any]] = []
    is_last = asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    def take(item: int) -> None:
        came.append(item)
        if item == 0:
            raise LookupError("of the first one")
        if item == 2:
            is_last.set()

    handover = Handover(take)
    for item in range(3):  # all are there before the loop looks
        handover.put(item)
    async with asyncio.timeout(20):
        await is_last.wait()
    handover.close()
    assert came == [0, 1, 2]
    assert [type(context["exception"]) for context in reported] == [LookupError]


async def test_the_end_gives_what_is_left_and_leaves_no_reader() -> None:
    came: list[int] = []
    handover = Handover(came.append)
    handover.put(1)
    handover.put(2)
    handover.close()
    assert came == [1, 2]
    handover.put(3)  # a thread that has not heard of the end: nothing is hurt
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert came == [1, 2]


async def test_its_file_is_closed_when_nobody_refers_to_it() -> None:
    handover = Handover(print)
    number = handover._event
    handover.close()
    os.fstat(number)
    del handover
    with pytest.raises(OSError):
        os.fstat(number)
