"""Asking the API as its clients do, without a socket between: whole requests, signed or with a token."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from engine.api.app import Api
from engine.api.auth import signature
from tests.api.document import held_against


@dataclass
class Answer:
    """What came back."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of a problem, "" of another answer."""
        is_problem = self.headers.get("content-type") == "application/problem+json"
        return str(self.json["code"]) if is_problem else ""


@dataclass
class Client:
    """One who asks: with `token`, or as `key_id` with `secret`."""

    api: Api
    token: str = ""
    key_id: str = ""
    secret: str = ""
    address: str = "127.0.0.1"

    async def ask(self, method: str, target: str, content: object = None, **how: Any) -> Answer:
        """`content` is JSON, or bytes as they are; `how`: `signed` of another target, header fields by name."""
        body = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
        fields = self.proof(method, how.pop("signed", target), body) | {
            name.replace("_", "-"): str(value) for name, value in how.items()
        }
        path, _, query = target.partition("?")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in fields.items()],
            "client": (self.address, 1) if self.address else None, "server": ("127.0.0.1", 2),
        }  # fmt: skip
        answer = Answer()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                answer.body += message.get("body", b"")

        await self.api.served(scope, receive, send)  # type: ignore[arg-type]
        held_against(method, path, answer.status, answer.headers.get("content-type", ""), answer.body)
        return answer

    def proof(self, method: str, target: str, body: bytes, wall_s: float | None = None) -> dict[str, str]:
        """The header fields that say who asks."""
        if self.token:
            return {"Authorization": f"Bearer {self.token}"}
        if not self.key_id:
            return {}
        at = datetime.fromtimestamp(wall_s or time.time(), UTC).isoformat(timespec="milliseconds")
        nonce = secrets.token_hex(8)
        signed = signature(self.secret.encode(), method, target, at, nonce, body)
        return {"X-Veil-Key": self.key_id, "X-Veil-Time": at, "X-Veil-Nonce": nonce, "X-Veil-Signature": signed}
