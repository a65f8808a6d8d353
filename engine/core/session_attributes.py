"""Attributes of a session description (a=) on their way to the other party: each kind by its own rule.

No rule looks at anybody's number, and what crosses can be none, but for the few values that are long rows of digits by
nature: keys, sources, codec configurations. Those are searched by the gate, and carried one way only (`Exchange`).
"""

from __future__ import annotations

import re
from typing import Final, final

from engine.core.encodings import holds_long_encoded
from engine.core.spelling import LONG_FROM, LONG_PARTED_RUN, LONG_RUN, MOST_COUNT, holds_long_number

# About the sender, its program, its clock or the call elsewhere, of no use to the media (RFC 4566 §6, 7195 §5.2.3,
# 7273 §4, 8827 §5); key-mgmt holds MIKEY, in which the sender names itself in base64 (RFC 4567 §3.1, 3830 §6.7).
_NEVER_CROSS: Final = frozenset((
    b"cat", b"charset", b"cs-correlation", b"identity", b"key-mgmt", b"keywds", b"lang", b"mediaclk", b"mslabel",
    b"sdplang", b"source-filter", b"tool", b"ts-refclk",
))  # fmt: skip

# Random values, in which a row of digits means nothing. Both ends need them octet by octet.
_RANDOM: Final = frozenset((b"crypto", b"dtls-id", b"ice-pwd", b"ice-ufrag", b"tls-id"))

# What an answer repeats of its offer (RFC 5888 §9.1), and tables of small numbers.
FORMATS: Final = frozenset((
    b"extmap", b"framerate", b"group", b"imageattr", b"maxptime", b"mid", b"ptime", b"rid", b"rtcp", b"rtcp-fb",
    b"rtpmap", b"sctp-port", b"sctpmap", b"simulcast",
))  # fmt: skip

# Lines in which neighbours are not parts of one number: "118 114 115 116" are four payload types.
TABLES: Final = FORMATS | {b"candidate", b"fmtp", b"max-message-size", b"remote-candidates", b"ssrc", b"ssrc-group"}

# Preconditions (RFC 3312 §4): of no known format, and the same in each call, as parameters of codecs are.
_STEADY: Final = frozenset((b"conf", b"curr", b"des"))

# Parameters of formats that are hex or base64 (RFC 3640 §4.1, 6184 §8.1, 6416 §5.1, 7798 §7.1).
_CODED_PARAMETERS: Final = frozenset((
    b"config", b"interop-constraints", b"profile-compatibility-indicator", b"profile-level-id",
    b"sprop-level-parameter-sets", b"sprop-parameter-sets", b"sprop-pps", b"sprop-sps", b"sprop-vps",
))  # fmt: skip

# Names longer than a word may be elsewhere in an attribute that nobody here knows (T.38 §D.2.3, RFC 3108, TS 26.114).
_LONG_NAMES: Final = frozenset((
    b"3gpp_sync_info",
    b"T38FaxFillBitRemoval", b"T38FaxMaxBuffer", b"T38FaxMaxDatagram", b"T38FaxMaxIFP", b"T38FaxRateManagement",
    b"T38FaxTranscodingJBIG", b"T38FaxTranscodingMMR", b"T38FaxUdpEC", b"T38FaxUdpFECMaxSpan", b"T38FaxVersion",
    b"T38MaxBitRate", b"T38ModemType", b"T38VendorInfo", b"silenceSupp",
))  # fmt: skip

# Lines that hold nothing of anybody.
_KNOWN_HARMLESS: Final = frozenset((
    b"t=0 0",
    b"a=sendrecv",
    b"a=sendonly",
    b"a=recvonly",
    b"a=inactive",
    b"a=rtcp-mux",
    b"a=fmtp:101 0-15",
    b"a=T38FaxRateManagement:transferredTCF",
    b"a=T38FaxUdpEC:t38UDPRedundancy",
))  # fmt: skip

# These, and what was seen before ("a=rtpmap:8 PCMA/8000"): no call needs to judge them again.
MAX_HARMLESS: Final = 1024
HARMLESS: Final = set(_KNOWN_HARMLESS)

# Attributes of descriptions of one medium, all of them such lines, each with its line end: judged with one look.
MAX_HARMLESS_ROWS: Final = 256
HARMLESS_ROWS: Final[set[bytes]] = set()
_MAX_HARMLESS_OCTETS: Final = 1024  # more than phones write for one medium that has no keys

# Eleven characters of base64 hold eight digits, and so does a longer row in hex.
_LONG_WORD: Final = re.compile(rb"[A-Za-z0-9+/=_]{11}")

