"""The listener of these operations: from a request to its answer."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Callable
from typing import Any, Final, final

from fastapi import Response

from engine.api.alibaba.case import Case, check_undone, own_pool
from engine.api.alibaba.errors import OK, SYSTEM_ERROR, Refusal, code_of, message_of
from engine.api.alibaba.operations import Operation, find_operation
from engine.api.alibaba.signature import FORM, Asked, Proof, read_parameters, read_proof
from engine.api.auth import WINDOW_S, Caller, address_of
from engine.api.desk import Desk
from engine.api.gate import Receive, Scope, Send, TooLong, read_body
from engine.api.hooks.broker import Hooks
from engine.domain.problems import Problem
from engine.logging import where
from engine.store.errors import StoreError

MAX_BODY: Final = 64 * 1024

Fields = dict[str, object]


@final
class AlibabaListener:
    """The application as the server gets it."""

    def __init__(self, desk: Desk, hooks: Hooks, log: Callable[..., None]) -> None:
        self._desk = desk
        self._hooks = hooks
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request_id = _request_id()
        headers = _headers(scope)
        status, found = 200, Fields()
        try:
            found = await self._answered(scope, headers, receive)
        except Refusal as refusal:
            status = refusal.status
            found = _refusal_fields(refusal, headers)
        await _response(status, {"RequestId": request_id, **found})(scope, receive, send)

    async def _answered(self, scope: Scope, headers: dict[str, str], receive: Receive) -> Fields:
        """The fields of an answer with status 200. Refusal."""
        asked = await _read(scope, headers, receive)
        proof = read_proof(asked)
        who, charge = self._proved(proof, address_of(scope))
        operation = find_operation(proof.action, proof.version)
        try:
            charge()
            found = await self._done(operation, who, {**asked.query, **asked.form})
        except Problem as problem:
            return _refused(operation, code_of(problem), message_of(problem))
        except StoreError as error:
            self._log("request not served", reason=str(error))
        except Refusal:
            raise
        except Exception as fault:
            self._log("fault", kind=type(fault).__name__, where=where(fault), path=proof.action)
        else:
            success: Fields = {"Success": True} if operation.is_of_700 else {}
            return {"Code": OK, "Message": OK, **success, **found}
        return _refused(operation, SYSTEM_ERROR, "the service does not answer now")

    def _proved(self, proof: Proof, address: str) -> tuple[Caller, Callable[[], None]]:
        """Who asks, and what counts the request. Refusal unless it is signed by a key, now, and for the first time."""
        keys = self._desk.keys
        key = keys.of_platform(proof.key_id)
        if key is None:
            raise Refusal(404, "InvalidAccessKeyId.NotFound", "The AccessKeyId is no key in force.")
        if not proof.fits(key.proof):
            # The SDK of before takes the text behind the colon for what was signed, and fails without a colon.
            raise Refusal(400, "SignatureDoesNotMatch", "The signature is not that of request and key: see the secret.")
        if keys.is_far(proof.signed_s) or keys.is_of_before(key, proof.signed_s):
            raise Refusal(
                400, "InvalidTimeStamp.Expired",
                f"The request was signed more than {WINDOW_S:.0f} s from now, or before the service has started anew.",
            )  # fmt: skip
        try:
            is_first = keys.use(key, proof.nonce, proof.signed_s)
        except Problem:
            raise Refusal(503, "ServiceUnavailable", "Too many signed requests in ten minutes.") from None
        if not is_first:
            raise Refusal(400, "SignatureNonceUsed", "The nonce was used already.")
        if not key.admits(address):
            raise Refusal(403, "Forbidden.SourceIp", "The AccessKeyId may not be used from your address.")
        return Caller(key.key_id, key.role, key.app_platform), lambda: keys.charge(key)

    async def _done(self, operation: Operation, who: Caller, said: dict[str, str]) -> Fields:
        """Problem, Refusal, StoreError."""
        desk = self._desk
        given = operation.given(said)
        check_undone(given)

        def case(connection: sqlite3.Connection) -> Case:
            now = desk.now()
            return Case(connection, desk, who, given, own_pool(connection, desk, who, given["PoolKey"], now), now)

        if operation.only_reads:
            return desk.read(lambda connection: operation.work(case(connection)))
        order = desk.read(lambda connection: operation.order(case(connection)))
        if order is not None:
            await self._prove_order(who, *order)
        return await desk.write(lambda connection: operation.work(case(connection)))

    async def _prove_order(self, who: Caller, business_user: str, order_id: str, scenario: str) -> None:
        """Asks the platform where the scenario wants that at bind, outside of the transaction. Problem, StoreError."""
        if self._hooks.whom_to_ask(business_user, order_id, scenario):
            await self._hooks.prove_order(who.app_platform, business_user, order_id)


async def too_many(scope: Scope, receive: Receive, send: Send) -> None:
    """The application at the limit of connections: the SDKs raise it, or ask again, as at a gateway that is full."""
    refusal = Refusal(503, "ServiceUnavailable", "There are too many connections.")
    found = {"RequestId": _request_id(), **_refusal_fields(refusal, _headers(scope))}
    await _response(503, found, {"Connection": "close", "Retry-After": "1"})(scope, receive, send)


def _refusal_fields(refusal: Refusal, headers: dict[str, str]) -> Fields:
    """What an HTTP error says."""
    return {"Code": refusal.code, "Message": str(refusal), "HostId": headers.get("host", "")}


def _request_id() -> str:
    return str(uuid.uuid4()).upper()


def _response(status: int, found: Fields, headers: dict[str, str] | None = None) -> Response:
    content = json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
    return Response(content, status, headers, "application/json")


def _refused(operation: Operation, code: str, message: str) -> Fields:
    success: Fields = {"Success": False} if operation.is_of_700 else {}
    return {"Code": code, "Message": message, **success}


def _headers(scope: Scope) -> dict[str, str]:
    """By name in lower case; values of one name in their order, as both signatures want them."""
    found: dict[str, Any] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1").strip())
    return {name: ",".join(sorted(values)) for name, values in found.items()}


async def _read(scope: Scope, headers: dict[str, str], receive: Receive) -> Asked:
    if scope["method"] not in ("GET", "POST"):
        raise Refusal(405, "UnsupportedHTTPMethod", "Only GET and POST are offered.")
    if scope["path"] != "/":
        raise Refusal(404, "InvalidAction.NotFound", "There is no path but /: this is an RPC interface.")
    try:
        body = await read_body(dict(scope["headers"]), receive, MAX_BODY)
    except TooLong:
        raise Refusal(413, "RequestTooLarge", f"The body is longer than {MAX_BODY} octets.") from None
    query = read_parameters(scope["query_string"])
    form = read_parameters(body) if headers.get("content-type", "").partition(";")[0].strip() == FORM else {}
    if query.keys() & form.keys():
        raise Refusal(400, "InvalidParameter", "A parameter is there twice.")
    if query.get("Format", form.get("Format", "json")).lower() != "json":
        raise Refusal(400, "InvalidParameter", "Format must be JSON.")
    return Asked(scope["method"], scope["path"], headers, query, form, body)
