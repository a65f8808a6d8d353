"""Numbers at rest and the key file."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st

from engine.store.crypto import KEY_BYTES, NumberCipher, open_key
from engine.store.errors import StoreError

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


@given(st.text(min_size=1, max_size=80))
def test_the_cipher_text_is_that_of_rfc_5297(text: str) -> None:
    """What is stored must stay readable for years, whatever library reads it."""
    cipher = NumberCipher(KEY)
    column = cipher.of_column("target.caller")
    blob = siv(KEY, b"target.caller", text.encode())
    assert cipher.encrypt(text, "target.caller") == column.encrypt(text) == blob
    assert column.decrypt(blob) == text


@given(st.text("0123456789", min_size=1, max_size=15), st.data())
def test_one_that_is_broken_is_a_store_error(text: str, data: st.DataObject) -> None:
    cipher = NumberCipher(KEY)
    blob = cipher.encrypt(text, "target.callee")
    with pytest.raises(StoreError):
        cipher.of_column("target.caller").decrypt(blob)
    bit = data.draw(st.integers(0, 8 * len(blob) - 1))
    with pytest.raises(StoreError):
        cipher.of_column("target.callee").decrypt((int.from_bytes(blob, "big") ^ 1 << bit).to_bytes(len(blob), "big"))


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
