"""The published document, held against every answer that a test gets from the API."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import jsonschema_rs

from engine.api.app import make_app

PLAIN = ("application/json", "application/problem+json")


def held_against(method: str, path: str, status: int, kind: str, body: bytes) -> None:
    """Fails when the document has no such status for this operation, or the answer is not of the form that it says.

    Of a path or method that is no operation the document says nothing.
    """
    found = next((name for name in _document()["paths"] if _pattern(name).fullmatch(path)), "")
    responses = _document()["paths"].get(found, {}).get(method.lower(), {}).get("responses")
    if responses is None:
        return
    assert str(status) in responses, f"{method} {found} answers {status}, which the document does not have"
    if kind in PLAIN:
        content = responses[str(status)]["content"]
        _validator(json.dumps(content[kind]["schema"])).validate(json.loads(body))


@cache
def _document() -> dict[str, Any]:
    return make_app().openapi()


@cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/:]+", re.escape(template)))


@cache
def _validator(schema: str) -> Any:
    return jsonschema_rs.validator_for({**json.loads(schema), "components": _document()["components"]})
