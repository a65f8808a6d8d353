"""Numbers at rest and the key file."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st

from engine.store.crypto import (
    IN_C,
    KEY_BYTES,
    ColumnCipher,
    MakeShortColumn,
    NumberCipher,
    PlainColumn,
    open_key,
)
from engine.store.errors import StoreError
from tests.sipstack.scans import compile_c

KEY = bytes(range(64))


@given(st.text(min_size=1), st.sampled_from(["cdr.caller", "target.callee"]))
def test_what_is_encrypted_comes_back(text: str, column: str) -> None:
    cipher = NumberCipher(KEY)
    blob = cipher.encrypt(text, column)
    assert cipher.decrypt(blob, column) == text
    assert cipher.encrypt(text, column) == blob, "equality search needs the same cipher text every time"
    assert len(blob) == 16 + len(text.encode())


def cmac(key: bytes, data: bytes) -> int:
    mac = CMAC(AES(key))
    mac.update(data)
    return int.from_bytes(mac.finalize(), "big")


def double(block: int) -> int:
    shifted = block << 1
    return (shifted ^ 0x87) & (1 << 128) - 1 if block >> 127 else shifted


def siv(key: bytes, associated: bytes, text: bytes) -> bytes:
    """RFC 5297 §2.4 and §2.6, for one string of associated data."""
    half = len(key) // 2
    mixed = double(cmac(key[:half], bytes(16))) ^ cmac(key[:half], associated)
    if len(text) >= 16:
        last = text[:-16] + (int.from_bytes(text[-16:], "big") ^ mixed).to_bytes(16, "big")
    else:
        padded = int.from_bytes((text + b"\x80").ljust(16, b"\x00"), "big")
        last = (double(mixed) ^ padded).to_bytes(16, "big")
    tag = cmac(key[:half], last)
    counter = tag & ~(1 << 63) & ~(1 << 31)
    stream = Cipher(AES(key[half:]), CTR(counter.to_bytes(16, "big"))).encryptor()
    return tag.to_bytes(16, "big") + stream.update(text)


@pytest.fixture(scope="module")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> MakeShortColumn:
    """The one that is used, or would be."""
    if IN_C is not None:
        return IN_C
    try:
        made: MakeShortColumn = compile_c("engine.store.short_siv", tmp_path_factory.mktemp("c")).ShortColumn
    except ImportError as error:
        pytest.skip(str(error))
    return made


@pytest.fixture(scope="module", params=["in_c", "plain"])
def make(request: pytest.FixtureRequest) -> MakeShortColumn:
    """What makes the cipher of single texts of a column, both ways."""
    if request.param == "plain":
        return PlainColumn
    made: MakeShortColumn = request.getfixturevalue("in_c")
    return made


def column_of(column: str, make: MakeShortColumn) -> ColumnCipher:
    return ColumnCipher(NumberCipher(KEY), KEY, column, make)


@given(st.text(min_size=1, max_size=80))
def test_the_cipher_text_is_that_of_rfc_5297(make: MakeShortColumn, text: str) -> None:
    """What is stored must stay readable for years, whatever library reads it."""
    column = column_of("target.caller", make)
    blob = siv(KEY, b"target.caller", text.encode())
    assert NumberCipher(KEY).encrypt(text, "target.caller") == column.encrypt(text) == blob
    assert column.decrypt(blob) == text


@given(st.binary(min_size=64, max_size=64), st.text("0123456789", min_size=1, max_size=15))
def test_a_lookup_is_of_any_key(make: MakeShortColumn, key: bytes, text: str) -> None:
    cipher = NumberCipher(key)
    column = ColumnCipher(cipher, key, "target.callee", make)
    blob = cipher.encrypt(text, "target.callee")
    assert (column.encrypt(text), column.decrypt(blob)) == (blob, text)


@pytest.mark.parametrize("text", ["", "1" * 16, "1" * 17, "一" * 6])
def test_short_is_what_a_block_holds_with_its_end(make: MakeShortColumn, text: str) -> None:
    short = make(KEY, bytes(16))
    assert short.encrypt(text) is None
    assert short.decrypt(bytes(16) + text.encode()) is None
    assert short.decrypt(bytes(len(text))) is None


def test_a_key_or_a_mixer_of_another_size_makes_no_cipher(in_c: MakeShortColumn) -> None:
    for sizes in ((63, 16), (65, 16), (64, 15), (64, 17), (0, 0)):
        with pytest.raises(ValueError, match=r"^a key of 64 bytes and a mixer of 16$"):
            in_c(*map(bytes, sizes))


def test_what_is_no_text_is_no_short_one(make: MakeShortColumn) -> None:
    short = make(KEY, bytes(16))
    with pytest.raises(UnicodeEncodeError):
        short.encrypt("\ud800")
    for method, value in ((short.encrypt, b"1"), (short.decrypt, "1" * 27)):
        with pytest.raises((TypeError, AttributeError)):
            method(value)  # type: ignore[operator]


def test_texts_and_what_was_refused_are_let_go(in_c: MakeShortColumn) -> None:
    def use() -> None:
        short = in_c(KEY, bytes(16))
        blob = short.encrypt("13800138000")
        assert blob is not None
        short.decrypt(blob)
        short.decrypt(blob[:-1])
        with contextlib.suppress(ValueError):
            in_c(KEY, b"")

    use()
    before = sys.getallocatedblocks()
    for _ in range(2000):
        use()
    assert sys.getallocatedblocks() - before < 200


@given(st.text("0123456789", min_size=1, max_size=15), st.data())
def test_one_that_is_broken_is_a_store_error(make: MakeShortColumn, text: str, data: st.DataObject) -> None:
    cipher = NumberCipher(KEY)
    blob = cipher.encrypt(text, "target.callee")
    with pytest.raises(StoreError):
        column_of("target.caller", make).decrypt(blob)
    bit = data.draw(st.integers(0, 8 * len(blob) - 1))
    with pytest.raises(StoreError):
        column_of("target.callee", make).decrypt((int.from_bytes(blob, "big") ^ 1 << bit).to_bytes(len(blob), "big"))


@given(st.lists(st.text(min_size=1, max_size=12)), st.lists(st.text(min_size=1, max_size=40)))
def test_many_are_encrypted_as_each_alone(short: list[str], any_length: list[str]) -> None:
    cipher = NumberCipher(KEY)
    for texts in (short, any_length):
        alone = [cipher.encrypt(text, "cdr.caller") for text in texts]
        assert cipher.encrypt_all(texts, "cdr.caller") == alone
        assert cipher.batch().decrypt_all(alone, "cdr.caller") == texts


@given(st.lists(st.text("0123456789", min_size=1, max_size=15), min_size=1), st.data())
def test_one_that_is_broken_among_many_is_a_store_error(texts: list[str], data: st.DataObject) -> None:
    cipher = NumberCipher(KEY)
    blobs = [cipher.encrypt(text, "cdr.caller") for text in texts]
    with pytest.raises(StoreError):
        cipher.batch().decrypt_all(blobs, "cdr.callee")
    at = data.draw(st.integers(0, len(blobs) - 1))
    bit = data.draw(st.integers(0, 8 * len(blobs[at]) - 1))
    blobs[at] = (int.from_bytes(blobs[at], "big") ^ 1 << bit).to_bytes(len(blobs[at]), "big")
    with pytest.raises(StoreError):
        cipher.batch().decrypt_all(blobs, "cdr.caller")


def test_cipher_text_belongs_to_its_column_and_key() -> None:
    cipher = NumberCipher(KEY)
    blob = cipher.encrypt("13800138000", "cdr.caller")
    assert cipher.encrypt("13800138000", "cdr.callee") != blob
    for other, column in ((cipher, "cdr.callee"), (NumberCipher(KEY[::-1]), "cdr.caller")):
        with pytest.raises(StoreError, match=f"^{column}: the stored value was not written with key {other.key_id}$"):
            other.decrypt(blob, column)


@pytest.mark.parametrize("blob", [b"", b"short", b"x" * 27])
def test_broken_cipher_text_is_a_store_error(blob: bytes) -> None:
    cipher = NumberCipher(KEY)
    with pytest.raises(StoreError):
        cipher.decrypt(blob, "cdr.caller")
    with pytest.raises(StoreError):
        cipher.of_column("cdr.caller").decrypt(blob)


def test_the_first_start_makes_a_key_that_stays(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "var"
    cipher = open_key(folder)
    key = folder / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert key.stat().st_size == KEY_BYTES
    assert os.listdir(folder) == ["key"]
    assert open_key(folder).key_id == cipher.key_id
    assert open_key(tmp_path / "b").key_id != cipher.key_id


def test_processes_that_start_at_once_get_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each believes that it is the first; only the pid tells their drafts apart."""
    pids = iter(range(1000, 1008))
    monkeypatch.setattr(os, "getpid", lambda: next(pids))
    barrier = threading.Barrier(8)
    found: list[str] = []

    def start() -> None:
        barrier.wait()
        found.append(open_key(tmp_path / "var").key_id)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert os.listdir(tmp_path / "var") == ["key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    open_key(tmp_path)
    (tmp_path / "key").chmod(mode)
    with pytest.raises(StoreError, match=rf"key: mode is {mode:04o}, must be 0600"):
        open_key(tmp_path)


@pytest.mark.parametrize("size", [0, 63, 65, 4096])
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, size: int) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"x" * size)
    key.chmod(0o600)
    with pytest.raises(StoreError, match=f"key: not a key: {size} bytes instead of 64"):
        open_key(tmp_path)


@pytest.mark.parametrize("name", ["bindings.db", "records.db"])
def test_a_lost_key_is_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(StoreError, match=f"key: missing, but {name} was written with it"):
        open_key(tmp_path)
    assert not (tmp_path / "key").exists()


def test_a_folder_that_cannot_be_used_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"File exists|Not a directory") as caught:
        open_key(tmp_path / "file")
    assert "\n" not in str(caught.value)
    with pytest.raises(StoreError, match="Not a directory"):
        open_key(tmp_path / "file" / "var")
