"""What every request passes before an operation sees it: its length, who asks, how often; and where faults end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, final

from engine.api import problem_documents
from engine.api.auth import Keys, address_of
from engine.domain.problems import Problem, ProblemCode
from engine.logging import where

MAX_BODY: Final = 1024 * 1024
MAX_BULK_BODY: Final = 16 * 1024 * 1024
BULK: Final = "/v1/bindings:bulk"
OPEN: Final = frozenset(("/v1/openapi.json",))  # what it says is in the source

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

CALLER: Final = "veil.caller"  # where an operation finds who asks
KEY: Final = "veil.key"
BODY: Final = "veil.body"


class TooLong(Exception):
    """A body beyond what is read of one, or one that is cut off: then nobody hears it."""


@final
class Gate:
    """The application as the server gets it."""

    def __init__(self, inner: Application, keys: Keys, log: Callable[..., None]) -> None:
        self._inner = inner
        self._keys = keys
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # of websockets we know nothing, and lifespan is off
        try:
            if scope["path"] not in OPEN:
                receive = await self._admitted(scope, receive)
        except Problem as problem:
            await problem_documents.answer(problem)(scope, receive, send)
            return
        except TooLong:
            too_long = Problem(ProblemCode.ILLEGAL_ARGUMENT, "", "the request is too long")
            await problem_documents.answer(too_long, 413)(scope, receive, send)
            return
        try:
            await self._inner(scope, receive, send)
        except Exception as fault:  # it has been answered
            self._log("fault", kind=type(fault).__name__, where=where(fault), path=scope["path"])

    async def _admitted(self, scope: Scope, receive: Receive) -> Receive:
        """Notes who asks; what gives the body once more. Problem; TooLong."""
        headers = dict(scope["headers"])
        key, caller = self._keys.find(headers)
        body = await read_body(headers, receive, MAX_BULK_BODY if scope["path"] == BULK else MAX_BODY)
        query = scope["query_string"]
        target = scope["raw_path"] + (b"?" + query if query else b"")
        self._keys.prove(key, headers, scope["method"], target.decode("latin-1"), body)
        if not key.admits(address_of(scope)):  # only who has proved the key hears that it is one
            raise Problem(ProblemCode.FORBIDDEN, "", "this key may not be used from your address")
        self._keys.charge(key)
        scope[CALLER], scope[KEY], scope[BODY] = caller, key, body
        is_given = False

        async def again() -> Message:
            nonlocal is_given
            if is_given:
                return await receive()
            is_given = True
            return {"type": "http.request", "body": body, "more_body": False}

        return again


async def read_body(headers: dict[bytes, bytes], receive: Receive, most: int) -> bytes:
    """All of it; TooLong beyond `most` octets, and where the connection ends before it does."""
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > most:
        raise TooLong
    message = await _part(receive)
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > most:
            raise TooLong
        return body
    parts = [body]
    size = len(body)
    while message.get("more_body"):
        message = await _part(receive)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise TooLong
    return b"".join(parts)


async def _part(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise TooLong
    return message
