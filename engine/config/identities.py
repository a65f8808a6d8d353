"""Rules about `tls_names`: whose certificate is whose, and that somebody asks for it."""

from __future__ import annotations

from collections.abc import Iterator

from engine.config import values
from engine.config.checks import Fault, RawTable, tables


def identity_faults(data: RawTable) -> Iterator[Fault]:
    """Every broken rule; `data` is the file as it came."""
    listens = tables(data, "listen")
    is_asked = any(listen.get("transport") == "tls" and listen.get("client_ca") for listen in listens)
    owners: dict[str, object] = {}
    for index, peer in enumerate(tables(data, "peer")):
        names = peer.get("tls_names")
        if not isinstance(names, list):
            continue
        if names and not is_asked:
            yield Fault(("peer", index, "tls_names"), "needs a TLS listener with client_ca: nobody is asked otherwise")
        for position, name in enumerate(names):
            if not isinstance(name, str):
                continue
            key = ("peer", index, "tls_names", position)
            if name.lower() in owners:
                yield Fault(key, f"{values.shown(name)} is already a name of peer {values.shown(owners[name.lower()])}")
            owners.setdefault(name.lower(), peer.get("name"))
