"""Session descriptions on their way to the other party: which lines cross, and what is changed in them."""

from __future__ import annotations

import re
from typing import Final, final

from engine.core.spelling import LONG_FROM, holds_long_number, holds_number
from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.fields import split_list
from sipstack.message import ENCODING, ERRORS, Message
from sipstack.sdp import SessionDescription, parse_sdp, render_sdp
from sipstack.uri import SipUri, parse_name_addr, parse_uri

# Lines that cross are c=, b=, m= and a=; v=, o=, s= and t= are ours. Left out are those that say who somebody is (i= u=
# e= p=), keys in clear (k=: RFC 8866 §5.12 has receivers discard it), repeats and time zones of broadcasts (r= z=), and
# letters that nobody understands (RFC 4566 §5).

# Attributes about the sender or its program, of no use to the media (RFC 4566 §6, RFC 8827 §5).
_NEVER_CROSS: Final = frozenset((b"cat", b"charset", b"identity", b"keywds", b"lang", b"sdplang", b"tool"))

# Addresses of media: as legal as the c= line (architecture, decision 3).
_CANDIDATES: Final = frozenset((b"candidate", b"remote-candidates"))

# Random values, in which neither a row of digits nor a dot means anything.
_RANDOM: Final = frozenset((b"crypto", b"fingerprint", b"ice-pwd", b"ice-ufrag", b"key-mgmt", b"ssrc-group"))

# Attributes that hold long rows of digits by nature: UUIDs, codec configurations in hex.
_LONG_BY_NATURE: Final = frozenset((b"fmtp", b"max-message-size", b"msid", b"msid-semantic", b"ssrc"))

# What an answer repeats of its offer (RFC 5888 §9.1), and tables of small numbers.
_FORMATS: Final = frozenset((
    b"extmap", b"framerate", b"group", b"imageattr", b"maxptime", b"mid", b"ptime", b"rid", b"rtcp", b"rtcp-fb",
    b"rtpmap", b"sctp-port", b"sctpmap", b"simulcast",
))  # fmt: skip

# Lines in which neighbours are not parts of one number: "118 114 115 116" are four payload types.
_TABLES: Final = _FORMATS | _CANDIDATES | {b"fmtp", b"max-message-size", b"ssrc-group"}

_LONG_RUN: Final = re.compile(rb"[0-9]{%d}" % LONG_FROM)
_BANDWIDTH: Final = re.compile(rb"b=[A-Za-z][A-Za-z0-9-]*:[0-9]+")
_RTCP_PORT: Final = re.compile(rb"a=rtcp:[0-9]{1,5}(?![0-9])")
_ADDRESS: Final = re.compile(rb"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9.])|@|\bIN[ \t]+IP[46]\b")
_HOST_CHARS: Final = b"abcdefghijklmnopqrstuvwxyz0123456789-"


@final
class OriginRewriter:
    """The descriptions of one party as the other one sees them: our origin, its version rising with each change.

    `session_id` is ours, `address` the node's own (RFC 3264 §8: a changed description has a version one higher).
    """

    __slots__ = ("_address", "_last", "_session_id", "_version")

    def __init__(self, session_id: int, address: str) -> None:
        self._session_id = session_id
        self._address = address
        self._version = session_id - 1
        self._last: int | None = None  # hash of the last description, so that no call holds its lines

    def rewrite(self, body: bytes, sender: Message | None = None) -> bytes:
        """The description without what names its sender: `sender` is the message that carried it.

        Raises RemoteSipError when it is no description, or has a media line that no phone writes.
        """
        description = parse_sdp(body)
        lines = _crossing_lines(description, sender)
        known = hash((description.origin, *lines))
        if known != self._last:
            self._version += 1
            self._last = known
        family = "IP6" if ":" in self._address else "IP4"
        origin = f"o=- {self._session_id} {self._version} IN {family} {self._address}".encode()
        return render_sdp([b"v=0", origin, b"s=-", *lines])


