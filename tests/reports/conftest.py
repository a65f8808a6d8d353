"""A shop with a day of trade."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.reports.shop import DAY_S, NOON_S, Shop


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "var")


@pytest.fixture
def traded(shop: Shop) -> Shop:
    """2026-11-24: two numbers bound, one of them unbound again, one from the day before; calls and messages."""

    async def bind() -> None:
        await shop.bind(NOON_S - DAY_S, 3, 5)  # expired, and cooling until the 24th's afternoon
        await shop.bind(NOON_S - DAY_S, 4, 30)
        await shop.bind(NOON_S, 1, 48)
        ended = await shop.bind(NOON_S, 2, 48)
        await shop.unbind(ended, NOON_S + 60)

    asyncio.run(bind())
    nothing = {"sip_status": 404, "release_cause": "NO_BINDING", "duration_ms": 0, "mode": "", "app_platform": "",
               "business_user": "", "scenario": ""}  # fmt: skip
    message = {"kind": "message", "duration_ms": 0}
    shop.record(
        {}, {"duration_ms": 59_500}, {"release_cause": "BUSY", "sip_status": 486, "duration_ms": 0}, nothing,
        nothing | {"tel_x": "700999999990001"}, message | {"parts": 2},
        message | {"parts": 1, "release_cause": "UNREACHABLE", "sip_status": 480},
        {"call_time": NOON_S - 13 * 3600}, {"call_time": NOON_S + 12 * 3600}, {"call_time": NOON_S + 12 * 3600 - 1},
    )  # fmt: skip
    return shop