# A local number, as trunks with number rules have them, together or in two groups. It is short: the gate searches a
# description for it as the user of an address only, so it is left out wherever a text may stand, whosever it is.
_LOCAL_ROW: Final = re.compile(rb"[0-9](?:-?[0-9]){6}|(?<![0-9])[0-9]{3,4} [0-9]{4}(?![0-9])")
_WORDS: Final = frozenset((b"group", b"mid"))

# Such words that are known: transports in a=tcap (RFC 5939 §3.4.1), an option of ICE, a report in a=rtcp-xr (RFC 3611).
_KNOWN_WORD: Final = re.compile(
    rb"(?<![A-Za-z0-9+/=_])"
    rb"(?:(?:UDP/TLS|TCP/TLS|TCP/DTLS)/RTP/SAVPF?|renomination|summary=(?:loss|dup|jitt|TTL|HL))"
    rb"(?![A-Za-z0-9+/=_])"
)

# A host by its name, or an address of IPv6: of whose network, the sender's own fields do not say.
_SOME_HOST: Final = re.compile(rb"[A-Za-z]\.[A-Za-z]|(?:[0-9A-Fa-f]{0,4}:){3}")

# A short number counts as the user of an address only.
_URI_SCHEME: Final = re.compile(rb"(?:sips?|tel):", re.IGNORECASE)
_FINGERPRINT: Final = re.compile(
    rb"a=fingerprint:(?:sha-?[0-9]{1,3}|md[25]) [0-9A-F]{2}(?::[0-9A-F]{2})+", re.IGNORECASE
)
_RANDOM_VALUE: Final = re.compile(rb"[A-Za-z0-9+/=:|^;_ -]+")
_CODED_VALUE: Final = re.compile(rb"[A-Za-z0-9+/=,]+")
_RTCP_PORT: Final = re.compile(rb"a=rtcp:[0-9]{1,5}(?![0-9])")
_SOURCE: Final = re.compile(rb"a=ssrc:([0-9]{1,10}) (?:(cname):[^ ]+|msid:([^ ]+)(?: ([^ ]+))?)")
_SOURCE_GROUP: Final = re.compile(rb"a=ssrc-group:[A-Za-z-]{1,10}(?: [0-9]{1,10})+")
_SIZE: Final = re.compile(rb"a=max-message-size:([0-9]{1,20})")

_IP: Final = rb"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})"
_CANDIDATE: Final = re.compile(
    rb"a=candidate:([^ ]{1,32}) ([0-9]{1,5} [A-Za-z-]{1,10} [0-9]{1,10} %b [0-9]{1,5} typ [a-z]{1,8})(?: (.*))?" % _IP
)
_REMOTE_CANDIDATES: Final = re.compile(
    rb"a=remote-candidates:[0-9]{1,5} %b [0-9]{1,5}(?: [0-9]{1,5} %b [0-9]{1,5})*" % (_IP, _IP)
)
_EXTENSIONS: Final = re.compile(rb"\b(?:tcptype (?:active|passive|so)|generation [0-9]{1,5})\b")

# More names or keys than this in one call are no phone's; what holds further ones stays behind.
_MAX_KEPT: Final = 256

# Octets of one of them: a name (RFC 8830 §2: 64), a key or a configuration. Longer ones stay behind.
_MAX_NAME: Final = 64
_MAX_ROW: Final = 1024
_MAX_OCTETS: Final = 32 * 1024  # of all of them: each change of a call writes them into its row again


@final
class Exchange:
    """What the descriptions for one party have brought it in this dialog, and those for the other party.

    `told` are keys and long rows of digits that have crossed to this party, `heard` those that have crossed from it,
    over all forks of a call. What a party gets back of them is left out, whosever number it may be: where a phone
    repeats what it does not understand, a guess that comes back and one that is stopped would else be told apart.
    `names` are the words that stand for the sender's own.
    """

    __slots__ = ("heard", "names", "told")

    def __init__(self, told: set[bytes], heard: set[bytes]) -> None:
        self.told: Final = told
        self.heard: Final = heard
        self.names: Final[dict[bytes, bytes]] = {}

    def crosses(self, row: bytes) -> bool:
        """True for what is too short to be a number, or not its receiver's own; from now on it is told."""
        if len(row) < LONG_FROM:
            return True
        told = self.told
        if len(row) > _MAX_ROW or row in self.heard:
            return False
        if row not in told:
            if len(told) >= _MAX_KEPT or sum(map(len, told)) + len(row) > _MAX_OCTETS:
                return False
            told.add(row)
        return True

    def name(self, word: bytes) -> bytes:
        """The same short word of ours for the same word of the sender; b"" when there are too many, or it is long."""
        known = self.names.get(word, b"")
        if not known and len(self.names) < _MAX_KEPT and len(word) <= _MAX_NAME:
            known = self.names[word] = b"id%d" % (len(self.names) + 1)
        return known


