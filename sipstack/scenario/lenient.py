"""Files as SIPp reads them, made into XML: SIPp's own reader takes what no XML parser does.

What is put right: text before and in the XML declaration, comments with `--` in them, and in attributes `\\"` for a
quote (with `\\\\ \\n \\r \\t`), `<`, a bare `&`, and two attributes without a blank between them; of an attribute that
stands twice the first counts. An element that holds nothing need not be closed. Lines stay where they are.
"""

from __future__ import annotations

import re
from typing import Final

# A line end inside an attribute, which XML would make a blank, and how `restored` knows it again.
_LINE_END: Final = "\ue00a"
_ESCAPES: Final = {'"': "&quot;", "\\": "\\", "n": "&#10;", "t": "&#9;", "r": "&#13;"}
_REFERENCE: Final = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9A-Fa-f]{1,6});)")
_DECLARATION: Final = re.compile(r"\s*<\?xml\b.*?\?>", re.DOTALL)
# What has an end of its own; the text in it is no mark-up.
_OPAQUE: Final = (("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>"), ("<!", ""))
# Elements that hold nothing: one that is left open ends where the next tag begins.
_HOLD_NOTHING: Final = frozenset(
    ("CallLengthRepartition", "Global", "Reference", "ResponseTimeRepartition", "User", "assign", "assignstr", "ereg",
     "exec", "jump", "label", "log", "strcmp", "test", "warning")
)  # fmt: skip
_CLOSING: Final = re.compile(r"</\s*([^\s>]+)\s*>")
_NAME: Final = re.compile(r"[^\s=/>\"'<]+")
_EQUALS: Final = re.compile(r"\s*=\s*")


def well_formed(text: str) -> str:
    """The file as XML for a parser. What SIPp does not read either stays as it is, and is the parser's to refuse."""
    found = _DECLARATION.match(text)
    pieces = [_blank(found[0])] if found else []
    at = found.end() if found else 0
    is_open: list[str] = []
    while (start := text.find("<", at)) >= 0:
        pieces.append(text[at:start])
        piece, at = _markup(text, start)
        closing, opening = _CLOSING.match(text, start), _NAME.match(piece, 1)
        if closing is not None or opening is not None:
            pieces += _left_open(is_open, closing[1] if closing is not None else "")
        if opening is not None and piece[1] not in "!?" and not text.startswith("/", at):
            is_open.append(opening[0])
        pieces.append(piece)
    pieces.append(text[at:])
    return "".join(pieces)


def _left_open(is_open: list[str], closed: str) -> list[str]:
    """The ends of elements that hold nothing and have none of their own, before a tag; `closed` is what that tag ends.

    `is_open` is brought up to date.
    """
    ends: list[str] = []
    while is_open and is_open[-1] in _HOLD_NOTHING and is_open[-1] != closed:
        ends.append(f"</{is_open.pop()}>")
    if closed and is_open and is_open[-1] == closed:
        is_open.pop()
    return ends


def restored(value: str) -> str:
    """An attribute as the parser hands it on, with the line ends that stood in it."""
    return value.replace(f"{_LINE_END} ", "\n")


def _blank(text: str) -> str:
    """Nothing, in as many lines."""
    return "\n" * text.count("\n")


def _markup(text: str, start: int) -> tuple[str, int]:
    """What begins with `<`, put right, and where it ends."""
    for opening, closing in _OPAQUE:
        if text.startswith(opening, start):
            if not closing:  # DOCTYPE
                return "<!", start + 2
            end = text.find(closing, start + len(opening))
            end = len(text) if end < 0 else end + len(closing)
            is_comment = opening == "<!--" and end <= len(text) and text.endswith("-->", start, end)
            return (_blank(text[start:end]) if is_comment else text[start:end]), end
    if text.startswith("</", start) or _NAME.match(text, start + 1) is None:
        return "<", start + 1
    return _tag(text, start)


def _tag(text: str, start: int) -> tuple[str, int]:
    """A start tag with its attributes."""
    name = _NAME.match(text, start + 1)
    assert name is not None
    pieces = [f"<{name[0]}"]
    seen: set[str] = set()
    at = name.end()
    while at < len(text) and text[at] not in "/><":
        attribute = _NAME.match(text, at)
        equals = _EQUALS.match(text, attribute.end()) if attribute else None
        if attribute is None or equals is None or text[equals.end() : equals.end() + 1] not in ('"', "'"):
            step = attribute.end() if attribute else at + 1
            pieces.append(text[at:step])
            at = step
            continue
        value, end = _value(text, equals.end())
        is_new = attribute[0] not in seen
        seen.add(attribute[0])
        before = "" if pieces[-1][-1:].isspace() else " "
        lines = text.count("\n", attribute.end(), equals.end())
        pieces.append(f"{before}{attribute[0]}{_blank(equals[0])}={value} " if is_new else "\n" * lines + _lines(value))
        at = end
    return "".join(pieces), at


def _lines(value: str) -> str:
    return "\n" * value.count("\n")


def _value(text: str, start: int) -> tuple[str, int]:
    """A value between quotes, with its quotes, and where it ends."""
    quote = text[start]
    pieces: list[str] = []
    at = start + 1
    while at < len(text) and text[at] != quote:
        char = text[at]
        if char == "\\" and quote == '"' and text[at + 1 : at + 2] in _ESCAPES and text[at + 1 : at + 2]:
            pieces.append(_ESCAPES[text[at + 1]])
            at += 2
            continue
        if char == "<":
            pieces.append("&lt;")
        elif char == "&":
            pieces.append("&amp;" if _REFERENCE.match(text, at) else "&")
        elif char == "\n":
            pieces.append(f"{_LINE_END}\n")
        elif char == "\t":
            pieces.append("&#9;")
        else:
            pieces.append(char)
        at += 1
    return f"{quote}{''.join(pieces)}{quote}", min(at + 1, len(text))
