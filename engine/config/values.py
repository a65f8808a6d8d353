"""What a single value must look like: each function returns it, normalised, or raises ValueError with the reason."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeVar, final

from engine.config.backtracking import backtracks
from engine.core.numbers import PRIVACY_PREFIX, canonical_real, is_privacy_number, mask
from sipstack.digest import may_be_quoted

MAX_SHOWN: Final = 60  # characters of a wrong value in an error
ALIKE: Final = 0.6  # names that users give: one that is not misspelled but missing is like none of them

_T = TypeVar("_T")

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
# How a 700 number may begin on a trunk.
PRIVACY_BEGINS: Final = tuple(f"{before}{PRIVACY_PREFIX}" for before in ("", "86", "+86", "0086"))

_WIRE_NUMBER: Final = re.compile(r"(?=.{0,32}$)\+?[0-9]*")
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME: Final = re.compile(rf"(?:{_LABEL}\.)*[A-Za-z](?:[A-Za-z0-9-]{{0,61}}[A-Za-z0-9])?\.?")
_TOKEN: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")  # RFC 3261 §25.1
_BLOCK: Final = re.compile(r"700[0-9]{8}")
_OFFSET: Final = re.compile(r"[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00")

# Fields that the node writes itself, and those that would tie the two dialogs together or carry credentials.
OWN_HEADERS: Final = frozenset((
    "accept-contact", "allow", "allow-events", "authentication-info", "authorization", "call-id", "contact",
    "content-disposition", "content-encoding", "content-language", "content-length", "content-type", "cseq", "event",
    "expires", "from", "in-reply-to", "join", "max-breadth", "max-forwards", "mime-version", "min-se",
    "p-asserted-identity", "p-charging-vector", "p-early-media", "path", "privacy", "proxy-authenticate",
    "proxy-authorization", "proxy-require", "rack", "reason", "record-route", "refer-sub", "refer-to", "referred-by",
    "replaces", "require", "retry-after", "route", "rseq", "service-route", "session-expires", "subscription-state",
    "supported", "target-dialog", "timestamp", "to", "unsupported", "via", "www-authenticate",
    "a", "b", "c", "e", "f", "i", "k", "l", "m", "o", "r", "t", "u", "v", "x",  # their compact forms
))  # fmt: skip


@final
@dataclass(frozen=True, slots=True)
class Match:
    """One source of a peer: every host of `network`, from `port` only when it is not None."""

    network: IPv4Network | IPv6Network
    port: int | None
    text: str  # normalised, as the core reads it

    @property
    def key(self) -> tuple[object, object]:
        """Equal for entries that mean the same."""
        return self.network, self.port


def suggestion(wrong: str, known: Iterable[str], least: float = 0.0) -> str:
    """`, did you mean X?` with the nearest of the known names; nothing where none is `least` alike (0 to 1)."""
    close = get_close_matches(wrong.lower(), list(known), n=1, cutoff=least)
    return f", did you mean {close[0]}?" if close else ""


def shown(value: object) -> str:
    """A value of the file as an error quotes it: on one line, and not endless."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def only(*built: _T) -> Callable[[_T], _T]:
    """A value that is valid, but of which nothing but `built` works in this version."""

    def check(value: _T) -> _T:
        if value not in built:
            raise ValueError(f"{shown(value)} is not supported yet, only {' or '.join(shown(one) for one in built)}")
        return value

    return check


def name(value: str) -> str:
    """A name that stands in records, logs and other keys."""
    if not _NAME.fullmatch(value):
        raise ValueError(f"{shown(value)} is no name: 1 to 64 of A-Z a-z 0-9 . _ -, a letter or digit at both ends")
    return value


def domain(value: str) -> str:
    """A host as it stands in a SIP URI: a name, an IPv4 address, or an IPv6 address in brackets."""
    if _is_host(value):
        return value
    raise ValueError(f"{shown(value)} is no host name")


def tls_name(value: str) -> str:
    """A name in a certificate, as `sipstack.aio.tls.names_of` gives it: in lower case, an address without brackets."""
    bare = value.strip("[]") if ":" in value else value
    if _is_address(bare, 6):
        return str(ip_address(bare))
    if value.startswith("[") or not _is_host(value):
        raise ValueError(f"{shown(value)} is no host name and no address")
    return value.lower()


def outside(value: str) -> str:
    """Where requests of ours may go: a host name in lower case, or a network, of which an address is the smallest."""
    try:
        return str(ip_network(value))
    except ValueError as error:
        if is_host_name(value):
            return value.lower().rstrip(".")
        more = f": {error}" if str(error).endswith("has host bits set") else ""
        raise ValueError(f"{shown(value)} is no host name, no address and no network{more}") from None


