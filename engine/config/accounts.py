"""`[[account]]`, and the rules about passwords: who needs one, and where it comes from.

No error ever quotes a password or a hash.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, BaseModel, Field, PrivateAttr

from engine.config import values
from engine.config.checks import Fault, RawTable, tables
from engine.config.files import contents
from engine.config.lines import Key
from engine.config.table import STRICT, Name
from engine.core.settings import AccountSettings
from sipstack.digest import MD5, SHA_256, hashed_secret

if TYPE_CHECKING:
    from engine.config.models import Config
    from engine.config.peers import Peer

MAX_SECRET_BYTES: Final = 1024  # of a password file: a password is a line, not a document

_HASHES: Final = {"ha1_sha256": SHA_256, "ha1_md5": MD5}
_PASSWORDS: Final = ("password", "password_file")


class Account(BaseModel):
    """`[[account]]`: who may call through a peer with `caller = "digest"`: a user who shows a password (RFC 7616), and
    the numbers that are its own. What is asked of whom stands in [trust](trust.md)."""

    model_config = STRICT

    user: Annotated[str, AfterValidator(values.user)]
    """User of the credentials, as the phone sends it; two accounts of one peer never share one."""
    peer: Name
    """Name of the peer that its requests come from."""
    numbers: Annotated[list[Annotated[str, AfterValidator(values.real_number)]], Field(min_length=1)]
    """Numbers that it may call from, in any spelling. With one, that is the caller, unless From names another number:
    such a call is refused. With several, From (or, from a trusted peer, P-Asserted-Identity) names one of them."""
    realm: Annotated[str, AfterValidator(values.quotable)] | None = None
    """Realm that the phone is asked for; all accounts of a peer have the same. Without: `domain` of the node."""
    password: Annotated[str, AfterValidator(values.secret)] | None = None
    """Its password. An account has this, or `password_file`, or one or both of the hashes."""
    password_file: Annotated[str, Field(min_length=1)] | None = None
    """File with the password as its only line, relative to this file."""
    ha1_sha256: Annotated[str, AfterValidator(values.sha256_hash)] | None = None
    """SHA-256 of `user:realm:password` in hexadecimal digits, instead of the password: with this one alone, the phone
    is not asked for MD5."""
    ha1_md5: Annotated[str, AfterValidator(values.md5_hash)] | None = None
    """MD5 of the same, for phones that have nothing else. With this one alone, no phone of the peer is asked for
    SHA-256."""

    _password: str = PrivateAttr(default="")

    @property
    def secret(self) -> str:
        """The password, wherever it is written; "" without one."""
        return self._password

    def core_settings(self, domain: str) -> AccountSettings:
        """The same for the core, with the hashes that it checks; `domain` is the realm by default."""
        realm = self.realm or domain
        hashes = [
            hashed_secret(algorithm, self.user, realm, self._password) if self._password else getattr(self, key) or ""
            for key, algorithm in _HASHES.items()
        ]
        return AccountSettings(self.user, realm, self.peer, tuple(self.numbers), *hashes)


def account_faults(data: RawTable) -> Iterator[Fault]:
    """Every broken rule between the keys of accounts and peers; `data` is the file as it came."""
    peers, accounts = tables(data, "peer"), tables(data, "account")
    by_digest = {str(peer.get("name")) for peer in peers if peer.get("caller") == "digest"}
    names = {name for peer in peers if isinstance(name := peer.get("name"), str)}
    for index, account in enumerate(accounts):
        yield from _secret_faults(index, account)
        name = account.get("peer")
        if isinstance(name, str) and name not in names:
            reason = f"there is no peer {values.shown(name)}{values.suggestion(name, names, values.ALIKE)}"
            yield Fault(("account", index, "peer"), reason)
        elif isinstance(name, str) and name not in by_digest:
            yield Fault(("account", index, "peer"), f'peer {values.shown(name)} does not have caller = "digest"')
    for index, peer in enumerate(peers):
        yield from _login_faults(index, peer)
        if peer.get("caller") == "digest":
            yield from _digest_faults(index, peer, [one for one in accounts if one.get("peer") == peer.get("name")])
    yield from _shared_faults(accounts)


def _secret_faults(index: int, account: RawTable) -> Iterator[Fault]:
    given = _secrets_in(account)
    if len(given) != 1:
        what = "missing" if not given else "more than one of them"
        reason = f"{what}: an account has password, password_file, or ha1_sha256 and ha1_md5"
        yield Fault(("account", index), reason)


def _secrets_in(account: RawTable) -> list[str]:
    """How the file says its password: the hashes are one way."""
    return [key for key in _PASSWORDS if key in account] + ["hashes"] * any(key in account for key in _HASHES)


def _login_faults(index: int, peer: RawTable) -> Iterator[Fault]:
    """The node's own user and password at a peer."""
    given = [key for key in _PASSWORDS if key in peer]
    if "username" in peer and len(given) != 1:
        reason = "needs password or password_file" if not given else "needs one of password and password_file, not both"
        yield Fault(("peer", index, "username"), reason)
    for key in (*_PASSWORDS, "realm"):
        if key in peer and "username" not in peer:
            yield Fault(("peer", index, key), "means nothing without username")
    if "username" in peer and not peer.get("targets"):
        yield Fault(("peer", index, "username"), "means nothing without targets: nothing is sent there")


