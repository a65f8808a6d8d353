"""Session descriptions on their way to the other party: which lines cross, and what is changed in them."""

from __future__ import annotations

import re
from typing import Final, NamedTuple, final

from engine.core.session_attributes import (
    HARMLESS,
    NO_HOSTS,
    TABLES,
    Exchange,
    are_harmless,
    crossing_attribute,
    is_harmless,
    remember_harmless,
    remember_harmless_rows,
    without_address,
)
from engine.core.spelling import LONG_FROM, LONG_PARTED_RUN, holds_number
from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.fields import split_list
from sipstack.message import ENCODING, ERRORS, Message
from sipstack.sdp import (
    USUAL_BANDWIDTH,
    USUAL_CONNECTION,
    USUAL_MEDIA,
    SessionDescription,
    parse_sdp,
    plain_attributes,
    render_sdp,
    usual_parts,
)
from sipstack.uri import SipUri, parse_name_addr, parse_uri

# Lines that cross are c=, b=, m= and a=; v=, o=, s= and t= are ours. Left out are those that say who somebody is (i= u=
# e= p=), keys in clear (k=: RFC 8866 §5.12 has receivers discard it), repeats and time zones of broadcasts (r= z=), and
# letters that nobody understands (RFC 4566 §5).

_IPV4: Final = re.compile(USUAL_CONNECTION)

# Its words are too short to hold a number, and its letters no harm.
_MEDIA: Final = re.compile(USUAL_MEDIA)

# What c= may hold: an address, or a host name (RFC 4566 §5.7); what stands behind it is of no use.
_CONNECTION: Final = re.compile(rb"(c=IN IP[46] (?:[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+)(?:/[0-9]+){0,2})(?: .*)?")

# An IPv4 address by itself, also as host names have it: ip-172-31-100-200.
_OCTET: Final = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_QUAD: Final = re.compile(rb"(?<![0-9])(?:%b([-.])%b\1%b\1%b)(?![0-9])" % ((_OCTET,) * 4))

# Modifiers that have a meaning, with a row of digits that is no number: an answer may repeat the line.
_BANDWIDTH: Final = re.compile(USUAL_BANDWIDTH)
_ADDRESS: Final = re.compile(rb"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9.])|@|\bIN[ \t]+IP[46]\b")

# Addresses that one description may name: each line is searched for each of them, and no phone has so many.
_MAX_HOSTS: Final = 64

_HOST_CHARS: Final = b"abcdefghijklmnopqrstuvwxyz0123456789-"


class FrozenOrigin(NamedTuple):
    """An `OriginRewriter` and its `Exchange` as plain values."""

    session_id: int
    version: int
    told: tuple[bytes, ...]
    heard: tuple[bytes, ...]
    names: tuple[tuple[bytes, bytes], ...]


