"""Where each key of a TOML file stands: tomllib gives values without places, and errors name the line.

The text has passed tomllib, so the scan may trust its syntax.
"""

from __future__ import annotations

import tomllib
from typing import Final, final

Key = tuple[str | int, ...]
"""Path of a key: names of tables and keys, and positions in arrays: ("peer", 0, "match", 1)."""

_BLANK: Final = " \t\r\n"
_BARE_END: Final = ",]}\n#"


def key_lines(text: str) -> dict[Key, int]:
    """Line (from 1) of every table, key and array item of a valid TOML text."""
    scan = _Scan(text)
    scan.document()
    return scan.lines


def nearest_line(lines: dict[Key, int], key: Key) -> int:
    """The line of `key`, else of the closest table around it; 1 when nothing of it stands in the file."""
    while key:
        if key in lines:
            return lines[key]
        key = key[:-1]
    return 1


@final
class Places:
    """Where the keys of one file stand, for those who tell which key decided something."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._lines = key_lines(text)

    def of(self, *key: str | int, value: str = "") -> str:
        """`veil.toml:12 peer.trusted = true`; of a key that the file leaves out the table around it, `by default`."""
        what = ".".join(part for part in key if isinstance(part, str)) + (f" = {value}" if value else "")
        if key in self._lines:
            return f"{self._file}:{self._lines[key]} {what}"
        while key and key not in self._lines:
            key = key[:-1]
        return f"{self._file}:{self._lines[key]} {what} by default" if key else f"{what} by default"


@final
class _Scan:
    """One walk over the text; `_at` is the position, `lines` what was found."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n") + "\n"
        self._at = 0
        self._line = 1
        self._counted = 0  # position up to which `_line` has counted
        self.lines: dict[Key, int] = {}
        self._tables: dict[Key, int] = {}  # array of tables -> position of its newest entry

    def document(self) -> None:
        """Headers and `key = value` lines up to the end."""
        table: Key = ()
        while True:
            self._skip_blank()
            if self._at >= len(self._text):
                return
            if self._text.startswith("[[", self._at):
                self._at += 2
                *above, last = self._key()
                array: Key = (*self._resolved(tuple(above)), last)
                self._tables[array] = self._tables.get(array, -1) + 1
                table = (*array, self._tables[array])
                self._at += 2
            elif self._text[self._at] == "[":
                self._at += 1
                table = self._resolved(self._key())
                self._at += 1
            else:
                self._pair(table)
                continue
            for depth in range(1, len(table) + 1):
                self._found(table[:depth])

    def _pair(self, table: Key) -> None:
        """`a.b = value`."""
        key = self._key()
        path: Key = table
        for part in key:
            path = (*path, part)
            self._found(path)
        self._at += 1  # "="
        self._value(path)

    def _value(self, path: Key) -> None:
        """Any value; items of arrays and keys of inline tables are found in it."""
        self._skip_blank()
        char = self._text[self._at]
        if char in "\"'":
            self._string()
        elif char == "[":
            self._at += 1
            index = 0
            while not self._closes("]"):
                self._found((*path, index))
                self._value((*path, index))
                index += 1
        elif char == "{":
            self._at += 1
            while not self._closes("}"):
                self._pair(path)
        else:
            while self._text[self._at] not in _BARE_END:
                self._at += 1

    def _closes(self, bracket: str) -> bool:
        """Past blanks and a comma: true, and past the bracket, at the end of an array or inline table."""
        self._skip_blank()
        if self._text[self._at] == ",":
            self._at += 1
            self._skip_blank()
        if self._text[self._at] != bracket:
            return False
        self._at += 1
        return True

    def _key(self) -> Key:
        """A dotted key, up to what follows it."""
        parts: list[str] = []
        while True:
            self._skip_blank()
            start = self._at
            if self._text[start] in "\"'":
                self._string()
                (part,) = tomllib.loads(f"{self._text[start : self._at]} = 0")
            else:
                while self._text[self._at] not in " \t.=]":
                    self._at += 1
                part = self._text[start : self._at]
            parts.append(part)
            self._skip_blank()
            if self._text[self._at] != ".":
                return tuple(parts)
            self._at += 1

    def _string(self) -> None:
        """Past a string of any of the four kinds."""
        quote = self._text[self._at]
        triple = quote * 3
        if self._text.startswith(triple, self._at):
            self._at += 3
            while not self._text.startswith(triple, self._at):
                self._at += 2 if quote == '"' and self._text[self._at] == "\\" else 1
            while self._text[self._at] == quote:  # up to two quotes may stand before the closing three
                self._at += 1
            return
        self._at += 1
        while self._text[self._at] != quote:
            self._at += 2 if quote == '"' and self._text[self._at] == "\\" else 1
        self._at += 1

    def _skip_blank(self) -> None:
        """Past blanks, line ends and comments."""
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == "#":
                self._at = self._text.index("\n", self._at)
            elif char not in _BLANK:
                return
            else:
                self._at += 1

    def _resolved(self, names: Key) -> Key:
        """A header's path with the position of the newest entry behind each array of tables."""
        path: Key = ()
        for name in names:
            path = (*path, name)
            if path in self._tables:
                path = (*path, self._tables[path])
        return path

    def _found(self, path: Key) -> None:
        """Something begins here; the first place counts."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        self.lines.setdefault(path, self._line)
