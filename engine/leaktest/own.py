"""A node of the test's own: the operator's configuration moved onto loopback addresses that nobody else uses."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random, SystemRandom
from tempfile import TemporaryDirectory
from typing import Any, Final

from engine.config import load
from engine.config.models import Config
from engine.config.written import toml_text
from engine.leaktest.bound import bound
from engine.leaktest.canaries import Canaries
from engine.leaktest.chosen import combinations, trunk
from engine.leaktest.errors import RigError
from engine.leaktest.pair import Address, Pair
from engine.store.bindings import open_bindings
from engine.store.crypto import open_key
from engine.store.errors import StoreError
from engine.store.inventory import apply_inventory, read_inventory
from engine.store.lock import lock_records

PORT: Final = 5060
START_S: Final = 60.0  # a busy machine may take half of it
STOP_S: Final = 10.0
_FIRST_SIGNAL_S: Final = 0.3
_PROOFS: Final = ("tls_names", "username", "password", "password_file", "realm")
_BLOCK: Final = "70012345678"
_TRIES: Final = 50

_INVENTORY: Final = {
    "app_platform": [
        {"id": "leak-test", "name": "Leak test", "licence_no": "none", "approval_no": "none", "state": "active"}
    ],
    "business_user": [
        {"id": "leak-test", "app_platform": "leak-test", "name": "Leak test", "uscc": "none", "state": "active"}
    ],
    "contract": [{"id": "leak-test", "app_platform": "leak-test", "business_user": "leak-test",
                  "from": "2026-01-01", "to": "2099-12-31"}],
    "scenario": [{"code": "leak-test", "risk_class": 1, "modes": ["AXB"], "max_ttl_s": 86400}],
    "number_block": [{"prefix": _BLOCK, "operator": "1", "app_platform": "leak-test", "business_user": "leak-test",
                      "certificate_no": "none", "state": "assigned"}],
}  # fmt: skip


@asynccontextmanager
async def own_node(config: Config, random: Random) -> AsyncIterator[list[Pair]]:
    """A node runs inside, and the pairs that can be driven through it are bound. RigError when it does not start."""
    with TemporaryDirectory(prefix="veil700-leak-test-") as name:
        folder = Path(name)
        pairs = _pairs(config, random)
        if not pairs:
            raise RigError(f"{config.path}: no peer has both match and targets to call through")
        (folder / "inventory.toml").write_text(toml_text(_INVENTORY), "utf-8")
        (folder / "veil700.toml").write_text(toml_text(_moved(config, pairs)), "utf-8")
        moved = load(folder / "veil700.toml")
        cipher = open_key(moved.data_dir)
        path = moved.data_dir / "bindings.db"
        async with open_bindings(path, cipher):
            apply_inventory(path, cipher, read_inventory(folder / "inventory.toml"))
        async with bound(moved.data_dir, pairs), _running(folder, moved.data_dir / "records.db"):
            yield pairs


def _pairs(config: Config, random: Random) -> list[Pair]:
    """Each peer gets two addresses of one free network: where it is called, and another one to call itself from.

    A caller sits where the node's requests to it go, reports on short messages among them.
    """
    chosen = [alike[0] for alike in combinations(config)]
    canaries = Canaries(random)
    prefix = _free_network()
    names = list(dict.fromkeys(peer.name for pair in chosen for peer in pair))
    hosts = {name: 10 + 2 * index for index, name in enumerate(names)}
    pairs: list[Pair] = []
    for index, (caller, callee) in enumerate(chosen):
        seat = hosts[caller.name] + (caller.name != callee.name)
        pairs.append(Pair(
            (f"{prefix}.1", PORT),
            trunk(config, caller, (f"{prefix}.{seat}", PORT), canaries.number()),
            trunk(config, callee, (f"{prefix}.{hosts[callee.name] + 1}", PORT), canaries.number()),
            f"{_BLOCK}{index:04d}",
            config.policy.message_text == "relay",
        ))  # fmt: skip
    return pairs


def _moved(config: Config, pairs: list[Pair]) -> dict[str, Any]:
    """The operator's tables with every address, and what leads to one, put in the place of his."""
    tables = config.model_dump(exclude_none=True)
    tables["node"] |= {"data_dir": "var", "workers": 1}
    tables["listen"] = [{"transport": "udp", "address": _text(pairs[0].element)}]
    tables["inventory"] = {"file": "inventory.toml"}
    tables["log"] = {"level": "warning", "format": "console"}
    tables["policy"] |= {"caller_max_calls": 0, "caller_max_rate": 0}  # many messages of one caller are sent
    for table in ("api", "account"):
        tables.pop(table, None)
    seats: dict[str, set[Address]] = {}
    for pair in pairs:
        seats.setdefault(pair.caller.name, set()).add(pair.caller.address)
        seats.setdefault(pair.callee.name, set()).add(pair.callee.address)
    tables["peer"] = [
        _known_by_address(peer) | _seat(seats[peer["name"]], pairs, peer["name"])
        for peer in tables["peer"]
        if peer["name"] in seats
    ]
    tables["route"] = [
        {"name": f"leak-test-{index}", "called": _routed(pair), "peers": [pair.callee.name]}
        for index, pair in enumerate(pairs)
    ]
    return tables