@final
class OriginRewriter:
    """The descriptions of one party as the other one sees them: our origin, its version rising with each change.

    `session_id` is ours, `address` the node's own (RFC 3264 §8: a changed description has a version one higher).
    What the two directions of a dialog know of each other, an `Exchange`, is made when a line asks for it: few do.
    """

    __slots__ = ("_address", "_exchange", "_is_opposite", "_kin", "_last", "_session_id", "_version")

    def __init__(
        self, session_id: int, address: str, kin: OriginRewriter | None = None, is_opposite: bool = False
    ) -> None:
        """What it knows is what `kin` knows, `is_opposite`: seen from the other side."""
        self._session_id = session_id
        self._address = address
        self._kin: Final = kin
        self._is_opposite: Final = is_opposite
        self._exchange: Exchange | None = None
        self._version = session_id - 1
        self._last: int | None = None  # hash of the last description, so that no call holds its lines

    def opposite(self, session_id: int, address: str) -> OriginRewriter:
        """The descriptions that go the other way, to whom the node is known by `address`."""
        return OriginRewriter(session_id, address, self, is_opposite=True)

    def in_early_dialog(self) -> OriginRewriter:
        """For one of the dialogs that answer an INVITE: it has seen this offer, and what follows counts by itself."""
        own = OriginRewriter(self._session_id, self._address, self)
        own._version, own._last = self._version, self._last
        return own

    def _known(self) -> Exchange:
        if self._exchange is None:
            if self._kin is None:
                self._exchange = Exchange(set(), set())
            else:
                shared = self._kin._known()
                self._exchange = Exchange(shared.heard, shared.told) if self._is_opposite else shared
        return self._exchange

    def _knows_nothing(self) -> bool:
        return self._exchange is None and (self._kin is None or self._kin._knows_nothing())

    def frozen(self) -> tuple[object, ...]:
        """A FrozenOrigin for the store, without the last description: the next one counts as changed."""
        if self._knows_nothing():
            return self._session_id, self._version, (), (), ()
        known = self._known()
        return self._session_id, self._version, tuple(known.told), tuple(known.heard), tuple(known.names.items())

    def thaw(self, frozen: FrozenOrigin, skipped: int) -> None:
        """Goes on where another run has stopped, which may have made up to `skipped` versions since then."""
        self._version = frozen.version + skipped
        known = self._known()
        known.told.update(frozen.told)
        known.heard.update(frozen.heard)
        known.names.update(frozen.names)

    def rewrite(self, body: bytes, sender: Message | None = None) -> bytes:
        """The description without what names its sender: `sender` is the message that carried it.

        Raises RemoteSipError when it is no description, or has a media line that no phone writes.
        """
        usual = usual_parts(body)
        if usual is None:
            return self._made(*self._read(body, sender))
        origin, crossing, attributes = usual
        if are_harmless(attributes):
            return self._made(origin, crossing)  # nearly always: what `_read` makes of it
        origin, crossed = self._read(body, sender)
        if crossed == crossing:
            remember_harmless_rows(attributes)
        return self._made(origin, crossed)

    def _read(self, body: bytes, sender: Message | None) -> tuple[bytes, bytes]:
        """The value of o=, and all that crosses behind s=, line by line."""
        description = parse_sdp(body)
        lines = _crossing_lines(description, sender, self._known())
        return description.origin, render_sdp(lines) if lines else b""

    def _made(self, origin: bytes, crossing: bytes) -> bytes:
        known = hash((origin, crossing))
        if known != self._last:
            self._version += 1
            self._last = known
        version = str(self._version)
        session_id = version if self._version == self._session_id else str(self._session_id)  # the first has its number
        family = " IN IP6 " if ":" in self._address else " IN IP4 "
        start = f"v=0\r\no=- {session_id} {version}{family}{self._address}\r\ns=-\r\n"
        return start.encode() + crossing


def _crossing_lines(description: SessionDescription, sender: Message | None, exchange: Exchange) -> list[bytes]:
    """What crosses behind s=. No line is judged by the other party's number: what stays behind tells nothing of it."""
    kept: list[bytes] = []
    hosts: list[bytes] | None = None
    for line in description.lines:
        if line in HARMLESS:
            kept.append(line)
            continue
        kind = line[:2]
        if kind == b"a=":
            crossed = crossing_attribute(line, exchange)
            if not crossed:
                continue
            name = crossed[2:].partition(b":")[0]
            if name not in NO_HOSTS and _may_name_host(crossed):
                hosts = _hosts(description, sender) if hosts is None else hosts
                crossed = _without_host(crossed, hosts)
            elif is_harmless(crossed, name):
                remember_harmless(crossed)
            if crossed:
                kept.append(crossed)
        elif kind == b"m=":
            kept.append(line if _MEDIA.fullmatch(line) else _media(line))
        elif kind == b"c=":
            kept.append(line if _IPV4.fullmatch(line) else _connection(line))
        elif kind == b"t=":
            kept.append(b"t=0 0")  # an answer repeats it (RFC 3264 §6): a guess in it would come back, or not
        elif kind == b"b=" and _BANDWIDTH.fullmatch(line):
            kept.append(line)
    return kept


def _media(line: bytes) -> bytes:
    """An answer repeats its words, even to refuse them (RFC 3264 §6)."""
    if (
        not line.isascii()
        or (max(map(len, line.split(b" "))) >= LONG_FROM and LONG_PARTED_RUN.search(line.replace(b"/", b"-")))
        or _COLON in line
        or _AT in line
        or _PERCENT in line
    ):
        raise RemoteSipError("media line is malformed", 488)
    return line


