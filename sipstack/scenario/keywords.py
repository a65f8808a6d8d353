"""`[keywords]`: what they are, and what stands in their place when a message is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, final

from sipstack.scenario.model import Keyword, Template
from sipstack.scenario.received import Received

MAX_MESSAGE_CHARS: Final = 65_507  # what fits into one datagram; `[last_message]` could double with each one sent
_MAX_KEYWORD_CHARS: Final = 256
_OFFSET: Final = re.compile(r"(.*?)([+-]\d{1,9})$")
_HEX: Final = re.compile(r"\\x([0-9A-Fa-f]{1,2})")
_FIELD: Final = re.compile(r"field(\d{1,3})$")
_VARIABLE: Final = re.compile(r"\$([\w-]+)$", re.ASCII)
_LAST: Final = re.compile(r"last_([\w.!%*+`'~-]+):?$", re.ASCII)
# SIPp gives the length five places.
_LENGTH_PLACES: Final = 5


@final
class TextFault(Exception):
    """A text that cannot be used: how many lines into it, and why."""

    def __init__(self, lines_in: int, text: str) -> None:
        self.lines_in = lines_in
        self.text = text
        super().__init__(text)


@dataclass(slots=True)
class Values:
    """What keywords stand for in one call. `set_once` holds those that never change."""

    set_once: Mapping[str, str]
    numbers: Mapping[str, int]  # those that an offset may be added to
    row: Sequence[str]
    number: int  # of the call, from 1
    call_id: str
    variables: dict[str, str] = field(default_factory=dict)
    cseq: int = 0
    peer_tag: str = ""
    routes: str = ""
    next_url: str = ""
    last: Received | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """What differs from message to message: its place in the scenario, the time since the start, the wall clock."""

    index: int
    elapsed_ms: int
    wall: str


Filler = Callable[[Keyword, Values, Moment], str]


def _last_cseq(keyword: Keyword, values: Values, _moment: Moment) -> str:
    return str((values.last.cseq[0] if values.last else 0) + keyword.offset)


def _branch(keyword: Keyword, values: Values, moment: Moment) -> str:
    return f"z9hG4bK-{values.set_once['pid']}-{values.number}-{moment.index + keyword.offset}"


def _auto_media_port(keyword: Keyword, values: Values, _moment: Moment) -> str:
    """Four ports a call, so that no two calls share one."""
    return str(values.numbers["media_port"] + 4 * (values.number - 1) % 10_000 + keyword.offset)


# What is asked of the call at the moment of sending.
_FILLERS: Final[dict[str, Filler]] = {
    "auto_media_port": _auto_media_port,
    "branch": _branch,
    "call_id": lambda _keyword, values, _moment: values.call_id,
    "call_number": lambda _keyword, values, _moment: str(values.number),
    "clock_tick": lambda _keyword, _values, moment: str(moment.elapsed_ms),
    "cseq": lambda keyword, values, _moment: str(values.cseq + keyword.offset),
    "last_cseq_number": _last_cseq,
    "last_message": lambda _keyword, values, _moment: values.last.text if values.last else "",
    "last_Request_URI": lambda _keyword, values, _moment: values.last.request_uri if values.last else "",
    "msg_index": lambda _keyword, _values, moment: str(moment.index),
    "next_url": lambda _keyword, values, _moment: values.next_url,
    "peer_tag_param": lambda _keyword, values, _moment: f";tag={values.peer_tag}" if values.peer_tag else "",
    "timestamp": lambda _keyword, _values, moment: moment.wall,
    # These four take their line with them when they are empty.
    "routes": lambda _keyword, values, _moment: f"Route: {values.routes}" if values.routes else "",
    "field": lambda keyword, values, _moment: _field(values.row, int(keyword.argument)),
    "variable": lambda keyword, values, _moment: values.variables.get(keyword.argument, ""),
    "last_header": lambda keyword, values, _moment: values.last.line(keyword.argument) if values.last else "",
}
_VANISHING: Final = frozenset(("routes", "field", "variable", "last_header"))

# The same in every message of a player.
SET_ONCE: Final = frozenset(
    ("service", "remote_ip", "local_ip", "local_ip_type", "transport", "pid", "media_ip", "media_ip_type")
)
NUMBERS: Final = frozenset(("remote_port", "local_port", "media_port"))
_WITH_OFFSET: Final = NUMBERS | {"auto_media_port", "branch", "cseq", "last_cseq_number", "len"}


def _field(row: Sequence[str], number: int) -> str:
    return row[number] if number < len(row) else ""


def parse_template(text: str, keys: set[str]) -> Template:
    """A text with its keywords; names that must be given with `-key` are added to `keys`. TextFault.

    `\\xHH` is a character. A bracket that holds another one is literal up to that one, as in `[[local_ip]]`.
    """
    parts: list[str | Keyword] = []
    literal = ""
    at = 0
    while at < len(text):
        start = text.find("[", at)
        if start < 0:
            break
        end = text.find("]", start)
        inner = text.rfind("[", start, end) if end >= 0 else start
        lines_in = text.count("\n", 0, start)
        if end < 0 or end - inner - 1 > _MAX_KEYWORD_CHARS:
            raise TextFault(lines_in, "a bracket is not closed; \\x5B is a bracket that opens no keyword")
        literal += _unescaped(text[at:inner])
        if literal:
            parts.append(literal)
            literal = ""
        try:
            keyword = _keyword(text[inner + 1 : end], keys)
        except ValueError as error:
            raise TextFault(lines_in, f"[{text[inner + 1 : end]}]: {error}") from None
        if keyword.name.endswith("media_port") and not _is_media_line(text, inner):
            raise TextFault(lines_in, f"[{text[inner + 1 : end]}] needs audio or video before it in its line")
        parts.append(keyword)
        at = end + 1
    literal = _unescaped(text[at:])
    if literal:
        parts.append(literal)
    return Template(tuple(parts))


def _is_media_line(text: str, at: int) -> bool:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return "audio" in line or "video" in line


def _unescaped(text: str) -> str:
    """SIPp ends its lines with CR LF."""
    return _HEX.sub(lambda found: chr(int(found[1], 16)), text.replace("\n", "\r\n"))


def _keyword(text: str, keys: set[str]) -> Keyword:
    """ValueError when it is none of ours; what is no name of SIPp's needs `-key`."""
    found = _OFFSET.match(text)
    name, offset = (found[1], int(found[2])) if found else (text, 0)
    if offset and name in _WITH_OFFSET:
        return Keyword(name, offset=offset)
    if text in SET_ONCE or text in NUMBERS or text == "len" or (text in _FILLERS and text not in _ARGUMENTS):
        return Keyword(text)
    if found := _FIELD.match(text):
        return Keyword("field", str(int(found[1])))
    if found := _VARIABLE.match(text):
        return Keyword("variable", found[1])
    if found := _LAST.match(text):
        return Keyword("last_header", found[1])
    if text.partition(" ")[0] in _NOT_SUPPORTED or text.startswith("field") or not _is_name(text):
        raise ValueError("not supported")
    keys.add(text)
    return Keyword("key", text)


