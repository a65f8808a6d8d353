"""The configuration as the text of a file that would have the same effect."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from engine.core.numbers import MASK, is_privacy_number, mask

# Keys whose values are shown to nobody.
SECRETS: Final = ("password", "ha1_sha256", "ha1_md5")

# Table -> its keys with real numbers.
_NUMBERS: Final = {
    "account": ("numbers",),
    "number_rules": ("examples",),
    "expect": ("caller", "called", "request_uri"),
    "binding": ("tel_a", "tel_b", "group"),  # of an expect
}
_USER: Final = re.compile(r"(?<=(?:sip|tel|ips):)\+?[0-9().-]+(?=@|;|$)")


def masked(tables: Mapping[str, Any]) -> dict[str, Any]:
    """What `Config.model_dump` gives, as it may be shown: no password, real numbers in it masked."""
    return {
        table: [_masked(table, entry) for entry in content] if isinstance(content, list) else content
        for table, content in tables.items()
    }


def _masked(table: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {
        key: MASK if key in SECRETS and value is not None else value for key, value in entry.items()
    }
    for key in _NUMBERS.get(table, ()):
        if key in shown:
            shown[key] = _hidden(shown[key])
    if isinstance(shown.get("binding"), Mapping):
        shown["binding"] = _masked("binding", shown["binding"])
    return shown


def _hidden(value: Any) -> Any:
    """Real numbers masked: that or those of a key, or what stands in its URI."""
    if isinstance(value, list):
        return [_hidden(one) for one in value]
    if isinstance(value, Mapping):
        return {key: _hidden(one) for key, one in value.items()}
    if not isinstance(value, str) or is_privacy_number(value):
        return value
    return veiled_uri(value) if ":" in value else mask(value)


def veiled_uri(uri: str) -> str:
    """A URI with the number in it masked, unless it is a 700 number."""
    return _USER.sub(lambda user: user[0] if is_privacy_number(user[0]) else mask(user[0]), uri)


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
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_value(one)}' for key, one in value.items())} }}"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    # A JSON text is a TOML text but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