_COLON: Final = 0x3A  # as numbers: bytes are first taken for one, which costs more than the search
_AT: Final = 0x40
_PERCENT: Final = 0x25


def _connection(line: bytes) -> bytes:
    match = _CONNECTION.fullmatch(line)
    if match is None or LONG_PARTED_RUN.search(_QUAD.sub(b"x", line)) is not None:
        raise RemoteSipError("connection line is malformed", 488)
    return match.group(1)


def _may_name_host(line: bytes) -> bool:
    return b"." in line or b"@" in line or b"IN" in line or line.count(b":") > 1


def _without_host(line: bytes, hosts: list[bytes]) -> bytes:
    """The line, when it holds no address of its sender; of a=rtcp the port; else b""."""
    line = without_address(line)
    folded = line.lower()
    return b"" if _ADDRESS.search(line) or any(_names(folded, host) for host in hosts) else line


def _names(line: bytes, host: bytes) -> bool:
    """True when `host` stands in `line` by itself, and not as a part of another name."""
    start = line.find(host)
    while start >= 0:
        before, after = line[max(start - 1, 0) : start], line[start + len(host) : start + len(host) + 1]
        if (not before or before not in _HOST_CHARS) and (not after or after not in _HOST_CHARS):
            return True
        start = line.find(host, start + 1)
    return False


def _hosts(description: SessionDescription, sender: Message | None) -> list[bytes]:
    """The hosts that the sender names as its own, in lower case; a name without a dot is a word like any other.

    Raises RemoteSipError (488) for too many.
    """
    found = [line.split(b" ")[-1].partition(b"/")[0] for line in description.lines if line.startswith(b"c=")]
    found.append(description.origin.split(b" ")[-1])
    if sender is not None:
        found += [host.encode(ENCODING, ERRORS) for host in _hosts_of(sender)]
    hosts = {host.lower(): None for host in found if b"." in host or b":" in host}
    if len(hosts) > _MAX_HOSTS:
        raise RemoteSipError("description has too many addresses", 488)
    return list(hosts)


def _hosts_of(message: Message) -> list[str]:
    hosts: list[str] = []
    if message.is_request and message.top_via is not None:
        hosts.append(message.top_via.host.strip("[]"))
    for header in (h.CONTACT, h.FROM if message.is_request else h.TO):
        try:
            uri = parse_uri(parse_name_addr(split_list(message.value(header) or "")[0]).uri)
        except RemoteSipError:
            continue
        if isinstance(uri, SipUri):
            hosts.append(uri.host.strip("[]"))
    return hosts


def is_plain(body: bytes) -> bool:
    """True for a description that can hold nobody's number, in no spelling and in no encoding: nearly always.

    Its origin is ours, the words of the lines behind it are too short, and its attributes have been judged each.
    """
    attributes = plain_attributes(body)
    return attributes is not None and are_harmless(attributes)


def description_holds_number(body: bytes, number: str) -> bool:
    """True when a description that `rewrite` made holds the number where it can be meant as one.

    In media, format and candidate lines neighbours are numbers of their own: whoever has the number 18114115116 would
    never get a call with the payload types "118 114 115 116". A short number is found as the user of an address only:
    95588 may be a port, 110 a payload type. What is searched for here must not come back as an echo: decision 12.
    """
    if len(number) < LONG_FROM:
        digits = number.encode()
        user = rb"(?:sips?|tel):\+?(?:86|0086)?%b(?![0-9])|(?<![0-9])(?:86|0086)?%b@" % (digits, digits)
        return re.search(user, body, re.IGNORECASE) is not None
    return any(_line_holds(line, number) for line in body.split(b"\r\n") if line[:2] not in _OURS)


_OURS: Final = (b"v=", b"o=", b"s=", b"t=")


def _line_holds(line: bytes, number: str) -> bool:
    name = line[2:].partition(b":")[0] if line[:2] == b"a=" else b""
    if name == b"candidate":
        fields = line.split(b" ")
        return number.encode() in b" ".join(fields[:3] + fields[4:])  # the fourth is the priority (RFC 8839 §5.1)
    if not name or name in TABLES:
        return number.encode() in line
    return holds_number(line, number)
