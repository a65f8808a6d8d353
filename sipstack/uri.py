"""SIP and tel URIs, and addresses with a display name: reading, comparing, escaping (RFC 3261 §19.1, §20.10)."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv6Address
from typing import Final, final

from sipstack.errors import RemoteSipError
from sipstack.grammar import ABSOLUTE_URI, BARE_ADDR, NAME_ADDR, PARAM, SIP_URI, TEL_URI

# Parameters that make two URIs differ when only one of them carries it (§19.1.4)
_DECISIVE_PARAMS: Final = ("user", "ttl", "method", "maddr", "transport")

_HEX: Final = "0123456789ABCDEFabcdef"


def parse_params(text: str) -> dict[str, str | None]:
    """`;a=1;b` -> {"a": "1", "b": None}; names in lower case, quotes taken off values.

    The first of two equal names counts. `text` has been checked against the grammar by the caller.
    """
    params: dict[str, str | None] = {}
    for name, value in PARAM.findall(text):
        params.setdefault(name.lower(), _unquote(value) if value else None)
    return params


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


def unescape(text: str) -> str:
    """Decodes %-escapes. A broken escape stays as it stands; octets above 0x7f become surrogates, never letters."""
    if "%" not in text:
        return text
    out: list[str] = []
    position = 0
    while position < len(text):
        char = text[position]
        pair = text[position + 1 : position + 3]
        if char == "%" and len(pair) == 2 and pair[0] in _HEX and pair[1] in _HEX:
            octet = int(pair, 16)
            out.append(chr(octet) if octet < 0x80 else chr(0xDC00 + octet))
            position += 3
        else:
            out.append(char)
            position += 1
    return "".join(out)


def is_ipv6_reference(host: str) -> bool:
    """True for "[2001:db8::1]"; the text between the brackets must be an address (RFC 5118 §4.10)."""
    if not (host.startswith("[") and host.endswith("]")):
        return False
    try:
        IPv6Address(host[1:-1])
    except (AddressValueError, ValueError):
        return False
    return True


def check_host_port(host: str, port: str | None) -> int:
    """Returns the port as a number, 0 for none. Raises RemoteSipError for a bad reference or a port out of range."""
    if host.startswith("[") and not is_ipv6_reference(host):
        raise RemoteSipError("IPv6 address is malformed")
    if not port:
        return 0
    number = int(port)
    if number > 65535:
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
        if (self.scheme, unescape(self.user), self.password) != (other.scheme, unescape(other.user), other.password):
            return False
        if (self.host.lower(), self.port) != (other.host.lower(), other.port):
            return False
        ours, theirs = self.param_map(), other.param_map()
        for name in set(ours) | set(theirs):
            both = name in ours and name in theirs
            if both and unescape(ours[name]).lower() != unescape(theirs[name]).lower():
                return False
            if not both and name in _DECISIVE_PARAMS:
                return False
        return sorted(self.headers.lower().split("&")) == sorted(other.headers.lower().split("&"))

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
    match = SIP_URI.fullmatch(text)
    if match is not None:
        scheme, user, password, host, port, params, headers = match.groups()
        return SipUri(scheme.lower(), user or "", host, check_host_port(host, port), params, headers or "", password)
    scheme = text.partition(":")[0].lower()
    if scheme == "tel":
        tel = TEL_URI.fullmatch(text)
        if tel is None:
            raise RemoteSipError("tel URI is malformed")
        return TelUri(tel.group(1), tel.group(2))
    if scheme in ("sip", "sips") or ABSOLUTE_URI.fullmatch(text) is None:
        raise RemoteSipError("URI is malformed")
    return OtherUri(text)


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
    match = NAME_ADDR.fullmatch(value)
    if match is not None:
        return NameAddr(match.group(1) or "", match.group(2), match.group(3))
    match = BARE_ADDR.fullmatch(value)
    if match is None:
        raise RemoteSipError("address is malformed")
    return NameAddr("", match.group(1), match.group(2))