def _crossing_lines(description: SessionDescription, sender: Message | None) -> list[bytes]:
    """What crosses behind s=. No line is judged by the other party's number: what stays behind tells nothing of it."""
    kept: list[bytes] = []
    hosts: list[bytes] | None = None
    for line in description.lines:
        if line in _HARMLESS:
            kept.append(line)
            continue
        kind = line[:2]
        if kind not in _CROSSING:
            continue
        if kind == b"a=":
            name = line[2:].partition(b":")[0]
            if name in _NEVER_CROSS or _has_long_number(line, name):
                continue
            if _may_name_host(line, name):
                hosts = _hosts(description, sender) if hosts is None else hosts
                line = _without_host(line, hosts)  # noqa: PLW2901
            elif name in _FORMATS and len(_HARMLESS) < _MAX_HARMLESS:
                _HARMLESS.add(line)
            if line:
                kept.append(line)
        elif kind == b"m=":
            if not line.isascii() or (max(map(len, line.split(b" "))) >= LONG_FROM and _LONG_RUN.search(line)):
                raise RemoteSipError("media line is malformed", 488)  # an answer repeats its words, even to refuse it
            kept.append(line)
        elif kind == b"c=":
            if line.count(b" ") > 2:
                line = b" ".join(line.split(b" ")[:3])  # noqa: PLW2901  # nettype, addrtype, address (RFC 4566 §5.7)
            kept.append(line)
        elif kind == b"t=":
            kept.append(b"t=0 0")  # an answer repeats it (RFC 3264 §6): a guess in it would come back, or not
        elif kind == b"b=" and _BANDWIDTH.fullmatch(line):
            kept.append(line)
    return kept


_CROSSING: Final = frozenset((b"a=", b"b=", b"c=", b"m=", b"t="))

# Lines seen before that hold nothing of anybody ("a=rtpmap:8 PCMA/8000"): no call needs to judge them again.
_MAX_HARMLESS: Final = 1024
_HARMLESS: Final = {
    b"t=0 0",
    b"a=sendrecv",
    b"a=sendonly",
    b"a=recvonly",
    b"a=inactive",
    b"a=rtcp-mux",
    b"a=fmtp:101 0-15",
}


def _has_long_number(line: bytes, name: bytes) -> bool:
    """True for an attribute with a long number in it that need not be there: it may be anybody's, and stays behind."""
    if name in _RANDOM or name in _CANDIDATES or name in _LONG_BY_NATURE:
        return False
    if name in _FORMATS:
        return _LONG_RUN.search(line) is not None or not line.isascii()
    return holds_long_number(line)


def _may_name_host(line: bytes, name: bytes) -> bool:
    if name in _RANDOM or name in _CANDIDATES:
        return False
    return b"." in line or b"@" in line or b"IN" in line or line.count(b":") > 1


def _without_host(line: bytes, hosts: list[bytes]) -> bytes:
    """The line, when it holds no address of its sender; of a=rtcp the port (RFC 3605 §2.1); else b""."""
    if line.startswith(b"a=rtcp:"):
        port = _RTCP_PORT.match(line)
        return port.group() if port else b""
    folded = line.lower()
    return b"" if _ADDRESS.search(line) or any(_names(folded, host) for host in hosts) else line


def _names(line: bytes, host: bytes) -> bool:
    """True when `host` stands in `line` by itself, and not as a part of another name."""
    start = line.find(host)
    while start >= 0:
        before, after = line[start - 1 : start], line[start + len(host) : start + len(host) + 1]
        if (not before or before not in _HOST_CHARS) and (not after or after not in _HOST_CHARS):
            return True
        start = line.find(host, start + 1)
    return False


def _hosts(description: SessionDescription, sender: Message | None) -> list[bytes]:
    """The hosts that the sender names as its own, in lower case; a name without a dot is a word like any other."""
    found = [line.split(b" ")[-1].partition(b"/")[0] for line in description.lines if line.startswith(b"c=")]
    found.append(description.origin.split(b" ")[-1])
    if sender is not None:
        found += [host.encode(ENCODING, ERRORS) for host in _hosts_of(sender)]
    return [host.lower() for host in found if b"." in host or b":" in host]


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


def description_holds_number(body: bytes, number: str) -> bool:
    """True when a description that `rewrite` made holds the number where it can be meant as one.

    In media, format and candidate lines neighbours are numbers of their own: whoever has the number 18114115116 would
    never get a call with the payload types "118 114 115 116". A short number is found as the user of an address only:
    95588 may be a port, 110 a payload type.
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
    if not name or name in _TABLES:
        return number.encode() in line
    return holds_number(line, number)
