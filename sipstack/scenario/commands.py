"""What a call asks of its player beside sending messages. Plain values: they stand in `Call.outputs`, between the
messages, in the order in which they are to be carried out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

# Where a stream goes: what the other side's last SDP says; None while it has sent none.
MediaAddress = tuple[str, int]


class Media(Enum):
    """The stream that a command is about, by the line of SDP that describes it."""

    AUDIO = "audio"
    VIDEO = "video"
    IMAGE = "image"


@dataclass(frozen=True, slots=True)
class RunCommand:
    """`<exec command=...>`: one line for the shell, keywords filled in. Only where the player's user allows it."""

    line: str


@dataclass(frozen=True, slots=True)
class PlayPcap:
    """`<exec play_pcap_audio=...>`: sends the packets of a file with its timing. `path` is as the scenario has it."""

    path: str
    media: Media
    local_port: int
    to: MediaAddress | None


@dataclass(frozen=True, slots=True)
class PlayDtmf:
    """`<exec play_dtmf=...>`: telephone events (RFC 4733), one a digit."""

    digits: str
    local_port: int
    to: MediaAddress | None


class StreamStep(Enum):
    """What becomes of a stream."""

    PLAY = "play"
    PAUSE = "pause"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class RtpStream:
    """`<exec rtp_stream=...>`: raw samples from a file, or a pattern, as RTP. `loops` is -1 for ever.

    Only PLAY has `path` (or `pattern`, from 1), `loops`, `payload_type` and `to`.
    """

    step: StreamStep
    media: Media
    path: str = ""
    pattern: int = 0
    loops: int = 1
    payload_type: int = 8
    codec: str = ""  # as in `a=rtpmap`; "" where the payload type says it
    to: MediaAddress | None = None

    def towards(self, to: MediaAddress | None) -> RtpStream:
        """The same to that address."""
        return replace(self, to=to)


@dataclass(frozen=True, slots=True)
class RtpEcho:
    """`<rtp_echo>` and `<exec rtp_echo=...>`: from now on what comes to the media ports goes back, or no longer."""

    is_on: bool
    media: Media


@dataclass(frozen=True, slots=True)
class SetDestination:
    """`<setdest>`: where this call's messages go from now on. `protocol` is udp, tcp or tls."""

    host: str
    port: int
    protocol: str


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """`<closecon>`: the connection of this call is closed; the next message opens one."""


@dataclass(frozen=True, slots=True)
class SendCmd:
    """`<sendCmd>`: a text for the twin (`-3pcc`), or for the peer of that name (`-master`, `-slave`)."""

    text: str
    dest: str = ""


class StopKind(Enum):
    """`<exec int_cmd=...>` that concerns the player as a whole; `stop_call` the call does by itself."""

    NOW = "stop_now"
    GRACEFULLY = "stop_gracefully"


@dataclass(frozen=True, slots=True)
class StopPlaying:
    """NOW: not a word more is sent; GRACEFULLY: no new calls, those in progress are played to their ends."""

    kind: StopKind


Command = (
    RunCommand
    | PlayPcap
    | PlayDtmf
    | RtpStream
    | RtpEcho
    | SetDestination
    | CloseConnection
    | SendCmd
    | StopPlaying
)  # fmt: skip
Output = bytes | Command
