"""Which keys of the configuration a running node takes, and which want a start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel

from engine.config.accounts import Account
from engine.config.checks import Fault
from engine.config.lines import Key, key_lines, nearest_line
from engine.config.listeners import Listen
from engine.config.loader import fault_lines, fields_of
from engine.config.models import Config
from engine.config.number_rules import NumberRules
from engine.config.peers import Peer, Route
from engine.core.numbers import masked_runs

# Taken with all of their keys.
_TABLES: Final = frozenset(("account", "expect", "inventory", "number_rules", "peer", "policy", "route"))

# Taken one by one. Those of the settlement are read by the commands alone.
_KEYS: Final = frozenset(
    (
        "cdr.archive_dir", "cdr.retention_days", "cdr.settlement_rounding", "cdr.utc_offset",
        "listen.certificate", "listen.client_ca", "listen.private_key", "listen.server_ca",
    )
)  # fmt: skip


def is_taken(key: str) -> bool:
    """True for a key ("policy.ring_timeout_s") whose new value a running node takes."""
    return key in _KEYS or key.partition(".")[0] in _TABLES


def restart_keys() -> list[str]:
    """The others; "log" stands for a table of which none is taken."""
    found: list[str] = []
    for table in Config.model_fields:
        keys = fields_of((table,))
        wanting = [f"{table}.{key}" for key in keys if not is_taken(f"{table}.{key}")]
        found += [table] if len(wanting) == len(keys) else wanting
    return found


def restart_faults(old: Config, new: Config) -> list[str]:
    """What a running node does not take of `new`: a line each, `file:line: key: reason`, in the order of the file."""
    return fault_lines(new.path, new.text, list(_restart_faults(old, new)))


def changes(old: Config, new: Config) -> list[str]:
    """What has changed, `peer core: targets, max_calls` or `route mobiles: added`, in the order of the models.

    A password that was read from a file counts as its `password_file`.
    """
    return [f"{what}: {', '.join(keys) or is_what}" for what, is_what, keys in _changes(old, new)]


def placed_changes(old: Config, new: Config) -> list[str]:
    """The same, each key by itself with its place in the new file: `veil.toml:12: peer core: targets`."""
    lines = key_lines(new.text)
    tables = _tables(new)
    found: list[str] = []
    for what, is_what, keys in _changes(old, new):
        if what not in tables:  # it is gone, or is the order of several
            found.append(f"{new.path}: {what}: {is_what}")
        for key in keys:
            found.append(f"{new.path}:{nearest_line(lines, (*tables[what], key))}: {what}: {key}")
        if what in tables and not keys:
            found.append(f"{new.path}:{nearest_line(lines, tables[what])}: {what}: {is_what}")
    return found


def _changes(old: Config, new: Config) -> Iterator[tuple[str, str, list[str]]]:
    """Each table that has changed: what it is, what has become of it, and of one that both have which keys."""
    before, after = _entries(old), _entries(new)
    tables = list(Config.model_fields)
    for what in sorted(dict.fromkeys((*before, *after)), key=lambda what: tables.index(what.partition(" ")[0])):
        if what not in before or what not in after:
            yield what, "removed" if what in before else "added", []
        elif keys := [key for key in before[what] if before[what][key] != after[what][key]]:
            yield what, "", keys
    if _order_of_routes(old, new) != _order_of_routes(new, old):
        yield "route", "order", []


def _tables(config: Config) -> dict[str, Key]:
    """Where each table stands, by the name that a person calls it."""
    found: dict[str, Key] = {}
    for table in Config.model_fields:
        content = getattr(config, table)
        if isinstance(content, BaseModel):
            found[table] = (table,)
        for index, entry in enumerate(content if isinstance(content, list) else ()):
            found[f"{table}{_name(entry)}"] = (table, index)
    return found


def _restart_faults(old: Config, new: Config) -> Iterator[Fault]:
    before, after = old.model_dump(), new.model_dump()
    if len(old.listen) != len(new.listen):
        had, has = ([one.shown for one in config.listen] for config in (old, new))
        added = [f"{one} added" for one in has if one not in had]
        gone = [f"{one} gone" for one in had if one not in has]
        place = min(len(had), len(has) - 1)
        yield Fault(("listen", place), f"another number of listeners wants a restart ({', '.join(added + gone)})")
        before.pop("listen")
    for table, was in before.items():
        for key in _changed(was, after[table]):
            if not is_taken(f"{table}.{key[-1]}"):
                whose = f" (listener {old.listen[key[0]].shown})" if isinstance(key[0], int) else ""
                yield Fault((table, *key), f"a changed value wants a restart{whose}")


def _changed(before: Any, after: Any) -> Iterator[Key]:
    """Keys of a table, or of some table in a list, with another value."""
    if isinstance(before, list) and isinstance(after, list):
        for index, (one, other) in enumerate(zip(before, after, strict=False)):
            yield from ((index, *key) for key in _changed(one, other))
    elif isinstance(before, dict) and isinstance(after, dict):
        yield from ((key,) for key in before if before[key] != after[key])


def _entries(config: Config) -> dict[str, dict[str, Any]]:
    """The values of each table, by the name that a person calls it; those of a list one by one. Expects have no name,
    and decide nothing."""
    found: dict[str, dict[str, Any]] = {}
    for table in Config.model_fields.keys() - {"expect"}:
        content = getattr(config, table)
        for entry in content if isinstance(content, list) else [content]:
            if isinstance(entry, BaseModel):
                found[f"{table}{_name(entry)}"] = entry.model_dump() | _password(entry)
    return found


def _name(entry: BaseModel) -> str:
    if isinstance(entry, Account):
        return f" {entry.peer} {masked_runs(entry.user)}"
    if isinstance(entry, Listen):
        return f" {entry.shown}"
    return f" {entry.name}" if isinstance(entry, NumberRules | Peer | Route) else ""


def _password(entry: BaseModel) -> dict[str, Any]:
    """What its file says beside where it is."""
    if isinstance(entry, Account | Peer):
        return {"password_file": (entry.password_file, entry.password_file and entry.secret)}
    return {}


def _order_of_routes(config: Config, other: Config) -> list[str]:
    """Those that both have: the first that matches wins."""
    known = {route.name for route in other.route}
    return [route.name for route in config.route if route.name in known]
