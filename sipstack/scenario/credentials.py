"""`[authentication]` and `<verifyauth>`: credentials for a challenge as SIPp writes them, and whether some are right.

The order of the parameters is SIPp's, for whoever compares traces; what is hashed is RFC 7616's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sipstack.digest import (
    ALGORITHMS,
    AUTH,
    AUTH_INT,
    MD5,
    Challenge,
    Credentials,
    hashed_secret,
    matches,
    parse_challenge,
    parse_credentials,
    response_of,
)
from sipstack.errors import RemoteSipError
from sipstack.scenario.received import Received
from sipstack.scenario.values import CallFault, Values

_SESSION: Final = "-sess"
_CHALLENGES: Final = ("Proxy-Authenticate", "WWW-Authenticate")
_UNAUTHORIZED: Final = 401


def authorization(values: Values, method: str, body: str, username: str | None, password: str | None) -> str:
    """The whole header field for the challenge of this call. CallFault when there is none that can be answered."""
    if values.challenge is None:
        raise CallFault('[authentication] before a message with auth="true" has brought a challenge')
    status, message = values.challenge
    challenge = _chosen(message)
    shared = values.shared
    name = username or shared.auth_user or values.set_once.get("service", "")
    uri = f"sip:{shared.auth_uri or _remote(values)}"
    values.nonce_count += 1
    cnonce = f"{shared.random.getrandbits(31):08x}" if challenge.qop else ""
    bare = Credentials(
        name, challenge.realm, challenge.nonce, uri, "", challenge.algorithm, _qop(challenge), cnonce,
        values.nonce_count if cnonce else 0, challenge.opaque,
    )  # fmt: skip
    response = _response(bare, password or shared.auth_password, method, body)
    title = "Authorization" if status == _UNAUTHORIZED else "Proxy-Authorization"
    return f"{title}: {_written(replace(bare, response=response))}"


def is_right(message: Received, username: str, password: str) -> bool:
    """True when the credentials of a request are those of this user."""
    rows = message.rows("Authorization") or message.rows("Proxy-Authorization")
    if not rows or not message.method:
        return False
    try:
        found = parse_credentials(rows[0].partition(":")[2].strip())
    except RemoteSipError:
        return False
    if found is None or found.username != username or _plain(found.algorithm) not in ALGORITHMS:
        return False
    hashed = _hashed(found)
    return matches(hashed, _secret(found, password), message.method, message.body.encode("latin-1"))


def _chosen(message: Received) -> Challenge:
    """The first challenge of a message that can be answered."""
    name = next((name for name in _CHALLENGES if message.rows(name)), "")
    if not name:
        raise CallFault("there is no challenge in the message with auth=true")
    reasons: list[str] = []
    for row in message.rows(name):
        try:
            challenge = parse_challenge(row.partition(":")[2].strip())
        except RemoteSipError as error:
            reasons.append(str(error))
            continue
        if challenge is None:
            reasons.append("it is no Digest")
        elif _plain(challenge.algorithm) not in ALGORITHMS:
            reasons.append(f"algorithm {challenge.algorithm} is not supported")
        elif challenge.algorithm != _plain(challenge.algorithm) and not challenge.qop:
            reasons.append(f"algorithm {challenge.algorithm} without qop")
        else:
            return challenge
    raise CallFault(f"the challenge cannot be answered: {reasons[0]}")


def _plain(algorithm: str) -> str:
    """Without `-sess`, in its usual spelling."""
    upper = algorithm.upper()
    return upper.removesuffix(_SESSION.upper()) or MD5


def _qop(challenge: Challenge) -> str:
    """As SIPp chooses: what protects the body, when it is offered."""
    if not challenge.qop:
        return ""
    return AUTH_INT if AUTH_INT in challenge.qop else AUTH


def _remote(values: Values) -> str:
    return f"{values.set_once.get('remote_ip', '')}:{values.numbers.get('remote_port', 0)}"


def _text(octets: str) -> str:
    """One character a byte as the text that `sipstack.digest` makes bytes of."""
    return octets.encode("latin-1", "replace").decode(errors="surrogateescape")


def _hashed(credentials: Credentials) -> Credentials:
    """With the texts and the algorithm that are hashed."""
    return replace(
        credentials,
        username=_text(credentials.username),
        realm=_text(credentials.realm),
        nonce=_text(credentials.nonce),
        uri=_text(credentials.uri),
        cnonce=_text(credentials.cnonce),
        algorithm=_plain(credentials.algorithm),
    )


def _secret(credentials: Credentials, password: str) -> str:
    """H(A1) of RFC 7616 §3.4.2, of the session for the algorithms of one."""
    hashed = _hashed(credentials)
    secret = hashed_secret(hashed.algorithm, hashed.username, hashed.realm, _text(password))
    if credentials.algorithm.upper() == hashed.algorithm:
        return secret
    return hashed_secret(hashed.algorithm, secret, hashed.nonce, hashed.cnonce)


def _response(credentials: Credentials, password: str, method: str, body: str) -> str:
    return response_of(_hashed(credentials), _secret(credentials, password), method, body.encode("latin-1", "replace"))


def _written(credentials: Credentials) -> str:
    used = ""
    if credentials.qop:
        used = f',cnonce="{credentials.cnonce}",nc={credentials.count:08x},qop={credentials.qop}'
    opaque = "" if credentials.opaque is None else f',opaque="{credentials.opaque}"'
    return (
        f'Digest username="{credentials.username}",realm="{credentials.realm}"{used},uri="{credentials.uri}",'
        f'nonce="{credentials.nonce}",response="{credentials.response}",algorithm={credentials.algorithm}{opaque}'
    )
