"""Writes what of the pages comes from code or from tests: configuration, conformance, security, stories
(`make docs`).

What stands between the two marks of a page is made anew, everything else is left alone. A test fails when the page
differs from what this makes.
"""

from __future__ import annotations

import ast
import sys
import tempfile
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from docs import conformance, security, stories
from engine.config import accounts, api, expects, listeners, load, models, number_rules, peers, transport
from engine.config.restart import is_taken

PAGE: Final = Path(__file__).with_name("configuration.md")
BEGIN: Final = "<!-- made by `make docs` from engine/config/: change it there -->\n"
END: Final = "<!-- end of what `make docs` makes -->\n"

UNIT_OF_SUFFIX: Final = {"_s": "s", "_ms": "ms", "_days": "days"}
UNIT_OF_KEY: Final = {
    "api.rate_per_s": "per second",
    "expect.status": "SIP status",
    "node.workers": "processes",
    "numbering.layout": "digits",
    "number_rules.rules.length": "characters",
    "number_rules.rules.strip": "characters",
    "peer.max_calls": "calls",
    "peer.max_rate": "per second",
    "peer.options_down_after": "probes",
    "peer.options_up_after": "probes",
    "policy.caller_max_calls": "calls",
    "policy.caller_max_rate": "per minute",
    "sip.dscp": "code point",
    "transport.max_connections": "connections",
    "transport.max_connections_per_host": "connections",
    "transport.max_handshakes": "per second",
    "transport.max_handshakes_per_host": "per second",
    "transport.max_unsent_kib": "KiB",
}
WORD_OF_TYPE: Final[dict[object, str]] = {str: "text", int: "whole number", float: "number", bool: "true or false"}

# The least that a file needs for every table to be there: what the loader makes of it are the defaults.
_LEAST: Final = """
[[number_rules]]
name = "n"
rules = [{ prefix = "0" }]
[[peer]]
name = "p"
targets = ["sip:127.0.0.1:5080"]
[[peer]]
name = "q"
match = ["127.0.0.2"]
caller = "digest"
[[account]]
user = "u"
peer = "q"
numbers = ["10086"]
password = "p"
[[route]]
name = "r"
called = "1"
peers = ["p"]
[[expect]]
caller = "10086"
called = "10086"
outcome = "refused"
binding = { tel_x = "700000000000000", tel_a = "10086", tel_b = "10086" }
"""


def main() -> int:
    """Writes the pages."""
    PAGE.write_text(with_reference(PAGE.read_text("utf-8")), "utf-8")
    page = conformance.PAGE
    found = conformance.requirements()
    page.write_text(conformance.with_requirements(page.read_text("utf-8"), found), "utf-8")
    page = security.PAGE
    page.write_text(security.with_attacks(page.read_text("utf-8"), security.attacks()), "utf-8")
    stories.PAGE.write_text(stories.with_stories(stories.PAGE.read_text("utf-8")), "utf-8")
    return 0


