"""Requests of ours to where a platform wants to be told or asked: which places may be asked, and how it is signed.

A platform chooses its URL itself. So it is HTTPS to a public address, unless the configuration names the place
(`webhook_hosts`); what a name leads to is looked at each time, no redirect is followed, and no proxy is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import hmac
import os
import socket
import ssl
import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from engine.domain.problems import Problem, ProblemCode

MAX_URL: Final = 500  # characters
MAX_CONNECTIONS: Final = 64  # of one platform
NAMES_KEPT_S: Final = 60  # so long an answer of the DNS is good for
KEEP_ALIVE_S: Final = 15.0
MAX_HEADER_LINE: Final = 4096
LOCALHOST: Final = "localhost"

_Address = IPv4Address | IPv6Address

_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1


@final
class Places:
    """Which places may be asked."""

    def __init__(self, allowed: Iterable[str]) -> None:
        """`allowed`: `[api] webhook_hosts`, names and networks."""
        self._names: set[str] = set()
        self._networks: list[IPv4Network | IPv6Network] = []
        for text in allowed:
            try:
                self._networks.append(ip_network(text))
            except ValueError:
                self._names.add(text)

    def check(self, text: str) -> None:
        """Raises Problem unless that is a URL that may be asked, as far as can be seen from it alone."""
        url = _url(text)
        host = (url.host or "").lower().rstrip(".")
        address = _literal(host)
        if address is not None and not self.admits(host, address):
            raise _illegal("is not a public address, and webhook_hosts does not name it")
        if host.rpartition(".")[2] == LOCALHOST and not self._is_named(host):
            raise _illegal("is this machine, and webhook_hosts does not name it")
        if url.scheme != "https" and not (host == LOCALHOST or (address is not None and address.is_loopback)):
            raise _illegal("must begin with https://")

    def admits(self, host: str, address: _Address) -> bool:
        """True when `host`, as the URL has it, may be asked at this address of its own."""
        meant = _meant(address)
        if self._is_named(host) or any(meant in network for network in self._networks):
            return True
        return address.is_global and meant.is_global and not meant.is_multicast

    def _is_named(self, host: str) -> bool:
        return host.lower().rstrip(".") in self._names


@final
class Resolver(AbstractResolver):
    """The system's, in a thread for each question: a name server that is silent holds up nobody else's names."""

    def __init__(self, places: Places) -> None:
        self._places = places

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses that may be asked. OSError when there is none."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[list[str]] = loop.create_future()

        def ask() -> None:
            try:
                found: list[str] | OSError = _addresses(host, port, family)
            except (OSError, UnicodeError) as error:
                found = error if isinstance(error, OSError) else OSError("is no name")
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(_tell, answered, found)

        threading.Thread(target=ask, name="names", daemon=True).start()
        found = await answered
        admitted = [text for text in found if self._places.admits(host, ip_address(text.partition("%")[0]))]
        if not admitted:
            raise OSError(f"{host} leads to no address that may be asked")
        return [
            ResolveResult(
                hostname=host, host=text, port=port, proto=0, flags=socket.AI_NUMERICHOST,
                family=socket.AF_INET6 if ":" in text else socket.AF_INET,
            )
            for text in admitted
        ]  # fmt: skip

    async def close(self) -> None:
        """Nothing is held."""


def make_session(places: Places, context: ssl.SSLContext) -> aiohttp.ClientSession:
    """Connections to the places of one platform: another's are not held up by them."""
    connector = aiohttp.TCPConnector(
        limit=MAX_CONNECTIONS, resolver=Resolver(places), ttl_dns_cache=NAMES_KEPT_S, ssl=context,
        keepalive_timeout=KEEP_ALIVE_S,
    )  # fmt: skip
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None), max_line_size=MAX_HEADER_LINE, max_field_size=MAX_HEADER_LINE,
        headers={"User-Agent": "veil700", "Accept": "application/json", "Accept-Encoding": "identity"},
    )  # fmt: skip


def signed(secret: bytes, body: bytes, wall_s: float) -> dict[str, str]:
    """The header fields that prove who asks or tells: over the time and the body, so that neither is another's."""
    at = datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "Content-Type": "application/json",
        "X-Veil-Time": at,
        "X-Veil-Signature": signature(secret, at, body),
    }


def signature(secret: bytes, at: str, body: bytes) -> str:
    """Hex HMAC-SHA256 over the time as X-Veil-Time has it, a line feed, and the body."""
    return hmac.new(secret, at.encode() + b"\n" + body, hashlib.sha256).hexdigest()


async def read_whole(response: aiohttp.ClientResponse, most: int) -> bytes | None:
    """The body, in however many pieces it comes; None where it is longer than `most` octets."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > most:
            return None
    return b"".join(parts)


def reason_of(error: Exception) -> str:
    """One line of what went wrong; no text that the other end has chosen."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        fault = error.certificate_error
        return f"certificate: {getattr(fault, 'verify_message', '') or type(fault).__name__}"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return "no TLS"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"name: {error.os_error.strerror or error.os_error}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect: {os.strerror(error.os_error.errno or errno.EHOSTUNREACH)}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "hung up without an answer"
    return f"no answer of HTTP ({type(error).__name__})"


def _url(text: str) -> URL:
    if len(text) > MAX_URL or not text.isascii() or not text.isprintable() or " " in text:
        raise _illegal(f"must be up to {MAX_URL} visible ASCII characters")
    try:
        url = URL(text)
        port = url.port
    except ValueError:
        raise _illegal("is no URL") from None
    if url.scheme not in ("https", "http") or not url.host or not port:
        raise _illegal("must be https://host and a path")
    if url.user is not None or url.password is not None or url.fragment:
        raise _illegal("must have neither user, password nor fragment")
    if all(part.isdigit() or part[:2] == "0x" for part in url.host.rstrip(".").split(".")) and not _literal(url.host):
        raise _illegal("is no address")  # what systems take for one: 2130706433, 0x7f.1
    return url


def _meant(address: _Address) -> _Address:
    """Of an IPv6 address that stands for one of IPv4 that one: mapped, 6to4 or through a NAT64."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _literal(host: str) -> _Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _illegal(detail: str) -> Problem:
    return Problem(ProblemCode.ILLEGAL_ARGUMENT, "url", detail)


def _addresses(host: str, port: int, family: int) -> list[str]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _tell(answered: asyncio.Future[list[str]], found: list[str] | OSError) -> None:
    if answered.done():
        return
    if isinstance(found, OSError):
        answered.set_exception(found)
    else:
        answered.set_result(found)
