"""Orders that a scenario wants proved are asked for before a bind, whoever's SDK it comes by."""

from __future__ import annotations

import time
from contextlib import closing

import pytest

from engine.store.audit import Asker
from engine.store.crypto import open_key
from engine.store.database import BINDINGS, open_database, transaction
from engine.store.entities import change
from engine.store.hooks import Hook, put_hook
from engine.store.orders import Verdict, create_order, judge_order
from tests.alibaba.conftest import Served
from tests.alibaba.sdk import Sdk

WHO = Asker("test", "test")


@pytest.fixture(scope="module", autouse=True)
def strict(served: Served) -> None:
    """The scenario wants proof at bind; order-1 has been proved. Nobody answers where platform one would be asked."""
    now = time.time()
    path, cipher = served.config.data_dir / "bindings.db", open_key(served.config.data_dir)
    with closing(open_database(path, BINDINGS, cipher)) as connection, transaction(connection):
        change(connection, "scenario", "express", {"order_check": "bind"}, WHO, now)
        create_order(connection, "bu-test", "order-1", "", WHO, now)
        judge_order(connection, "bu-test", "order-1", Verdict("verified", "proof", now + 3600.0), WHO, now)
        put_hook(connection, cipher, Hook("ap-test", "order", "https://127.0.0.1:9/", 800), False)


def test_the_platform_is_asked_before_a_bind(sdk: Sdk) -> None:
    answer = sdk.bind(order_id="order-2")
    assert (answer.code, answer.message.split(" ")[0]) == ("isp.VENDOR_UNAVAILABLE", "VERIFY_TIMEOUT")
    assert sdk.bind_group(group_id="1", order_id="order-2").code == "isp.VENDOR_UNAVAILABLE"


def test_where_nobody_can_be_asked_what_nobody_has_proved_is_refused(served: Served) -> None:
    answer = served.sdk("ap-other").bind(order_id="order-1", pool_key="FC2")
    assert (answer.code, answer.message.split(" ")[0]) == ("isv.FORBIDDEN_ACTION", "ORDER_UNVERIFIED")


def test_an_order_that_is_proved_is_not_asked_for_again(sdk: Sdk) -> None:
    bound = sdk.bind().data
    assert sdk.update(bound, "updateOrder", order_id="order-2").code == "isp.VENDOR_UNAVAILABLE"
    assert sdk.update(bound, "updateOrder").code == "isv.ILLEGAL_ARGUMENT"
    assert sdk.update(bound, "updateOutId", out_id="o").code == "OK"
    assert sdk.unbind(bound).code == "OK"