def crossing_attribute(line: bytes, exchange: Exchange) -> bytes:
    """An a= line as it crosses, b"" when it stays behind; hosts of the sender are not looked for here."""
    name = line[2:].partition(b":")[0]
    if name in _NEVER_CROSS:
        return b""
    if name in FORMATS:
        run = LONG_RUN if name == b"rtcp" and b" IN " in line else LONG_PARTED_RUN  # an address stays behind, later on
        long = holds_long_number(line) if name == b"mid" else run.search(line) is not None
        long = long or (name in _WORDS and _LOCAL_ROW.search(line) is not None)
        return b"" if long or _is_odd(line) else line
    if name in _RANDOM:
        return _random(line, exchange)
    rule = _RULES.get(name)
    if rule is not None:
        return rule(line, exchange)
    return b"" if _may_hide(line, name) else line


def is_harmless(line: bytes, name: bytes) -> bool:
    """True for a line that has crossed and always would, whosever call it is, and in which no number can be found."""
    return name in FORMATS or name in _STEADY or (name == b"fmtp" and not _holds_long_row(line))


def remember_harmless(line: bytes) -> None:
    """Adds to HARMLESS; when it is full it starts anew, so that one party's lines cannot be in the way for good."""
    if len(HARMLESS) >= MAX_HARMLESS:
        HARMLESS.intersection_update(_KNOWN_HARMLESS)
        _forget_rows()  # their lines are all in HARMLESS
    HARMLESS.add(line)


def remember_harmless_rows(rows: bytes) -> None:
    """Adds the attributes of a description that have crossed as they came to HARMLESS_ROWS, if all are harmless."""
    if len(rows) > _MAX_HARMLESS_OCTETS or not HARMLESS.issuperset(rows.split(b"\r\n")[:-1]):
        return
    if len(HARMLESS_ROWS) >= MAX_HARMLESS_ROWS:
        _forget_rows()
    HARMLESS_ROWS.add(rows)


@final
class _Asked:
    """Of these the rows that were asked for last: they are the next ones nearly always, and to compare is no hash."""

    __slots__ = ("rows",)

    def __init__(self) -> None:
        self.rows = b""


_LAST: Final = _Asked()


def are_harmless(rows: bytes) -> bool:
    """True for attributes that are in HARMLESS_ROWS."""
    if rows and rows == _LAST.rows:
        return True
    if rows not in HARMLESS_ROWS:
        return False
    _LAST.rows = rows
    return True


def _forget_rows() -> None:
    HARMLESS_ROWS.clear()
    _LAST.rows = b""


def _is_odd(line: bytes) -> bool:
    """True for a line of a known format with an address or escapes in it, which no phone writes there."""
    return not line.isascii() or b"%" in line or _URI_SCHEME.search(line) is not None


def _may_hide(line: bytes, name: bytes) -> bool:
    """True for an attribute that nobody here knows, with room for a host or a number: long, in a URI, or encoded."""
    rest = line[2 + len(name) :] if name in _LONG_NAMES else line[2:]
    return (
        not line.isascii()
        or (_LONG_WORD.search(rest) is not None and _LONG_WORD.search(_KNOWN_WORD.sub(b" ", rest)) is not None)
        or b"@" in line
        or _SOME_HOST.search(line) is not None
        or _URI_SCHEME.search(line) is not None
        or holds_long_number(line)
        or _LOCAL_ROW.search(rest) is not None
    )


def _random(line: bytes, exchange: Exchange) -> bytes:
    """Keys: the whole line is random, and is kept or left out as a whole; none is the same on both sides."""
    if _RANDOM_VALUE.fullmatch(line, 2) is None or _URI_SCHEME.search(line) is not None:
        return b""
    return line if exchange.crosses(line) else b""


def _format_parameters(line: bytes, exchange: Exchange) -> bytes:
    """Byte for byte but for parameters with a long row of digits that is no coded configuration."""
    if _is_odd(line):
        return b""
    if not _holds_long_row(line):
        return line
    head, _, parameters = line.partition(b" ")
    kept = [parameter for parameter in parameters.split(b";") if _parameter_crosses(parameter, exchange)]
    if not kept or _holds_long_row(head):
        return b""
    joined = head + b" " + kept[0]  # an encoding goes on behind a space
    if _holds_long_row(joined) and not _holds_long_row(kept[0]):
        return b""
    return head + b" " + b";".join(kept)


