"""Rules between keys: names that refer to one another, sources that two peers claim, files that must exist.

They read the file as it came, before the models, so that one run reports everything that is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, Final, final

from engine.config import targets, values
from engine.config.files import nearest
from engine.config.lines import Key
from sipstack.location import DEFAULT_PORTS

RawTable = Mapping[str, Any]

UNTRUSTED: Final = 'an untrusted peer must say where its caller is read: "pai-or-from", "pai", "from" or "digest"'


@final
@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong at a key; `reason` is one line."""

    key: Key
    reason: str


def cross_faults(data: RawTable, folder: Path) -> Iterator[Fault]:
    """Every broken rule between keys. Values of a wrong type are passed over: the models report them."""
    listens, peers, routes = (tables(data, name) for name in ("listen", "peer", "route"))
    yield from _listen_faults(listens)
    yield from _tls_faults(listens, folder)
    yield from _api_faults(_table(data, "api"), folder)
    yield from _repeated("peer", peers)
    yield from _repeated("route", routes)
    yield from _repeated_sources(peers)
    for index, peer in enumerate(peers):
        if peer:  # of an empty one the models say enough
            yield from _peer_faults(index, peer, listens)
    for index, route in enumerate(routes):
        yield from _route_faults(index, route, peers)
    yield from _interval_faults(_table(data, "policy"))
    yield from _ttl_faults(_table(data, "dns"))
    file = _table(data, "inventory").get("file")
    if isinstance(file, str) and file and "\0" not in file and not (folder / file).is_file():
        yield Fault(("inventory", "file"), f"{values.shown(file)}: no such file")
    data_dir = _table(data, "node").get("data_dir")
    if isinstance(data_dir, str) and "\0" not in data_dir and not (there := nearest(folder / data_dir)).is_dir():
        way = "" if there == folder / data_dir else f" cannot be made: {there}"
        yield Fault(("node", "data_dir"), f"{values.shown(data_dir)}{way} is a file, not a folder")


def _listen_faults(listens: list[RawTable]) -> Iterator[Fault]:
    taken: list[tuple[bool, IPv4Address | IPv6Address, int]] = []
    for index, listen in enumerate(listens):
        address = _socket(listen.get("address"))
        if address is not None:
            place = (listen.get("transport", "udp") == "udp", *address)
            if any(_overlap(place, other) for other in taken):
                yield Fault(("listen", index, "address"), f"{values.shown(listen['address'])} is another listener's")
            taken.append(place)
        if address is not None and address[0].is_unspecified and "advertise" not in listen:
            reason = "missing: the peers must be told an address, and the listener has none of its own"
            yield Fault(("listen", index, "advertise"), reason)


def _tls_faults(listens: list[RawTable], folder: Path) -> Iterator[Fault]:
    """The files of a TLS listener. What is in them is read when the node starts, and by `veil700 check`."""
    for index, listen in enumerate(listens):
        is_tls = listen.get("transport", "udp") == "tls"
        for name in ("certificate", "private_key", "client_ca", "server_ca"):
            file = listen.get(name)
            key: Key = ("listen", index, name)
            if file is None:
                if is_tls and name in ("certificate", "private_key"):
                    yield Fault(key, "missing: TLS cannot be spoken without")
            elif not is_tls:
                yield Fault(key, 'has a meaning only with transport = "tls"')
            elif isinstance(file, str) and file and ("\0" in file or not (folder / file).is_file()):
                yield Fault(key, f"{values.shown(file)}: no such file")


def _api_faults(api: RawTable, folder: Path) -> Iterator[Fault]:
    """The files of the API's certificate: both, or none. What is in them is read by whoever listens. Its listeners."""
    for name, other in (("certificate", "private_key"), ("private_key", "certificate")):
        file = api.get(name)
        if file is None and other in api:
            yield Fault(("api", name), f"missing: {other} has no use without")
        elif isinstance(file, str) and file and ("\0" in file or not (folder / file).is_file()):
            yield Fault(("api", name), f"{values.shown(file)}: no such file")
    address = api.get("alibaba_address")
    if address is not None and not api.get("alibaba_scenario") and not api.get("alibaba_scenarios"):
        yield Fault(
            ("api", "alibaba_scenario"), "missing: bindings that are made at alibaba_address have none of their own"
        )
    if isinstance(address, str) and address == api.get("address", "127.0.0.1:8700"):
        yield Fault(("api", "alibaba_address"), "is address, too: each has a listener of its own")


def _overlap(
    one: tuple[bool, IPv4Address | IPv6Address, int], other: tuple[bool, IPv4Address | IPv6Address, int]
) -> bool:
    """True when the kernel would not let both be bound: the same family and port, and one address, or all of them."""
    if one[0] is not other[0] or one[2] != other[2] or one[1].version != other[1].version:
        return False
    return one[1] == other[1] or one[1].is_unspecified or other[1].is_unspecified


