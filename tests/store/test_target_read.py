"""The point read in C: it finds what the library finds, whatever a row holds, and lets go of all that it took."""

from __future__ import annotations

import _sqlite3
import contextlib
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.binding import UNCONDITIONAL, Binding, Miss
from engine.store import binding_reader
from engine.store.binding_reader import IN_C, BindingReader
from engine.store.crypto import NumberCipher
from engine.store.database import read_only_uri
from engine.store.errors import StoreError
from tests.sipstack.scans import compile_c
from tests.store.bound import EXPIRES_AT, A, B, X

KEY = bytes(range(64))
MIXERS = (bytes(16), bytes(16))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SHORT = st.text("0123456789", min_size=1, max_size=15)
TEXTS = ("x", "presented", "subs_id", "mode", "tel_y", "app_platform", "business_user", "order_id", "scenario")
NUMBERS: dict[str, st.SearchStrategy[object]] = {
    "version": st.integers(-(2**63), 2**63 - 1),
    "expires_at": st.floats(allow_nan=False) | st.integers(0, 2**40),
    "flags": st.sampled_from((0, 1)),
    "max_call_s": st.sampled_from((0, 60)),
}
Insert = Callable[..., None]


@pytest.fixture
def other(stocked: Path) -> Iterator[sqlite3.Connection]:
    """Another process that changes the store."""
    connection = sqlite3.connect(stocked, isolation_level=None)
    yield connection
    connection.close()


@pytest.fixture
def insert(other: sqlite3.Connection, cipher: NumberCipher) -> Insert:
    """A target of A through X to B, but for what is named."""

    def insert(**changes: object) -> None:
        usual: dict[str, object] = {
            "x": X, "caller": cipher.encrypt(A, "target.caller"), "callee": cipher.encrypt(B, "target.callee"),
            "presented": X, "subs_id": "s1", "version": 1, "mode": "AXB", "tel_y": "", "app_platform": "ap-demo",
            "business_user": "bu-express", "order_id": "o", "scenario": "express", "expires_at": EXPIRES_AT,
            "key_id": cipher.key_id,
        }  # fmt: skip
        row = {**usual, **changes}
        places = ", ".join("?" * len(row))
        other.execute(f"INSERT OR REPLACE INTO target ({', '.join(row)}) VALUES ({places})", tuple(row.values()))

    return insert


@pytest.fixture
def readers(stocked: Path, cipher: NumberCipher, target_reader: Any) -> Iterator[tuple[BindingReader, BindingReader]]:
    """By the library, and in C."""
    with (
        closing(BindingReader(stocked, cipher, make=None)) as plain,
        closing(BindingReader(stocked, cipher, make=target_reader)) as in_c,
    ):
        yield plain, in_c


def answer(reader: BindingReader, x: str, caller: str, now: float) -> Binding | Miss | str:
    try:
        return reader.find(x, caller, now)
    except StoreError as error:
        return str(error)


@pytest.mark.parametrize("file", [None, "/caf\udce9/_sqlite3.so", "/nowhere/_sqlite3.so"])
def test_where_the_library_of_python_cannot_be_told_the_module_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str | None
) -> None:
    """Then the library reads; another error would keep the node from starting."""
    monkeypatch.setattr(_sqlite3, "__file__", file, raising=False)
    with pytest.raises(ImportError, match="which SQLite"):
        compile_c("engine.store.target_read", tmp_path)


def test_what_is_compiled_reads_in_c() -> None:
    assert (IN_C is None) == str(binding_reader.__file__).endswith(".py")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    SHORT | TEXT.filter(bool),
    SHORT | TEXT.filter(bool),
    st.fixed_dictionaries({}, optional=dict.fromkeys(TEXTS, TEXT)),
    st.fixed_dictionaries({}, optional=NUMBERS),
)
def test_whatever_a_row_holds(
    readers: tuple[BindingReader, BindingReader], insert: Insert, cipher: NumberCipher, now: float,
    caller: str, callee: str, texts: dict[str, str], numbers: dict[str, object],
) -> None:  # fmt: skip
    hidden = {"caller": cipher.encrypt(caller, "target.caller"), "callee": cipher.encrypt(callee, "target.callee")}
    insert(**hidden, **texts, **numbers)
    plain, in_c = (answer(reader, texts.get("x", X), caller, now) for reader in readers)
    assert isinstance(plain, Binding)
    assert plain == in_c
    assert [type(value) for value in plain] == [type(value) for value in in_c]
    assert [answer(reader, X, f"{caller}0", now) for reader in readers] == [Miss.NOT_A_PARTY, Miss.NOT_A_PARTY]


def test_texts_of_the_row_before_are_no_others(
    readers: tuple[BindingReader, BindingReader], insert: Insert, now: float
) -> None:
    for scenario in ("express", "expres", "expresz", "", "express\0", "express", "express"):
        insert(scenario=scenario, mode=f"AX{scenario}", app_platform=f"{scenario}p", business_user=scenario)
        plain, in_c = (reader.find(X, A, now) for reader in readers)
        assert isinstance(in_c, Binding)
        assert in_c == plain and hash(in_c) == hash(plain)
        assert in_c.scenario == scenario


