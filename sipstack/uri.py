"""SIP and tel URIs, and addresses with a display name: reading, comparing, escaping (RFC 3261 §19.1, §20.10)."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final, final

from sipstack.errors import RemoteSipError
from sipstack.grammar import (
    ABSOLUTE_URI,
    BARE_ADDR,
    ESCAPED,
    NAME_ADDR,
    PARAM,
    SIP_URI,
    TEL_URI,
    USUAL_ADDRESS,
    USUAL_SIP_URI,
)

PORT_LIMIT: Final = 65536

# Parameters that make two URIs differ when only one of them carries it (§19.1.4)
_DECISIVE_PARAMS: Final = ("user", "ttl", "method", "maddr", "transport")

_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()")


def parse_params(text: str) -> dict[str, str | None]:
    """`;a=1;b` -> {"a": "1", "b": None}; names in lower case, quotes taken off values.

    The first of two equal names counts. `text` has been checked against the grammar by the caller.
    """
    params: dict[str, str | None] = {}
    for name, value in PARAM.findall(text):
        params.setdefault(name.lower(), _unquote(value) if value else None)
    return params


def token_param(text: str, name: str) -> str:
    """The value of a parameter that tells messages apart (tag, branch) as it stands; "" when it is absent.

    Raises RemoteSipError when it has no value or a quoted one, and when any name stands twice (§7.3.1): an element that
    reads the other one would file the message elsewhere.
    """
    pairs = PARAM.findall(text)
    found = {spelling.lower(): value for spelling, value in pairs}
    if len(found) < len(pairs):
        raise RemoteSipError("a parameter stands twice")
    if name not in found:
        return ""
    value: str = found[name]
    if not value or value.startswith('"'):
        raise RemoteSipError(f"{name} is no token")
    return value


def _unquote(value: str) -> str:
    if not value.startswith('"'):
        return value
    out: list[str] = []
    escaped = False
    for char in value[1:-1]:
        if char == "\\" and not escaped:
            escaped = True
            continue
        out.append(char)
        escaped = False
    return "".join(out)


def _comparable(text: str) -> str:
    """Escapes of unreserved characters decoded, the others in upper case: a reserved one differs from its escape."""
    return ESCAPED.sub(_decoded, text) if "%" in text else text


def _decoded(escape: re.Match[str]) -> str:
    char = chr(int(escape[0][1:], 16))
    return char if char in _UNRESERVED else escape[0].upper()


def is_ipv6_reference(host: str) -> bool:
    """True for "[2001:db8::1]"; the text between the brackets must be an address (RFC 5118 §4.10)."""
    if not (host.startswith("[") and host.endswith("]")):
        return False
    try:
        IPv6Address(host[1:-1])
    except (AddressValueError, ValueError):
        return False
    return True


def uri_host(address: str) -> str:
    """A host or address as it stands in a URI: IPv6 in brackets (RFC 3261 §25.1)."""
    return f"[{address}]" if ":" in address else address


def check_host_port(host: str, port: str | None) -> int:
    """Returns the port as a number, 0 for none. Raises RemoteSipError for a bad reference or a port out of range."""
    if host.startswith("[") and not is_ipv6_reference(host):
        raise RemoteSipError("IPv6 address is malformed")
    if not port:
        return 0
    number = int(port)
    if not 0 < number < PORT_LIMIT:
        raise RemoteSipError("port out of range")
    return number


@final
class SipUri:
    """A sip: or sips: URI. `user` and `headers` are as written, still escaped; `port` is 0 when absent."""

    __slots__ = ("headers", "host", "params", "password", "port", "scheme", "user")

    def __init__(
        self,
        scheme: str,
        user: str,
        host: str,
        port: int = 0,
        params: str = "",
        headers: str = "",
        password: str | None = None,
    ) -> None:
        self.scheme = scheme
        self.user = user
        self.password = password
        self.host = host
        self.port = port
        self.params = params
        self.headers = headers

    def param(self, name: str) -> str | None:
        """The value of a URI parameter, "" when it stands without one, None when it is absent."""
        return self.param_map().get(name)

    def param_map(self) -> dict[str, str]:
        """Parameters by lower-case name; a parameter without a value maps to ""."""
        found: dict[str, str] = {}
        for part in self.params.split(";")[1:]:
            name, _, value = part.partition("=")
            found.setdefault(name.lower(), value)
        return found

    def equals(self, other: SipUri) -> bool:
        """Comparison of RFC 3261 §19.1.4: user case-sensitive, host not, escapes decoded, decisive parameters."""
        if self._identity() != other._identity():
            return False
        ours, theirs = self._comparable_params(), other._comparable_params()
        for name in set(ours) | set(theirs):
            both = name in ours and name in theirs
            if ours[name] != theirs[name] if both else name in _DECISIVE_PARAMS:
                return False
        return True

    def _identity(self) -> tuple[object, ...]:
        """What must be equal in any case; header fields may stand in any order."""
        password = None if self.password is None else _comparable(self.password)
        headers = sorted(_comparable(self.headers).lower().split("&"))
        return self.scheme, _comparable(self.user), password, self.host.lower(), self.port, headers

    def _comparable_params(self) -> dict[str, str]:
        return {_comparable(name).lower(): _comparable(value).lower() for name, value in self.param_map().items()}

    def __str__(self) -> str:
        userinfo = ""
        if self.user:
            userinfo = f"{self.user}@" if self.password is None else f"{self.user}:{self.password}@"
        port = f":{self.port}" if self.port else ""
        headers = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{userinfo}{self.host}{port}{self.params}{headers}"


@final
class TelUri:
    """A tel: URI (RFC 3966). `number` is as written, separators and escapes included."""

    __slots__ = ("number", "params")

    def __init__(self, number: str, params: str = "") -> None:
        self.number = number
        self.params = params

    def __str__(self) -> str:
        return f"tel:{self.number}{self.params}"


@final
class OtherUri:
    """A URI of a scheme that we do not serve: kept as text, answered 416 in a Request-URI."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


