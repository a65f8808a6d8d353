"""Digest access authentication: challenges and credentials, read, written and computed (RFC 3261 §22, RFC 7616).

Of the algorithms SHA-256 and MD5 are always there, SHA-512-256 where the OpenSSL of the machine has it (RFC 8760). The
texts of a Challenge and of Credentials are what stands between the quotes, escapes included: that is what is hashed
(unq of RFC 7616 §3.4) and what is sent back, so nothing is lost between reading and writing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import algorithms_available, md5, new, sha256
from hmac import compare_digest
from typing import Final, final

from sipstack.errors import RemoteSipError
from sipstack.grammar import QUOTED_STRING, TOKEN_CHARS
from sipstack.message import ENCODING, ERRORS

SHA_512_256: Final = "SHA-512-256"
SHA_256: Final = "SHA-256"
MD5: Final = "MD5"

CHALLENGES: Final = (401, 407)  # the statuses that hold one (RFC 3261 §22.2, §22.3)

AUTH: Final = "auth"
AUTH_INT: Final = "auth-int"

# Of one row; RFC 7616 names eleven for a response, and extensions are rare.
MAX_PARAMETERS: Final = 24

# Characters of one value that we hash or keep; a nonce of a few hundred is long already.
MAX_VALUE_CHARS: Final = 1024

MAX_COUNT: Final = 0xFFFF_FFFF  # nc-value has eight hexadecimal digits

# digest-cln = name EQUAL ( token / quoted-string ), with the LWS that EQUAL and COMMA allow (RFC 3261 §25.1). A value
# without quotes is taken with the characters of base64 and of URIs in it, which some phones leave bare.
_PARAMETER: Final = re.compile(
    rf"[ \t]*+({TOKEN_CHARS}++)[ \t]*+=[ \t]*+({QUOTED_STRING}|[A-Za-z0-9\-.!%*_+`'~/:;@=?&$]++)[ \t]*+"
)
_SCHEME: Final = re.compile(r"[ \t]*+[Dd][Ii][Gg][Ee][Ss][Tt][ \t]++")
_RESPONSE: Final = re.compile(r"[0-9A-Fa-f]{32}|[0-9A-Fa-f]{64}")
_COUNT: Final = re.compile(r"[0-9A-Fa-f]{8}")
_QUOTABLE: Final = re.compile(QUOTED_STRING)


def _sha_512_256(data: bytes) -> str:
    return new("sha512_256", data).hexdigest()


def _sha_256(data: bytes) -> str:
    return sha256(data).hexdigest()


def _md5(data: bytes) -> str:
    return md5(data, usedforsecurity=False).hexdigest()  # as the peer asks; where it is too weak, it is not offered


# In the order of their strength.
_HASHES: Final[dict[str, Callable[[bytes], str]]] = {SHA_512_256: _sha_512_256, SHA_256: _sha_256, MD5: _md5}
if "sha512_256" not in algorithms_available:
    del _HASHES[SHA_512_256]

ALGORITHMS: Final = tuple(_HASHES)


@final
@dataclass(frozen=True, slots=True)
class Challenge:
    """WWW-Authenticate or Proxy-Authenticate. `qop` is what the server offers, () when it offers none (RFC 2069)."""

    realm: str
    nonce: str
    algorithm: str = MD5  # what a challenge without one means (RFC 7616 §3.3)
    qop: tuple[str, ...] = (AUTH,)
    opaque: str | None = None
    stale: bool = False


@final
@dataclass(frozen=True, slots=True)
class Credentials:
    """Authorization or Proxy-Authorization. Without `qop` there is neither `cnonce` nor `count` (RFC 2069)."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str  # lower case
    algorithm: str = MD5
    qop: str = ""
    cnonce: str = ""
    count: int = 0
    opaque: str | None = None


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """What a response is computed for: the request, and how often the nonce has been used with this one."""

    method: str
    uri: str
    body: bytes
    cnonce: str
    count: int = 1


def parse_challenge(value: str) -> Challenge | None:
    """The value of a WWW-Authenticate or Proxy-Authenticate row; None for a scheme that is not Digest.

    Raises RemoteSipError for one that cannot be read.
    """
    found = _parameters(value)
    if found is None:
        return None
    offered = found.get("qop")
    return Challenge(
        _needed(found, "realm"),
        _needed(found, "nonce"),
        _algorithm(found),
        () if offered is None else tuple([word for word in re.split(r"[ \t,]+", offered.lower()) if word]),
        found.get("opaque"),
        found.get("stale", "").lower() == "true",
    )


def parse_credentials(value: str) -> Credentials | None:
    """The value of an Authorization or Proxy-Authorization row; None for a scheme that is not Digest.

    Raises RemoteSipError for one that cannot be read.
    """
    found = _parameters(value)
    if found is None:
        return None
    qop, count = found.get("qop", "").lower(), found.get("nc")
    if bool(qop) != (count is not None) or bool(qop) != ("cnonce" in found):
        raise RemoteSipError("credentials with half of a qop")
    if count is not None and _COUNT.fullmatch(count) is None:
        raise RemoteSipError("nc is no number of eight digits")
    response = _needed(found, "response")
    if _RESPONSE.fullmatch(response) is None:
        raise RemoteSipError("response is no hash")
    return Credentials(
        _needed(found, "username"),
        _needed(found, "realm"),
        _needed(found, "nonce"),
        _needed(found, "uri"),
        response.lower(),
        _algorithm(found),
        qop,
        found.get("cnonce", ""),
        int(count, 16) if count is not None else 0,
        found.get("opaque"),
    )