_ARGUMENTS: Final = frozenset(("field", "variable", "last_header", "key"))
_NOT_SUPPORTED: Final = frozenset(
    ("authentication", "date", "dynamic_id", "file", "fill", "remote_host", "server_ip", "sipp_version", "tdmmap",
     "userid", "users", "rtpstream_audio_port", "rtpstream_video_port", "peer_tag")
)  # fmt: skip


def _is_name(text: str) -> bool:
    return re.fullmatch(r"[\w.-]+", text, re.ASCII) is not None


def used_fields(parts: Iterable[str | Keyword]) -> int:
    """How many fields a row must have."""
    numbers = [int(part.argument) for part in parts if isinstance(part, Keyword) and part.name == "field"]
    return max(numbers, default=-1) + 1


def render(template: Template, values: Values, moment: Moment) -> str:
    """The text with everything in its place. OverflowError when no datagram holds it."""
    text = ""
    length_at: int | None = None
    length_offset = 0
    skips_space = False
    for part in template.parts:
        if isinstance(part, str):
            text += part.lstrip() if skips_space else part
            skips_space = False
        elif part.name == "len":
            length_at, length_offset = len(text), part.offset
        else:
            text += _filled(part, values, moment)
            # Nothing stands where a line would begin: the line disappears with its end.
            skips_space = skips_space or (part.name in _VANISHING and text.endswith("\n"))
        if len(text) > MAX_MESSAGE_CHARS:
            raise OverflowError(f"longer than {MAX_MESSAGE_CHARS} bytes")
    if length_at is not None:
        body_at = text.find("\r\n\r\n")
        length = len(text) - body_at - 4 + length_offset if 0 <= body_at < len(text) - 4 else 0
        text = f"{text[:length_at]}{length:{_LENGTH_PLACES}}{text[length_at:]}"
    return text


def _filled(keyword: Keyword, values: Values, moment: Moment) -> str:
    if keyword.name in SET_ONCE:
        return values.set_once[keyword.name]
    if keyword.name in NUMBERS:
        return str(values.numbers[keyword.name] + keyword.offset)
    if keyword.name == "key":
        return values.set_once[keyword.argument]
    return _FILLERS[keyword.name](keyword, values, moment)
