"""Media of a player: packets of a capture file or of a file of samples to where the other side wants them, and an echo.

Sockets are shared by port: calls whose SDP names the same port send from the same one.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections.abc import Awaitable
from pathlib import Path
from typing import Final, final

from sipstack.aio.udp import bind_udp
from sipstack.pcap import Datagram, PcapError, read_datagrams
from sipstack.scenario.commands import MediaAddress, PlayDtmf, PlayPcap, RtpStream, StreamStep
from sipstack.scenario.model import SettingsError

_SIPPS_FILES: Final = Path("/usr/share/sip-tester")
MAX_FILE_BYTES: Final = 64 * 1024 * 1024
_PACKET_S: Final = 0.02
_RTP_VERSION: Final = 0x80
# Octets of 20 ms by payload type (RFC 3551 §6): G.711, G.722, G.729.
_OCTETS: Final = {0: 160, 8: 160, 9: 160, 18: 20}
_SAMPLES: Final = 160  # of the clock, in 20 ms
_EVENT_TYPE: Final = 96  # SIPp's, for telephone events
_DIGITS: Final = "0123456789*#ABCD"
_EVENT_PACKETS: Final = 5
_EVENT_GAP_S: Final = 0.1
_PATTERNS: Final = bytes((0xD5, 0xFF, 0x55, 0xAA, 0x2A, 0x7F))


@final
class MediaSocket(asyncio.DatagramProtocol):
    """One port. What comes is echoed to its sender, or thrown away."""

    def __init__(self) -> None:
        self.echoes = False
        self.sent = 0
        self.received = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The port is open."""
        assert isinstance(transport, asyncio.DatagramTransport) or hasattr(transport, "sendto")
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, source: MediaAddress) -> None:
        """A packet."""
        self.received += 1
        if self.echoes:
            self.send(data, source)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens where we send: as if the packet had been lost."""

    def send(self, data: bytes, to: MediaAddress) -> None:
        """Sends a packet."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, to)
            self.sent += 1

    def close(self) -> None:
        """Closes the port."""
        if self._transport is not None:
            self._transport.close()