@pytest.mark.parametrize("wrong", [b"", b"x", b"x" * 16, b"x" * 27, b"x" * 32, None])
def test_what_was_not_encrypted_is_the_librarys_to_tell(
    readers: tuple[BindingReader, BindingReader], insert: Insert, cipher: NumberCipher, wrong: bytes | None, now: float
) -> None:
    insert(callee=cipher.encrypt(B, "target.caller") if wrong is None else wrong)  # for None only the tag is wrong
    plain, in_c = (answer(reader, X, A, now) for reader in readers)
    assert plain == in_c
    assert "the stored value was not written with key" in str(in_c)


def test_what_is_no_text_is_the_librarys_to_tell(
    readers: tuple[BindingReader, BindingReader], insert: Insert, other: sqlite3.Connection, now: float
) -> None:
    insert()
    other.execute("UPDATE target SET order_id = CAST(x'ff' AS TEXT)")
    plain, in_c = (answer(reader, X, A, now) for reader in readers)
    assert plain == in_c
    assert "Could not decode" in str(in_c)
    for reader in readers:
        with pytest.raises(UnicodeEncodeError):
            reader.find("\ud800", A, now)


def test_what_others_commit_counts_for_the_very_next_call(
    readers: tuple[BindingReader, BindingReader], insert: Insert, other: sqlite3.Connection, now: float
) -> None:
    _, in_c = readers
    for version in range(1, 50):
        other.execute("BEGIN")
        insert(version=version)
        before = in_c.find(X, A, now)
        assert before is Miss.UNBOUND if version == 1 else isinstance(before, Binding) and before.version == version - 1
        other.execute("COMMIT")
        found = in_c.find(X, A, now)
        assert isinstance(found, Binding)
        assert found.version == version
        if version % 10 == 0:
            assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    other.execute("ALTER TABLE target ADD COLUMN later INTEGER NOT NULL DEFAULT 0")
    assert in_c.find(X, A, now) == found
    other.execute("DELETE FROM target")
    assert in_c.find(X, A, now) is Miss.UNBOUND


def test_a_damaged_store_is_one_clear_line(
    readers: tuple[BindingReader, BindingReader], stocked: Path, insert: Insert, other: sqlite3.Connection, now: float
) -> None:
    insert()
    (root,) = other.execute("SELECT rootpage FROM sqlite_master WHERE name = 'target'").fetchone()
    (size,) = other.execute("PRAGMA page_size").fetchone()
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with stocked.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(bytes(size))
    plain, in_c = (answer(reader, X, A, now) for reader in readers)
    assert plain == in_c
    assert "damaged, or not a database" in str(in_c)


def test_one_that_is_closed_says_so(stocked: Path, cipher: NumberCipher, target_reader: Any, now: float) -> None:
    reader = BindingReader(stocked, cipher, make=target_reader)
    reader.close()
    reader.close()
    with pytest.raises(StoreError, match="closed"):
        reader.find(X, A, now)


def make(path: Path, target_reader: Any, statement: str = binding_reader.FIND, key: bytes = KEY) -> Any:
    uri = read_only_uri(path)
    return target_reader(uri, statement, key, *MIXERS, Binding, UNCONDITIONAL)


def test_what_it_cannot_be_made_of(stocked: Path, target_reader: Any) -> None:
    with pytest.raises(sqlite3.Error, match="unable to open"):
        make(stocked / "no", target_reader)
    with pytest.raises(sqlite3.Error, match="no such column"):
        make(stocked, target_reader, "SELECT nowhere FROM target")
    with pytest.raises(ValueError, match="12 columns"):
        make(stocked, target_reader, "SELECT 1 FROM target WHERE x = ? AND caller = ?")
    with pytest.raises(ValueError, match="a key of 64 bytes"):
        make(stocked, target_reader, key=b"")
    with pytest.raises(TypeError, match="no tuple"):
        target_reader("", "", KEY, *MIXERS, int, UNCONDITIONAL)


def test_it_takes_nothing_but_texts(stocked: Path, target_reader: Any) -> None:
    with closing(make(stocked, target_reader)) as reader:
        for wrong in ((X, 1), (1, A), (X,), (X, A, A)):
            with pytest.raises(TypeError):
                reader.find(*wrong)


def test_what_it_took_is_let_go(
    stocked: Path, cipher: NumberCipher, target_reader: Any, insert: Insert, now: float
) -> None:
    insert()
    insert(caller=cipher.encrypt("1", "target.caller"), callee=b"")
    insert(caller=cipher.encrypt("2", "target.caller"), mode="GXB", business_user="b", order_id="2", presented="3")

    def use(reader: BindingReader) -> None:
        for caller in (A, B, "1", "2", "3" * 20):
            with contextlib.suppress(StoreError):
                reader.find(X, caller, now)

    def begin() -> None:
        with contextlib.suppress(sqlite3.Error):
            make(stocked, target_reader, "SELECT nowhere")
        make(stocked, target_reader).close()
        make(stocked, target_reader)

    with closing(BindingReader(stocked, cipher, make=target_reader)) as reader:
        for step in (lambda: use(reader), begin):
            for _ in range(20):
                step()
            before, files = sys.getallocatedblocks(), len(os.listdir("/proc/self/fd"))
            for _ in range(1000):
                step()
            assert sys.getallocatedblocks() - before < 300
            assert len(os.listdir("/proc/self/fd")) == files
