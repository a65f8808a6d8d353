"""What is read without the model is read as the model reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from engine.api.binding_forms import NewBinding
from engine.api.plain_bodies import read_plain
from engine.store.binding_import import COLUMNS
from engine.store.binding_rules import BindRequest, plain_request

MODEL = TypeAdapter(list[NewBinding])
ONE = {
    "mode": "AXB", "tel_x": "700123456710001", "tel_a": "13800138000", "tel_b": "13900139000",
    "business_user": "bu", "order_id": "o", "scenario": "s", "expiration": "2030-01-31T08:00:00+08:00",
}  # fmt: skip
TEXTS = st.sampled_from(["", "AXB", "GXYB", "axb", "订单", "\ud83d\ude00", '"\\\n', "x" * 40, "x" * 41, "x" * 129])
VALUES = TEXTS | st.sampled_from([None, 1, 1.5, True, [], {}, ["AXB"]])
CHANGES = st.dictionaries(st.sampled_from([*COLUMNS, "sms", "out_id", "max_call_s", "other"]), VALUES, max_size=2)


def is_alike(content: bytes) -> bool:
    """What is read without the model the model reads alike; whether it is."""
    plain = read_plain(content)
    if plain is None:
        return False
    asked = MODEL.validate_json(content)
    assert [*map(plain_request, plain)] == [BindRequest(*one.__dict__.values()) for one in asked]
    return True


def body(changes: list[dict[str, Any]], without: str = "", **how: Any) -> bytes:
    many: list[dict[str, Any]] = [ONE | change for change in changes]
    many[-1].pop(without, None)
    return json.dumps(many, **how).encode("utf-8", "surrogatepass")


@given(
    st.lists(CHANGES, min_size=1, max_size=3), st.sampled_from(["", *COLUMNS]),
    st.sampled_from([{}, {"ensure_ascii": False}, {"indent": 1}, {"sort_keys": True}]),
)  # fmt: skip
def test_any_body_that_is_read_is_read_as_the_model_reads_it(
    changes: list[dict[str, Any]], without: str, how: dict[str, Any]
) -> None:
    is_alike(body(changes, without, **how))


@pytest.mark.parametrize("name", [*COLUMNS, ""])
@pytest.mark.parametrize("how", [{}, {"ensure_ascii": False}, {"indent": 1}, {"sort_keys": True}])
def test_what_is_plain_needs_no_model(name: str, how: dict[str, Any]) -> None:
    change = {name: "GXB" if name == "mode" else "\u8ba2\u5355"} if name else {}
    assert is_alike(body([{}, change], **how))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"o"', '"\\ud83d"'),  # half a pair
        ('"o"', '"\\uDE00"'),
        ('"o"', '"\\ud83d\\ude00"'),
        ('"o"', '"\\u8ba2"'),
        ('"o"', '"a\tb"'),  # a control character that is not escaped
        ('"o"', '"a\x00b"'),
        ('"o"', "NaN"),
        ('"o"', "1" * 5000),
        ('"o"', "[" * 100_000),
        ('"o"', '"p", "order_id": "q"'),  # twice
        ('"AXB"', '"GXYB", "mode": "other"'),
        ("}", ',"sms":false}'),
        ("}", ",}"),
        ("[", "\ufeff["),
        ("]", "] x"),
        ("]", ""),
        ("{", "[{"),
        ('{"mode', '[], {"mode'),
        ('{"mode', '"{}", {"mode'),
        ('{"mode', 'null, {"mode'),
    ],
)
def test_an_odd_body_is_read_as_the_model_reads_it(old: str, new: str) -> None:
    content = body([{}]).replace(old.encode(), new.encode("utf-8", "surrogatepass"), 1)
    assert content != body([{}])
    is_alike(content)


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("length", [40, 41, 128, 129])
def test_a_text_may_be_as_long_as_the_model_lets_it_be(name: str, length: int) -> None:
    is_short = length <= (128 if name in ("group_id", "business_user", "order_id", "scenario") else 40)
    assert is_alike(body([{}, {name: "x" * length}])) is (is_short and name != "mode")


@pytest.mark.parametrize("odd", [b"\xff", b"\xed\xa0\xbd", b"\xc0\xaf"])
def test_what_is_no_utf_8_is_the_models(odd: bytes) -> None:
    assert read_plain(body([{}]).replace(b'"o"', b'"' + odd + b'"')) is None
    assert read_plain(json.dumps([ONE]).encode("utf-16")) is None
