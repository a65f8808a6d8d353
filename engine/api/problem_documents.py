"""Problems as answers: application/problem+json (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from engine.domain.problems import HTTP_STATUS, Problem, ProblemCode
from engine.store.errors import StoreError

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_S: Final = 1

# Statuses of HTTP itself: what they mean is said by no code of ours.
_PLAIN: Final = {404: ProblemCode.NOT_FOUND}


class ProblemDocument(BaseModel):
    """Why nothing was done."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": False})

    type: str = Field(description="urn:veil700:problem: and the code")
    title: str
    status: int
    detail: str = Field(description="One line; real numbers masked")
    code: ProblemCode
    field: str = Field(description="As the request names it; empty where it is about none")
    oldest: int | None = Field(None, description="With EVENTS_GONE: the first event that is kept")
    legal: list[str] | None = Field(None, description="With ILLEGAL_STATE: the states that are allowed from here")


def document(problem: Problem, status: int | None = None) -> dict[str, object]:
    """The members of the answer."""
    found: dict[str, object] = {
        "type": f"urn:veil700:problem:{problem.code.value}",
        "title": problem.code.value.replace("_", " ").capitalize(),
        "status": status or HTTP_STATUS[problem.code],
        "detail": problem.detail,
        "code": problem.code.value,
        "field": problem.field,
    }
    if problem.legal or problem.code is ProblemCode.ILLEGAL_STATE:
        found["legal"] = list(problem.legal)
    return found


def answer(
    problem: Problem, status: int | None = None, headers: Mapping[str, str] | None = None,
    more: Mapping[str, object] | None = None,
) -> Response:  # fmt: skip
    """The whole answer; a status of HTTP's own (413, 405) goes before that of the code. `more`: members behind it."""
    known = dict(headers or {})
    found = status or HTTP_STATUS[problem.code]
    if found in (429, 503):
        known["Retry-After"] = str(RETRY_AFTER_S)
    if found == 401:
        known["WWW-Authenticate"] = 'Bearer realm="veil700"'
    content = json.dumps(document(problem, status) | dict(more or {}), ensure_ascii=False).encode()
    return Response(content, found, known, MEDIA_TYPE)


def plain(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """What the framework refuses: an unknown path, a method that is not there."""
    return answer(Problem(_PLAIN.get(status, ProblemCode.ILLEGAL_ARGUMENT), "", detail), status, headers)


def of_store(log: Callable[..., None], fault: StoreError) -> Response:
    """The store does not answer. What it is stands in the log: a path is no business of who asks."""
    log("request not served", reason=str(fault))
    return answer(Problem(ProblemCode.OVERLOAD, "", "the store does not answer now"))


def of_fault() -> Response:
    """What nobody has thought of."""
    return answer(Problem(ProblemCode.INTERNAL, "", "a fault of the API"))


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For OpenAPI: which refusals there may be."""
    return {
        status: {
            "description": _MEANING[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
        }
        for status in statuses
    }


_MEANING: Final = {
    400: "The request is not as it must be",
    401: "Not signed, or not by a key in force",
    403: "This key may not do that, or its platform is closed",
    404: "There is no such thing, or it is another platform's",
    409: "The rules of the domain forbid it now",
    410: "It is kept no more",
    413: "The request is too long",
    429: "This key asks too often",
    500: "A fault of the API; it is in its log",
    503: "Too busy: ask again",
}
EVERYWHERE: Final = (400, 401, 403, 404, 409, 413, 429, 500, 503)
