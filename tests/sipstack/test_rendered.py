"""The bytes of a message that leaves: what is written in C against what Python joins, and what it leaves to that."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipstack import message
from sipstack.message import render_rows
from sipstack.scan import SCAN
from tests.sipstack.scans import compile_scan

ROWS = ["SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK-1", "Contact: <sip:192.0.2.1>", ""]


def joined(rows: list[str], body: bytes) -> bytes:
    """What is meant."""
    head = "\r\n".join([*rows, f"Content-Length: {len(body)}", "", ""])
    return head.encode("utf-8", "surrogateescape") + body


@pytest.fixture(scope="module")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What is built in, or compiled out of the same source."""
    if SCAN is None:
        assert message._RENDERED is None
        return compile_scan(tmp_path_factory.mktemp("scan")).rendered
    from sipstack import head_scan

    assert message._RENDERED is head_scan.rendered
    return head_scan.rendered


@pytest.mark.parametrize("rows", [[], [""], ROWS[:1], ROWS])
@pytest.mark.parametrize("size", [0, 1, 9, 10, 99, 100, 65_535, 1_234_567])
def test_it_is_what_python_joins(in_c: Any, rows: list[str], size: int) -> None:
    kept = list(rows)
    assert in_c(rows, b"\xff" * size) == joined(rows, b"\xff" * size)
    assert rows == kept


@given(st.lists(st.text()), st.binary())
def test_any_rows(in_c: Any, rows: list[str], body: bytes) -> None:
    is_ascii = all(row.isascii() for row in rows)
    assert in_c(rows, body) == (joined(rows, body) if is_ascii else None)
    assert render_rows(list(rows), body) == joined(rows, body)


@pytest.mark.parametrize("row", ["X: 张", "X: \udcff", "X: \xe9"])
def test_a_row_that_is_not_ascii_is_left_to_python(in_c: Any, row: str) -> None:
    for rows in ([row], [*ROWS, row], [row, *ROWS]):
        assert in_c(rows, b"body") is None
        assert f"\r\n{row}\r\n".encode("utf-8", "surrogateescape") in b"\r\n" + render_rows(rows, b"body")


def test_nothing_is_kept_of_it(in_c: Any) -> None:
    held = []
    tracemalloc.start()
    try:
        for _ in range(4):
            for rows in (ROWS, [*ROWS, "X: \xe9"]) * 2000:
                in_c(rows, b"body")
            held.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert min(after - before for before, after in itertools.pairwise(held[1:])) < 2000


@pytest.mark.parametrize("arguments", [(), (ROWS,), (tuple(ROWS), b""), (ROWS, ""), (ROWS, b"", b""), (None, b"")])
def test_what_is_no_list_of_rows_and_no_body_is_a_type_error(in_c: Any, arguments: tuple[object, ...]) -> None:
    with pytest.raises(TypeError):
        in_c(*arguments)