def _known_by_address(peer: dict[str, Any]) -> dict[str, Any]:
    """Who shows a password or a certificate is read as its trunk would be without: what crosses is the same."""
    kept = {key: value for key, value in peer.items() if key not in _PROOFS}
    if kept["caller"] == "digest":
        kept["caller"] = "pai-or-from" if kept["trusted"] else "from"
    return kept


def _routed(pair: Pair) -> str:
    """The numbers that live on the callee's trunk."""
    both = pair.caller.name == pair.callee.name
    return f"^({pair.callee.number}|{pair.caller.number})$" if both else f"^{pair.callee.number}$"


def _seat(addresses: set[Address], pairs: list[Pair], name: str) -> dict[str, Any]:
    """Where a peer sends from and is reached; no limits, no probes: they are not what is tested."""
    targets = sorted({pair.callee.address for pair in pairs if pair.callee.name == name})
    return {
        "match": sorted(host for host, _ in addresses),
        "targets": [f"sip:{_text(address)}" for address in targets],
        "max_calls": 0, "max_rate": 0, "options_interval_s": 0,
    }  # fmt: skip


def _text(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


def _free_network() -> str:
    """Three octets of a loopback network in which nobody has the node's port; two runs of one seed take two."""
    chance = SystemRandom()
    for _ in range(_TRIES):
        prefix = f"127.{chance.randrange(64, 250)}.{chance.randrange(256)}"
        if is_free((f"{prefix}.1", PORT)) and is_free((f"{prefix}.11", PORT)):
            return prefix
    raise RigError(f"port {PORT} is taken on every loopback address that was tried")


def is_free(address: Address) -> bool:
    """True when a UDP socket can have this address of the machine's."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(address)
        except OSError:
            return False
    return True


@asynccontextmanager
async def _running(folder: Path, records: Path) -> AsyncIterator[None]:
    """A node as a process of its own on the files of `folder`; nobody writes `records` behind its end."""
    words = [sys.executable, "-m", "engine.main", "--config", str(folder / "veil700.toml"), "run"]
    with (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr)  # noqa: S603
    assert process.stdout is not None
    try:
        try:
            async with asyncio.timeout(START_S):
                line = await asyncio.to_thread(process.stdout.readline)
        except TimeoutError:
            line = b""
        if not line.startswith(b"veil700 ready"):
            said = (folder / "stderr").read_text(errors="replace").strip().splitlines()
            raise RigError(f"the test's own node does not start: {said[-1] if said else 'it says nothing'}")
        yield
    finally:
        _stop(process)
        process.stdout.close()
        with suppress(StoreError, KeyboardInterrupt):  # the writer of a node that had to be killed ends by itself
            os.close(lock_records(records, STOP_S))


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Two signals: what is still open in it need not be waited for. A Ctrl-C meanwhile does not leave it behind."""
    try:
        for within_s in (_FIRST_SIGNAL_S, STOP_S):
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(within_s)
    finally:
        process.kill()
        process.wait()
