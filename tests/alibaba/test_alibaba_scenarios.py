"""Which scenario a binding has that an SDK makes: that of its PoolKey, else the one for all, else none is made."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from scenarios.rig.place import Place
from tests.alibaba.conftest import Served, make_data, serve
from tests.alibaba.sdk import A, B, Sdk


@pytest.fixture(scope="module", params=["", 'alibaba_scenario = "express"\n'], ids=["named ones only", "one for all"])
def served(
    request: pytest.FixtureRequest, module_place: Place, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    toml = f'{request.param}alibaba_scenarios = {{ FC1-ride = "ride" }}'
    config = make_data(tmp_path_factory.mktemp("alibaba"), module_place.node, toml)
    with serve(config, module_place.node) as served:
        yield served


@pytest.fixture(scope="module")
def sdk(served: Served) -> Sdk:
    return served.sdk()


def scenario_of(served: Served, x: str) -> str:
    [row] = [row for row in json.loads(served.command("bindings", "list", "--json")) if row["tel_x"] == x]
    return str(row["scenario"])


def test_a_pool_that_is_named_has_its_own(served: Served, sdk: Sdk) -> None:
    bound = sdk.bind(pool_key="FC1-ride").data
    assert scenario_of(served, bound.secret_no) == "ride"
    group = sdk.group(A, pool_key="FC1-ride").group_id
    bound = sdk.bind_group(pool_key="FC1-ride", group_id=str(group)).data
    assert scenario_of(served, bound.secret_no) == "ride"


def test_another_pool_has_the_one_for_all_or_binds_nothing(served: Served, sdk: Sdk) -> None:
    answer = sdk.bind()
    assert served.config.api is not None
    if served.config.api.alibaba_scenario:
        assert scenario_of(served, answer.data.secret_no) == "express"
        return
    assert (answer.code, answer.success, answer.data) == ("isv.FORBIDDEN_ACTION", False, None)
    assert answer.message == "SCENARIO_FORBIDS PoolKey: no scenario is configured for this pool"
    group = sdk.group(A, B).group_id
    assert sdk.bind_group(group_id=str(group), tel_b="13700137003").code == "isv.FORBIDDEN_ACTION"
