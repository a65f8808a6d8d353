"""Frames out of a file, pcap or pcapng."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

_MAGICS: Final = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6), b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9), b"\xa1\xb2\x3c\x4d": (">", 1e-9),
}  # fmt: skip
_SECTION: Final = b"\x0a\x0d\x0d\x0a"
_BYTE_ORDER: Final = 0x1A2B3C4D
_INTERFACE, _SIMPLE, _ENHANCED = 1, 3, 6
_RESOLUTION: Final = 9  # the option if_tsresol
_TOLD: Final = (1, 4)  # opt_comment and shb_userappl
_MAX_TOLD: Final = 16
_MAX_TOLD_BYTES: Final = 1024

# When it was taken, in seconds since 1970; the type of its link; its octets.
Frame = tuple[float, int, bytes]
# What the sections of a pcapng file say of themselves: comments and the name of who wrote it.
Comments = list[str]


class PcapError(Exception):
    """The text is one line."""


def read_frames(data: bytes, comments: Comments | None = None) -> Iterator[Frame]:
    """All frames of a file, in its order; a file that is cut off ends there. PcapError for what is none.

    `comments`: takes up what a pcapng file says of itself, at most 16 texts.
    """
    head = data[:4]
    if head in _MAGICS:
        return _classic(data, *_MAGICS[head])
    if head == _SECTION:
        return _blocks(data, [] if comments is None else comments)
    raise PcapError("neither pcap nor pcapng")


def _classic(data: bytes, order: str, unit_s: float) -> Iterator[Frame]:
    if len(data) < 24:
        raise PcapError("cut off in its header")
    link = struct.unpack_from(f"{order}I", data, 20)[0] & 0xFFFF
    record = struct.Struct(f"{order}IIII")
    at = 24
    while at + record.size <= len(data):
        seconds, fraction, captured, _ = record.unpack_from(data, at)
        at += record.size
        if at + captured > len(data):
            return  # the last one, cut off
        yield seconds + fraction * unit_s, link, data[at : at + captured]
        at += captured


def _blocks(data: bytes, comments: Comments) -> Iterator[Frame]:
    order = "<"
    interfaces: list[tuple[int, int]] = []  # link type, ticks a second
    at = 0
    while at + 12 <= len(data):
        is_section = data[at : at + 4] == _SECTION
        if is_section:
            order = "<" if struct.unpack_from("<I", data, at + 8)[0] == _BYTE_ORDER else ">"
            interfaces = []
        kind, length = struct.unpack_from(f"{order}II", data, at)
        if length < 12 or length % 4 or at + length > len(data):
            return
        body = data[at + 8 : at + length - 4]
        at += length
        if is_section:
            comments += _texts(body[16:], order)[: _MAX_TOLD - len(comments)]
        elif kind == _INTERFACE and len(body) >= 8:
            interfaces.append((struct.unpack_from(f"{order}H", body)[0], _ticks(body[8:], order)))
        elif kind == _ENHANCED and len(body) >= 20:
            number, high, low, captured = struct.unpack_from(f"{order}IIII", body)
            if number < len(interfaces):
                link, ticks = interfaces[number]
                yield ((high << 32) | low) / ticks, link, body[20 : 20 + captured]
        elif kind == _SIMPLE and interfaces:
            yield 0.0, interfaces[0][0], body[4:]


def _options(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Code and value of each option of a block, up to the end of them or to the first that is cut off."""
    at = 0
    while at + 4 <= len(data):
        code, length = struct.unpack_from(f"{order}HH", data, at)
        if code == 0 or at + 4 + length > len(data):
            return
        yield code, data[at + 4 : at + 4 + length]
        at += 4 + (length + 3) // 4 * 4


def _texts(options: bytes, order: str) -> list[str]:
    return [value[:_MAX_TOLD_BYTES].decode("utf-8", "replace") for code, value in _options(options, order)
            if code in _TOLD]  # fmt: skip


def _ticks(options: bytes, order: str) -> int:
    for code, value in _options(options, order):
        if code == _RESOLUTION and value:
            power = value[0]
            return 1 << (power & 0x7F) if power & 0x80 else int(10**power)
    return 1_000_000