def advertised(value: str) -> str:
    """host:port as it stands in Via and Contact."""
    host, colon, port = value.rpartition(":")
    if not colon or not _is_host(host):
        raise ValueError(f"{shown(value)} is not host:port")
    port_of(port)
    return value


def listen_address(value: str) -> str:
    """address:port of a socket, normalised; IPv6 in brackets."""
    address, port = socket_address(value)
    return join(address, port)


def socket_address(value: str) -> tuple[IPv4Address | IPv6Address, int]:
    """The two parts of `127.0.0.1:5060` or `[::1]:5060`."""
    host, colon, port = value.rpartition(":")
    if not colon or not host or port.endswith("]"):
        raise ValueError(f"{shown(value)} is not address:port")
    return address_of(host, bracketed=True), port_of(port)


def dns_server(value: str) -> str:
    """Address, or address:port, of a DNS server, normalised."""
    host, port = dns_address(value)
    return join(ip_address(host), port)


def dns_address(value: str) -> tuple[str, int]:
    """The two parts of it; the port is 53 when there is none."""
    if value.startswith("[") or value.count(":") == 1:
        address, port = socket_address(value)
    else:
        address, port = address_of(value), 53
    if address.is_unspecified or address.is_multicast:
        raise ValueError(f"{shown(value)}: nobody answers there")
    return str(address), port


def join(address: IPv4Address | IPv6Address, port: int) -> str:
    """address:port, IPv6 in brackets."""
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def match_entry(value: str) -> Match:
    """A source: network, address, or address:port."""
    if "/" in value:
        try:
            network = ip_network(value, strict=True)
        except ValueError as error:
            raise ValueError(_network_fault(value, error)) from None
        return Match(network, None, str(network))
    if value.startswith("[") or value.count(":") == 1:
        address, port = socket_address(value)
        return Match(ip_network(address), port, join(address, port))
    address = address_of(value)
    return Match(ip_network(address), None, str(address))


def match_text(value: str) -> str:
    """`match_entry`, as the core reads it."""
    return match_entry(value).text


def real_number(value: str) -> str:
    """The canonical form of a real number; the value is quoted masked."""
    number = canonical_real(value)
    if number is None:
        raise ValueError(f"{shown(mask(value))} is no real number of country code 86")
    return number


def privacy_number(value: str) -> str:
    """A 700 number."""
    if not is_privacy_number(value):
        raise ValueError(f"{shown(value if value.startswith('700') else mask(value))} is no 700 number of 15 digits")
    return value


def instant(value: str) -> str:
    """A moment of RFC 3339 with its offset from UTC."""
    try:
        moment = datetime.fromisoformat(value.upper())
    except ValueError:
        raise ValueError(f"{shown(value)} is no time such as 2026-11-24T08:00:00+08:00") from None
    if moment.tzinfo is None:
        raise ValueError(f"{shown(value)} does not say its offset from UTC: add Z or +08:00")
    return value


def number_block(value: str) -> str:
    """11 digits: all 700 numbers that begin with them."""
    if not _BLOCK.fullmatch(value):
        raise ValueError(f"{shown(value)} is no number block: 11 digits that begin with 700")
    return value


def passed_header(value: str) -> str:
    """The name of a header field that may cross as it stands."""
    if not _TOKEN.fullmatch(value):
        raise ValueError(f"{shown(value)} is no header name")
    if value.lower() in OWN_HEADERS:
        raise ValueError(f"{value} is written or dropped by the node itself")
    return value


def expression(value: str) -> str:
    """A regular expression over canonical national numbers, which takes no number of them long to decide."""
    try:
        re.compile(value, re.ASCII)
    except re.error as error:
        raise ValueError(f"{shown(value)} is no regular expression: {error}") from None
    if backtracks(value):
        raise ValueError(
            f"{shown(value)} can take too long: something repeated that varies itself, or too many repeats"
        )
    return value


def wire_number(value: str) -> str:
    """A number, or the beginning of one, as it stands on a trunk; "" for none."""
    if not _WIRE_NUMBER.fullmatch(value):
        raise ValueError(f"{shown(value)} is not digits, or + and digits, 32 characters at most")
    return value


def rules_example(value: dict[str, str]) -> dict[str, str]:
    """A number, and what rules make of it."""
    if value.keys() != {"in", "out"}:
        raise ValueError('an example is a table { in = "...", out = "..." }')
    for number in value.values():
        if not number or not _WIRE_NUMBER.fullmatch(number):
            raise ValueError("in and out of an example are digits, or + and digits, 32 characters at most")
    if value["in"].startswith(PRIVACY_BEGINS):
        raise ValueError("700 numbers come to no rule: they are 15 digits on every trunk")
    return value


