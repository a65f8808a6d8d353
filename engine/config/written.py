"""The configuration as the text of a file that would have the same effect."""

from __future__ import annotations

import json
from collections.abc import Mapping


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
