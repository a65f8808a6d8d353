"""What is called without the framework fails in the same way as what is called by it."""

from __future__ import annotations

import pytest

from engine.api.app import Api
from engine.api.operations import direct_operations
from engine.domain.problems import Problem, ProblemCode
from engine.store.errors import StoreError
from tests.api.asking import Client

AT_ONCE = "/v1/bindings:bulk"  # in `direct_operations`
BY_FRAMEWORK = "/v1/bindings/00000000000000000000000000000000"


def test_only_what_takes_the_request_alone_is_called_at_once() -> None:
    assert ("POST", "/bindings") in direct_operations and ("POST", "/bindings:bulk") in direct_operations
    assert ("GET", "/bindings") not in direct_operations  # it has a query
    assert not [path for _, path in direct_operations if "{" in path]


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Problem(ProblemCode.NUMBER_COOLING, "tel_x", "cools"), 409, "NUMBER_COOLING"),
        (StoreError("/var/bindings.db: full"), 503, "OVERLOAD"),
        (RuntimeError("13800138000"), 500, "INTERNAL"),
    ],
)
async def test_faults_are_answered_alike(
    api: Api, operator: Client, monkeypatch: pytest.MonkeyPatch, fault: Exception, status: int, code: str
) -> None:
    def failing(*_: object) -> None:
        raise fault

    monkeypatch.setattr("engine.api.bindings.read_bindings", failing)
    monkeypatch.setattr("engine.api.bindings.show_binding", failing)
    monkeypatch.setattr("engine.api.bindings._must_own", lambda *_: None)
    at_once = await operator.ask("POST", AT_ONCE, [])
    by_framework = await operator.ask("GET", BY_FRAMEWORK)
    assert (at_once.status, at_once.code) == (by_framework.status, by_framework.code) == (status, code)
    assert at_once.body == by_framework.body
    assert b"1380013" not in at_once.body and b"/var" not in at_once.body


async def test_another_method_is_no_operation(operator: Client) -> None:
    assert (await operator.ask("PUT", "/v1/bindings")).status == 405
