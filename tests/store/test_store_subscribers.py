"""Persons behind numbers and orders: what platforms report, and that who opts out is bound no more."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.domain.problems import Problem
from engine.domain.states import IllegalMove
from engine.store.audit import Asker
from engine.store.crypto import NumberCipher
from engine.store.database import BINDINGS, open_database
from engine.store.orders import Verdict, create_order, judge_order, page_of_orders, read_order
from engine.store.parties import Bindings
from engine.store.subscribers import Subscriber, Subscribers
from tests.store.bound import A

WHO = Asker("ap-demo")
C = "13700137000"


@pytest.fixture
def store(stocked: Path, cipher: NumberCipher) -> Iterator[sqlite3.Connection]:
    connection = open_database(stocked, BINDINGS, cipher)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


@pytest.fixture
def people(store: sqlite3.Connection, cipher: NumberCipher, now: float) -> Subscribers:
    return Subscribers(store, cipher, "ap-demo", WHO, now)


def test_a_real_name_is_verified_revoked_and_verified_again(
    store: sqlite3.Connection, people: Subscribers, now: float
) -> None:
    assert people.report("+86 138-0013-8000") == Subscriber("unknown", "", None, "", None)
    with pytest.raises(IllegalMove, match="a subscriber that is unknown cannot become revoked"):
        people.revoke(A)
    assert people.verify(A, "operator") == Subscriber("verified", "operator", now, "", None)
    assert people.report(A).state == people.verify(A, "operator 2").state == "verified"
    assert people.revoke(A).state == "revoked"
    assert people.verify(A, "operator").state == "verified"
    assert people.read(A) == Subscriber("verified", "operator", now, "", None)
    moves = store.execute(
        "SELECT from_state, to_state FROM transition WHERE kind = 'subscriber' ORDER BY id"
    ).fetchall()
    assert moves == [("", "unknown"), ("unknown", "verified"), ("verified", "revoked"), ("revoked", "verified")]


def test_no_number_stands_anywhere_in_clear(store: sqlite3.Connection, people: Subscribers) -> None:
    people.verify(A, "operator")
    people.opt_out(A, Bindings((), 0, 0), str)
    everything = [str(row) for table in ("subscriber", "transition", "audit", "outbox") for row in store.execute(
        f"SELECT * FROM {table}"
    )]  # fmt: skip
    assert everything and not any(A in row for row in everything)
    assert any("ap-demo 138****8000: verified by operator" in row for row in everything)


@pytest.mark.parametrize("number", ["", "abc", "700123456780001"])
def test_what_is_no_real_number_is_no_subscriber(people: Subscribers, number: str) -> None:
    with pytest.raises(Problem) as caught:
        people.verify(number, "operator")
    assert caught.value.code == "MOBILE_NUMBER_ILLEGAL"


def test_what_was_never_reported_is_not_found(
    store: sqlite3.Connection, people: Subscribers, cipher: NumberCipher, now: float
) -> None:
    with pytest.raises(Problem, match=r"number: 138\*\*\*\*8000 has not been reported"):
        people.read(A)
    with pytest.raises(Problem, match="app_platform: there is no app platform ap-9"):
        Subscribers(store, cipher, "ap-9", WHO, now)
    with pytest.raises(Problem, match="source: must be text"):
        people.verify(A, "")


def test_an_order_is_verified_renewed_and_closed(store: sqlite3.Connection, now: float) -> None:
    order = create_order(store, "bu-express", "4711", "700.100.1/1", WHO, now)
    assert (order.state, order.verified_at, order.until_at, order.proof) == ("unverified", None, None, "")
    judge_order(store, "bu-express", "4711", Verdict("verified", "p1", now + 9), WHO, now)
    renewed = judge_order(store, "bu-express", "4711", Verdict("verified", "p2", now + 99), WHO, now + 1)
    assert (renewed.verified_at, renewed.until_at, renewed.proof) == (now + 1, now + 99, "p2")
    closed = judge_order(store, "bu-express", "4711", Verdict("closed"), WHO, now + 2)
    assert (closed.state, closed.proof) == ("closed", "p2")
    with pytest.raises(IllegalMove, match="that is closed cannot become verified: it stays so for ever"):
        judge_order(store, "bu-express", "4711", Verdict("verified"), WHO, now)
    with pytest.raises(Problem, match="order_id: is there already"):
        create_order(store, "bu-express", "4711", "", WHO, now)
    with pytest.raises(Problem, match="business_user: there is no business user bu-9"):
        create_order(store, "bu-9", "4711", "", WHO, now)
    with pytest.raises(Problem, match="order_id: bu-express has no such order"):
        read_order(store, "bu-express", "1")
    create_order(store, "bu-express", "4712", "", WHO, now)
    assert [order.order_id for order in page_of_orders(store, "bu-express", "4711")] == ["4712"]
