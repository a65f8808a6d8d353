"""Whom an address in its usual spelling names: what is written in C finds exactly what the expression finds."""

from __future__ import annotations

import tracemalloc
from types import ModuleType
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sipstack import scan
from sipstack.scan import SCAN, read_usual_user
from tests.sipstack.scans import compile_scan

USUAL: Final = "<sip:+8613800138000@192.0.2.12:5060;user=phone>"
PIECES: Final = st.sampled_from([
    "<", "sip:", "sips:", "tel:", "SIP:", "+86138", "a", "zhang.san", "%31", "@", "192.0.2.12", "gw.example", ".x",
    ":5060", ":0", ":65535", ":65536", ":99999", ":123456", ":", ";user=phone", ";lr", ";x=1", ";a=b;c=d", ">",
    "[::1]", ";tag=1", " ", '"Z" ', "é", "\u4e00", "\0", "Gw",
])  # fmt: skip


@pytest.fixture(scope="module")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    if SCAN is None:
        return compile_scan(tmp_path_factory.mktemp("scan"))
    from sipstack import head_scan

    assert scan.usual_user is head_scan.usual_user
    return head_scan  # type: ignore[return-value]


IN_ORDER: Final = st.tuples(
    st.just("<sip:"), st.sampled_from(("a", "+8613800138000", "", "a-b")), st.just("@"),
    st.sampled_from(("192.0.2.12", "gw.example", "Gw", "", ".x")), PIECES | st.just(""), PIECES | st.just(""),
    st.sampled_from((">", "", ">;tag=1", "> ")),
)  # fmt: skip


@given(st.lists(PIECES, max_size=9).map("".join) | IN_ORDER.map("".join) | st.text(max_size=20))
@example("")
@example("<>")
@example("<sip:a@b>")
def test_finds_what_the_expression_finds(in_c: ModuleType, value: str) -> None:
    assert in_c.usual_user(value) == read_usual_user(value)


def test_every_character_counts_alike(in_c: ModuleType) -> None:
    for at in range(len(USUAL)):
        for char in "\0\t -.:;<=>@+0189AZaz\x7f\x80é一":
            for value in (USUAL[:at] + char + USUAL[at:], USUAL[:at] + char + USUAL[at + 1 :]):
                assert in_c.usual_user(value) == read_usual_user(value), value
        assert in_c.usual_user(USUAL[:at]) == read_usual_user(USUAL[:at]) == ""
        assert in_c.usual_user(USUAL[:at] + USUAL[at + 1 :]) == read_usual_user(USUAL[:at] + USUAL[at + 1 :])


def test_whom_it_names(in_c: ModuleType) -> None:
    for find in (in_c.usual_user, read_usual_user):
        assert find(USUAL) == "+8613800138000"
        assert find("<sip:13800138000@192.0.2.12>") == "13800138000"
        assert find("<sip:13800138000@192.0.2.12:65536>") == ""
        assert find("<sip:13800138000@192.0.2.12>;tag=x") == ""


def test_takes_nothing_but_text(in_c: ModuleType) -> None:
    with pytest.raises(TypeError):
        in_c.usual_user(b"<sip:a@b>")


def test_keeps_nothing(in_c: ModuleType) -> None:
    values = [USUAL, USUAL[:-1], "", "é"] * 10

    def find() -> None:
        for value in values:
            in_c.usual_user(value)

    find()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(20):
        find()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < len(USUAL)
