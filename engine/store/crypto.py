"""Real numbers at rest: AES-256-SIV (RFC 5297) under the key file of the data folder.

Deterministic on purpose: equal numbers in one column have equal cipher text, so that equality search and
primary keys work. The associated data is "table.column", so cipher text copied from one column into another
does not decrypt.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from hmac import compare_digest
from pathlib import Path
from typing import Final, Protocol, final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from engine.store.errors import StoreError
from engine.store.siv import BLOCK, COUNTED, PADDING, ShortCipher, aes, mixer_of

KEY_BYTES: Final = 64  # AES-256-SIV takes two keys of 32 bytes: one for the tag, one for the counter mode
KEY_FILE: Final = "key"
DATABASES: Final = ("bindings.db", "records.db")


@final
class NumberCipher:
    """Encrypts and decrypts single values; safe to share between threads."""

    __slots__ = ("_associated", "_key", "_siv", "key_id")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._siv = AESSIV(key)
        self.key_id: Final[str] = hashlib.sha256(key).hexdigest()[:8]
        self._associated = _AssociatedData()

    def derived_key(self, purpose: str, count: int) -> bytes:
        """A key of `count` bytes for another purpose, the same as long as the key file is (HKDF, RFC 5869)."""
        return HKDF(SHA256(), count, None, purpose.encode()).derive(self._key)

    def encrypt(self, text: str, column: str) -> bytes:
        """Cipher text of a non-empty text for "table.column": 16 bytes longer than its UTF-8 form."""
        return self._siv.encrypt(text.encode(), self._associated[column])

    def encrypt_all(self, texts: Sequence[str], column: str) -> list[bytearray]:
        """`encrypt` of each, in order; many at once cost a third."""
        return self.batch().encrypt_in(texts, (column,))[0]

    def encrypt_in(self, texts: Sequence[str], columns: Sequence[str]) -> list[list[bytearray]]:
        """`encrypt_all` for each column."""
        return self.batch().encrypt_in(texts, columns)

    def batch(self) -> BatchCipher:
        """For a thread that has many values to encrypt or decrypt again and again."""
        return BatchCipher(self, self._key)

    def of_column(self, column: str) -> ColumnCipher:
        """For a thread that encrypts or decrypts values of one column one by one, again and again."""
        return ColumnCipher(self, self._key, column)

    def short_keys(self, columns: Sequence[str]) -> tuple[bytes, list[bytes]]:
        """The key and what `siv.mixer_of` gives for each column, for what encrypts their short texts by itself."""
        return self._key, [_mixer(self._key, column) for column in columns]

    def decrypt(self, blob: bytes, column: str) -> str:
        """The text again; StoreError when the bytes are not from this column under this key."""
        try:
            return self._siv.decrypt(blob, self._associated[column]).decode()
        except (InvalidTag, ValueError):
            raise StoreError(f"{column}: the stored value was not written with key {self.key_id}") from None


@final
class BatchCipher:
    """Many values at once, for one thread: what depends on key and column alone is made once."""

    __slots__ = ("_cipher", "_short")

    def __init__(self, cipher: NumberCipher, key: bytes) -> None:
        self._cipher = cipher
        self._short = ShortCipher(key)

    def encrypt_all(self, texts: Sequence[str], column: str) -> list[bytearray]:
        """`NumberCipher.encrypt` of each, in order. sqlite3 binds a bytearray a microsecond faster."""
        return self.encrypt_in(texts, (column,))[0]

    def encrypt_in(self, texts: Sequence[str], columns: Sequence[str]) -> list[list[bytearray]]:
        """`encrypt_all` for each column."""
        encoded = [text.encode() for text in texts]
        if min(map(len, encoded), default=0) > 0 and max(map(len, encoded)) < BLOCK:
            return self._short.encrypt([column.encode() for column in columns], encoded)
        return [[bytearray(self._cipher.encrypt(text, column)) for text in texts] for column in columns]

    def decrypt_all(self, blobs: list[bytes], column: str) -> list[str]:
        """`NumberCipher.decrypt` of each, in order, for less than half; StoreError as there."""
        if min(map(len, blobs), default=0) > BLOCK and max(map(len, blobs)) < 2 * BLOCK:
            texts = self._short.decrypt(column.encode(), blobs)
            if texts is not None:
                return [text.decode() for text in texts]
        return [self._cipher.decrypt(blob, column) for blob in blobs]


class ShortColumn(Protocol):
    """Single texts of 1 to 15 bytes of one column, for one thread."""

    def encrypt(self, text: str, /) -> bytes | None:
        """Tag and cipher text; None for a text of another size."""

    def decrypt(self, blob: bytes, /) -> str | None:
        """The text again; None when it is of another size, or was not encrypted with this key and column."""


MakeShortColumn = Callable[[bytes, bytes], ShortColumn]
"""Of the key, and of what the padded text is mixed with for its tag."""


def _compiled() -> MakeShortColumn | None:
    try:
        from engine.store.short_siv import ShortColumn as InC
    except ImportError:
        return None
    return InC


IN_C: Final = _compiled()


@final
class PlainColumn:
    """By the library's AES: where nothing is compiled, or the processor has none of its own."""

    __slots__ = ("_mixer", "_stream", "_tag")

    def __init__(self, key: bytes, mixer: bytes) -> None:
        self._tag: Callable[[bytes], bytes] = aes(key[: KEY_BYTES // 2])
        self._stream: Callable[[bytes], bytes] = aes(key[KEY_BYTES // 2 :])
        self._mixer = int.from_bytes(mixer, "big")

    def encrypt(self, text: str, /) -> bytes | None:
        """Tag and cipher text; None for a text of another size."""
        encoded = text.encode()
        size = len(encoded)
        if not 0 < size < BLOCK:
            return None
        padded = int.from_bytes(encoded + PADDING[size], "big")
        tag = self._tag((padded ^ self._mixer).to_bytes(BLOCK, "big"))
        counter = (int.from_bytes(tag, "big") & COUNTED).to_bytes(BLOCK, "big")
        hidden = padded ^ int.from_bytes(self._stream(counter), "big")
        return tag + hidden.to_bytes(BLOCK, "big")[:size]

    def decrypt(self, blob: bytes, /) -> str | None:
        """The text again; None when it is of another size, or was not encrypted with this key and column."""
        size = len(blob) - BLOCK
        if not 0 < size < BLOCK:
            return None
        tag = blob[:BLOCK]
        counter = (int.from_bytes(tag, "big") & COUNTED).to_bytes(BLOCK, "big")
        stream = int.from_bytes(self._stream(counter)[:size], "big")
        text = (int.from_bytes(blob[BLOCK:], "big") ^ stream).to_bytes(size, "big")
        padded = int.from_bytes(text + PADDING[size], "big")
        is_whole = compare_digest(self._tag((padded ^ self._mixer).to_bytes(BLOCK, "big")), tag)
        return text.decode() if is_whole else None


@final
class ColumnCipher:
    """Single values of one column, for one thread. The library would set key and column up anew for each of them."""

    __slots__ = ("_cipher", "_column", "_short")

    def __init__(self, cipher: NumberCipher, key: bytes, column: str, make: MakeShortColumn | None = IN_C) -> None:
        self._cipher = cipher
        self._column = column
        mixer = _mixer(key, column)
        self._short: ShortColumn = PlainColumn(key, mixer) if make is None else make(key, mixer)

    def encrypt(self, text: str) -> bytes:
        """As `NumberCipher.encrypt`."""
        hidden = self._short.encrypt(text)
        return self._cipher.encrypt(text, self._column) if hidden is None else hidden

    def decrypt(self, blob: bytes) -> str:
        """As `NumberCipher.decrypt`, which also answers for what does not decrypt."""
        text = self._short.decrypt(blob)
        return self._cipher.decrypt(blob, self._column) if text is None else text


def _mixer(key: bytes, column: str) -> bytes:
    return mixer_of(key[: KEY_BYTES // 2], column.encode()).to_bytes(BLOCK, "big")


@final
class _AssociatedData(dict[str, list[bytes]]):
    """Column -> associated data; as many entries as there are columns."""

    def __missing__(self, column: str) -> list[bytes]:
        data = self[column] = [column.encode()]
        return data


def open_key(data_dir: Path) -> NumberCipher:
    """The cipher under `data_dir`/key; makes the folder and the key (mode 0600) at first start.

    StoreError when the folder or the file cannot be used, when others may read the key, when its size is
    wrong, or when it is missing beside existing databases (a new key could not read them).
    """
    path = data_dir / KEY_FILE
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            for name in DATABASES:
                if (data_dir / name).exists():
                    raise StoreError(f"{path}: missing, but {name} was written with it: restore the key file")
            make_secret(path, KEY_BYTES)
        return NumberCipher(read_secret(path, KEY_BYTES))
    except OSError as error:
        raise StoreError(f"{error.filename or path}: {error.strerror or error}") from None


def make_secret(path: Path, size: int) -> None:
    """Write `size` octets of chance: there whole or not at all, also when two processes start at once. OSError."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, os.urandom(size))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(draft, path)  # unlike a rename this never replaces a key that another process has just made
    except FileExistsError:
        pass
    finally:
        os.unlink(draft)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make what was named or renamed in a folder durable; OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_secret(path: Path, size: int) -> bytes:
    """What `make_secret` wrote; StoreError when others may read it or it has another size. OSError."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if stat.S_IMODE(status.st_mode) & 0o077:
            mode = stat.S_IMODE(status.st_mode)
            raise StoreError(f"{path}: mode is {mode:04o}, must be 0600: others could read the key")
        key = file.read(size + 1)
    if len(key) != size:
        raise StoreError(f"{path}: not a key: {status.st_size} bytes instead of {size}")
    return key
