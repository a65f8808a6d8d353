"""The node key: Ed25519 (RFC 8032), which signs the anchors of the chain. Its public half is for auditors.

`signing_key` holds the 32 octets of the private key, mode 0600. `signing_key.pub` holds in PEM (RFC 8410) the public
half of every key that this node has had, the latest last: what an older key has signed stays good.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from engine.store.crypto import make_secret, read_secret, sync_folder
from engine.store.errors import StoreError

SIGNING_KEY_FILE: Final = "signing_key"
PUBLIC_KEY_FILE: Final = "signing_key.pub"

_PRIVATE_BYTES: Final = 32
_SPKI_HEAD: Final = bytes.fromhex("302a300506032b6570032100")  # SubjectPublicKeyInfo of Ed25519, RFC 8410 §4
_PEM: Final = re.compile(r"-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]*)-----END PUBLIC KEY-----")


@final
class Signer:
    """Signs with the node key; safe to share between threads."""

    __slots__ = ("_key", "key_id", "public_pem")

    def __init__(self, private: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(private)
        public = self._key.public_key().public_bytes_raw()
        self.key_id: Final[str] = _key_id(public)
        self.public_pem: Final[str] = _pem(public)

    def sign(self, text: bytes) -> bytes:
        """64 octets."""
        return self._key.sign(text)


PublicKeys = Mapping[str, Ed25519PublicKey]  # by key id


def open_signing_key(data_dir: Path) -> Signer:
    """The signer under `data_dir`/signing_key, made at first start, with its public half beside it.

    A key that is gone is replaced: the public halves of both then stand in signing_key.pub. StoreError when a file
    cannot be used, or others may read the private one.
    """
    path = data_dir / SIGNING_KEY_FILE
    try:
        if not path.exists():
            make_secret(path, _PRIVATE_BYTES)
        signer = Signer(read_secret(path, _PRIVATE_BYTES))
        _publish(data_dir / PUBLIC_KEY_FILE, signer)
        return signer
    except OSError as error:
        raise StoreError(f"{error.filename or path}: {error.strerror or error}") from None


def read_public_keys(path: Path) -> PublicKeys:
    """All keys of a PEM file; StoreError when it cannot be read or holds none."""
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}") from None
    keys = {}
    for block in _PEM.findall(text):
        try:
            coded = base64.b64decode("".join(block.split()), validate=True)
        except binascii.Error:
            coded = b""
        if not coded.startswith(_SPKI_HEAD) or len(coded) != len(_SPKI_HEAD) + 32:
            raise StoreError(f"{path}: not a public key of Ed25519")
        public = coded[len(_SPKI_HEAD) :]
        keys[_key_id(public)] = Ed25519PublicKey.from_public_bytes(public)
    if not keys:
        raise StoreError(f"{path}: holds no public key in PEM")
    return keys


def is_signed(keys: PublicKeys, key_id: str, text: bytes, signature: bytes) -> bool:
    """True when the key of that id is known and has signed `text`."""
    key = keys.get(key_id)
    if key is None:
        return False
    try:
        key.verify(signature, text)
    except InvalidSignature:
        return False
    return True


def _publish(path: Path, signer: Signer) -> None:
    """The file as it was with this key behind it, whole or not at all."""
    known = path.read_text(encoding="ascii", errors="replace") if path.exists() else ""
    if signer.public_pem in known:
        return
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    with draft.open("w", encoding="ascii", errors="replace") as file:
        file.write(known + signer.public_pem)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def _key_id(public: bytes) -> str:
    return hashlib.sha256(public).hexdigest()[:16]


def _pem(public: bytes) -> str:
    coded = base64.b64encode(_SPKI_HEAD + public).decode("ascii")
    return f"-----BEGIN PUBLIC KEY-----\n{coded}\n-----END PUBLIC KEY-----\n"
