"""What stands in the place of `[keywords]` when a message is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sipstack.scenario.commands import Media
from sipstack.scenario.credentials import authorization
from sipstack.scenario.crypto import crypto_text
from sipstack.scenario.injection import InjectionFile
from sipstack.scenario.template import Keyword, Template, TextFault, parse_template
from sipstack.scenario.values import CallFault, Moment, Values, date, timestamp
from sipstack.scenario.variables import as_number, as_text, parse_number

MAX_MESSAGE_CHARS: Final = 65_507  # what fits into one datagram; `[last_message]` could double with each one sent
SIPP_VERSION: Final = "3.6.1"  # whose language this is
# SIPp gives the length five places.
_LENGTH_PLACES: Final = 5
_AUTHENTICATION: Final = "[authentication"

Filler = Callable[[Keyword, Values, Moment], str]


def _last_cseq(keyword: Keyword, values: Values, _moment: Moment) -> str:
    return str((values.last.cseq[0] if values.last else 0) + keyword.offset)


def _branch(keyword: Keyword, values: Values, moment: Moment) -> str:
    return f"z9hG4bK-{values.set_once['pid']}-{values.number}-{moment.index + keyword.offset}"


def _media_port(keyword: Keyword, values: Values, _moment: Moment) -> str:
    """`[auto_media_port]`: four ports a call, so that no two calls share one."""
    port = values.numbers["media_port"] + keyword.offset
    if keyword.name == "auto_media_port":
        port += 4 * (values.number - 1) % 10_000
    if keyword.argument:
        values.media_ports[keyword.argument] = port
    return str(port)


def _stream_port(keyword: Keyword, values: Values, _moment: Moment) -> str:
    media = Media.AUDIO if keyword.name == "rtpstream_audio_port" else Media.VIDEO
    return str(values.shared.stream_port(values.call_id, media) + keyword.offset)


def _field(keyword: Keyword, values: Values, moment: Moment) -> str:
    injection = values.shared.injection
    if injection is None:
        raise CallFault(f"[field{keyword.argument}] without rows for injection")
    named = keyword.text("file")
    file = injection.file(injection.default if named is None else render(named, values, moment))
    return file.field(_line(keyword, file, values, moment), int(keyword.argument))


def _line(keyword: Keyword, file: InjectionFile, values: Values, moment: Moment) -> int:
    chosen = keyword.text("line")
    if chosen is None:
        return values.lines.get(file.name, -1)
    number = parse_number(render(chosen, values, moment))
    return int(number) if number is not None and abs(number) < 2**31 else -1


def _fill(keyword: Keyword, values: Values, moment: Moment) -> str:
    length = as_number(values.variable(keyword.argument))
    if not length < MAX_MESSAGE_CHARS:
        raise CallFault(f"longer than {MAX_MESSAGE_CHARS} bytes")
    template = keyword.text("text")
    text = (render(template, values, moment) if template is not None else "") or "X"
    return (text * (int(max(length, 0)) // len(text) + 1))[: int(max(length, 0))]


def _file(keyword: Keyword, values: Values, moment: Moment) -> str:
    template = keyword.text("name")
    path = render(template, values, moment) if template is not None else ""
    try:
        return values.shared.read_file(path).decode("latin-1")
    except OSError as error:
        raise CallFault(f"[file name={path}]: {error.strerror or error}") from None


def _tdmmap(_keyword: Keyword, values: Values, _moment: Moment) -> str:
    circuits = values.shared.circuits
    if circuits is None or values.circuit is None:
        raise CallFault("[tdmmap] without -tdmmap")
    return circuits.shown(values.circuit)


# What is asked of the call at the moment of sending.
_FILLERS: Final[dict[str, Filler]] = {
    "auto_media_port": _media_port,
    "branch": _branch,
    "call_id": lambda _keyword, values, _moment: values.call_id,
    "call_number": lambda _keyword, values, _moment: str(values.number),
    "clock_tick": lambda _keyword, _values, moment: str(moment.elapsed_ms),
    "crypto": lambda keyword, values, _moment: crypto_text(
        keyword.argument, keyword.offset, values.crypto, values.shared.random),
    "cseq": lambda keyword, values, _moment: str(values.cseq + keyword.offset),
    "date": lambda _keyword, values, _moment: date(values.shared.unix_s()),
    "dynamic_id": lambda _keyword, values, _moment: str(values.shared.next_dynamic_id()),
    "file": _file,
    "fill": _fill,
    "key": lambda keyword, values, _moment: values.set_once[keyword.argument],
    "last_cseq_number": _last_cseq,
    "last_message": lambda _keyword, values, _moment: values.last.text if values.last else "",
    "last_Request_URI": lambda _keyword, values, _moment: values.last.request_uri if values.last else "",
    "media_port": _media_port,
    "msg_index": lambda _keyword, _values, moment: str(moment.index),
    "next_url": lambda _keyword, values, _moment: values.next_url,
    "peer_tag_param": lambda _keyword, values, _moment: f";tag={values.peer_tag}" if values.peer_tag else "",
    "rtpstream_audio_port": _stream_port,
    "rtpstream_video_port": _stream_port,
    "sipp_version": lambda _keyword, _values, _moment: SIPP_VERSION,
    "tdmmap": _tdmmap,
    "timestamp": lambda _keyword, values, _moment: timestamp(values.shared.unix_s()),
    "userid": lambda _keyword, values, _moment: str(values.user),
    "users": lambda _keyword, values, _moment: str(values.shared.users),
    # These four take their line with them when they are empty.
    "routes": lambda _keyword, values, _moment: f"Route: {values.routes}" if values.routes else "",
    "field": _field,
    "variable": lambda keyword, values, _moment: as_text(values.variable(keyword.argument)),
    "last_header": lambda keyword, values, _moment: values.last.line(keyword.argument) if values.last else "",
    # The same in every message of a player.
    **dict.fromkeys(
        ("service", "remote_ip", "remote_host", "local_ip", "local_ip_type", "server_ip", "transport", "pid",
         "media_ip", "media_ip_type"),
        lambda keyword, values, _moment: values.set_once[keyword.name],
    ),
    **dict.fromkeys(
        ("remote_port", "local_port"),
        lambda keyword, values, _moment: str(values.numbers[keyword.name] + keyword.offset),
    ),
}  # fmt: skip
_VANISHING: Final = frozenset(("routes", "field", "variable", "last_header"))


def render(template: Template, values: Values, moment: Moment) -> str:
    """The text with everything in its place. CallFault when it cannot be made, or no datagram holds it."""
    pieces: list[str] = []
    size = 0
    ends_line = False  # what stands last is the end of a line
    length_at = credentials_at = -1
    length_offset = 0
    credentials: Keyword | None = None
    skips_space = False
    for part in template.parts:
        if isinstance(part, str):
            piece = part.lstrip() if skips_space else part
            skips_space = False
        elif part.name == "len":
            length_at, length_offset, piece = len(pieces), part.offset, ""
        elif part.name == "authentication":
            credentials_at, credentials, piece = len(pieces), part, ""
        else:
            piece = _FILLERS[part.name](part, values, moment)
            if part.name in _VANISHING:
                if part.name == "field" and _AUTHENTICATION in piece:
                    before, credentials, piece = _injected(piece)
                    pieces.append(before)
                    credentials_at = len(pieces)
                    pieces.append("")
                # Nothing stands where a line would begin: the line disappears with its end.
                skips_space = skips_space or (piece.endswith("\n") if piece else ends_line)
        if piece:
            ends_line = piece.endswith("\n")
            size += len(piece)
            if size > MAX_MESSAGE_CHARS:
                raise CallFault(f"longer than {MAX_MESSAGE_CHARS} bytes")
        elif not isinstance(part, str) and part.name in ("len", "authentication"):
            ends_line = False
        pieces.append(piece)
    if length_at < 0 and credentials is None:
        return "".join(pieces)
    return _completed(pieces, length_at, length_offset, credentials_at, credentials, values, moment)


def _injected(field: str) -> tuple[str, Keyword, str]:
    """A field of a row that holds `[authentication ...]`: what stands before it, the keyword, what stands behind."""
    before, _, rest = field.partition(_AUTHENTICATION)
    inside, bracket, behind = rest.partition("]")
    try:
        keyword = parse_template(f"{_AUTHENTICATION}{inside}{bracket}", set()).parts[0]
    except TextFault as fault:
        raise CallFault(f"in a field: {fault}") from None
    assert isinstance(keyword, Keyword)
    return before, keyword, behind


def _completed(
    pieces: list[str], length_at: int, length_offset: int, credentials_at: int, credentials: Keyword | None,
    values: Values, moment: Moment,
) -> str:  # fmt: skip
    """The length of the body, and credentials, which may be over the body: neither is known before it."""
    if credentials is not None:
        pieces[credentials_at] = _AUTHENTICATION  # stands in for it: an empty line would be the end of the head
    text = "".join(pieces)
    body_at = text.find("\r\n\r\n")
    body = text[body_at + 4 :] if body_at >= 0 else ""
    if length_at >= 0:
        pieces[length_at] = f"{len(body) + length_offset if body else 0:{_LENGTH_PLACES}}"
    if credentials is not None:
        username, password = (
            None if (given := credentials.text(name)) is None else render(given, values, moment)
            for name in ("username", "password")
        )
        method = text.partition(" ")[0]
        pieces[credentials_at] = authorization(values, method, body, username, password)
    return "".join(pieces)
