"""POSIX extended regular expressions (IEEE 1003.1 §9.4) on Python's own engine.

The place and the length of a match are those of POSIX: the leftmost, and of these the longest; but where `$` or the
edge of a word stands in an expression with alternatives, the first that matches. How a match that can be divided in
several ways is divided among the sub-expressions is Python's way.
"""

from __future__ import annotations

import re
from typing import Final

_CLASSES: Final = {
    "alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z", "space": r" \t\n\r\f\v",
    "blank": r" \t", "punct": r"!-/:-@\[-`{-~", "print": r" -~", "graph": r"!-~", "cntrl": r"\x00-\x1f\x7f",
    "xdigit": "0-9A-Fa-f",
}  # fmt: skip
# What the C library adds behind a backslash; any other character stands for itself.
_ESCAPES: Final = {"w": r"\w", "W": r"\W", "s": r"\s", "S": r"\S", "b": r"\b", "B": r"\B", "<": r"\b(?=\w)",
                   ">": r"\b(?<=\w)", "`": r"\A", "'": r"\Z"}  # fmt: skip
# `search` cuts the text to try an end, and these would take the cut for the end of the text: with one of them Python's
# first match has to do.
_LOOKS_AHEAD: Final = frozenset((r"\Z", r"\b", r"\B", _ESCAPES["<"], _ESCAPES[">"]))
_REPEAT: Final = re.compile(r"\{(\d+)(,(\d*))?\}")
_MAX_REPEATS: Final = 255  # RE_DUP_MAX


def compile_ere(expression: str) -> tuple[re.Pattern[str], bool]:
    """The pattern, and whether Python's first match is always the longest. ValueError for a wrong expression."""
    pieces: list[str] = []
    choices = 0  # places where a match may be longer or shorter
    at = 0
    while at < len(expression):
        char = expression[at]
        if char == "[":
            piece, at = _bracket(expression, at)
            pieces.append(piece)
            continue
        if char == "\\":
            if at + 1 == len(expression):
                raise ValueError("trailing backslash")
            following = expression[at + 1]
            # \1 to \9 refer back, as in the C library
            is_reference = following in "123456789"
            choices += 2 * is_reference
            pieces.append(f"(?:\\{following})" if is_reference else _ESCAPES.get(following, re.escape(following)))
            at += 2
            continue
        if char == "{":
            found = _REPEAT.match(expression, at)
            if found is None:
                raise ValueError("a brace that is no repetition needs a backslash")
            if max(int(number) for number in (found[1], found[3] or "0")) > _MAX_REPEATS:
                raise ValueError(f"repeats more than {_MAX_REPEATS} times")
            choices += found[2] is not None
            pieces.append(_repeated(pieces, found[0]))
            at = found.end()
            continue
        if char in "*+?":
            choices += 1
            pieces.append(_repeated(pieces, char))
        elif char == "|":
            choices += 2
            pieces.append(char)
        elif char in "().^":
            pieces.append(char)
        else:
            pieces.append(r"\Z" if char == "$" else re.escape(char))
        at += 1
    is_greedy = choices <= 1 or _ends_where_text_ends(pieces) or any(piece in _LOOKS_AHEAD for piece in pieces)
    try:
        return re.compile("".join(pieces), re.DOTALL | re.ASCII), is_greedy
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _ends_where_text_ends(pieces: list[str]) -> bool:
    """True when `$` ends the expression as a whole: then every match at one place has the same end."""
    depth = 0
    for piece in pieces:
        depth += (piece == "(") - (piece == ")")
        if piece == "|" and depth == 0:
            return False
    return pieces[-1:] == [r"\Z"]


def _repeated(pieces: list[str], sign: str) -> str:
    """A repetition of what stands before it: `a**` is a repetition of `a*`, never Python's lazy or possessive forms."""
    before = pieces[-1] if pieces else ""
    if before in ("", "(", "|", "^"):
        raise ValueError(f"nothing to repeat before {sign}")
    if before[0] in "*+?{":
        at = _atom_before(pieces)
        pieces[at:] = [f"(?:{''.join(pieces[at:])})"]
    return sign


def _atom_before(pieces: list[str]) -> int:
    """Where what the last piece repeats begins."""
    at = len(pieces) - 2
    depth = 0
    while at > 0:
        depth += (pieces[at] == ")") - (pieces[at] == "(")
        if depth <= 0:
            break
        at -= 1
    return at


def _bracket(expression: str, start: int) -> tuple[str, int]:
    """A bracket expression in Python's spelling, and where it ends."""
    at = start + 1
    pieces = ["["]
    if expression[at : at + 1] == "^":
        pieces.append("^")
        at += 1
    first = at
    while at < len(expression):
        char = expression[at]
        if char == "]" and at > first:
            return "".join((*pieces, "]")), at + 1
        if char == "[" and expression[at + 1 : at + 2] == ":":
            end = expression.find(":]", at)
            name = expression[at + 2 : end] if end >= 0 else ""
            if name not in _CLASSES:
                raise ValueError(f"no such class: {expression[at : end + 2 if end >= 0 else None]}")
            pieces.append(_CLASSES[name])
            at = end + 2
            continue
        if char == "[" and expression[at + 1 : at + 2] in (".", "="):
            raise ValueError("collating elements are not supported")
        is_range = char == "-" and at > first and expression[at + 1 : at + 2] not in ("]", "")
        # Python takes two of them in a row for a sign of its own.
        pieces.append("-" if is_range else r"\x2d" if char == "-" else re.escape(char))
        at += 1
    raise ValueError("unmatched [")


def search(pattern: re.Pattern[str], is_greedy: bool, text: str) -> re.Match[str] | None:
    """The leftmost longest match."""
    found = pattern.search(text)
    if found is None or is_greedy:
        return found
    for end in range(len(text), found.end(), -1):
        longer = pattern.fullmatch(text, found.start(), end)
        if longer is not None:
            return longer
    return found
