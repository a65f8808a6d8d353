"""Requests as an SDK would send them, but for what a test makes wrong."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from engine.store.api_keys import NewKey

ASKED = {"PoolKey": "FC1", "SecretNo": "700123456780042"}


def at(offset_s: float = 0.0) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset_s))


def canonical(parameters: Mapping[str, str]) -> str:
    return "&".join(f"{quote(n, safe='~')}={quote(v, safe='~')}" for n, v in sorted(parameters.items()))


def acs3(to: str, key: NewKey, query: Mapping[str, str] = ASKED, body: bytes = b"", **fields: str) -> dict[str, str]:
    """The header of a request; `fields` by name with underscores, "" leaves one out."""
    found = {
        "host": to, "x-acs-action": "QuerySecretNoDetail", "x-acs-version": "2017-05-25", "x-acs-date": at(),
        "x-acs-signature-nonce": secrets.token_hex(8), "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
    }  # fmt: skip
    found |= {name.replace("_", "-"): value for name, value in fields.items()}
    found = {name: value for name, value in found.items() if value}
    lines = "".join(f"{name}:{found[name]}\n" for name in sorted(found))
    names = ";".join(sorted(found))
    digest = hashlib.sha256(body).hexdigest()
    text = "\n".join(("POST", "/", canonical(query), lines, names, digest))
    hashed = f"ACS3-HMAC-SHA256\n{hashlib.sha256(text.encode()).hexdigest()}"
    signature = hmac.new(key.secret.encode(), hashed.encode(), hashlib.sha256).hexdigest()
    credential = f"Credential={key.key_id},SignedHeaders={names},Signature={signature}"
    return {**found, "authorization": f"ACS3-HMAC-SHA256 {credential}"}


def sha1(key: NewKey, method: str = "POST", **changes: str) -> dict[str, str]:
    """The parameters of a request, with the older signature; "" leaves one out."""
    found = {
        "Action": "QuerySecretNoDetail", "Version": "2017-05-25", "Format": "JSON", "AccessKeyId": key.key_id,
        "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0", "SignatureNonce": secrets.token_hex(8),
        "Timestamp": at(), **ASKED, **changes,
    }  # fmt: skip
    found = {name: value for name, value in found.items() if value}
    text = f"{method}&%2F&{quote(canonical(found), safe='~')}"
    signature = hmac.new(f"{key.secret}&".encode(), text.encode(), hashlib.sha1).digest()
    return {**found, "Signature": base64.b64encode(signature).decode()}


def send(
    host: str, query: Mapping[str, str] | str = "", headers: Mapping[str, str] | None = None, body: bytes = b"",
    method: str = "POST", path: str = "/",
) -> tuple[int, Any]:  # fmt: skip
    """Status and body of the answer, which is JSON."""
    text = query if isinstance(query, str) else urlencode(query)
    connection = http.client.HTTPConnection(host, timeout=20)
    try:
        connection.request(method, f"{path}?{text}" if text else path, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()
