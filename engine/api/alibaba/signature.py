"""What proves a request of an Alibaba SDK: ACS3-HMAC-SHA256 in header fields, or HMAC-SHA1 among the parameters.

Both sign the parameters in one canonical form. Either way the signature says who asks, when, and with which nonce, and
covers operation, version, every parameter and the body.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, final
from urllib.parse import parse_qsl, quote

from engine.api.alibaba.errors import Refusal, mandatory

ACS3: Final = "ACS3-HMAC-SHA256"
FORM: Final = "application/x-www-form-urlencoded"
MAX_PARAMETERS: Final = 100

# What must be under an ACS3 signature: whatever of the header this service believes.
SIGNED: Final = frozenset(
    ("host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256")
)

_AUTHORIZATION: Final = re.compile(
    rf"{ACS3} +Credential=([\w.-]{{1,128}}), *SignedHeaders=([a-z0-9;-]{{1,2000}}), *Signature=([0-9a-f]{{64}})",
    re.ASCII,
)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_NONCE: Final = re.compile(r"[\x21-\x7e]{8,128}")


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came. Names of header fields in lower case, what came more than once joined by commas."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str]  # of the body, where that is a form
    body: bytes


@final
@dataclass(frozen=True, slots=True)
class Proof:
    """What a request says of who asks, not yet believed."""

    key_id: str
    action: str
    version: str
    signed_s: float  # since the epoch
    nonce: str
    is_acs3: bool
    text: bytes  # what is signed
    given: str

    def fits(self, secret: bytes) -> bool:
        """True when the key with this secret has signed it."""
        if self.is_acs3:
            right = hmac.new(secret, self.text, hashlib.sha256).hexdigest()
        else:
            right = base64.b64encode(hmac.new(secret + b"&", self.text, hashlib.sha1).digest()).decode()
        return hmac.compare_digest(right.encode(), self.given.encode())


def read_parameters(text: bytes) -> dict[str, str]:
    """Those of a query or a form. Refusal for what cannot be read as the sender has meant it."""
    try:
        pairs = parse_qsl(
            text.decode("ascii"), keep_blank_values=True, strict_parsing=bool(text), errors="strict",
            max_num_fields=MAX_PARAMETERS,
        )  # fmt: skip
    except ValueError:
        raise Refusal(400, "InvalidParameter", "The parameters cannot be read.") from None
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Refusal(400, "InvalidParameter", "A parameter is there twice.")
    return found


def read_proof(asked: Asked) -> Proof:
    """By which of the two signatures the request was signed, and with what; Refusal when it is by none."""
    if asked.headers.get("authorization", "").startswith(ACS3):
        return _acs3(asked)
    if "Signature" in asked.query or "Signature" in asked.form:
        return _hmac_sha1(asked)
    raise Refusal(400, "IncompleteSignature", f"The request is signed neither by {ACS3} nor by HMAC-SHA1.")


def _acs3(asked: Asked) -> Proof:
    headers = asked.headers
    found = _AUTHORIZATION.fullmatch(headers["authorization"])
    if found is None:
        raise Refusal(400, "IncompleteSignature", "Authorization is not as it must be.")
    key_id, listed, given = found.groups()
    names = listed.split(";")
    for name in sorted(SIGNED.difference(names)):
        raise Refusal(400, "IncompleteSignature", f"{name} is not among the signed header fields.")
    for name in names:
        if name not in headers:
            raise Refusal(400, "IncompleteSignature", "A signed header field is not there.")
    digest = hashlib.sha256(asked.body).hexdigest()
    if headers["x-acs-content-sha256"] != digest:
        raise Refusal(400, "InvalidContentSha256", "x-acs-content-sha256 is not that of the body.")
    fields = "".join(f"{name}:{headers[name]}\n" for name in names)
    canonical = "\n".join((asked.method, asked.path, _canonical(asked.query), fields, listed, digest))
    text = f"{ACS3}\n{hashlib.sha256(canonical.encode()).hexdigest()}".encode()
    return Proof(
        key_id, headers["x-acs-action"], headers["x-acs-version"], _instant(headers["x-acs-date"]),
        _nonce(headers["x-acs-signature-nonce"]), True, text, given,
    )  # fmt: skip


def _hmac_sha1(asked: Asked) -> Proof:
    said = {**asked.query, **asked.form}
    for name in ("AccessKeyId", "Action", "Version", "Timestamp", "SignatureNonce", "SignatureMethod"):
        if not said.get(name):
            raise mandatory(name)
    given = said.pop("Signature")
    if said["SignatureMethod"] != "HMAC-SHA1" or said.get("SignatureVersion", "1.0") != "1.0":
        raise Refusal(400, "InvalidSignatureMethod", "SignatureMethod must be HMAC-SHA1, SignatureVersion 1.0.")
    if asked.body and not asked.form:
        raise Refusal(400, "IncompleteSignature", "HMAC-SHA1 covers no body but a form.")
    text = f"{asked.method}&%2F&{_quoted(_canonical(said))}".encode()
    return Proof(
        said["AccessKeyId"], said["Action"], said["Version"], _instant(said["Timestamp"]),
        _nonce(said["SignatureNonce"]), False, text, given,
    )  # fmt: skip


def _canonical(parameters: Mapping[str, str]) -> str:
    return "&".join(f"{_quoted(name)}={_quoted(parameters[name])}" for name in sorted(parameters))


def _quoted(text: str) -> str:
    return quote(text, safe="~")


def _instant(text: str) -> float:
    try:
        if _TIME.fullmatch(text):
            return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        pass
    raise Refusal(400, "InvalidTimeStamp.Format", "The time must be UTC, such as 2026-11-24T08:00:00Z.")


def _nonce(text: str) -> str:
    if _NONCE.fullmatch(text) is None:
        raise Refusal(400, "InvalidSignatureNonce", "The nonce must be 8 to 128 visible characters.")
    return text
