"""Identifiers of an INVITE of ours and of its ACKs: letters like those of `tokens`, but made anew when they are wanted.

After a restart the node takes back an INVITE of which nothing is known but its record (RFC 3261 §9.1), acknowledges a
2xx with the very ACK that may have left before, and knows its own From tag by the Call-ID beside it. For everybody
without the key those of an INVITE are random (BLAKE2b with a key is a pseudo-random function, RFC 7693).
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

    __slots__ = ("call_id", "rest")

    def __init__(self, key: bytes) -> None:
        self.call_id: Final = blake2b(key=key, digest_size=CALL_ID_LETTERS)
        self.rest: Final = blake2b(key=key, digest_size=_DIGEST_BYTES)


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
        self.cseq = FIRST_NUMBER + (digest[_BRANCH_END] << 16 | digest[_BRANCH_END + 1] << 8 | digest[_BRANCH_END + 2])


def ids_of_try(key: bytes, record_id: str, first: int, hop: str) -> TryIds:
    """Those of an attempt's try at the place `hop` (`Hop.name`), behind its try number `first`, the first at a callee.

    That one has a Call-ID that is drawn, since it stands in the open row before the INVITE leaves; of those behind it
    another run knows nothing. A place is tried once for each callee, and which places were passed over it does not know
    either. They are of the worker that began the record (`ownership`).
    """
    state = _keyed(key).call_id.copy()
    state.update(f"{record_id} {first} {hop}".encode())
    return TryIds(key, letter_of_record(record_id) + state.digest().translate(LETTERS).decode("ascii"))


def ack_branch(tag: str, remote_tag: str, cseq: int) -> str:
    """The branch of our ACK of a 2xx in the dialog of these tags, `tag` ours: of one 2xx always the same, of another
    one another.

    It says nothing but what else stands in the ACK, in letters, and our tag makes it unlike any of another dialog. Two
    tags of a peer that are told apart by the case of a letter alone are the same to it, too (§7.3.1).
    """
    return f"{_COOKIE}{tag}{f'{cseq} {remote_tag}'.encode(ENCODING, ERRORS).translate(LETTERS).decode('ascii')}"