def country_code(value: str) -> str:
    """1 to 3 digits (ITU-T E.164)."""
    if not re.fullmatch(r"[1-9][0-9]{0,2}", value):
        raise ValueError(f"{shown(value)} is no country code")
    return value


def layout(value: list[int]) -> list[int]:
    """How the 15 digits of a 700 number are divided: 11 managed ones, then those of the user."""
    if len(value) != 4 or min(value) < 1 or value[0] != 3 or sum(value) != 15 or sum(value[:3]) != 11:
        raise ValueError("must be four lengths: 3 for 700, operator and platform up to 11 digits, user up to 15")
    return value


def quotable(value: str) -> str:
    """A text that stands between quotes in a challenge or in credentials (RFC 3261 §25.1)."""
    if not value or not may_be_quoted(value):
        raise ValueError("is empty, or has a quote, a backslash or a control character in it")
    return value


def user(value: str) -> str:
    """A user of credentials: no colon, which ends it in what is hashed (RFC 7616 §3.4.2)."""
    if ":" in value:
        raise ValueError("has a colon in it")
    return quotable(value)


def secret(value: str) -> str:
    """A password; it is never quoted."""
    if not value or not value.isprintable():
        raise ValueError("a password is one line, not empty, of characters that print")
    return value


def sha256_hash(value: str) -> str:
    """SHA-256 as text; it is never quoted."""
    return _hash(value, 64)


def md5_hash(value: str) -> str:
    """MD5 as text; it is never quoted."""
    return _hash(value, 32)


def _hash(value: str, digits: int) -> str:
    if re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", value) is None:
        raise ValueError(f"is no hash of {digits} hexadecimal digits")
    return value.lower()


def store_url(value: str) -> str:
    """The store; another one than ours may hold a password, so it is not quoted."""
    if value != "sqlite":
        raise ValueError('not supported yet, only "sqlite"')
    return value


def retention(value: int) -> int:
    """Days; two years are the law's minimum (MIIT notice of 2025-06-05)."""
    if value < 730:
        raise ValueError(f"{value} is less than two years (730 days), which the law asks for")
    return value


def utc_offset(value: str) -> str:
    """An offset from UTC, as a time of RFC 3339 ends with it: `+08:00`."""
    if _OFFSET.fullmatch(value) is None:
        raise ValueError(f"{shown(value)} is not an offset from UTC such as +08:00")
    return value


def offset_s(value: str) -> int:
    """Seconds east of UTC of an offset."""
    seconds = int(value[1:3]) * 3600 + int(value[4:6]) * 60
    return -seconds if value[0] == "-" else seconds


def _is_host(value: str) -> bool:
    if value.startswith("["):
        return value.endswith("]") and _is_address(value[1:-1], 6)
    return _is_address(value, 4) or is_host_name(value)


def is_host_name(value: str) -> bool:
    """True for a name that the DNS can have; an IPv4 address is none."""
    return len(value) <= 253 and _HOST_NAME.fullmatch(value) is not None


def _is_address(value: str, version: int) -> bool:
    try:
        return "%" not in value and ip_address(value).version == version
    except ValueError:
        return False


def address_of(value: str, *, bracketed: bool = False) -> IPv4Address | IPv6Address:
    """An address without scope; IPv6 in brackets where a port may follow."""
    in_brackets = value.startswith("[") and value.endswith("]")
    bare = value[1:-1] if in_brackets else value
    try:
        if "%" in bare:
            raise ValueError
        address = ip_address(bare)
    except ValueError:
        raise ValueError(f"{shown(value)} is no address") from None
    if address.version == 6 and not in_brackets and bracketed:
        raise ValueError(f"{shown(value)}: an IPv6 address with a port stands in brackets, [::1]:5060")
    if in_brackets and (address.version == 4 or not bracketed):
        raise ValueError(f"{shown(value)} is no address: only IPv6 with a port stands in brackets")
    return address


def port_of(value: str) -> int:
    """A port as it is written."""
    if not (value.isascii() and value.isdigit() and len(value) <= 5 and 1 <= int(value) <= 65535):
        raise ValueError(f"{shown(value)} is no port: 1 to 65535")
    return int(value)


def _network_fault(value: str, error: ValueError) -> str:
    if "host bits" in str(error):
        return f"{shown(value)} has bits set behind its prefix, write {ip_network(value, strict=False)}"
    return f"{shown(value)} is no network"