Uri = SipUri | TelUri | OtherUri


def parse_uri(text: str) -> Uri:
    """Reads one URI. Raises RemoteSipError when it is malformed for its scheme."""
    match = USUAL_SIP_URI.fullmatch(text)
    if match is not None:
        user, host, port, params = match.groups()
        number = 5060 if port == "5060" else int(port or 0)  # nearly always; a conversion costs five comparisons
        if number < PORT_LIMIT:
            return SipUri("sip", user, host, number, params or "")
    match = SIP_URI.fullmatch(text)
    if match is not None:
        scheme, user, password, host, port, params, headers = match.groups()
        _check_unique(params)
        return SipUri(scheme.lower(), user or "", host, check_host_port(host, port), params, headers or "", password)
    scheme = text.partition(":")[0].lower()
    if scheme == "tel":
        tel = TEL_URI.fullmatch(text)
        if tel is None:
            raise RemoteSipError("tel URI is malformed")
        _check_unique(tel.group(2))
        return TelUri(tel.group(1), tel.group(2))
    if scheme in ("sip", "sips") or ABSOLUTE_URI.fullmatch(text) is None:
        raise RemoteSipError("URI is malformed")
    return OtherUri(text)


def _check_unique(params: str) -> None:
    """Raises RemoteSipError when a URI parameter stands twice (§19.1.1): a number must not depend on who reads it."""
    if params.count(";") > 1:
        names = [param.partition("=")[0].lower() for param in params.split(";")]
        if len(set(names)) < len(names):
            raise RemoteSipError("a URI parameter stands twice")


@final
class NameAddr:
    """`"display" <uri>;params` or `uri;params`, as From, To, Contact, Route and P-Asserted-Identity hold it.

    `uri` is text: most are only copied or compared. `params` are the parameters of the header field.
    """

    __slots__ = ("display", "params", "uri")

    def __init__(self, display: str, uri: str, params: str) -> None:
        self.display = display
        self.uri = uri
        self.params = params

    def param(self, name: str) -> str | None:
        """Value of a header parameter; None when absent or without a value."""
        return parse_params(self.params).get(name)


def parse_name_addr(value: str) -> NameAddr:
    """Reads one address. Raises RemoteSipError for an open quote, stray brackets, spaces in the URI and the like."""
    match = USUAL_ADDRESS.fullmatch(value)
    if match is not None:
        return NameAddr("", match[1], match[2] or "")
    match = NAME_ADDR.fullmatch(value)
    if match is not None:
        return NameAddr(match.group(1) or "", match.group(2), match.group(3))
    match = BARE_ADDR.fullmatch(value)
    if match is None:
        raise RemoteSipError("address is malformed")
    return NameAddr("", match.group(1), match.group(2))
