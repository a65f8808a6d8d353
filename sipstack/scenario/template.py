"""Texts with `[keywords]` in them: what a scenario says, read once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

from sipstack.scenario.crypto import is_crypto

_MAX_KEYWORD_CHARS: Final = 256
_OFFSET: Final = re.compile(r"(.*?)([+-]\d{1,9})$", re.DOTALL)
_HEX: Final = re.compile(r"\\x([0-9A-Fa-f]{1,2})")
_FIELD: Final = re.compile(r"field(\d{1,3})(?:\s|$)")
_VARIABLE: Final = re.compile(r"\$([^$,\s]+)$")
_LAST: Final = re.compile(r"last_([\w.!%*+`'~-]+):?$", re.ASCII)
_PARAMETER: Final = re.compile(r'([A-Za-z_]+)=(?:"((?:[^"\\]|\\.)*)"|0x([0-9A-Fa-f]+)|((?:\[[^\[\]]*\]|[^\s"\[\]])+))')
_KEY: Final = re.compile(r"[\w.-]+", re.ASCII)
_CREDENTIALS: Final = "[authentication "

# Ports of media: the line that they stand in says of which.
MEDIA_PORTS: Final = frozenset(("media_port", "auto_media_port"))
_MEDIA_LINE: Final = re.compile(r"audio|image|video")

# Without arguments; an offset may stand with any of them, and counts where it has a meaning.
SIMPLE: Final = frozenset(
    ("auto_media_port", "branch", "call_id", "call_number", "clock_tick", "cseq", "date", "dynamic_id",
     "last_Request_URI", "last_cseq_number", "last_message", "len", "local_ip", "local_ip_type", "local_port",
     "media_ip", "media_ip_type", "media_port", "msg_index", "next_url", "peer_tag_param", "pid", "remote_host",
     "remote_ip", "remote_port", "routes", "rtpstream_audio_port", "rtpstream_video_port", "server_ip", "service",
     "sipp_version", "timestamp", "tdmmap", "transport", "userid", "users")
)  # fmt: skip
_AKA: Final = frozenset(("aka_K", "aka_OP", "aka_AMF"))
# Name -> the parameters that it may have, and those that it must have.
_WITH_PARAMETERS: Final = {
    "field": (frozenset(("file", "line")), frozenset[str]()),
    "file": (frozenset(("name",)), frozenset(("name",))),
    "fill": (frozenset(("text", "variable")), frozenset(("variable",))),
    "authentication": (frozenset(("username", "password")), frozenset[str]()),
}


@final
class TextFault(Exception):
    """A text that cannot be used: how many lines into it, and why."""

    def __init__(self, lines_in: int, text: str) -> None:
        self.lines_in = lines_in
        self.text = text
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Keyword:
    """`[name argument+offset]` in a text. `texts` are its parameters that may hold keywords themselves.

    `argument` is the number of a field, a variable's, a header's or a key's name, or the media of a port.
    """

    name: str
    argument: str = ""
    offset: int = 0
    texts: tuple[tuple[str, Template], ...] = ()

    def text(self, name: str) -> Template | None:
        """One of the parameters; None when it is not given."""
        return next((text for key, text in self.texts if key == name), None)


@dataclass(frozen=True, slots=True)
class Template:
    """Literals and keywords in the order of a text."""

    parts: tuple[str | Keyword, ...]

    def keywords(self) -> Iterator[Keyword]:
        """All of them, those in parameters of others too."""
        for part in self.parts:
            if isinstance(part, Keyword):
                yield part
                for _, text in part.texts:
                    yield from text.keywords()


NOTHING: Final = Template(())


def parse_template(text: str, keys: set[str]) -> Template:
    """A text with its keywords; names that must be given with `-key` are added to `keys`. TextFault.

    `\\xHH` is a character. A bracket that holds another one is literal up to that one, as in `[[local_ip]]`; brackets
    between quotes inside a keyword, and those right behind a `=` in `[authentication]`, belong to its parameters.
    """
    parts: list[str | Keyword] = []
    literal = ""
    at = 0
    while (start := text.find("[", at)) >= 0:
        inner, end = _brackets(text, start)
        lines_in = text.count("\n", 0, start)
        if end < 0:
            raise TextFault(lines_in, "a bracket is not closed; \\x5B is a bracket that opens no keyword")
        literal += _unescaped(text[at:inner])
        if literal:
            parts.append(literal)
            literal = ""
        try:
            keyword = _keyword(text[inner + 1 : end], keys)
        except (ValueError, TextFault) as error:
            raise TextFault(lines_in, f"[{text[inner + 1 : end]}]: {error}") from None
        if keyword.name in MEDIA_PORTS:
            line = text[text.rfind("\n", 0, inner) + 1 : inner]
            found = _MEDIA_LINE.search(line)
            keyword = Keyword(keyword.name, found[0] if found else "", keyword.offset)
        parts.append(keyword)
        at = end + 1
    literal = _unescaped(text[at:])
    if literal:
        parts.append(literal)
    return Template(tuple(parts))


def _brackets(text: str, start: int) -> tuple[int, int]:
    """Where the innermost keyword from `start` on opens, and where it closes; -1 when it does not."""
    inner, at = start, start + 1
    is_quoted = False
    while at < len(text) and at - inner <= _MAX_KEYWORD_CHARS + 1:
        char = text[at]
        if char == "\\" and is_quoted:
            at += 1
        elif char == '"':
            is_quoted = not is_quoted
        elif char == "[" and not is_quoted:
            if text[at - 1] == "=" and text.startswith(_CREDENTIALS, inner):
                at = text.find("]", at)
                if at < 0:
                    break
            else:
                inner = at
        elif char == "]" and not is_quoted:
            return inner, at
        at += 1
    return inner, -1


def _unescaped(text: str) -> str:
    """SIPp ends its lines with CR LF."""
    return _HEX.sub(lambda found: chr(int(found[1], 16)), text.replace("\n", "\r\n"))


def _keyword(text: str, keys: set[str]) -> Keyword:
    """ValueError when it is none of ours; what is no name of SIPp's needs `-key`."""
    found = _OFFSET.match(text)
    name, offset = (found[1], int(found[2])) if found else (text, 0)
    if name in SIMPLE:
        return Keyword(name, offset=offset)
    if is_crypto(name):
        return Keyword("crypto", name, offset)
    if found := _VARIABLE.match(text):
        return Keyword("variable", found[1])
    if found := _LAST.match(text):
        return Keyword("last_header", found[1])
    if found := _FIELD.match(text):
        return _with_parameters("field", str(int(found[1])), text, keys)
    first = text.partition(" ")[0]
    if first in _WITH_PARAMETERS and first != "field":
        return _with_parameters(first, "", text, keys)
    if first.startswith("field") or _KEY.fullmatch(text) is None:
        raise ValueError("not supported")
    keys.add(text)
    return Keyword("key", text)


def _with_parameters(name: str, argument: str, text: str, keys: set[str]) -> Keyword:
    given: dict[str, str] = {}
    for found in _PARAMETER.finditer(text):
        quoted, digits, plain = found[2], found[3], found[4]
        value = re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL) if quoted is not None else plain or ""
        if digits:
            value = bytes.fromhex(digits if len(digits) % 2 == 0 else f"0{digits}").decode("latin-1")
        given.setdefault(found[1], value)
    may, must = _WITH_PARAMETERS[name]
    if given.keys() & _AKA:
        raise ValueError("AKA is not supported, only passwords")
    if unknown := sorted(given.keys() - may):
        raise ValueError(f"{unknown[0]}= is not supported")
    if missing := sorted(must - given.keys()):
        raise ValueError(f"needs {missing[0]}=")
    if name == "fill":
        argument = given.pop("variable")
    return Keyword(name, argument, 0, tuple((key, parse_template(value, keys)) for key, value in given.items()))
