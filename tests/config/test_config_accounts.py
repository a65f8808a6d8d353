"""Passwords in a configuration: what must be said, what must not, and that nobody is shown one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from engine.config import ConfigError, load
from engine.config.accounts import MAX_SECRET_BYTES
from engine.config.written import masked, toml_text
from engine.core.settings import AccountSettings, CallerSource
from sipstack.digest import MD5, SHA_256, hashed_secret

SECRET: Final = "hunter2 & co"
PEER: Final = '[[peer]]\nname = "phones"\nmatch = ["10.0.0.1"]\ncaller = "digest"\n'
TRUNK: Final = '[[peer]]\nname = "trunk"\ntargets = ["sip:10.0.0.2"]\n'
ACCOUNT: Final = '[[account]]\nuser = "alice"\npeer = "phones"\nnumbers = ["13800138000"]\n'
PASSWORD: Final = f'password = "{SECRET}"\n'
SHA_HASH, MD5_HASH = "A" * 64, "b" * 32


def account(user: str, rest: str) -> str:
    return ACCOUNT.replace("alice", user) + rest + "\n"


def faults(file: Path, text: str) -> list[str]:
    """What is wrong with `text`; never with a password in it."""
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert SECRET not in str(caught.value)
    return [line.removeprefix(f"{file}:") for line in str(caught.value).splitlines()]


def only_account(file: Path, text: str) -> AccountSettings:
    file.write_text(text)
    (found,) = load(file).core_settings().accounts
    return found


def test_an_account_with_a_password_has_both_hashes(file: Path) -> None:
    found = only_account(file, PEER + account("alice", PASSWORD + 'realm = "pbx.example"'))
    hashes = [hashed_secret(algorithm, "alice", "pbx.example", SECRET) for algorithm in (SHA_256, MD5)]
    assert found == AccountSettings("alice", "pbx.example", "phones", ("13800138000",), *hashes)
    assert load(file).core_settings().peers[0].caller is CallerSource.DIGEST


def test_the_realm_is_the_domain_by_default(file: Path) -> None:
    found = only_account(file, PEER + account("alice", PASSWORD) + '[node]\ndomain = "veil.example.cn"\n')
    assert found.realm == "veil.example.cn"
    assert found.ha1_md5 == hashed_secret(MD5, "alice", "veil.example.cn", SECRET)


def test_hashes_are_taken_as_they_are(file: Path) -> None:
    found = only_account(file, PEER + account("alice", f'ha1_sha256 = "{SHA_HASH}"'))
    assert (found.ha1_sha256, found.ha1_md5) == ("a" * 64, "")
    both = only_account(file, PEER + account("alice", f'ha1_sha256 = "{SHA_HASH}"\nha1_md5 = "{MD5_HASH}"'))
    assert (both.ha1_sha256, both.ha1_md5) == ("a" * 64, MD5_HASH)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_password_may_stand_in_a_file(file: Path, end: str) -> None:
    (file.parent / "secret").write_bytes((SECRET + end).encode())
    found = only_account(file, PEER + account("alice", 'password_file = "secret"'))
    assert found.ha1_md5 == hashed_secret(MD5, "alice", "veil.example", SECRET)
    file.write_text(TRUNK + 'username = "node"\npassword_file = "secret"\nrealm = "them"\n')
    (peer,) = load(file).core_settings().peers
    assert (peer.username, peer.password, peer.realm) == ("node", SECRET, "them")


def test_numbers_may_be_spelt_in_any_way(file: Path) -> None:
    text = PEER + account("alice", PASSWORD).replace('["13800138000"]', '["+86 138-0013-8000", "020-88888888"]')
    assert only_account(file, text).numbers == ("13800138000", "2088888888")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PEER, '4: peer.caller: "digest" needs an [[account]] with peer = "phones"'),
        (PEER + account("alice", ""), "5: account: missing: an account has password, password_file, or ha1_sha256 and"),
        (PEER + account("alice", PASSWORD + 'password_file = "good"'), "5: account: more than one of them: "),
        (PEER + account("alice", PASSWORD + f'ha1_md5 = "{MD5_HASH}"'), "5: account: more than one of them: "),
        (PEER + account("alice", PASSWORD).replace('"phones"', '"phone"'),
         '7: account.peer: there is no peer "phone", did you mean phones?'),
        (PEER + account("alice", PASSWORD) + TRUNK + ACCOUNT.replace("phones", "trunk") + PASSWORD,
         '16: account.peer: peer "trunk" does not have caller = "digest"'),
        (PEER + account("alice", PASSWORD) * 2, '12: account.user: there are two of the peer "phones"'),
        (PEER + account("alice", PASSWORD) + account("bob", PASSWORD + 'realm = "r"'),
         "4: peer.caller: its accounts have different realms: a phone can be asked for one only"),
        (PEER + account("a", f'ha1_md5 = "{MD5_HASH}"') + account("b", f'ha1_sha256 = "{SHA_HASH}"'),
         "4: peer.caller: its accounts have no algorithm in common that it asks for: "),
        (PEER + 'digest_algorithms = ["SHA-256"]\n' + account("a", f'ha1_md5 = "{MD5_HASH}"'),
         "4: peer.caller: its accounts have no algorithm in common that it asks for: "),
        (PEER + 'digest_algorithms = ["SHA-1"]\n' + account("a", PASSWORD), "5: peer.digest_algorithms: must be "),
        (PEER + 'digest_algorithms = []\n' + account("a", PASSWORD), "5: peer.digest_algorithms: List must have at"),
        (PEER.replace('match = ["10.0.0.1"]', 'targets = ["sip:10.0.0.1"]') + account("alice", PASSWORD),
         '4: peer.caller: "digest" means nothing without match'),
        (PEER + 'targets = ["sip:10.0.0.1"]\nsms_centres = ["13800100500"]\n' + account("alice", PASSWORD),
         '4: peer.caller: "digest" and sms_centres exclude each other'),
        (PEER + account("al:ice", PASSWORD), "6: account.user: has a colon in it"),
        (PEER + account("al\\\"ice", PASSWORD), "6: account.user: is empty, or has a quote, a backslash or a control"),
        (PEER + account("alice", PASSWORD + 'realm = ""'), "10: account.realm: is empty, or has a quote"),
        (PEER + account("alice", 'password = ""'), "9: account.password: a password is one line, not empty, of"),
        (PEER + account("alice", f'password = "{SECRET}\\n"'), "9: account.password: a password is one line, not em"),
        (PEER + account("alice", "password = 1234567"), "9: account.password: must be a text in quotes"),
        (PEER + account("alice", f'ha1_md5 = "{SECRET}"'), "9: account.ha1_md5: is no hash of 32 hexadecimal digits"),
        (PEER + account("alice", f'ha1_sha256 = "{MD5_HASH}"'), "9: account.ha1_sha256: is no hash of 64 hexadecimal"),
        (PEER + account("alice", PASSWORD).replace('["13800138000"]', "[]"), "8: account.numbers: List must have at"),
        (PEER + account("alice", PASSWORD).replace("13800138000", "700123456780001"), "8: account.numbers: "),
        (PEER + account("alice", 'password_file = "none"'), '9: account.password_file: "none": No such file or'),
        (PEER + account("alice", 'password_file = "a\\u0000"'), '9: account.password_file: "a\\u0000": no such file'),
        (PEER + account("alice", 'password_file = "long"'), '9: account.password_file: "long": longer than 1024'),
        (PEER + account("alice", 'password_file = "two"'), '9: account.password_file: "two": a password is one line'),
        (PEER + account("alice", 'password_file = "latin"'), '9: account.password_file: "latin": not UTF-8'),
        (PEER + account("alice", 'password_file = "."'), '9: account.password_file: ".": Is a directory'),
        (TRUNK + 'username = "node"\n', "4: peer.username: needs password or password_file"),
        (TRUNK + f'username = "node"\n{PASSWORD}password_file = "two"\n', "4: peer.username: needs one of password"),
        (TRUNK + PASSWORD, "4: peer.password: means nothing without username"),
        (TRUNK + 'password_file = "two"\n', "4: peer.password_file: means nothing without username"),
        (TRUNK + 'realm = "r"\n', "4: peer.realm: means nothing without username"),
        (TRUNK + 'username = "node"\npassword_file = "none"\n', '5: peer.password_file: "none": No such file'),
        (TRUNK.replace("targets", "match").replace("sip:", "") + f'username = "n"\n{PASSWORD}',
         "4: peer.username: means nothing without targets"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(file: Path, text: str, expected: str) -> None:
    (file.parent / "long").write_text("x" * (MAX_SECRET_BYTES + 1))
    (file.parent / "good").write_text(SECRET)
    (file.parent / "two").write_text(f"{SECRET}\n{SECRET}\n")
    (file.parent / "latin").write_bytes(b"\xe9")
    told = faults(file, text)
    assert any(line.startswith(expected) for line in told), told
    assert len(told) <= 2  # what a wrong value means for the peer is told as well
    assert "1234567" not in str(told)


def test_a_number_is_quoted_masked(file: Path) -> None:
    (told,) = faults(file, PEER + account("alice", PASSWORD).replace("13800138000", "1380013800099"))
    assert "1380013800099" not in told


def test_nobody_is_shown_a_password(file: Path) -> None:
    file.write_text(
        PEER + account("alice", PASSWORD) + account("bob", f'ha1_sha256 = "{SHA_HASH}"\nha1_md5 = "{MD5_HASH}"')
        + TRUNK + f'username = "node"\n{PASSWORD}'
    )  # fmt: skip
    config = load(file)
    shown = masked(config.model_dump())
    assert [entry["password"] for entry in shown["account"]] == ["****", None]
    assert [entry["ha1_md5"] for entry in shown["account"]] == [None, "****"]
    assert [entry["password"] for entry in shown["peer"]] == [None, "****"]
    told = f"{shown} {toml_text(masked(config.model_dump(exclude_none=True)))} {config.core_settings()!r}"
    hashes = [one for entry in config.core_settings().accounts for one in (entry.ha1_sha256, entry.ha1_md5)]
    for secret in (SECRET, SHA_HASH, MD5_HASH, *hashes):
        assert secret not in told and secret.upper() not in told
    assert "13800138000" not in str(shown)


# -- certificates ------------------------------------------------------------------------------------------------------

TLS: Final = """
[[listen]]
transport = "tls"
address = "127.0.0.1:5061"
certificate = "good"
private_key = "good"
client_ca = "good"
"""
NAMED: Final = '[[peer]]\nname = "named"\ntls_names = ["Trunk.Example", "[2001:db8:0::1]", "trunk.example"]\n'


def test_names_are_kept_in_lower_case(file: Path) -> None:
    (file.parent / "good").touch()
    file.write_text(NAMED.replace(', "trunk.example"', "") + TLS)
    (peer,) = load(file).core_settings().peers
    assert (peer.tls_names, peer.match) == (("trunk.example", "2001:db8::1"), ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (NAMED, "3: peer.tls_names: needs a TLS listener with client_ca: nobody is asked otherwise"),
        (NAMED + TLS.replace('client_ca = "good"\n', ""), "3: peer.tls_names: needs a TLS listener with client_ca"),
        (NAMED + TLS, '3: peer.tls_names: "trunk.example" is already a name of peer "named"'),
        (TLS + NAMED + NAMED.replace('"named"', '"other"'), '13: peer.tls_names: "Trunk.Example" is already a name of'),
        (TLS + NAMED.replace("Trunk.Example", "*.example"), '10: peer.tls_names: "*.example" is no host name and no a'),
        (TLS + NAMED.replace("Trunk.Example", "sip:a"), '10: peer.tls_names: "sip:a" is no host name and no address'),
        (TLS + NAMED.replace("Trunk.Example", "[127.0.0.1]"), '10: peer.tls_names: "[127.0.0.1]" is no host name'),
        ('[[peer]]\nname = "x"\n', "1: peer: has neither match, tls_names nor targets: it can neither call nor be"),
    ],
)
def test_what_is_wrong_with_names(file: Path, text: str, expected: str) -> None:
    (file.parent / "good").touch()
    told = faults(file, text)
    assert any(line.startswith(expected) for line in told), told
