"""Which keys of the configuration a running node takes, and which want a start."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from engine.config.loader import fields_of
from engine.config.models import Config

# Taken with all of their keys.
_TABLES: Final = frozenset(("account", "inventory", "peer", "policy", "route"))

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


def wanting_restart(old: Config, new: Config) -> list[str]:
    """The keys that have changed and are not taken, in the order of the models; "listen" when their number differs."""
    before, after = old.model_dump(), new.model_dump()
    if len(before["listen"]) != len(after["listen"]):
        return ["listen"]
    found = [f"{table}.{key}" for table in before for key in _changed(before[table], after[table])]
    return [key for key in dict.fromkeys(found) if not is_taken(key)]


def changed_tables(old: Config, new: Config) -> list[str]:
    """The tables in which something has changed, passwords that were read from files included."""
    before, after = old.model_dump(), new.model_dump()
    found = {table for table in before if before[table] != after[table]}
    was, is_now = old.core_settings(), new.core_settings()
    if was.accounts != is_now.accounts:
        found.add("account")
    if was.peers != is_now.peers:
        found.add("peer")
    return [table for table in before if table in found]


def _changed(before: Any, after: Any) -> Iterable[str]:
    """Keys of a table, or of some table in a list of as many, with another value."""
    if isinstance(before, list) and isinstance(after, list):
        for one, other in zip(before, after, strict=False):
            yield from _changed(one, other)
    elif isinstance(before, dict) and isinstance(after, dict):
        yield from (key for key in before if before[key] != after[key])