def _parameter_crosses(parameter: bytes, exchange: Exchange) -> bool:
    if not _holds_long_row(parameter):
        return True
    name, _, value = parameter.partition(b"=")
    coded = name.strip(b" ").lower() in _CODED_PARAMETERS and _CODED_VALUE.fullmatch(value) is not None
    return coded and exchange.crosses(value)


def _holds_long_row(text: bytes) -> bool:
    """True when nine digits stand in a row, plainly, in base64 or in hex."""
    return LONG_PARTED_RUN.search(text) is not None or holds_long_encoded(text)


def _candidate(line: bytes, exchange: Exchange) -> bytes:
    """An address of media, as legal as the c= line (RFC 8839 §5.1): no host name, and no address behind a translator.

    The foundation is ours; the related address, which ICE makes no use of, is all zeros; of the extensions only those
    cross that say what the candidate is.
    """
    match = _CANDIDATE.fullmatch(line)
    foundation = b"" if match is None else exchange.name(match.group(1))
    if match is None or not foundation:
        return b""
    rest = match.group(3) or b""
    related = b""
    if b"raddr " in rest:
        related = b" raddr %b rport 9" % (b"::" if b":" in match.group(2) else b"0.0.0.0")
    kept = b"".join(b" " + extension for extension in _EXTENSIONS.findall(rest))
    return b"a=candidate:%b %b%b%b" % (foundation, match.group(2), related, kept)


def _fingerprint(line: bytes, exchange: Exchange) -> bytes:
    """Of a certificate, which a switch may have in common for all its calls, on both sides; no number is in pairs."""
    return line if _FINGERPRINT.fullmatch(line) else b""


def _remote_candidates(line: bytes, exchange: Exchange) -> bytes:
    return line if _REMOTE_CANDIDATES.fullmatch(line) else b""


def _source(line: bytes, exchange: Exchange) -> bytes:
    """A source and what it belongs to (RFC 5576 §4.1, 8830): the canonical name is ours, one for all of a party."""
    match = _SOURCE.fullmatch(line)
    if match is None or not exchange.crosses(match.group(1)):
        return b""
    if match.group(2):
        return b"a=ssrc:%b cname:%b" % (match.group(1), _CNAME)
    words = [exchange.name(word) for word in match.groups()[2:] if word]
    return b"a=ssrc:%b msid:%b" % (match.group(1), b" ".join(words)) if all(words) else b""


_CNAME: Final = b"party"


def _source_group(line: bytes, exchange: Exchange) -> bytes:
    if _SOURCE_GROUP.fullmatch(line) is None:
        return b""
    return line if all(exchange.crosses(source) for source in line.split(b" ")[1:]) else b""


def _stream(line: bytes, exchange: Exchange) -> bytes:
    """Streams and tracks (RFC 8830 §2): the same word of ours for the same of theirs; "-" and "*" are no names."""
    head, _, value = line.partition(b":")
    words = value.split()
    if head == b"a=msid-semantic":
        if words[:1] != [b"WMS"]:
            return b""
        head, words = b"a=msid-semantic: WMS ", words[1:]
    else:
        head += b":"
    renamed = [word if word in (b"-", b"*") else exchange.name(word) for word in words]
    return head + b" ".join(renamed) if words and all(renamed) else b""


def _size(line: bytes, exchange: Exchange) -> bytes:
    match = _SIZE.fullmatch(line)
    return b"" if match is None else b"a=max-message-size:%d" % min(int(match.group(1)), MOST_COUNT)


_RULES: Final = {
    b"candidate": _candidate,
    b"fingerprint": _fingerprint,
    b"fmtp": _format_parameters,
    b"max-message-size": _size,
    b"msid": _stream,
    b"msid-semantic": _stream,
    b"remote-candidates": _remote_candidates,
    b"ssrc": _source,
    b"ssrc-group": _source_group,
}


# Attributes in which no host of the sender can be left once they have crossed.
NO_HOSTS: Final = _RANDOM | (_RULES.keys() - {b"fmtp"})


def without_address(line: bytes) -> bytes:
    """The port of an a=rtcp line (RFC 3605 §2.1: without an address it is the one of c=); any other line as it is."""
    if not line.startswith(b"a=rtcp:"):
        return line
    port = _RTCP_PORT.match(line)
    return port.group() if port else b""
