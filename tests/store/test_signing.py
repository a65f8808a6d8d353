"""The node key is made once, kept private, and published beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.store.errors import StoreError
from engine.store.signing import is_signed, open_signing_key, read_public_keys


@pytest.fixture(autouse=True)
def _folder(data_dir: Path) -> None:
    data_dir.mkdir()


def test_the_key_is_made_at_first_start_and_kept(data_dir: Path) -> None:
    first = open_signing_key(data_dir)
    private = data_dir / "signing_key"
    assert private.stat().st_mode & 0o777 == 0o600
    assert len(private.read_bytes()) == 32
    before = private.read_bytes(), (data_dir / "signing_key.pub").read_bytes()
    assert open_signing_key(data_dir).key_id == first.key_id
    assert (private.read_bytes(), (data_dir / "signing_key.pub").read_bytes()) == before
    assert sorted(path.name for path in data_dir.iterdir()) == ["signing_key", "signing_key.pub"]


def test_what_is_signed_can_be_checked_with_the_published_key(data_dir: Path) -> None:
    signer = open_signing_key(data_dir)
    keys = read_public_keys(data_dir / "signing_key.pub")
    signature = signer.sign(b"text")
    assert is_signed(keys, signer.key_id, b"text", signature)
    assert not is_signed(keys, signer.key_id, b"texT", signature)
    assert not is_signed(keys, signer.key_id, b"text", signature[:-1])
    assert not is_signed(keys, "unknown", b"text", signature)


def test_an_auditor_needs_only_openssl(data_dir: Path, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    signer = open_signing_key(data_dir)
    (tmp_path / "text").write_bytes(b"text")
    (tmp_path / "signature").write_bytes(signer.sign(b"text"))
    words = [openssl, "pkeyutl", "-verify", "-pubin", "-inkey", str(data_dir / "signing_key.pub"), "-rawin"]
    words += ["-in", str(tmp_path / "text"), "-sigfile", str(tmp_path / "signature")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "Signature Verified Successfully"), done.stderr


def test_a_key_that_is_gone_is_replaced_and_the_old_public_half_stays(data_dir: Path) -> None:
    old = open_signing_key(data_dir)
    (data_dir / "signing_key").unlink()
    new = open_signing_key(data_dir)
    assert new.key_id != old.key_id
    assert list(read_public_keys(data_dir / "signing_key.pub")) == [old.key_id, new.key_id]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.chmod(0o640), r"mode is 0640, must be 0600"),
        (lambda path: os.truncate(path, 31), r"not a key: 31 bytes instead of 32"),
    ],
)
def test_a_private_key_that_cannot_be_trusted_is_one_line(data_dir: Path, spoil: object, reason: str) -> None:
    open_signing_key(data_dir)
    spoil(data_dir / "signing_key")  # type: ignore[operator]
    with pytest.raises(StoreError, match=reason):
        open_signing_key(data_dir)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds no public key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not a public key of Ed25519"),
        ("-----BEGIN PUBLIC KEY-----\nA\n-----END PUBLIC KEY-----\n", "not a public key of Ed25519"),
    ],
)
def test_a_file_without_a_public_key_is_one_line(data_dir: Path, text: str, reason: str) -> None:
    path = data_dir / "other.pub"
    path.write_text(text)
    with pytest.raises(StoreError, match=reason):
        read_public_keys(path)
    with pytest.raises(StoreError, match="No such file"):
        read_public_keys(data_dir / "none.pub")