def with_reference(page: str) -> str:
    """`page` with what stands between its marks made anew. ValueError when a mark is missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} needs both marks:\n{BEGIN}{END}")
    return f"{before}{begin}\n{reference()}\n{end}{after}"


def reference() -> str:
    """One section for each table of the file, in the order of the models."""
    texts = all_texts()
    defaults = default_values()
    return "\n".join(_section(table, model, texts, defaults) for table, model in tables().items())


def tables() -> dict[str, type[BaseModel]]:
    """Name of each table -> its model; behind each the tables in it, as "expect.binding"."""
    found: dict[str, type[BaseModel]] = {}
    for name, field in models.Config.model_fields.items():
        found[name] = model = next(_models_in(field.annotation))
        for key, inner in model.model_fields.items():
            found |= {f"{name}.{key}": one for one in _models_in(inner.annotation)}
    return found


def all_texts() -> dict[tuple[str, str], str]:
    """`attribute_texts` of every file that holds models."""
    found: dict[tuple[str, str], str] = {}
    for module in (models, peers, number_rules, listeners, accounts, api, transport, expects):
        found |= attribute_texts(Path(module.__file__).read_text("utf-8"))
    return found


def attribute_texts(source: str) -> dict[tuple[str, str], str]:
    """(class, attribute) -> the text under the attribute, on one line; ("Node", "") -> the text of the class."""
    found = {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef):
            continue
        found[node.name, ""] = _one_line(ast.get_docstring(node) or "")
        for attribute, text in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(attribute, ast.AnnAssign)
                and isinstance(attribute.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            ):
                found[node.name, attribute.target.id] = _one_line(str(text.value.value))
    return found


def default_values() -> dict[str, Any]:
    """ "node.name" -> its value where the file does not name it. Keys without a default are there too."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "least.toml")
        file.write_text(_LEAST)
        config = load(file)
    values: dict[str, Any] = {}
    for table, model in tables().items():
        entry: Any = config
        for part in table.split("."):
            content = getattr(entry, part)
            entry = content[0] if isinstance(content, list) else content
        entry = model() if entry is None else entry
        values |= {f"{table}.{key}": getattr(entry, key) for key in model.model_fields}
    values |= {"expect.binding": None, "expect.binding.tel_a": None}
    one_of = {"peer.targets": [], "account.password": None, "number_rules.rules.prefix": ""}  # an entry must have one
    return values | one_of


def unit(key: str) -> str:
    """The unit of a key: of its own, or as its name ends; "" for what has none."""
    if key in UNIT_OF_KEY:
        return UNIT_OF_KEY[key]
    return next((word for suffix, word in UNIT_OF_SUFFIX.items() if key.endswith(suffix)), "")


def _section(table: str, model: type[BaseModel], texts: dict[tuple[str, str], str], defaults: dict[str, Any]) -> str:
    head, _, intro = texts[model.__name__, ""].partition(": ")
    rows = ["| key | type | default | unit | reload | meaning |", "|---|---|---|---|---|---|"]
    for name, field in model.model_fields.items():
        key = f"{table}.{name}"
        default = "required" if field.is_required() else _toml(defaults[key])
        reload = "taken" if is_taken(key) else "restart"
        cells = (f"`{name}`", _type(field), default, unit(key), reload, _marked(texts[model.__name__, name]))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([f"## {head}", "", _marked(intro[0].upper() + intro[1:]), "", *rows, ""])


def _type(field: FieldInfo) -> str:
    """What may stand there, with its limits."""
    words = _words(field.annotation)
    least: float | None = None
    most: float | None = None
    above = ""
    for limit in _metadata(field.annotation, field.metadata):
        if isinstance(limit, Ge):
            least = typing.cast(float, limit.ge)
        elif isinstance(limit, Gt):
            above = f"above {limit.gt}"
        elif isinstance(limit, Le):
            most = typing.cast(float, limit.le)
        elif isinstance(limit, MinLen):
            words += ", not empty"
    start = above or ("" if least is None else f"from {least}")
    bounds = " ".join(part for part in (start, "" if most is None else f"up to {most}") if part)
    return f"{words}, {bounds}" if bounds else words


def _words(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _words(arguments[0])
    if origin is Literal:
        return ", ".join(f'`"{choice}"`' for choice in arguments)
    if origin is list:
        words = _words(arguments[0])
        return f"list of {'tables' + words[5:] if words.startswith('table of') else words + 's'}"
    if origin is dict:
        return f"table of {_words(arguments[1])}s"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_words(part) for part in arguments if part is not type(None))
    return WORD_OF_TYPE[annotation]


def _metadata(annotation: Any, outer: list[Any]) -> Iterator[Any]:
    """What `Annotated` says of a key, also of the part before `| None`; of the items of a list it is not asked."""
    yield from outer
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for part in typing.get_args(annotation):
            if typing.get_origin(part) is typing.Annotated:
                yield from typing.get_args(part)[1:]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in `Model`, `list[Model]`, `Model | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models_in(part)


def _toml(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f'`"{value}"`'
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _marked(text: str) -> str:
    return text.replace("Not yet:", "*Not yet*:").replace("Not yet.", "*Not yet*.").replace("|", "\\|")


def _one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    sys.exit(main())
