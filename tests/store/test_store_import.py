"""`bindings import`: all or nothing, every bad line by its number, readers undisturbed."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.core.binding import Binding, Miss
from engine.store import binding_import
from engine.store.binding_import import COLUMNS, import_bindings
from engine.store.binding_reader import BindingReader
from engine.store.bindings import open_bindings
from engine.store.crypto import NumberCipher
from engine.store.errors import StoreError

NOW = 1_795_482_123.0  # 2026-11-24T01:02:03Z

Rows = Callable[..., list[sqlite3.Row]]
Writable = tuple[sqlite3.Connection, NumberCipher]
HEADER = ",".join(COLUMNS)


def line(number: int, **changes: str) -> str:
    values = {
        "mode": "AXB",
        "tel_x": f"70012345678{number:04d}",
        "tel_a": f"138{number:08d}",
        "tel_b": f"139{number:08d}",
        "business_user": "bu-express",
        "order_id": f"order-{number}",
        "scenario": "express",
        "expiration": "2026-12-20T00:00:00+08:00",
        **changes,
    }
    return ",".join(values.get(name, "") for name in COLUMNS)


@pytest.fixture
def csv_file(tmp_path: Path) -> Callable[..., Path]:
    def write(*lines: str, header: str = HEADER) -> Path:
        file = tmp_path / "bindings.csv"
        file.write_text("\n".join((header, *lines)) + "\n")
        return file

    return write


CsvFile = Callable[..., Path]


def count(rows: Rows, path: Path) -> tuple[int, int]:
    return rows(path, "SELECT count(*) FROM binding")[0][0], rows(path, "SELECT count(*) FROM target")[0][0]


def test_all_lines_are_bound(stocked: Path, cipher: NumberCipher, csv_file: CsvFile, now: float, rows: Rows) -> None:
    report = import_bindings(stocked, cipher, csv_file(*[line(number) for number in range(100)]), lambda: now)
    assert (report.imported, report.bad, report.lines) == (100, 0, [])
    assert count(rows, stocked) == (100, 200)
    reader = BindingReader(stocked, cipher)
    found = reader.find("700123456780042", "13900000042", now)
    reader.close()
    assert isinstance(found, Binding)
    assert (found.callee, found.order_id, found.app_platform) == ("13800000042", "order-42", "ap-demo")
    ids = [row[0] for row in rows(stocked, "SELECT subs_id FROM binding ORDER BY id")]
    assert len(set(ids)) == 100
    assert all(len(subs_id) == 32 for subs_id in ids)


def test_small_batches_give_the_same(
    stocked: Path, cipher: NumberCipher, csv_file: CsvFile, now: float, monkeypatch: pytest.MonkeyPatch, rows: Rows
) -> None:
    monkeypatch.setattr(binding_import, "BATCH", 7)
    told: list[tuple[int, int]] = []
    file = csv_file(*[line(number) for number in range(30)])
    import_bindings(stocked, cipher, file, lambda: now, progress=lambda done, read: told.append((done, read)))
    assert count(rows, stocked) == (30, 60)
    assert [done for done, _ in told] == [7, 14, 21, 28, 30]
    assert told[-1][1] == file.stat().st_size


BAD_LINES = (
    line(1, tel_a="12"),
    line(2),
    line(3, expiration="soon"),
    "AXB,700123456780004",
    line(5, tel_b="13800000005"),
    line(6),
    line(7, tel_x="700123456780002", tel_a="13800000002"),  # the first party of line 3
    line(8, order_id='"never closed'),
)
BAD_REPORT = [
    "line 2: tel_a: '****' is not a number that can be called",
    "line 4: expiration: 'soon' is not an RFC 3339 time such as 2030-01-31T08:00:00+08:00",
    "line 5: 2 values instead of 10",
    "line 6: tel_b: 138****0005 is also tel_a: the two parties must differ",
    "line 8: tel_x: 700123456780002 is already bound for 138****0002, by line 3",
    "line 9: not CSV: unexpected end of data",
]


def test_a_bad_line_stops_all_and_all_are_named(
    stocked: Path, cipher: NumberCipher, csv_file: CsvFile, now: float, rows: Rows
) -> None:
    report = import_bindings(stocked, cipher, csv_file(*BAD_LINES), lambda: now)
    assert (report.imported, report.bad) == (0, 6)
    assert report.lines == BAD_REPORT
    assert count(rows, stocked) == (0, 0)


def test_bad_lines_may_be_skipped(
    stocked: Path, cipher: NumberCipher, csv_file: CsvFile, now: float, rows: Rows
) -> None:
    report = import_bindings(stocked, cipher, csv_file(*BAD_LINES), lambda: now, skip_bad=True)
    assert (report.imported, report.bad) == (2, 6)
    assert report.lines == BAD_REPORT
    assert count(rows, stocked) == (2, 4)


def test_what_is_bound_already_is_named(
    stocked: Path, cipher: NumberCipher, csv_file: CsvFile, now: float, rows: Rows
) -> None:
    import_bindings(stocked, cipher, csv_file(line(1), line(2)), lambda: now)
    holder = rows(stocked, "SELECT subs_id FROM binding WHERE tel_x = '700123456780002'")[0][0]
    report = import_bindings(stocked, cipher, csv_file(line(3), line(2, tel_b="13700137000")), lambda: now)
    assert report.lines == [f"line 3: tel_x: 700123456780002 is already bound for 138****0002, by binding {holder}"]
    assert count(rows, stocked) == (2, 4)


@pytest.mark.parametrize("batch", [2, 3, 100])
def test_the_same_line_twice(
    stocked: Path, cipher: NumberCipher, csv_file: CsvFile, now: float, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """Within one batch and across two; with the parties the other way round too."""
    monkeypatch.setattr(binding_import, "BATCH", batch)
    turned = line(1, tel_a="13900000001", tel_b="13800000001")
    report = import_bindings(stocked, cipher, csv_file(line(1), line(2), line(1), turned), lambda: now)
    assert report.lines == [
        "line 4: tel_x: 700123456780001 is already bound for 138****0001, by line 2",
        "line 5: tel_x: 700123456780001 is already bound for 139****0001, by line 2",
    ]


def test_an_expired_target_gives_way(
    stocked: Path, cipher: NumberCipher, csv_file: CsvFile, now: float, rows: Rows
) -> None:
    import_bindings(stocked, cipher, csv_file(line(1, expiration="2026-12-01T00:00:00Z")), lambda: now)
    report = import_bindings(stocked, cipher, csv_file(line(1)), lambda: now + 10 * 86_400)
    assert (report.imported, report.bad) == (1, 0)
    assert count(rows, stocked) == (2, 2)


def test_many_bad_lines_are_counted(
    stocked: Path, cipher: NumberCipher, csv_file: CsvFile, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding_import, "MAX_REPORTED", 3)
    report = import_bindings(stocked, cipher, csv_file(*["x"] * 10), lambda: now)
    assert report.bad == 10
    assert report.lines == [*[f"line {number}: 1 values instead of 10" for number in (2, 3, 4)], "and 7 more"]


def test_columns_in_any_order_blank_lines_and_a_mark(
    stocked: Path, cipher: NumberCipher, csv_file: CsvFile, now: float, rows: Rows
) -> None:
    header = ",".join(reversed(COLUMNS))
    turned = ",".join(reversed(line(1).split(",")))
    file = csv_file("", turned, "", header=header)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert import_bindings(stocked, cipher, file, lambda: now).imported == 1
    assert count(rows, stocked) == (1, 2)


def test_a_value_over_several_lines_has_the_number_of_its_first(
    stocked: Path, cipher: NumberCipher, csv_file: CsvFile, now: float
) -> None:
    report = import_bindings(stocked, cipher, csv_file(line(1, order_id='"a\n\nb"'), line(2, tel_a="x")), lambda: now)
    assert [text.split(":")[0] for text in report.lines] == ["line 2", "line 5"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "line 1: column mode must stand there once"),
        (HEADER.replace("tel_a,", "").encode(), "line 1: column tel_a must stand there once"),
        (HEADER.replace("tel_y", "tel_a").encode(), "line 1: column tel_y must stand there once"),
        (HEADER.replace("tel_a", "tela").encode(), "line 1: unknown column 'tela', expected mode,tel_x"),
        (b"13800138000," + HEADER.encode(), "line 1: unknown column '138****8000'"),
        (b'"mode', "line 1: not CSV: unexpected end of data"),
        (bytes(range(256)) * 300, "line 1: "),
    ],
)
def test_a_file_of_another_kind_is_refused(
    stocked: Path, cipher: NumberCipher, tmp_path: Path, now: float, content: bytes, reason: str
) -> None:
    file = tmp_path / "bindings.csv"
    file.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        import_bindings(stocked, cipher, file, lambda: now)
    assert f"{file}: {reason}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"\x00" * 500, b'"' + b"x" * 300_000, b"y" * 300_000, bytes(range(256)) * 40]
)
def test_garbage_between_good_lines(
    stocked: Path, cipher: NumberCipher, csv_file: CsvFile, now: float, content: bytes, rows: Rows
) -> None:
    file = csv_file(line(1))
    file.write_bytes(file.read_bytes() + content + b"\n" + line(2).encode() + b"\n")
    report = import_bindings(stocked, cipher, file, lambda: now)
    assert report.imported == 0
    assert report.bad >= 1
    assert count(rows, stocked) == (0, 0)
    assert all(text.isprintable() for text in report.lines)


def test_bytes_that_are_no_text_do_not_get_in(
    stocked: Path, cipher: NumberCipher, csv_file: CsvFile, now: float
) -> None:
    file = csv_file(line(1, order_id="order"))
    file.write_bytes(file.read_bytes().replace(b",order,", b",ord\xe9r,"))
    report = import_bindings(stocked, cipher, file, lambda: now)
    assert report.lines == ["line 2: order_id: 'ord\\udce9r' is longer than 128 characters or not printable"]


def test_a_file_that_is_not_there(stocked: Path, cipher: NumberCipher, tmp_path: Path, now: float) -> None:
    with pytest.raises(StoreError, match=r"gone\.csv: No such file or directory"):
        import_bindings(stocked, cipher, tmp_path / "gone.csv", lambda: now)


def test_a_file_that_cannot_be_read_is_named(stocked: Path, cipher: NumberCipher, now: float) -> None:
    with pytest.raises(StoreError, match="/proc/self/mem: Input/output error"):
        import_bindings(stocked, cipher, Path("/proc/self/mem"), lambda: now)


def test_an_import_that_fails_leaves_nothing(
    stocked: Path, cipher: NumberCipher, csv_file: CsvFile, now: float, monkeypatch: pytest.MonkeyPatch, rows: Rows
) -> None:
    monkeypatch.setattr(binding_import, "BATCH", 10)

    def interrupted(done: int, read: int) -> None:
        if done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_bindings(
            stocked, cipher, csv_file(*[line(number) for number in range(50)]), lambda: now, progress=interrupted
        )
    assert count(rows, stocked) == (0, 0)


def test_readers_see_the_old_state_until_the_end(
    stocked: Path, cipher: NumberCipher, csv_file: CsvFile, now: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding_import, "BATCH", 100)
    # The transaction spills into the log long before its end.
    monkeypatch.setattr(binding_import, "CACHE_KIB", 64)
    reader = BindingReader(stocked, cipher)
    seen: list[object] = []
    import_bindings(
        stocked, cipher, csv_file(*[line(number) for number in range(3000)]), lambda: now,
        progress=lambda done, read: seen.append(reader.find("700123456780001", "13800000001", now)),
    )  # fmt: skip
    assert len(seen) == 31
    assert seen[:-1] == [Miss.UNBOUND] * 30
    assert isinstance(seen[-1], Binding)
    reader.close()


async def test_the_store_imports_beside_its_other_work(
    stocked: Path, cipher: NumberCipher, csv_file: CsvFile, now: float
) -> None:
    async with open_bindings(stocked, cipher, lambda: now) as store:
        report = await store.import_csv(csv_file(*[line(number) for number in range(50)]))
        assert report.imported == 50
        assert len([row async for row in store.list()]) == 50


async def test_a_cancelled_import_leaves_nothing(
    stocked: Path, cipher: NumberCipher, csv_file: CsvFile, now: float, monkeypatch: pytest.MonkeyPatch, rows: Rows
) -> None:
    monkeypatch.setattr(binding_import, "BATCH", 10)
    begun, go_on = threading.Event(), threading.Event()

    def progress(done: int, read: int) -> None:
        begun.set()
        go_on.wait(60)

    file = csv_file(*[line(number) for number in range(500)])
    async with open_bindings(stocked, cipher, lambda: now) as store:
        task = asyncio.create_task(store.import_csv(file, progress=progress))
        await asyncio.to_thread(begun.wait, 60)
        task.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert count(rows, stocked) == (0, 0)
        assert (await store.import_csv(file)).imported == 500


@pytest.mark.long
def test_a_million_lines(stocked: Path, cipher: NumberCipher, tmp_path: Path, now: float, rows: Rows) -> None:
    """About a minute; memory does not grow with the file; the same file again is refused line by line."""
    import resource

    connection = sqlite3.connect(stocked, isolation_level=None)
    for block in range(100):
        connection.execute(
            "INSERT INTO number_block VALUES (?, '1', 'ap-demo', 'bu-express', 'C', 'assigned')", (f"700{block:08d}",)
        )
    connection.close()
    file = tmp_path / "million.csv"
    with file.open("w") as out:
        out.write(HEADER + "\n")
        for number in range(1_000_000):
            x = f"700{number % 100:08d}{number // 100:04d}"
            a, b = f"138{number * 37 % 10**8:08d}", f"139{number * 53 % 10**8:08d}"
            out.write(line(number, tel_x=x, tel_a=a, tel_b=b) + "\n")
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.monotonic()
    assert import_bindings(stocked, cipher, file, lambda: now).imported == 1_000_000
    assert time.monotonic() - begin < 240
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 200_000
    assert count(rows, stocked) == (1_000_000, 2_000_000)
    again = import_bindings(stocked, cipher, file, lambda: now)
    assert (again.imported, again.bad, len(again.lines)) == (0, 1_000_000, 1001)
    assert again.lines[-1] == "and 999000 more"


def test_columns_may_stand_in_any_order(
    stocked: Path, cipher: NumberCipher, csv_file: CsvFile, now: float, rows: Rows
) -> None:
    turned = [",".join(reversed(line(number).split(","))) for number in range(3)]
    file = csv_file(*turned, header=",".join(reversed(COLUMNS)))
    assert import_bindings(stocked, cipher, file, lambda: now).lines == []
    assert [row[0] for row in rows(stocked, "SELECT order_id FROM binding ORDER BY id")] == [
        "order-0", "order-1", "order-2",
    ]  # fmt: skip
