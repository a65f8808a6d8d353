"""Identifiers of an INVITE of ours and of its ACKs: letters like those of `tokens`, but made anew by who has the key.

After a restart the node takes back an INVITE of which nothing is known but its record (RFC 3261 §9.1), acknowledges a
2xx with the very ACK that may have left before, and knows its own From tag by the Call-ID beside it. For everybody else
they are random (BLAKE2b with a key is a pseudo-random function, RFC 7693).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, final

from engine.core.ownership import letter_of_call_id, letter_of_record
from engine.core.tokens import BRANCH_LETTERS, CALL_ID_LETTERS, FIRST_NUMBER, LETTERS, TAG_LETTERS
from sipstack.message import ENCODING, ERRORS

KEY_BYTES: Final = 32

_COOKIE: Final = "z9hG4bK"
_BRANCH_END: Final = TAG_LETTERS + BRANCH_LETTERS
_DIGEST_BYTES: Final = _BRANCH_END + 3  # the last three are the number


@final
class _Keyed:
    """The hashes as they are once the key is in them: to set them up costs more than to hash an identifier."""

    __slots__ = ("ack", "call_id", "rest")

    def __init__(self, key: bytes) -> None:
        self.call_id: Final = blake2b(key=key, digest_size=CALL_ID_LETTERS)
        self.rest: Final = blake2b(key=key, digest_size=_DIGEST_BYTES)
        self.ack: Final = blake2b(key=key, digest_size=BRANCH_LETTERS)


_KEYED: Final[dict[bytes, _Keyed]] = {}  # of the last key; a node has one


def _keyed(key: bytes) -> _Keyed:
    known = _KEYED.get(key)
    if known is None:
        _KEYED.clear()
        known = _KEYED[key] = _Keyed(key)
    return known


@final
class TryIds:
    """What one INVITE of ours is known by. All but the Call-ID follows from the Call-ID."""

    __slots__ = ("branch", "call_id", "cseq", "tag")

    def __init__(self, key: bytes, call_id: str) -> None:
        state = _keyed(key).rest.copy()
        state.update(call_id.encode())
        digest = state.digest()
        letters = digest.translate(LETTERS).decode("ascii")
        owner = letter_of_call_id(call_id)
        self.call_id = call_id
        self.tag = owner + letters[:TAG_LETTERS]
        self.branch = _COOKIE + owner + letters[TAG_LETTERS:_BRANCH_END]
        self.cseq = FIRST_NUMBER + int.from_bytes(digest[_BRANCH_END:], "big")


def ids_of_try(key: bytes, record_id: str, first: int, hop: str) -> TryIds:
    """Those of an attempt's try at the place `hop` (`Hop.name`), among those that begin with its try number `first`.

    A place is tried once for each callee, and which places were passed over another run does not know. They are of the
    worker that began the record (`ownership`).
    """
    state = _keyed(key).call_id.copy()
    state.update(f"{record_id} {first} {hop}".encode())
    return TryIds(key, letter_of_record(record_id) + state.digest().translate(LETTERS).decode("ascii"))


def ack_branch(key: bytes, call_id: str, remote_tag: str, cseq: int) -> str:
    """The branch of our ACK of a 2xx: of one 2xx always the same, of another one another."""
    state = _keyed(key).ack.copy()
    state.update(f"{call_id} {remote_tag} {cseq}".encode(ENCODING, ERRORS))
    return _COOKIE + state.digest().translate(LETTERS).decode("ascii")
