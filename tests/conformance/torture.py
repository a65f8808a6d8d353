"""The torture messages of RFC 4475 and RFC 5118, and what our policy makes of each.

tests/vectors/README.md tells of the files.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Final

from scenarios.rig.place import PORT

VECTORS: Final = Path(__file__).resolve().parents[1] / "vectors"

# What our policy makes of a message that parses and is for nobody we know (contract §5).
USUAL: Final = {"INVITE": 404, "MESSAGE": 404, "OPTIONS": 200, "BYE": 481}

# What is answered otherwise than the index says, and why.
OTHERWISE: Final = {"rfc4475/wsinv": ({481}, "its To has a tag, and there is no such dialog (RFC 3261 §12.2.2)")}

# Messages beside the two indexes; tests/vectors/README.md says what they are.
EXTRA: Final[dict[str, set[int]]] = {
    "rfc4475/extra/baddn-terminated": {400},
    "rfc4475/extra/jasomi-test": set(),
    "rfc5118/as-printed/ipv4-mapped-ipv6": {404},
    "rfc5118/as-printed/ipv6-in-sdp": {400},
    "rfc5118/as-printed/mult-ip-in-sdp": {404},
}


def index() -> dict[str, dict[str, str]]:
    """The rows of both indexes by name of the message, as "rfc4475/wsinv"."""
    found = {}
    for path in sorted(VECTORS.glob("*/index.tsv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                found[f"{path.parent.name}/{row['file'].removesuffix('.dat')}"] = row
    return found


def expectations() -> dict[str, set[int]]:
    """Name of each message -> final responses that are right; none: silence."""
    found = dict(EXTRA)
    for name, row in index().items():
        found[name] = right_answers(name, row["expect"], row["also_ok"].split("|"))
    return found


def right_answers(name: str, expect: str, also_ok: list[str]) -> set[int]:
    """One row of an index, under our routing: no message of it is for a 700 number."""
    numbers = {int(word) for word in also_ok if word.isdigit()}
    if expect == "drop":
        return set()
    if name in OTHERWISE:
        return OTHERWISE[name][0]
    if expect != "accept":
        return {int(expect), *numbers}
    usual = USUAL.get(octets(name).split(b" ")[0].decode("latin-1"), 405)
    assert not numbers or usual in numbers, "the index does not know our policy"
    return {usual}


def octets(name: str) -> bytes:
    """The message, byte for byte."""
    return (VECTORS / f"{name}.dat").read_bytes()


def reply_ports(data: bytes) -> set[int]:
    """Ports on which an answer may come: RFC 3261 §18.2.2 names the one in Via; ours for a Via that is broken."""
    vias = re.findall(rb"(?im)^(?:via|v)\s*:.*?$(?:\r?\n[ \t].*?$)*", data)
    return {PORT, *(int(port) for via in vias for port in re.findall(rb":\s*(\d{4,5})\b", via))}


def rounds() -> list[list[str]]:
    """The names in groups without two that one node takes for repeats of each other: same method, same top Via."""
    groups: list[list[str]] = []
    keys: list[set[object]] = []
    for name in NAMES:
        data = octets(name)
        via = re.search(rb"(?im)^(?:via|v)\s*:(.*)$", data)
        key = (data.split(b" ")[0], b"".join(via[1].split()) if via else data)
        number = next((at for at, taken in enumerate(keys) if key not in taken), len(keys))
        if number == len(keys):
            keys.append(set())
            groups.append([])
        keys[number].add(key)
        groups[number].append(name)
    return groups


EXPECTED: Final = expectations()
NAMES: Final = sorted(EXPECTED)
