"""A node with the listener: what the SDK of today binds is called at once, and leads to the right party."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from engine.config import load
from scenarios.rig.node import Node
from scenarios.rig.stage import play
from scenarios.rig.story import Story
from tests.alibaba.conftest import INVENTORY, PORT, make_key
from tests.alibaba.sdk import Sdk
from tests.e2e.conftest import make_node
from tests.e2e.stories import ANSWERED, A, B

__all__ = ["make_node"]

SECOND_A = "13800138055"  # by the same trunk as A


@pytest.fixture
def node(make_node: Callable[..., Node]) -> Node:
    node = make_node()
    host = node.place.node
    text = node.config.read_text()
    node.config.write_text(
        f'{text}\n[api]\naddress = "{host}:8700"\nalibaba_address = "{host}:{PORT}"\nalibaba_scenario = "express"\n'
    )
    node.inventory.write_text(INVENTORY.read_text())
    node.bind()  # nothing, but its inventory is there
    node.start()
    return node


@pytest.fixture
def sdk(node: Node) -> Sdk:
    return Sdk(f"{node.place.node}:{PORT}", make_key(load(node.config)))


def assert_reached(node: Node, caller: str, x: str, callee: str) -> None:
    """The callee's phone rings, is shown X, and neither sees the other's number."""
    told = play(node, placed(caller, x, callee))
    assert told.faults == []
    [record] = told.records
    facts = [record[name] for name in ("caller", "callee", "tel_x", "release_cause")]
    assert facts == [caller, callee, x, "NORMAL"]
    invite = next(seen for seen in told.callee if seen.method == "INVITE")
    assert f"P-Asserted-Identity: <sip:{x}@" in invite.data.decode()
    assert not any(caller.encode() in seen.data for seen in told.callee)
    assert not any(callee.encode() in seen.data for seen in told.caller)


def assert_refused(node: Node, caller: str, x: str, cause: str) -> None:
    """Nothing comes to the callee's side, which only listens: a phone would wait for its call until it gives up."""
    told = play(node, placed(caller, x, ""))
    [record] = told.records
    assert record["release_cause"] == cause
    assert told.callee == []


def placed(caller: str, x: str, callee: str) -> Story:
    """A call; without a callee no phone stands on that side."""
    return replace(ANSWERED, call=replace(ANSWERED.call, caller=caller, dialled=x, callee=callee))


def test_a_number_that_the_sdk_has_bound_leads_to_the_other_party(node: Node, sdk: Sdk) -> None:
    assert node.status()["api"]["alibaba_url"] == f"http://{node.place.node}:{PORT}"
    bound = sdk.bind(tel_a=A, tel_b=B, out_id="mine").data
    assert_reached(node, A, bound.secret_no, B)
    assert sdk.update(bound, "updateNoA", tel_a=SECOND_A).code == "OK"
    assert_reached(node, SECOND_A, bound.secret_no, B)
    assert_refused(node, A, bound.secret_no, "NOT_IN_CALLER_SET")
    assert sdk.lock(bound.secret_no).code == "OK"
    assert_refused(node, SECOND_A, bound.secret_no, "NUMBER_LOCKED")
    assert sdk.unlock(bound.secret_no).code == "OK"
    black: dict[str, Any] = {"black_type": "POINT_TO_POINT_BLACK", "black_no": f"{SECOND_A}:{B}"}
    assert sdk.black("Add", **black, way_control="PHONEB_REJECT").code == "OK"  # B may call, A may not
    assert_refused(node, SECOND_A, bound.secret_no, "CALLEE_BLACKLISTED")
    assert sdk.black("Add", **black, way_control="PHONEA_REJECT").code == "OK"
    assert_reached(node, SECOND_A, bound.secret_no, B)
    assert sdk.unbind(bound).code == "OK"
    assert_refused(node, SECOND_A, bound.secret_no, "NUMBER_COOLING")
    assert node.stop() == 0


def test_every_member_of_a_group_calls_through_the_number_of_its_binding(node: Node, sdk: Sdk) -> None:
    group = sdk.group(A, SECOND_A).group_id
    bound = sdk.bind_group(group_id=str(group), tel_b=B).data
    for member in (A, SECOND_A):
        assert_reached(node, member, bound.secret_no, B)
    assert sdk.edit_group(group, "deleteNumbers", A).code == "OK"
    assert_refused(node, A, bound.secret_no, "NOT_IN_CALLER_SET")
    listed = json.loads(node.command("bindings", "list", "--json").stdout)
    assert [(row["tel_x"], row["mode"], row["group_id"]) for row in listed] == [(bound.secret_no, "GXB", str(group))]
    assert node.stop() == 0
