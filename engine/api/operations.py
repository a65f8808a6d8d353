"""How an operation is declared: its path, who may do it, what it takes and gives; and the OpenAPI document of all.

Bodies are read here, not by the framework: they were needed for the signature, and this costs a tenth.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.json_schema import models_json_schema

from engine.api import desk
from engine.api.problem_documents import EVERYWHERE, ProblemDocument, documented
from engine.core.numbers import masked_runs
from engine.domain.problems import Problem, ProblemCode
from engine.store.api_keys import Role

ALL: Final = frozenset(Role)
OPERATOR: Final = frozenset((Role.OPERATOR,))
READERS: Final = frozenset((Role.OPERATOR, Role.AUDITOR))  # of what is no platform's
WRITERS: Final = frozenset((Role.OPERATOR, Role.PLATFORM))

MAX_PAGE: Final = 500
MAX_NAME: Final = 100  # characters of what a body calls a member
MAX_FAULTS: Final = 1000  # of one body: with more, a second would go by until each has its text

Handler = Callable[..., Awaitable[Response]]
Model = TypeVar("Model", bound=BaseModel)

direct_operations: Final[dict[tuple[str, str], Handler]] = {}  # by method and path: they take the request alone
_models: Final[dict[str, type[BaseModel]]] = {"ProblemDocument": ProblemDocument}


class Taken(BaseModel):
    """What a request may say: unknown members are refused."""

    model_config = ConfigDict(extra="forbid")


class Given(BaseModel):
    """What an answer says."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": False})


class Move(Taken):
    """A move of a state machine."""

    state: str = Field(max_length=32, description="The state that is wanted")
    reason: str = Field(min_length=1, max_length=500, description="Why; it is kept with the move")


class Moved(Given):
    """The state after a move."""

    id: str
    state: str


def operation(
    router: APIRouter, method: str, path: str, roles: frozenset[Role], summary: str, *, gives: type[BaseModel] | None,
    takes: type[BaseModel] | None = None, status: int = 200, name: str = "", repeatable: bool = False,
    many: bool = False, refuses: tuple[int, ...] = (),
) -> Callable[[Handler], Handler]:  # fmt: skip
    """Declares one. `takes`: the model of its body; `gives`: that of the answer, None for an empty one (204).

    `many`: it takes an array of those, or one a line. `repeatable`: it may carry an Idempotency-Key, which it must look
    at itself (`desk.written`). `refuses`: statuses of refusals beyond those of every operation.
    """
    tag = path.split("/")[1].partition(":")[0]
    extra: dict[str, Any] = {"x-roles": sorted(role.value for role in roles)}
    if takes is not None:
        _models[takes.__name__] = takes
        schema = {"type": "array", "items": _ref(takes), "minItems": 1} if many else _ref(takes)
        extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    if repeatable:
        extra["parameters"] = [_IDEMPOTENCY_KEY]
    responses = documented(*EVERYWHERE, *refuses)
    done: dict[str, Any] = {"description": "Done"}
    if gives is not None:
        _models[gives.__name__] = gives
        done["content"] = {"application/json": {"schema": _ref(gives)}}
    responses[status] = done

    def declare(handler: Handler) -> Handler:
        @functools.wraps(handler)
        async def checked(request: Request, **arguments: Any) -> Response:
            role = desk.caller(request).role
            if role not in roles:
                raise Problem(ProblemCode.FORBIDDEN, "", "this key may not do that")
            try:
                return await handler(request, **arguments)
            except Problem as problem:
                if problem.code is ProblemCode.NOT_FOUND and role is Role.PLATFORM:
                    raise Problem(problem.code, problem.field, desk.NO_SUCH_THING) from None  # as of another's
                raise

        if len(inspect.signature(handler).parameters) == 1:
            direct_operations[method, path] = checked
        router.add_api_route(
            path, checked, methods=[method], summary=summary, tags=[tag], status_code=status, responses=responses,
            response_class=Response, response_model=None, openapi_extra=extra,
            operation_id=name or handler.__name__, description=inspect.getdoc(handler) or "",
        )  # fmt: skip
        return handler

    return declare


def taken(request: Request, model: type[Model]) -> Model:
    """The body as its model; Problem when it is not like that."""
    try:
        return model.model_validate_json(desk.body(request))
    except ValidationError as error:
        raise of_validation(error) from None


def of_validation(error: ValidationError) -> Problem:
    """The first thing that pydantic found; the value is not repeated, it may be a number."""
    if error.error_count() > MAX_FAULTS:
        return illegal((), f"{error.error_count()} things are wrong with it")
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return illegal(first["loc"], first["msg"])


def illegal(loc: tuple[str | int, ...], message: str) -> Problem:
    """What pydantic found at a place, as a problem."""
    field = ".".join(str(part) for part in loc if part not in ("body", "query", "path", "header"))
    if len(field) > MAX_NAME:
        field = f"{field[:MAX_NAME]}..."
    return Problem(ProblemCode.ILLEGAL_ARGUMENT, masked_runs(field), " ".join(message.split()))


def page_of(model: type[BaseModel]) -> type[BaseModel]:
    """The model of a list: items, and the cursor behind which the next page begins."""
    members: dict[str, Any] = {
        "__annotations__": {"items": list[model], "next": str | None},  # type: ignore[valid-type]
        "__doc__": "One page of a list.",
        "__module__": __name__,
        "next": Field(None, description="Ask with after= this for what follows; null at the end"),
    }
    return type(f"{model.__name__}Page", (Given,), members)


def describe(app: FastAPI) -> None:
    """Has the application publish what is declared here."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(title=app.title, version=app.version, routes=app.routes)
    for path in found["paths"].values():
        for one in path.values():
            one["responses"].pop("422", None)
            for answer in one["responses"].values():  # the framework adds what it thinks of an answer without a model
                if answer.get("content", {}).get("application/json", {}).get("schema") == {}:
                    del answer["content"]
    inputs = [(model, "validation" if issubclass(model, Taken) else "serialization") for model in _models.values()]
    _, schemas = models_json_schema(inputs, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    components = found.setdefault("components", {})
    components["schemas"] = schemas["$defs"]
    components["securitySchemes"] = _SCHEMES
    found["security"] = [{"token": []}, {"signature": []}]
    return found


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


_SCHEMES: Final = {
    "token": {"type": "http", "scheme": "bearer", "description": "Of operators and auditors"},
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Veil-Key",
        "description": "Of platforms, with X-Veil-Time, X-Veil-Nonce and X-Veil-Signature: docs/api.md",
    },
}
_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 64},
    "description": "The same key with the same request gets the answer that was given, and nothing is done twice",
}
