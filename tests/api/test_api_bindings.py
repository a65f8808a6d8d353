"""Bindings over HTTP: made, read, changed and ended; one, and many at once; and who sees their numbers."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import fields
from typing import Any

import pytest

from engine.api.auth import Caller
from engine.api.binding_forms import BindingChange, NewBinding
from engine.api.bindings import without_others
from engine.api.bulk_bodies import MAX_BULK
from engine.config import Config
from engine.domain.problems import Problem, ProblemCode
from engine.store.api_keys import Role
from engine.store.binder import Change
from engine.store.binding_rules import BindRequest
from tests.api.asking import Client

A, B = "13800138000", "13900139000"
X = "700123456710001"
PATH = "/v1/bindings"


def wanted(**changes: Any) -> dict[str, Any]:
    return {
        "mode": "AXB", "tel_x": X, "tel_a": A, "tel_b": B, "business_user": "bu-one", "order_id": "o-1",
        "scenario": "express", "expiration": "2030-01-31T08:00:00+08:00",
    } | changes  # fmt: skip


def audit(config: Config) -> list[tuple[str, str, str, str]]:
    with sqlite3.connect(config.data_dir / "bindings.db") as connection:
        rows = connection.execute("SELECT actor, action, detail, reason FROM audit ORDER BY id").fetchall()
    connection.close()
    return rows


def test_the_forms_are_those_of_the_store() -> None:
    assert list(NewBinding.model_fields) == [field.name for field in fields(BindRequest)]
    assert list(BindingChange.model_fields) == [field.name for field in fields(Change)]


async def test_a_binding_from_its_beginning_to_its_end(config: Config, platform: Client) -> None:
    made = await platform.ask("POST", PATH, wanted())
    assert (made.status, made.json["tel_x"], made.json["version"]) == (201, X, 1)
    assert made.json["expires_at"] == "2030-01-31T00:00:00.000Z"
    one = f"{PATH}/{made.json['subs_id']}"
    shown = (await platform.ask("GET", one)).json
    assert (shown["tel_a"], shown["tel_b"], shown["state"], shown["app_platform"]) == (A, B, "active", "ap-one")
    changed = await platform.ask("PATCH", one, {"tel_b": "13700137000", "sms": False})
    assert (changed.status, changed.json["version"]) == (200, 2)
    shown = (await platform.ask("GET", one)).json
    assert (shown["tel_b"], shown["sms"], shown["version"]) == ("13700137000", False, 2)
    ended = await platform.ask("DELETE", one)
    assert (ended.status, ended.json["subs_id"]) == (200, made.json["subs_id"])
    assert ended.json["cool_until"] > ended.json["released_at"]
    assert (await platform.ask("GET", one)).json["state"] == "unbound"
    again = await platform.ask("DELETE", one)
    assert (again.status, again.code) == (409, "ILLEGAL_STATE")
    rows = [row for row in audit(config) if row[0] == f"key {platform.key_id}"]
    assert [row[1] for row in rows] == ["binding.create", "binding.change", "binding.delete"]
    assert not [row for row in rows if A in str(row) or B in str(row)]


async def test_a_number_of_the_pool(platform: Client) -> None:
    made = [(await platform.ask("POST", PATH, wanted(tel_x="", tel_a=f"1380013{n:04}"))).json for n in range(5)]
    assert {bound["tel_x"][:11] for bound in made} == {"70012345671"}


async def test_numbers_are_seen_by_their_platform_alone(config: Config, platform: Client, operator: Client) -> None:
    subs_id = (await platform.ask("POST", PATH, wanted())).json["subs_id"]
    for answer in (await operator.ask("GET", f"{PATH}/{subs_id}"), await operator.ask("GET", PATH)):
        assert answer.status == 200
        assert A.encode() not in answer.body and B.encode() not in answer.body and b"138****8000" in answer.body
    one = f"{PATH}/{subs_id}?reveal=true"
    assert (await operator.ask("GET", one)).json["field"] == "reason"
    seen = await operator.ask("GET", f"{one}&reason=complaint%204711")
    assert (seen.json["tel_a"], seen.json["tel_b"]) == (A, B)
    assert audit(config)[-1][1:] == ("binding.get", f"reveal {subs_id}", "complaint 4711")


async def test_of_another_platform_nothing_is_told(platform: Client, stranger: Client) -> None:
    subs_id = (await platform.ask("POST", PATH, wanted())).json["subs_id"]
    for method, target, content in (
        ("GET", f"{PATH}/{subs_id}", None), ("PATCH", f"{PATH}/{subs_id}", {"sms": False}),
        ("DELETE", f"{PATH}/{subs_id}", None), ("POST", PATH, wanted(order_id="o-2")),
        ("POST", f"{PATH}:bulk", [wanted(order_id="o-2")]),
    ):  # fmt: skip
        answer = await stranger.ask(method, target, content)
        assert (answer.status, answer.code) == (404, "NOT_FOUND")
        nothing = await stranger.ask(method, target.replace(subs_id, "0" * 32), content)
        assert nothing.body == answer.body
    assert (await stranger.ask("GET", PATH)).json == {"items": [], "next": None}
    foreign = await stranger.ask("POST", PATH, wanted(business_user="bu-two"))
    assert subs_id not in foreign.body.decode() and foreign.status == 409


async def test_a_conflict_names_the_own_binding(platform: Client) -> None:
    subs_id = (await platform.ask("POST", PATH, wanted())).json["subs_id"]
    refused = await platform.ask("POST", PATH, wanted(tel_b="13700137000", order_id="o-2"))
    assert (refused.status, refused.code) == (409, "BIND_CONFLICT")
    assert subs_id in refused.json["detail"] and A not in refused.json["detail"]


async def test_a_conflict_does_not_name_another_platforms_binding(platform: Client, stranger: Client) -> None:
    legacy = {"legacy_x": "17012345678", "legacy_until": "2029-01-31T08:00:00+08:00"}
    subs_id = (await platform.ask("POST", PATH, wanted(**legacy))).json["subs_id"]
    other = wanted(tel_x="700123456720001", business_user="bu-two", **legacy)
    for path, content in ((PATH, other), (f"{PATH}:bulk", [other])):
        refused = await stranger.ask("POST", path, content)
        assert b"BIND_CONFLICT" in refused.body and subs_id.encode() not in refused.body


async def test_whatever_refuses_names_no_binding_of_another_platform(config: Config, platform: Client) -> None:
    subs_id = (await platform.ask("POST", PATH, wanted())).json["subs_id"]
    said = Problem(ProblemCode.BIND_CONFLICT, "tel_x", f"is already bound, by {subs_id}")
    with sqlite3.connect(config.data_dir / "bindings.db") as connection:
        told = [
            subs_id in str(without_others(connection, Caller("k", role, owner), said))
            for role, owner in ((Role.PLATFORM, "ap-one"), (Role.PLATFORM, "ap-two"), (Role.OPERATOR, ""))
        ]
    connection.close()
    assert told == [True, False, True]


@pytest.mark.parametrize(
    ("changes", "status", "code", "field"),
    [
        ({"tel_a": "1"}, 400, "MOBILE_NUMBER_ILLEGAL", "tel_a"),
        ({"expiration": "soon"}, 400, "EXPIRE_DATE_ILLEGAL", "expiration"),
        ({"expiration": "2020-01-31T08:00:00Z"}, 400, "EXPIRE_DATE_ILLEGAL", "expiration"),
        ({"mode": "AX"}, 400, "ILLEGAL_ARGUMENT", "mode"),
        ({"tel_x": "13800138000"}, 400, "ILLEGAL_ARGUMENT", "tel_x"),
        ({"tel_x": "700123456720001"}, 409, "NO_USED_BY_OTHERS", "tel_x"),
        ({"scenario": "none"}, 409, "SCENARIO_FORBIDS", "scenario"),
        ({"unknown": 1}, 400, "ILLEGAL_ARGUMENT", "unknown"),
    ],
)
async def test_what_breaks_a_rule_is_refused(
    platform: Client, changes: dict[str, Any], status: int, code: str, field: str
) -> None:
    answer = await platform.ask("POST", PATH, wanted(**changes))
    assert (answer.status, answer.code, answer.json["field"]) == (status, code, field)
    assert A not in answer.body.decode()


@pytest.mark.parametrize("where", ["field", "header"])
async def test_a_repeat_binds_once(platform: Client, where: str) -> None:
    body = wanted(tel_x="", **({"req_id": "r-1"} if where == "field" else {}))
    how = {} if where == "field" else {"Idempotency_Key": "r-1"}
    first = await platform.ask("POST", PATH, body, **how)
    again = await platform.ask("POST", PATH, body, **how)
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    other = await platform.ask("POST", PATH, body | {"order_id": "o-2"}, **how)
    assert (other.status, other.code) == (409, "REQUEST_CONFLICT")
    assert len((await platform.ask("GET", PATH)).json["items"]) == 1


async def test_many_at_once_each_by_itself(platform: Client) -> None:
    many = [wanted(tel_x=f"70012345671{n:04}", tel_a=f"1380013{n:04}") for n in range(20)]
    many[3] = many[2] | {"tel_b": "13700137000"}  # the same target once more
    many[5] = many[5] | {"tel_b": "1"}
    many[19] = many[19] | {"tel_x": "", "sms": False}  # the last, or it could be given a number that one below names
    answer = await platform.ask("POST", f"{PATH}:bulk", many)
    assert (answer.status, answer.json["bound"], answer.json["refused"]) == (200, 18, 2)
    codes = [(result["problem"] or {"code": ""})["code"] for result in answer.json["results"]]
    assert (codes[3], codes[5], codes.count("")) == ("BIND_CONFLICT", "MOBILE_NUMBER_ILLEGAL", 18)
    ids = [result["bound"]["subs_id"] for result in answer.json["results"] if result["bound"]]
    listed = (await platform.ask("GET", f"{PATH}?limit=500")).json["items"]
    assert {row["subs_id"] for row in listed} == set(ids)


def told(config: Config) -> list[tuple[str, dict[str, Any]]]:
    with sqlite3.connect(config.data_dir / "bindings.db") as connection:
        rows = connection.execute("SELECT app_platform, payload FROM outbox WHERE kind = 'binding.created' ORDER BY id")
        found = [(platform, json.loads(payload)) for platform, payload in rows]
    connection.close()
    return found


async def test_many_are_answered_and_told_as_one_is(config: Config, platform: Client) -> None:
    order = '\u8ba2\u5355 "1"\\, {2}'
    one = await platform.ask("POST", PATH, wanted(order_id=order))
    many = await platform.ask("POST", f"{PATH}:bulk", [wanted(order_id=order, tel_x="700123456710002")])
    assert (one.status, many.json["bound"]) == (201, 1)
    bound = many.json["results"][0]["bound"]
    assert [*bound] == [*one.json]
    changed = {"subs_id": bound["subs_id"], "tel_x": "700123456710002"}
    assert bound == one.json | changed
    (platform_one, of_one), (platform_many, of_many) = told(config)
    assert platform_one == platform_many and of_one["order_id"] == order
    assert of_many == of_one | {"tel_x": "700123456710002"}


async def test_many_as_lines(platform: Client) -> None:
    lines = "\n".join(json.dumps(wanted(tel_a=f"1380013{n:04}", tel_b=f"1390013{n:04}")) for n in range(3)) + "\n\n"
    answer = await platform.ask("POST", f"{PATH}:bulk", lines.encode())
    assert (answer.status, answer.json["bound"]) == (200, 3)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"[1]", b"1\n2", b"{}", b'[{"mode": "AXB"}]', b"[" + b"{}," * MAX_BULK + b"{}]"]
)
async def test_what_is_no_list_of_bindings_is_refused(platform: Client, content: bytes) -> None:
    answer = await platform.ask("POST", f"{PATH}:bulk", content)
    assert (answer.status, answer.code) == (400, "ILLEGAL_ARGUMENT")


async def test_lists_by_number_and_by_pages(platform: Client, operator: Client) -> None:
    many = [wanted(tel_x=f"70012345671{n % 3:04}", tel_a=f"1380013{n:04}", tel_b=f"139001{n:05}") for n in range(9)]
    assert (await platform.ask("POST", f"{PATH}:bulk", many)).json["bound"] == 9
    of_x = (await operator.ask("GET", f"{PATH}?tel_x=700123456710001")).json["items"]
    assert {row["tel_x"] for row in of_x} == {"700123456710001"} and len(of_x) == 3
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        page = (await platform.ask("GET", f"{PATH}?limit=4&after={after}")).json
        found += [row["subs_id"] for row in page["items"]]
        after = page["next"]
    assert len(found) == len(set(found)) == 9
    assert (await platform.ask("GET", f"{PATH}?after=x")).status == 400
