"""A look that leaves no trace, and that is right whatever happens to the store meanwhile."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine.core.binding import Binding, Miss
from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, open_database
from engine.store.errors import StoreError
from engine.store.glance import Glance

A, B, X = "13800138000", "13900139000", "700123456780001"

Bind = Callable[[sqlite3.Connection], None]


@pytest.fixture
def bind(cipher: NumberCipher, now: float) -> Bind:
    def work(connection: sqlite3.Connection) -> None:
        numbers = (cipher.encrypt(A, "target.caller"), cipher.encrypt(B, "target.callee"))
        connection.execute(
            "INSERT INTO target VALUES (?, ?, ?, ?, 's', 1, 'AXB', '', '', '', '', '', ?, 'k', 0, 0, 0, '')",
            (X, *numbers, X, now + 60),
        )

    return work


def test_a_store_at_rest_keeps_its_files(stocked: Path, cipher: NumberCipher, bind: Bind, now: float) -> None:
    with closing(open_database(stocked, BINDINGS, cipher)) as connection:
        bind(connection)
    before = {name: os.stat(stocked.parent / name).st_mtime_ns for name in os.listdir(stocked.parent)}
    with closing(Glance(stocked, cipher)) as glance:
        found = glance.find(X, A, now)
        assert isinstance(found, Binding)
        assert (found.callee, found.expires_at) == (B, now + 60)
        assert glance.find(X, B, now) is Miss.NOT_A_PARTY
        assert glance.find(X, B, now + 60) is Miss.UNBOUND
    assert {name: os.stat(stocked.parent / name).st_mtime_ns for name in os.listdir(stocked.parent)} == before


def test_what_a_running_node_has_not_yet_moved_is_seen(
    stocked: Path, cipher: NumberCipher, bind: Bind, now: float
) -> None:
    with closing(open_database(stocked, BINDINGS, cipher)) as connection:
        bind(connection)  # in the log only
        with closing(Glance(stocked, cipher)) as glance:
            assert isinstance(glance.find(X, A, now), Binding)


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_binding_that_is_made_meanwhile_counts(
    stocked: Path, cipher: NumberCipher, bind: Bind, now: float, is_closed: bool
) -> None:
    with closing(Glance(stocked, cipher)) as glance:
        assert glance.find(X, A, now) is Miss.UNBOUND
        with closing(open_database(stocked, BINDINGS, cipher)) as connection:
            bind(connection)
            if is_closed:
                connection.close()
            assert isinstance(glance.find(X, A, now), Binding)


def test_a_store_that_cannot_be_read_says_so(stocked: Path, cipher: NumberCipher) -> None:
    with pytest.raises(StoreError, match=r"absent\.db: no such file"):
        Glance(stocked.with_name("absent.db"), cipher)
    with pytest.raises(StoreError, match="written with key"):
        Glance(stocked, NumberCipher(bytes(64)))
    stocked.write_bytes(b"SQLite" + bytes(5000))
    with pytest.raises(StoreError, match="damaged, or not a database"):
        Glance(stocked, cipher)


def test_a_store_that_breaks_meanwhile_says_so(stocked: Path, cipher: NumberCipher, now: float) -> None:
    with closing(Glance(stocked, cipher)) as glance:
        stocked.unlink()
        with pytest.raises(StoreError, match="no such file"):
            glance.find(X, A, now)


def test_glimpses_of_a_store_that_changes_are_done_again(
    stocked: Path, cipher: NumberCipher, bind: Bind, now: float
) -> None:
    with closing(Glance(stocked, cipher)) as glance:
        assert glance.glimpse(X, A, now) is Miss.UNBOUND
        assert glance.held()
        with closing(open_database(stocked, BINDINGS, cipher)) as connection:
            bind(connection)
        glance.glimpse(X, A, now)
        assert not glance.held()
        assert isinstance(glance.glimpse(X, A, now), Binding)
        assert glance.held()
