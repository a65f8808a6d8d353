"""What an INVITE of ours and its ACK are known by: the same for who has the key, as RFC 7693 has it."""

from __future__ import annotations

from hashlib import blake2b

from engine.core.tokens import FIRST_NUMBER, LETTERS
from engine.core.try_ids import KEY_BYTES, TryIds, ack_branch, ids_of_try

RECORD = "019b0c6a5c00-abcdefghijkl"


def letters_of(text: str, key: bytes, size: int) -> str:
    return blake2b(text.encode(), key=key, digest_size=size).digest().translate(LETTERS).decode()


def test_each_key_has_its_own() -> None:
    """In turn: what is kept of one key must not be taken for another's."""
    keys = [bytes([octet]) * KEY_BYTES for octet in range(3)]
    for key in keys * 2:
        ids = ids_of_try(key, RECORD, 2, "trunk udp:192.0.2.1:5060")
        assert ids.call_id == letters_of(f"{RECORD} 2 trunk udp:192.0.2.1:5060", key, 20)
        rest = letters_of(ids.call_id, key, 32)
        assert (ids.tag, ids.branch) == (rest[:13], f"z9hG4bK{rest[13:29]}")
        digest = blake2b(ids.call_id.encode(), key=key, digest_size=32).digest()
        assert ids.cseq == FIRST_NUMBER + int.from_bytes(digest[29:], "big")


def test_an_ack_has_a_branch_for_each_2xx() -> None:
    """Letters of what the ACK itself says: our tag, its number, the peer's tag, whatever octets that has."""
    branch = ack_branch("ours", "their-tag", 201_234_567)
    assert branch == "z9hG4bKourssqrstuvwxauifjsnubh"
    assert branch == ack_branch("ours", "their-tag", 201_234_567)
    others = [
        ("other", "their-tag", 201_234_567),
        ("ours", "their-tog", 201_234_567),
        ("ours", "their-tag", 201_234_568),
    ]
    assert len({branch, *(ack_branch(*other) for other in others)}) == 4
    assert ack_branch("ours", "", 200_000_000).isalnum()
    assert ack_branch("ours", "\udcff\u00e4", 200_000_000)[11:].isalpha()


def test_the_rest_follows_from_the_call_id() -> None:
    key = bytes(KEY_BYTES)
    ids = ids_of_try(key, RECORD, 0, "hop")
    again = TryIds(key, ids.call_id)
    assert (again.tag, again.branch, again.cseq) == (ids.tag, ids.branch, ids.cseq)