@final
class Rtp:
    """All media of a player; each stream is a task, and ends with its call."""

    def __init__(self, host: str, folder: Path) -> None:
        """`host` is the address that packets leave from; names of files are taken from `folder`."""
        self._host = host
        self._folder = folder
        self._sockets: dict[int, MediaSocket] = {}
        self._captures: dict[str, list[Datagram]] = {}
        self._samples: dict[str, bytes] = {}
        self._streams: dict[str, set[asyncio.Task[None]]] = {}
        self._paused: set[str] = set()

    @property
    def packets(self) -> tuple[int, int]:
        """Sent and received."""
        sockets = self._sockets.values()
        return sum(one.sent for one in sockets), sum(one.received for one in sockets)

    async def echo(self, port: int, *, is_on: bool = True) -> None:
        """From now on a port echoes, or no longer. OSError when it cannot be had."""
        (await self._socket(port)).echoes = is_on

    async def play(self, command: PlayPcap | PlayDtmf | RtpStream, call_id: str, port: int) -> None:
        """Begins a stream of a call, or changes one. OSError, SettingsError for a file that does not do."""
        if isinstance(command, RtpStream) and command.step is not StreamStep.PLAY:
            change = self._paused.add if command.step is StreamStep.PAUSE else self._paused.discard
            change(call_id)
            return
        if command.to is None:
            return  # the other side has not said where
        bound = await self._socket(port)
        if isinstance(command, PlayPcap):
            self._begin(call_id, self._replay(bound, port, self._capture(command.path), command.to))
        elif isinstance(command, PlayDtmf):
            self._begin(call_id, self._tones(bound, command.digits, command.to))
        else:
            self._begin(call_id, self._stream(bound, self._sound(command), command, call_id))

    def stop(self, call_id: str) -> None:
        """The call has ended."""
        self._paused.discard(call_id)
        for task in self._streams.pop(call_id, ()):
            task.cancel()

    async def close(self) -> None:
        """Ends all of it."""
        for call_id in list(self._streams):
            self.stop(call_id)
        for bound in self._sockets.values():
            bound.close()
        await asyncio.sleep(0)

    async def _socket(self, port: int) -> MediaSocket:
        found = self._sockets.get(port)
        if found is None:
            bound = bind_udp(self._host, port)
            _, found = await asyncio.get_running_loop().create_datagram_endpoint(MediaSocket, sock=bound)
            self._sockets[port] = found
        return found

    def _begin(self, call_id: str, stream: Awaitable[None]) -> None:
        task = asyncio.ensure_future(stream)
        running = self._streams.setdefault(call_id, set())
        running.add(task)
        task.add_done_callback(running.discard)

    # ------------------------------------------------------------------ files

    def _read(self, path: str) -> bytes:
        with self._found(path).open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise SettingsError(f"{path}: larger than {MAX_FILE_BYTES // 1024 // 1024} MiB")
        return data

    def _found(self, path: str) -> Path:
        """Beside the scenario, or in the working folder, or among the files that SIPp brings, as `pcap/g711a.pcap`."""
        places = (self._folder / path, Path(path), _SIPPS_FILES / Path(path).name)
        return next((place for place in places if place.is_file()), places[0])

    def _capture(self, path: str) -> list[Datagram]:
        found = self._captures.get(path)
        if found is None:
            try:
                found = read_datagrams(self._read(path))
            except PcapError as error:
                raise SettingsError(f"{path}: {error}") from None
            if not found:
                raise SettingsError(f"{path}: no UDP in it")
            self._captures[path] = found
        return found

    def _sound(self, command: RtpStream) -> bytes:
        if command.pattern:
            return _PATTERNS[(command.pattern - 1) % len(_PATTERNS)].to_bytes() * 160 * 50
        found = self._samples.get(command.path)
        if found is None:
            found = self._samples[command.path] = self._read(command.path)
        return found

    # ------------------------------------------------------------------ streams

    async def _replay(self, bound: MediaSocket, port: int, packets: list[Datagram], to: MediaAddress) -> None:
        """With the timing of the file. RTCP, a port above RTP's there, goes to a port above here, too."""
        began, first_s = asyncio.get_running_loop().time(), packets[0].at_s
        lowest = min(packet.destination[1] for packet in packets)
        for packet in packets:
            await _until(began + packet.at_s - first_s)
            offset = packet.destination[1] - lowest
            sender = bound
            if offset:
                try:
                    sender = await self._socket(port + offset)
                except OSError:
                    continue
            sender.send(packet.payload, (to[0], to[1] + offset))

    async def _stream(self, bound: MediaSocket, sound: bytes, command: RtpStream, call_id: str) -> None:
        assert command.to is not None
        size = _OCTETS.get(command.payload_type, 160)
        header = _Header(command.payload_type)
        loops = command.loops
        at_s = asyncio.get_running_loop().time()
        while loops and sound:
            loops -= 1
            for at in range(0, len(sound), size):
                await _until(at_s)
                at_s += _PACKET_S
                if call_id not in self._paused:
                    bound.send(header.next(_SAMPLES) + sound[at : at + size], command.to)

    async def _tones(self, bound: MediaSocket, digits: str, to: MediaAddress) -> None:
        """Telephone events (RFC 4733 §2.5): each grows for 100 ms, its end is said three times."""
        header = _Header(_EVENT_TYPE)
        at_s = asyncio.get_running_loop().time()
        for digit in digits.upper():
            event = _DIGITS.find(digit)
            if event < 0:
                continue
            for number in range(_EVENT_PACKETS + 3):
                await _until(at_s)
                at_s += _PACKET_S if number < _EVENT_PACKETS else 0.0
                length = _SAMPLES * min(number + 1, _EVENT_PACKETS)
                is_end = number >= _EVENT_PACKETS
                tone = struct.pack(">BBH", event, 0x8A if is_end else 0x0A, length)
                bound.send(header.next(0, marker=number == 0) + tone, to)
            header.skip(_SAMPLES * (_EVENT_PACKETS + 5))
            at_s += _EVENT_GAP_S


@final
class _Header:
    """RTP headers in a row (RFC 3550 §5.1)."""

    def __init__(self, payload_type: int) -> None:
        self._type = payload_type
        self._number = secrets.randbits(16)
        self._clock = secrets.randbits(32)
        self._source = secrets.randbits(32)

    def next(self, samples: int, *, marker: bool = False) -> bytes:
        """The header of a packet; the next one is `samples` later."""
        made = struct.pack(">BBHII", _RTP_VERSION, self._type | marker << 7, self._number, self._clock, self._source)
        self._number = (self._number + 1) & 0xFFFF
        self.skip(samples)
        return made

    def skip(self, samples: int) -> None:
        """So much time goes by."""
        self._clock = (self._clock + samples) & 0xFFFFFFFF


async def _until(at_s: float) -> None:
    delay_s = at_s - asyncio.get_running_loop().time()
    await asyncio.sleep(max(0.0, delay_s))
