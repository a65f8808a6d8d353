"""What is done to the messages of a conversation: changes of their bytes.

Each takes the message, two numbers (where, and what of several) and a `Source` of other bytes of the same side: what
one side says never brings anything of the other side in.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final

from sipstack.message import ENCODING, ERRORS
from tests.core.hostile import FREE_ROWS
from tests.fuzz.ends import End

VECTORS: Final = Path(__file__).resolve().parents[1] / "vectors"
CRLF: Final = b"\r\n"
ODD: Final = (
    b"\0", b"\r", b"\n", b"\r\n", b"\r\n ", b"\r\n\r\n", b"\t", b" ", b'"', b"\\", b"<", b">", b";", b",", b":", b"@",
    b"%", b"%00", b"%0d%0a", b"\x0b", b"\x1c", b"\x7f", b"\x85", b"\xff", b"\xe2\x80\xa8", b"\xef\xbc\x91", b"(",
    b"=", b";tag=", b"-1", b"4294967296", b"9" * 40, b"0", b"A" * 300, b"sip:", b";lr", b"_", b"\xc0\x80", b"&",
    b"?a=b",
)  # fmt: skip
COMPACT: Final = {
    b"via": b"v", b"from": b"f", b"to": b"t", b"call-id": b"i", b"contact": b"m", b"content-type": b"c",
    b"content-length": b"l", b"supported": b"k", b"subject": b"s", b"event": b"o", b"refer-to": b"r",
    b"referred-by": b"b", b"session-expires": b"x", b"allow-events": b"u", b"content-encoding": b"e",
}  # fmt: skip
STATUSES: Final = (
    100, 180, 183, 199, 200, 202, 204, 299, 300, 302, 305, 380, 400, 401, 403, 404, 407, 408, 410, 413, 415, 420, 421,
    422, 423, 433, 480, 481, 482, 483, 484, 486, 487, 488, 489, 491, 493, 500, 501, 502, 503, 504, 505, 513, 580, 600,
    603, 606, 607, 608, 699, 700, 99,
)  # fmt: skip
METHODS: Final = (
    b"INVITE", b"ACK", b"BYE", b"CANCEL", b"OPTIONS", b"PRACK", b"UPDATE", b"INFO", b"REFER", b"NOTIFY", b"MESSAGE",
    b"REGISTER", b"SUBSCRIBE", b"PUBLISH", b"invite", b"FOO", b"SIP/2.0",
)  # fmt: skip
KINDS: Final = ("sdp", "text", "dtmf", "frag", "parts")

Change = Callable[[bytes, int, int, End], bytes]


@lru_cache(maxsize=1)
def seeds() -> tuple[bytes, ...]:
    """The messages of RFC 4475 and RFC 5118."""
    files = [file for name in ("rfc4475", "rfc5118") for file in sorted((VECTORS / name).rglob("*.dat"))]
    return tuple(file.read_bytes() for file in files)


@lru_cache(maxsize=1)
def seed_rows() -> tuple[bytes, ...]:
    """Their rows, each once."""
    rows = {row for seed in seeds() for row in seed.partition(b"\r\n\r\n")[0].split(CRLF)[1:] if b":" in row}
    return tuple(sorted(rows))


# -- octets ------------------------------------------------------------------------------------------------------------


def flip(data: bytes, where: int, what: int, _: End) -> bytes:
    at = where % len(data)
    return data[:at] + bytes([data[at] ^ (1 << what % 8)]) + data[at + 1 :]


def drop(data: bytes, where: int, what: int, _: End) -> bytes:
    at = where % len(data)
    return data[:at] + data[at + 1 + what % 8 :]


def double(data: bytes, where: int, what: int, _: End) -> bytes:
    at = where % len(data)
    piece = data[at : at + 1 + what % 40]
    return data[:at] + piece * (2 + what % 3) + data[at + len(piece) :]


def put(data: bytes, where: int, what: int, _: End) -> bytes:
    at = where % (len(data) + 1)
    return data[:at] + ODD[what % len(ODD)] + data[at:]


def cut(data: bytes, where: int, _what: int, _: End) -> bytes:
    return data[: where % len(data)]


# -- rows --------------------------------------------------------------------------------------------------------------


def _on_rows(change: Callable[[list[bytes], int, int, End], None]) -> Change:
    """A change of the rows of the head; the first one is the start line."""

    def changed(data: bytes, where: int, what: int, end: End) -> bytes:
        head, blank, body = data.partition(b"\r\n\r\n")
        rows = head.split(CRLF)
        change(rows, 1 + where % max(1, len(rows) - 1), what, end)
        return CRLF.join(rows) + blank + body

    return changed


def _swap(rows: list[bytes], at: int, what: int, _: End) -> None:
    at, other = min(at, len(rows) - 1), what % len(rows)
    rows[at], rows[other] = rows[other], rows[at]


def _remove(rows: list[bytes], at: int, _what: int, _: End) -> None:
    del rows[at : at + 1]


def _again(rows: list[bytes], at: int, what: int, _: End) -> None:
    rows[at:at] = rows[at : at + 1] * (1 + (what % 3 == 2) * (what % 300))


def _fold(rows: list[bytes], at: int, what: int, _: End) -> None:
    for row in rows[at : at + 1]:
        place = what % (len(row) + 1)
        rows[at] = row[:place] + (b"\r\n ", b"\r\n\t", b"\r\n  \r\n ")[what % 3] + row[place:]


def _name(rows: list[bytes], at: int, what: int, _: End) -> None:
    for row in rows[at : at + 1]:
        name, colon, value = row.partition(b":")
        ways = (
            COMPACT.get(name.lower(), name),
            name.upper(),
            name.lower(),
            name + b" ",
            name + b"\t",
            b" " + name,
            name + b"x",
        )
        rows[at] = ways[what % len(ways)] + colon + value


def _value(rows: list[bytes], at: int, what: int, end: End) -> None:
    """The value of another row, of this message or of an earlier one of this side."""
    others = rows[1:] + [line.encode(ENCODING, ERRORS) for message in end.said[-4:] for line in message.lines]
    if others:
        for row in rows[at : at + 1]:
            rows[at] = row.partition(b":")[0] + b":" + others[what % len(others)].partition(b":")[2]


def _earlier(rows: list[bytes], at: int, what: int, end: End) -> None:
    """The row of the same name of an earlier message of this side."""
    for row in rows[at : at + 1]:
        name = row.partition(b":")[0].lower()
        lines = [line.encode(ENCODING, ERRORS) for message in end.said for line in message.lines]
        same = [line for line in lines if line.partition(b":")[0].lower() == name and line != row]
        if same:
            rows[at] = same[what % len(same)]


def _of_rfc(rows: list[bytes], at: int, what: int, _: End) -> None:
    """The row of the same name of a torture message, or any row of one besides."""
    name = rows[at].partition(b":")[0].lower() if at < len(rows) else b""
    name = COMPACT.get(name, name)
    same = [row for row in seed_rows() if row.partition(b":")[0].strip().lower() in (name, COMPACT.get(name, name))]
    if same and what % 4:
        rows[at] = same[what % len(same)]
    else:
        rows.insert(at, seed_rows()[what % len(seed_rows())])


def _more(rows: list[bytes], at: int, what: int, end: End) -> None:
    rows.insert(at, end.filled(FREE_ROWS[what % len(FREE_ROWS)]).encode())


def _length(rows: list[bytes], _at: int, what: int, _: End) -> None:
    lengths = (b"0", b"1", b"9999", b"-1", b"", b"1e3", b"4294967296", b"7 8", b"0x10")
    rows[:] = [
        b"Content-Length: " + lengths[what % len(lengths)] if r.startswith(b"Content-Length") else r for r in rows
    ]


def _start(rows: list[bytes], at: int, what: int, _: End) -> None:
    """Another method in the start line, in CSeq, or in both."""
    method = METHODS[what % len(METHODS)]
    if at % 3 != 1 and not rows[0].startswith(b"SIP/"):
        rows[0] = method + b" " + rows[0].partition(b" ")[2]
    if at % 3:
        rows[:] = [row.rpartition(b" ")[0] + b" " + method if row.startswith(b"CSeq:") else row for row in rows]


def _status(rows: list[bytes], _at: int, what: int, _: End) -> None:
    if rows[0].startswith(b"SIP/2.0 "):
        rows[0] = b"SIP/2.0 %d" % STATUSES[what % len(STATUSES)] + rows[0][11:]


# -- numbers and bodies ------------------------------------------------------------------------------------------------


def spellings(number: str) -> tuple[bytes, ...]:
    """Ways to write a number that the node promises to see (docs/privacy.md)."""
    dashed = f"{number[:3]}-{number[3:7]}-{number[7:]}"
    wide = "".join(chr(0xFF10 + int(digit)) for digit in number)
    return (
        number.encode(), b"+86" + number.encode(), b"0086" + number.encode(), dashed.encode(),
        dashed.replace("-", ".").encode(), f"tel:+86-{dashed}".encode(), f"sip:{number}@veil.example".encode(),
        "".join(f"%{ord(digit):02x}" for digit in number).encode(), wide.encode(), b"(" + dashed.encode() + b")",
        f"<sip:{number}@127.0.0.11>;user=phone".encode(), f"1{number}".encode(), f"{number}0".encode(),
    )  # fmt: skip


def _places(data: bytes) -> list[int]:
    """Where a word could stand: behind each separator."""
    return [match.end() for match in re.finditer(rb"[:=;,@<> \"/-]|\r\n", data)] or [0]


def number(data: bytes, where: int, what: int, end: End) -> bytes:
    """Its own number, somewhere."""
    ways, places = spellings(end.number), _places(data)
    at = places[where % len(places)]
    rest = data[at:]
    if what % 2:  # instead of the word that stands there
        rest = re.sub(rb"\A[^\r\n:=;,@<> \"/-]*", b"", rest)
    return data[:at] + ways[what // 2 % len(ways)] + rest


def body(data: bytes, where: int, what: int, end: End) -> bytes:
    """Another body, or lines of the one that is there in another order, under the same or another type."""
    head, _, old = data.partition(b"\r\n\r\n")
    lines = old.split(CRLF)
    if what % 3 == 0:
        new = end.body(KINDS[where % len(KINDS)])
    elif what % 3 == 1 and len(lines) > 1:
        at, other = where % len(lines), what % len(lines)
        lines[at], lines[other] = lines[other], lines[at]
        new = CRLF.join(lines)
    else:
        at = where % len(lines)
        lines.insert(at, lines[what % len(lines)])
        new = CRLF.join(lines)
    head = re.sub(rb"Content-Length: [0-9]+", b"Content-Length: %d" % len(new), head)
    return head + b"\r\n\r\n" + new


def whole(_data: bytes, where: int, what: int, end: End) -> bytes:
    """A torture message; for the most part it calls as this side does."""
    seed = seeds()[where % len(seeds())]
    if what % 3 == 0:
        return seed
    uri = re.sub(rb"\A([A-Za-z]+) \S+ ", rb"\1 %s " % end.uri.encode(), seed)
    asserted = f"\r\nP-Asserted-Identity: <sip:{end.number}@{end.host}>\r\n".encode()
    return uri.replace(CRLF, asserted, 1)


CHANGES: Final[dict[str, Change]] = {
    "flip": flip,
    "drop": drop,
    "double": double,
    "put": put,
    "cut": cut,
    "swap rows": _on_rows(_swap),
    "remove row": _on_rows(_remove),
    "repeat row": _on_rows(_again),
    "fold": _on_rows(_fold),
    "name": _on_rows(_name),
    "value": _on_rows(_value),
    "earlier row": _on_rows(_earlier),
    "row of RFC 4475": _on_rows(_of_rfc),
    "more": _on_rows(_more),
    "length": _on_rows(_length),
    "method": _on_rows(_start),
    "status": _on_rows(_status),
    "number": number,
    "body": body,
    "message of RFC 4475": whole,
}