def _digest_faults(index: int, peer: RawTable, accounts: list[RawTable]) -> Iterator[Fault]:
    key = ("peer", index, "caller")
    if not peer.get("match") and not peer.get("tls_names"):
        yield Fault(key, '"digest" means nothing without match or tls_names: nothing comes from there')
    if peer.get("sms_centres"):
        yield Fault(key, '"digest" and sms_centres exclude each other: a short message of 3GPP names its sender itself')
    if not accounts:
        yield Fault(key, f'"digest" needs an [[account]] with peer = {values.shown(peer.get("name"))}')
    elif not any(all(_has(account, one) for account in accounts if _secrets_in(account)) for one in _asked(peer)):
        yield Fault(key, "its accounts have no algorithm in common that it asks for: give each that hash")
    if len({str(account.get("realm")) for account in accounts}) > 1:
        yield Fault(key, "its accounts have different realms: a phone can be asked for one only")


def _asked(peer: RawTable) -> list[str]:
    """The keys of the hashes that its phones are asked for."""
    asked = peer.get("digest_algorithms")
    return [key for key, algorithm in _HASHES.items() if not isinstance(asked, list) or algorithm in asked]


def _has(account: RawTable, key: str) -> bool:
    return key in account or any(one in account for one in _PASSWORDS)


def _shared_faults(accounts: list[RawTable]) -> Iterator[Fault]:
    seen: set[tuple[object, object]] = set()
    for index, account in enumerate(accounts):
        user, peer = account.get("user"), account.get("peer")
        if isinstance(user, str) and isinstance(peer, str):
            if (user, peer) in seen:
                yield Fault(("account", index, "user"), f"there are two of the peer {values.shown(peer)}")
            seen.add((user, peer))


def read_secrets(config: Config, folder: Path) -> Iterator[Fault]:
    """Gives each peer and account its password, out of its file where there is one, and tells what cannot be read."""
    found: list[tuple[Key, Peer | Account]] = []
    found += [(("peer", index), peer) for index, peer in enumerate(config.peer)]
    found += [(("account", index), account) for index, account in enumerate(config.account)]
    for key, entry in found:
        entry._password = entry.password or ""
        if entry.password_file is not None:
            try:
                entry._password = _secret_in(folder, entry.password_file)
            except ValueError as error:
                yield Fault((*key, "password_file"), str(error))


def _secret_in(folder: Path, name: str) -> str:
    """The only line of a file. ValueError with the reason."""
    try:
        content = contents(folder / name, MAX_SECRET_BYTES)
        if len(content) > MAX_SECRET_BYTES:
            raise ValueError(f"longer than {MAX_SECRET_BYTES} bytes")
        return values.secret(content.decode("utf-8").removesuffix("\n").removesuffix("\r"))
    except UnicodeDecodeError:
        raise ValueError(f"{values.shown(name)}: not UTF-8") from None
    except ValueError as error:
        raise ValueError(f"{values.shown(name)}: {error}") from None
