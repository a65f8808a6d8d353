"""The rows of tests/vectors/tpdu."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent.parent / "vectors" / "tpdu"

REAL: Final = "13800138000"  # whose masking tpdu.tsv shows
NEW: Final = "700987654321098"  # what stands in its readdressed octets


def read_rows(name: str) -> list[dict[str, str]]:
    """Each row of the file by the names of its columns, escapes of texts undone."""
    head, *lines = (FOLDER / name).read_text(encoding="ascii").removesuffix("\n").split("\n")
    columns = head.split("\t")
    return [dict(zip(columns, map(unescaped, line.split("\t")), strict=True)) for line in lines]


def unescaped(field: str) -> str:
    return field.encode("ascii").decode("unicode_escape")


TAKEN: Final = read_rows("tpdu.tsv")
REFUSED: Final = read_rows("refused.tsv")
RP: Final = read_rows("rp.tsv")
PUBLISHED: Final = read_rows("published.tsv")


def taken(name: str) -> bytes:
    """The octets of one row of tpdu.tsv."""
    return bytes.fromhex(next(row["octets"] for row in TAKEN if row["name"] == name))


def attributes(value: object) -> list[str]:
    """The names of what an object holds; one that is compiled has no `__slots__` to tell them."""
    return [name for name in dir(value) if name[0] != "_" and not callable(getattr(value, name))]
