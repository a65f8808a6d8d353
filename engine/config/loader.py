"""From a file to `Config`: where it is, reading it, and every fault with file, line, key and reason."""

from __future__ import annotations

import os
import re
import tomllib
import typing
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from engine.config.accounts import account_faults, read_secrets
from engine.config.checks import Fault, cross_faults
from engine.config.files import contents
from engine.config.identities import identity_faults
from engine.config.lines import Key, key_lines, nearest_line
from engine.config.models import Config
from engine.config.number_rules import example_faults, rule_faults
from engine.config.values import shown, suggestion
from engine.config.written import SECRETS

VARIABLE: Final = "VEIL700_CONFIG"
HERE: Final = Path("configs/embedded.toml")
MAX_BYTES: Final = 4 * 1024 * 1024  # ten thousand peers fit; a file of this size is no configuration

_PLACE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_TYPES: Final = {  # pydantic's names of wrong types, in the words of docs/configuration.md
    "dict_type": "a table of texts",
    "bool_type": "true or false",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list in square brackets",
    "string_type": "a text in quotes",
}


class ConfigError(Exception):
    """The configuration cannot be used: one line for each reason, `file:line: key: reason`."""


def load(path: Path | None = None) -> Config:
    """Read and check the configuration; without `path` the default one (contract §3). ConfigError names every fault."""
    data_dir = None
    if path is None:
        path, data_dir = _default()
    return load_text(path, _read(path), data_dir)


def load_text(path: Path, text: str, data_dir: Path | None = None) -> Config:
    """The same of a text, as if `path` said it; `data_dir` where the file does not decide it. ConfigError."""
    data = _parse(path, text)
    config, faults = _validate(data)
    faults += [*cross_faults(data, path.parent), *account_faults(data), *identity_faults(data)]
    faults += rule_faults(data)
    if config is not None:
        faults += example_faults(config)
        faults += read_secrets(config, path.parent)
    if config is None or faults:
        raise ConfigError("\n".join(fault_lines(path, text, faults)))
    folder = data_dir or Path(os.path.normpath(path.absolute().parent / config.node.data_dir))
    config.place(path.absolute(), folder, text)
    return config


def _default() -> tuple[Path, Path | None]:
    """The file when none is named, and the data folder where the file does not decide it."""
    if named := os.environ.get(VARIABLE):
        return Path(named), None
    if HERE.exists():
        return HERE, None
    package = Path(str(files("engine")))
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():  # empty or relative: the specification says to ignore it
        state = Path(os.path.expanduser("~/.local/state"))
    for folder in (package, package.parent):  # in a wheel inside the package, in a source tree beside it
        if (folder / HERE).is_file():
            return folder / HERE, state / "veil700"
    raise ConfigError(f"{HERE}: no such file, and neither --config nor {VARIABLE} names another one")


def _read(path: Path) -> str:
    try:
        content = contents(path, MAX_BYTES)
    except ValueError as error:
        name = str(path)
        raise ConfigError(f"{name if name.isprintable() else shown(name)}: {error}") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES // 1024 // 1024} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8: byte 0x{content[error.start]:02x}") from None


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _PLACE.search(message)
        line = place[1] if place and place[1] else text.count("\n") + 1
        what = _PLACE.sub("", message)
        column = f", column {place[2]}" if place and place[2] else ""
        raise ConfigError(f"{path}:{line}: not TOML: {_one_line(what)}{column}") from None
    except RecursionError:
        raise ConfigError(f"{path}: not TOML: nested too deeply") from None


def _validate(data: dict[str, Any]) -> tuple[Config | None, list[Fault]]:
    """The models, or what they say against the data."""
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        return None, [Fault(detail["loc"], _reason(detail)) for detail in details]
    for peer in config.peer:
        peer.caller = peer.caller or "pai-or-from"
        if peer.uniform_refusals is None:
            peer.uniform_refusals = not peer.trusted
    return config, []


def fault_lines(path: Path, text: str, faults: list[Fault]) -> list[str]:
    """The faults as lines, `file:line: key: reason`, in the order of the file that says `text`."""
    lines = key_lines(text)
    placed = sorted((nearest_line(lines, fault.key), _dotted(fault.key), fault.reason) for fault in faults)
    return [f"{path}:{line}: {key}: {reason}" for line, key, reason in dict.fromkeys(placed)]


def _dotted(key: Key) -> str:
    """peer.match; the line tells which one."""
    return ".".join(part if _BARE_KEY.fullmatch(part) else shown(part) for part in key if isinstance(part, str))


def _reason(detail: Mapping[str, Any]) -> str:
    """What pydantic found, in our words."""
    kind, key, value = detail["type"], detail["loc"], detail["input"]
    if kind == "extra_forbidden":
        return f"unknown key{_nearest(key)}"
    if kind == "missing":
        return "missing"
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind in ("model_type", "list_type") and (len(key) == 1 or isinstance(key[-1], int)):
        brackets = ("[[", "]]") if kind == "list_type" or isinstance(key[-1], int) else ("[", "]")
        return f"must be a table, written as {brackets[0]}{key[0]}{brackets[1]}"
    reason = f"must be {_TYPES[kind]}" if kind in _TYPES else _one_line(detail["msg"])
    reason = reason.replace("Input should be", "must be").replace("should have", "must have")
    is_told = not isinstance(value, list | dict) and key[-1] not in SECRETS
    return f"{reason}, not {shown(value)}" if is_told else reason


def _nearest(key: Key) -> str:
    """Where a key belongs that does not belong here."""
    wrong = str(key[-1])
    here = fields_of(key[:-1])
    elsewhere = (
        [table for table in Config.model_fields if table not in (key[0], "expect") and wrong in fields_of((table,))]
        if len(key) > 1
        else []
    )
    if len(elsewhere) == 1:
        return f", it belongs to {elsewhere[0]}"
    return suggestion(wrong, here)


def fields_of(table: Key) -> list[str]:
    """The keys that a table knows."""
    model: type[BaseModel] | None = Config
    for name in table:
        if isinstance(name, str):
            field = model.model_fields.get(name) if model else None
            model = _model_in(field.annotation) if field else None
    return list(model.model_fields) if model else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model in `Model`, `list[Model]` or `Model | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in typing.get_args(annotation):
        if (model := _model_in(part)) is not None:
            return model
    return None


def _one_line(text: str) -> str:
    return " ".join(text.split())
