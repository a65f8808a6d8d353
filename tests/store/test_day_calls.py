"""Calls of a day, where a scenario limits them: each let in is counted once, by day of China, caller and X."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.core.binding import Binding
from engine.core.records import Step
from engine.store.binding_reader import BindingReader
from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, open_database
from engine.store.day_calls import DayCalls
from engine.store.errors import StoreError
from tests.store.conftest import INVENTORY, NOW
from tests.store.desk import Desk, MakeRecord
from tests.store.shop import DAY_S, open_shop

A, B, X, Y = "13800138000", "13900139000", "700123456780001", "700123456780002"
MIDNIGHT = 1_795_449_600.0  # 2026-11-24 begins in China


@pytest.fixture
def desk(records_db: Path, cipher: NumberCipher, make_record: MakeRecord) -> Iterator[Desk]:
    with open_shop(records_db.parent, INVENTORY.replace("max_ttl_s", "calls_per_day = 3\nmax_ttl_s", 1), NOW) as shop:
        shop.bind(tel_a=A, tel_b=B)
    desk = Desk(records_db, cipher, make_record)
    desk.writer.start()
    yield desk
    desk.writer.stop()


@pytest.fixture
def days(records_db: Path, cipher: NumberCipher) -> Iterator[DayCalls]:
    with closing(DayCalls(records_db, cipher)) as days:
        yield days


def tell(desk: Desk, *steps: Step, record_id: str = "r", **changes: object) -> None:
    """These steps, one batch each."""
    usual = {"tel_x": X, "caller": A, "scenario": "express", "call_time": MIDNIGHT}
    for step in steps:
        desk.submit(step, record_id, **usual | changes)
        desk.outcomes(1)
        desk.until(lambda: desk.writer.unloaded_bytes == 0)


def count(days: DayCalls, wall_s: float = MIDNIGHT, x: str = X, caller: str = A) -> int:
    return days.count(x, caller, 100, wall_s)


@pytest.mark.parametrize(
    ("steps", "changes", "counted"),
    [
        ([Step.OPEN], {}, 1),
        ([Step.OPEN, Step.CLOSE], {"call_out_time": MIDNIGHT}, 1),
        ([Step.CLOSE], {"call_out_time": MIDNIGHT}, 1),
        ([Step.CLOSE], {"call_out_time": None, "decided_by": "hook"}, 1),  # let in by the node, not by its platform
        ([Step.CLOSE], {"call_out_time": None, "decided_by": "day_limit"}, 0),
        ([Step.CLOSE], {"call_out_time": None, "decided_by": "not_blacklisted"}, 0),
        ([Step.CLOSE], {"call_out_time": None, "decided_by": "bound", "subs_id": ""}, 0),
        ([Step.CLOSE], {"scenario": "other"}, 0),
    ],
)
def test_what_was_let_in_is_counted_once(
    desk: Desk, days: DayCalls, steps: list[Step], changes: dict[str, object], counted: int
) -> None:
    tell(desk, *steps, **changes)
    assert count(days) == counted


def test_by_day_of_china_caller_and_x(desk: Desk, days: DayCalls) -> None:
    for number, changes in enumerate(
        ({"call_time": MIDNIGHT - 0.001}, {}, {"call_time": MIDNIGHT + DAY_S - 0.001}, {"tel_x": Y}, {"caller": B})
    ):
        tell(desk, Step.CLOSE, record_id=f"r{number}", **changes)
    assert (count(days, MIDNIGHT - 1), count(days), count(days, MIDNIGHT + DAY_S)) == (1, 2, 0)
    assert (count(days, x=Y), count(days, caller=B), count(days, x=Y, caller=B)) == (1, 1, 0)
    assert days.count(X, A, 1, MIDNIGHT) == 1, "no more is looked at than is wanted"


def test_days_of_before_are_forgotten(desk: Desk, days: DayCalls) -> None:
    for day in range(3):
        tell(desk, Step.CLOSE, record_id=f"r{day}", call_time=MIDNIGHT + day * DAY_S)
    assert [count(days, MIDNIGHT + day * DAY_S) for day in range(3)] == [0, 1, 1]


def test_a_limit_that_is_set_later_counts_from_then(desk: Desk, days: DayCalls, cipher: NumberCipher) -> None:
    with closing(open_database(desk.path.with_name("bindings.db"), BINDINGS, cipher)) as connection:
        connection.execute("UPDATE scenario SET calls_per_day = 0")
        tell(desk, Step.CLOSE, record_id="r1")
        connection.execute("UPDATE scenario SET calls_per_day = 3")
        tell(desk, Step.CLOSE, record_id="r2")
    assert count(days) == 1


def test_what_is_limited_cannot_be_read(desk: Desk, days: DayCalls) -> None:
    """Then all are counted: one more is better than one less."""
    desk.path.with_name("bindings.db").write_bytes(b"no database" * 100)
    tell(desk, Step.CLOSE, scenario="other")
    assert count(days) == 1


def test_a_call_is_told(data_dir: Path, desk: Desk, cipher: NumberCipher, now: float) -> None:
    for number in range(5):
        tell(desk, Step.CLOSE, record_id=f"r{number}", call_time=now)
    with closing(BindingReader(data_dir / "bindings.db", cipher, days=DayCalls(desk.path, cipher))) as reader:
        found = reader.find(X, A, now)
        assert isinstance(found, Binding) and found.conditions.calls_recorded == 3
        back = reader.find(X, B, now)
        assert isinstance(back, Binding) and back.conditions.calls_recorded == 0


def test_what_cannot_be_counted_is_no_call(tmp_path: Path, cipher: NumberCipher) -> None:
    with closing(DayCalls(tmp_path / "records.db", cipher)) as days, pytest.raises(StoreError, match="no such file"):
        days.count(X, A, 3, NOW)
