"""What IP packets carry, of IPv4 and IPv6, with fragments put together again (RFC 791 §3.2, RFC 8200 §4.5)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final, NamedTuple, final

_FRAGMENT: Final = 44
# IPv6 header extensions that say what comes behind them and how long they are (RFC 8200 §4).
_EXTENSIONS: Final = frozenset((0, 43, 60))
_MAX_EXTENSIONS: Final = 16

# Datagrams of which pieces wait for the rest, and pieces of one; the first one that began goes when there are more.
MAX_WAITING: Final = 256
MAX_PIECES: Final = 128
_MAX_BYTES: Final = 65_535


class Carried(NamedTuple):
    """What one packet, or all fragments of one, carries for a protocol; the hosts are text."""

    protocol: int
    source: str
    destination: str
    payload: bytes


_Key = tuple[int, bytes, bytes, int]  # protocol or the extension, source, destination, identification


class _Pieces:
    """Fragments of one packet, by offset."""

    def __init__(self) -> None:
        self.parts: dict[int, bytes] = {}
        self.held = 0
        self.total = -1  # octets, once the last fragment is there
        self.protocol = -1  # as the first fragment says

    def joined(self) -> bytes | None:
        """The whole, None when they do not lie side by side."""
        at = 0
        for offset in sorted(self.parts):
            if offset != at:
                return None
            at += len(self.parts[offset])
        return b"".join(self.parts[offset] for offset in sorted(self.parts)) if at == self.total else None


@final
class Packets:
    """Reads packets in the order of a file. `lost` counts those of which fragments are missing or overlap."""

    def __init__(self) -> None:
        self.lost = 0
        self._waiting: dict[_Key, _Pieces] = {}

    def read(self, packet: bytes) -> Carried | None:
        """What a packet carries once it is whole; None for a fragment before that, and for what is cut off."""
        version = packet[0] >> 4 if packet else 0
        if version == 4 and len(packet) >= 20:
            return self._ipv4(packet)
        if version == 6 and len(packet) >= 40:
            return self._ipv6(packet)
        return None

    def end(self) -> None:
        """No more packets come: what waits is lost."""
        self.lost += len(self._waiting)
        self._waiting.clear()

    def _ipv4(self, packet: bytes) -> Carried | None:
        start = (packet[0] & 0x0F) * 4
        total = int.from_bytes(packet[2:4], "big") or len(packet)  # 0: left to the card that sends (offloading)
        if start < 20:
            return None
        fragment = int.from_bytes(packet[6:8], "big")
        offset, more = (fragment & 0x1FFF) * 8, bool(fragment & 0x2000)
        source, destination, payload = packet[12:16], packet[16:20], packet[start:total]
        if not offset and not more:
            return _carried(packet[9], source, destination, payload)
        if total > len(packet):
            return None
        key = packet[9], source, destination, int.from_bytes(packet[4:6], "big")
        return self._piece(key, packet[9], offset, more, payload)

    def _ipv6(self, packet: bytes) -> Carried | None:
        total = int.from_bytes(packet[4:6], "big") + 40
        end = total if total > 40 else len(packet)
        source, destination = packet[8:24], packet[24:40]
        protocol, at = packet[6], 40
        for _ in range(_MAX_EXTENSIONS):
            if at + 8 > len(packet) or protocol not in _EXTENSIONS:
                break
            protocol, at = packet[at], at + (packet[at + 1] + 1) * 8
        if protocol != _FRAGMENT:
            return _carried(protocol, source, destination, packet[at:end])
        if at + 8 > len(packet) or end > len(packet):
            return None
        placed = int.from_bytes(packet[at + 2 : at + 4], "big")
        key = _FRAGMENT, source, destination, int.from_bytes(packet[at + 4 : at + 8], "big")
        return self._piece(key, packet[at], placed & 0xFFF8, bool(placed & 1), packet[at + 8 : end])

    def _piece(self, key: _Key, protocol: int, offset: int, more: bool, payload: bytes) -> Carried | None:
        pieces = self._waiting.get(key)
        if pieces is None:
            if len(self._waiting) >= MAX_WAITING:
                del self._waiting[next(iter(self._waiting))]
                self.lost += 1
            pieces = self._waiting[key] = _Pieces()
        if offset not in pieces.parts and payload:  # a repeated one says nothing new
            pieces.parts[offset] = payload
            pieces.held += len(payload)
        if not more:
            pieces.total = offset + len(payload)
        if not offset:
            pieces.protocol = protocol
        is_whole = 0 <= pieces.total <= pieces.held
        if not is_whole and len(pieces.parts) < MAX_PIECES and pieces.held <= _MAX_BYTES:
            return None
        del self._waiting[key]
        payload_of_all = pieces.joined() if is_whole else None
        if payload_of_all is None:
            self.lost += 1
            return None
        return _carried(pieces.protocol, key[1], key[2], payload_of_all)


def _carried(protocol: int, source: bytes, destination: bytes, payload: bytes) -> Carried:
    return Carried(protocol, str(ip_address(source)), str(ip_address(destination)), payload)