def _interval_faults(policy: RawTable) -> Iterator[Fault]:
    """The default of the one is the most that the other may be."""
    interval_s, least_s = policy.get("session_expires_s"), policy.get("min_se_s")
    if type(interval_s) is int and type(least_s) is int and 90 <= interval_s < least_s <= 1800:
        yield Fault(("policy", "session_expires_s"), f"{interval_s} is less than min_se_s ({least_s})")


def _ttl_faults(dns: RawTable) -> Iterator[Fault]:
    least_s, most_s = dns.get("min_ttl_s", 5), dns.get("max_ttl_s", 3600)
    if type(least_s) is int and type(most_s) is int and 1 <= most_s < least_s <= 3600:
        yield Fault(("dns", "max_ttl_s"), f"{most_s} is less than min_ttl_s ({least_s})")


def _repeated(table: str, entries: list[RawTable]) -> Iterator[Fault]:
    """Names that stand twice."""
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        name = entry.get("name")
        if isinstance(name, str):
            if name in seen:
                yield Fault((table, index, "name"), f"there are two of the name {values.shown(name)}")
            seen.add(name)


def _repeated_sources(peers: list[RawTable]) -> Iterator[Fault]:
    """Sources that two peers, or one peer twice, claim: the most specific entry wins, and two equal ones cannot."""
    owners: dict[tuple[object, object], object] = {}
    for index, peer in enumerate(peers):
        for position, entry in enumerate(_texts(peer, "match")):
            try:
                key = values.match_entry(entry).key
            except ValueError:
                continue
            if key in owners:
                reason = f"{values.shown(entry)} is already a source of peer {values.shown(owners[key])}"
                yield Fault(("peer", index, "match", position), reason)
            owners.setdefault(key, peer.get("name"))


def _peer_faults(index: int, peer: RawTable, listens: list[RawTable]) -> Iterator[Fault]:
    if peer.get("trusted") is False and "caller" not in peer:
        yield Fault(("peer", index, "caller"), f"missing: {UNTRUSTED}")
    sends = peer.get("match") or peer.get("tls_names")
    if not sends and not peer.get("targets"):
        yield Fault(("peer", index), "has neither match, tls_names nor targets: it can neither call nor be called")
    elif peer.get("sms_centres") and not (sends and peer.get("targets")):
        reason = "short messages and their reports need both match, or tls_names, and targets"
        yield Fault(("peer", index, "sms_centres"), reason)
    for position, entry in enumerate(_items(peer, "targets")):
        try:
            text = targets.target_text(entry)
            reason = _unreachable(targets.target(text), listens) if isinstance(text, str) else ""
        except ValueError:
            continue
        if reason:
            yield Fault(("peer", index, "targets", position), f"{values.shown(text)} {reason}")


def _unreachable(target: targets.Target, listens: list[RawTable]) -> str:
    """Why no listener can send to a target, or none must; "" when one may."""
    sockets = [
        (str(listen.get("transport", "udp")).upper(), _socket(listen.get("address", "127.0.0.1:5060")))
        for listen in listens or [{}]
    ]
    if any(socket is None or over not in DEFAULT_PORTS for over, socket in sockets):
        return ""  # the models say what is wrong
    transport = target.transport or ("TLS" if target.is_secure else "")
    able = [socket for over, socket in sockets if socket is not None and transport in ("", over)]
    if not able:
        return f"needs a listener over {transport}, and there is none"
    if target.address is None:
        return ""
    if (target.address, target.port) in able:
        return "is this node itself"
    if target.address.version not in [address.version for address, _ in able]:
        return f"is IPv{target.address.version}, the listener is not"
    return ""


def _route_faults(index: int, route: RawTable, peers: list[RawTable]) -> Iterator[Fault]:
    known = {name: peer for peer in peers if isinstance(name := peer.get("name"), str)}
    names = _texts(route, "peers")
    for position, name in enumerate(names):
        key: Key = ("route", index, "peers", position)
        if name not in known:
            yield Fault(key, f"there is no peer {values.shown(name)}{values.suggestion(name, known, values.ALIKE)}")
        elif not known[name].get("targets"):
            yield Fault(key, f"peer {values.shown(name)} has no targets")
        elif name in names[:position]:
            yield Fault(key, f"peer {values.shown(name)} stands there twice")


def _table(data: RawTable, name: str) -> RawTable:
    table = data.get(name)
    return table if isinstance(table, dict) else {}


def tables(data: RawTable, name: str) -> list[RawTable]:
    """An array of tables; entries of another type as empty ones, so that positions stay."""
    entries = data.get(name)
    return [entry if isinstance(entry, dict) else {} for entry in entries] if isinstance(entries, list) else []


def _texts(table: RawTable, name: str) -> list[str]:
    """An array of texts; items of another type as empty ones, so that positions stay."""
    items = table.get(name)
    return [item if isinstance(item, str) else "" for item in items] if isinstance(items, list) else []


def _items(table: RawTable, name: str) -> list[object]:
    items = table.get(name)
    return items if isinstance(items, list) else []


def _socket(address: object) -> tuple[IPv4Address | IPv6Address, int] | None:
    try:
        return values.socket_address(address) if isinstance(address, str) else None
    except ValueError:
        return None
