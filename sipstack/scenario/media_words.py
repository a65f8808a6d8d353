"""What `rtp_stream=` and `rtp_echo=` say: the words of SIPp for streams of media."""

from __future__ import annotations

from typing import Final

from sipstack.scenario.commands import Media, RtpStream, StreamStep

_STEPS: Final = {
    "pause": (StreamStep.PAUSE, Media.AUDIO), "resume": (StreamStep.RESUME, Media.AUDIO),
    "pauseapattern": (StreamStep.PAUSE, Media.AUDIO), "resumeapattern": (StreamStep.RESUME, Media.AUDIO),
    "pausevpattern": (StreamStep.PAUSE, Media.VIDEO), "resumevpattern": (StreamStep.RESUME, Media.VIDEO),
}  # fmt: skip
_PATTERNS: Final = {"apattern": Media.AUDIO, "vpattern": Media.VIDEO}
_ECHOES: Final = {
    "startaudio": (True, Media.AUDIO), "updateaudio": (True, Media.AUDIO), "stopaudio": (False, Media.AUDIO),
    "startvideo": (True, Media.VIDEO), "updatevideo": (True, Media.VIDEO), "stopvideo": (False, Media.VIDEO),
}  # fmt: skip
_MAX_PATTERN: Final = 6  # as many as SIPp has
_MAX_PAYLOAD_TYPE: Final = 127


def parse_stream(text: str) -> RtpStream:
    """`file[,loops[,payload type[,codec]]]`, `apattern,number[,...]`, `pause` and so on. ValueError says what is wrong.

    A stream of another payload type than audio's usual ones is video when its codec says so (`H264/90000`).
    """
    first, *rest = (word.strip() for word in text.split(","))
    if first in _STEPS and not rest:
        return RtpStream(*_STEPS[first])
    pattern = 0
    if first in _PATTERNS:
        pattern = _number("pattern", rest.pop(0) if rest else "", 1, _MAX_PATTERN)
    elif not first:
        raise ValueError("a file is missing")
    loops = _number("loops", rest[0], -1, 2**31 - 1) if rest and rest[0] else 1
    payload_type = _number("payload type", rest[1], 0, _MAX_PAYLOAD_TYPE) if len(rest) > 1 and rest[1] else 8
    codec = rest[2] if len(rest) > 2 else ""
    media = _PATTERNS.get(first, Media.VIDEO if codec.upper().startswith(("H26", "VP")) else Media.AUDIO)
    return RtpStream(StreamStep.PLAY, media, "" if pattern else first, pattern, loops, payload_type, codec)


def parse_echo(text: str) -> tuple[bool, Media]:
    """On or off, and of which stream. ValueError for anything else."""
    word = text.partition(",")[0].strip()
    if word not in _ECHOES:
        raise ValueError(f"none of {', '.join(_ECHOES)}")
    return _ECHOES[word]


def _number(what: str, text: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise ValueError(f"{what} is no number from {least} to {most}: {text!r}")
    return number
