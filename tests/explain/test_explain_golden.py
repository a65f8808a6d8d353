"""The JSON of an explanation keeps its keys, and what stands in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from engine.explain import Question, as_document
from tests.core.corenode import axb
from tests.explain.explained import AT, A, B, Office, X, office

GOLDEN: Final = Path(__file__).with_name("golden")
LOSERS: Final = """
[[route]]
name = "also"
called = "^139"
peers = ["a-side"]
"""
_DRAWN: Final = re.compile(r"(?<=branch=z9hG4bK)\w+|(?<=tag=)\w+|(?<=Call-ID: )\w+|(?<=o=- )\d+ \d+|(?<=CSeq: )2\d{8}")


@pytest.fixture
def here() -> Iterator[Office]:
    with office() as made:
        made.bind([axb(expires_at=AT + 60)])
        yield made


def steady(value: Any, key: str = "") -> Any:
    """Without what is measured or drawn by chance."""
    if isinstance(value, dict):
        return {name: steady(one, name if key != "took_us" else key) for name, one in value.items()}
    if isinstance(value, list):
        return [steady(one) for one in value]
    if key == "took_us" and value is not None:
        assert value > 0.0
        return "us"
    if not isinstance(value, str):
        return value
    return _DRAWN.sub("drawn", re.sub(r"\d+ us: .*", "us", value))


@pytest.mark.parametrize(("name", "caller"), [("sent", A), ("refused", B)])
def test_the_document_is_the_golden_one(here: Office, name: str, caller: str) -> None:
    here.configure(rest=LOSERS)
    told = json.loads(json.dumps(as_document(here.ask(Question(caller, X, peer="a-side")))))
    golden = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
    assert steady(told) == golden
    assert list(told) == list(golden)
