"""The configuration as the text of a file that would have the same effect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from engine.core.numbers import MASK, mask

# Keys whose values are shown to nobody.
SECRETS: Final = ("password", "ha1_sha256", "ha1_md5")

_NUMBERS: Final = "numbers"  # real ones, of an account


def masked(tables: Mapping[str, Any]) -> dict[str, Any]:
    """What `Config.model_dump` gives, as it may be shown: no password, and the numbers of accounts masked."""
    return {
        table: [_masked(entry) for entry in content] if isinstance(content, list) else content
        for table, content in tables.items()
    }


def _masked(entry: dict[str, Any]) -> dict[str, Any]:
    shown = {key: MASK if key in SECRETS and value is not None else value for key, value in entry.items()}
    if _NUMBERS in shown:
        shown[_NUMBERS] = [mask(number) for number in shown[_NUMBERS]]
    return shown


def toml_text(tables: Mapping[str, object]) -> str:
    """TOML of what `Config.model_dump(exclude_none=True)` gives: tables, and lists of tables."""
    parts: list[str] = []
    for table, content in tables.items():
        if isinstance(content, list):
            parts += [_table(f"[[{table}]]", entry) for entry in content]
        elif isinstance(content, Mapping) and content:
            parts.append(_table(f"[{table}]", content))
    return "\n\n".join(parts)


def _table(header: str, content: Mapping[str, object]) -> str:
    return "\n".join([header, *(f"{key} = {_value(value)}" for key, value in content.items())])


def _value(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    # A JSON text is a TOML text but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