def challenge_value(challenge: Challenge) -> str:
    """The value of its row. Realm and nonce must be such as stand between quotes (`may_be_quoted`)."""
    parts = [f'realm="{challenge.realm}"', f'nonce="{challenge.nonce}"']
    if challenge.opaque is not None:
        parts.append(f'opaque="{challenge.opaque}"')
    if challenge.stale:
        parts.append("stale=true")
    parts.append(f"algorithm={challenge.algorithm}")
    if challenge.qop:
        parts.append(f'qop="{",".join(challenge.qop)}"')
    return f"Digest {','.join(parts)}"


def credentials_value(credentials: Credentials) -> str:
    """The value of its row; algorithm, qop and nc without quotes (RFC 7616 §3.4)."""
    parts = [
        f'username="{credentials.username}"',
        f'realm="{credentials.realm}"',
        f'nonce="{credentials.nonce}"',
        f'uri="{credentials.uri}"',
        f'response="{credentials.response}"',
        f"algorithm={credentials.algorithm}",
    ]
    if credentials.qop:
        parts += [f'cnonce="{credentials.cnonce}"', f"qop={credentials.qop}", f"nc={credentials.count:08x}"]
    if credentials.opaque is not None:
        parts.append(f'opaque="{credentials.opaque}"')
    return f"Digest {', '.join(parts)}"


def may_be_quoted(text: str) -> bool:
    """True for a text that may stand between quotes as it is, and is hashed as it is: no escape in it."""
    return "\\" not in text and len(text) <= MAX_VALUE_CHARS and _QUOTABLE.fullmatch(f'"{text}"') is not None


def strongest(challenges: list[Challenge]) -> Challenge | None:
    """The one to answer: of the strongest algorithm that we have, the first; None when there is none of ours."""
    usable = [one for one in challenges if one.algorithm in _HASHES and _chosen_qop(one) is not None]
    return min(usable, key=lambda one: ALGORITHMS.index(one.algorithm), default=None)


def hashed_secret(algorithm: str, username: str, realm: str, password: str) -> str:
    """H(A1) of RFC 7616 §3.4.2: what a server needs of a password, in lower case."""
    return _hash(algorithm, f"{username}:{realm}:{password}")


def answer(challenge: Challenge, username: str, password: str, asked: Asked) -> Credentials:
    """Credentials for a challenge that `strongest` has chosen. `auth-int` is used where nothing else is offered."""
    qop = _chosen_qop(challenge)
    assert qop is not None
    secret = hashed_secret(challenge.algorithm, username, challenge.realm, password)
    bare = Credentials(
        username,
        challenge.realm,
        challenge.nonce,
        asked.uri,
        "",
        challenge.algorithm,
        qop,
        asked.cnonce if qop else "",
        asked.count if qop else 0,
        challenge.opaque,
    )
    return replace(bare, response=response_of(bare, secret, asked.method, asked.body))


def response_of(credentials: Credentials, secret: str, method: str, body: bytes = b"") -> str:
    """What `response` must be for these credentials (RFC 7616 §3.4.1); their own is not read. `secret` is H(A1)."""
    algorithm = credentials.algorithm
    about = f"{method}:{credentials.uri}"
    if credentials.qop == AUTH_INT:
        about = f"{about}:{_HASHES[algorithm](body)}"
    about = _hash(algorithm, about)
    if not credentials.qop:
        return _hash(algorithm, f"{secret}:{credentials.nonce}:{about}")
    used = f"{credentials.nonce}:{credentials.count:08x}:{credentials.cnonce}:{credentials.qop}"
    return _hash(algorithm, f"{secret}:{used}:{about}")


def matches(credentials: Credentials, secret: str, method: str, body: bytes = b"") -> bool:
    """True when whoever made them knows the secret. Takes as long for a wrong response as for a right one."""
    return compare_digest(response_of(credentials, secret, method, body), credentials.response)


def _hash(algorithm: str, text: str) -> str:
    return _HASHES[algorithm](text.encode(ENCODING, ERRORS))


def _chosen_qop(challenge: Challenge) -> str | None:
    """What of the offered is used, "" where none is offered; None when all that is offered is unknown."""
    if not challenge.qop:
        return ""
    return next((qop for qop in (AUTH, AUTH_INT) if qop in challenge.qop), None)


def _algorithm(found: dict[str, str]) -> str:
    """Its usual spelling where it is one of ours; another one as it stands."""
    named = found.get("algorithm", MD5)
    return named.upper() if named.upper() in _HASHES else named


def _needed(found: dict[str, str], name: str) -> str:
    value = found.get(name)
    if value is None:
        raise RemoteSipError(f"Digest without {name}")
    return value


def _parameters(value: str) -> dict[str, str] | None:
    """The parameters by their names in lower case, without quotes; None for another scheme. Raises RemoteSipError."""
    scheme = _SCHEME.match(value)
    if scheme is None:
        return None
    found: dict[str, str] = {}
    place = scheme.end()
    while True:
        match = _PARAMETER.match(value, place)
        if match is None:
            raise RemoteSipError("Digest with a parameter that cannot be read")
        name, text = match[1].lower(), match[2]
        text = text[1:-1] if text.startswith('"') else text
        if name in found or len(found) >= MAX_PARAMETERS or len(text) > MAX_VALUE_CHARS:
            raise RemoteSipError("Digest with a parameter twice, or too much of it")
        found[name] = text
        place = match.end()
        if place == len(value):
            return found
        if value[place] != ",":
            raise RemoteSipError("Digest with something behind a parameter")
        place += 1
