"""The links that captures are made on: a frame -> its IP packet, b"" when it holds none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_IPV4, _IPV6 = 0x0800, 0x86DD
_VLANS: Final = frozenset((0x8100, 0x88A8, 0x9100))


def _of_type(frame: bytes, at: int) -> bytes:
    """What stands behind the type of a protocol at `at`, over the tags of VLANs, when that is IP."""
    while (kind := int.from_bytes(frame[at : at + 2], "big")) in _VLANS:
        at += 4
    return frame[at + 2 :] if kind in (_IPV4, _IPV6) else b""


def _cooked_2(frame: bytes) -> bytes:
    """LINUX_SLL2: the type stands at the beginning, and the packet behind all of the header."""
    kind = int.from_bytes(frame[:2], "big")
    if kind in _VLANS:
        return _of_type(frame, 22)
    return frame[20:] if kind in (_IPV4, _IPV6) else b""


# By LINKTYPE.
LINKS: Final[dict[int, Callable[[bytes], bytes]]] = {
    0: lambda frame: frame[4:],  # NULL: an address family of the host
    1: lambda frame: _of_type(frame, 12),  # ETHERNET
    12: lambda frame: frame,  # RAW, as some write it
    14: lambda frame: frame,
    101: lambda frame: frame,
    108: lambda frame: frame[4:],  # LOOP
    113: lambda frame: _of_type(frame, 14),  # LINUX_SLL
    228: lambda frame: frame,  # IPV4
    229: lambda frame: frame,  # IPV6
    276: _cooked_2,
}
