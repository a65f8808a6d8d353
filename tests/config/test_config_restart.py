"""What a reload says of a changed file: each change by its name, and what wants a restart with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from engine.config import load
from engine.config.restart import changes, restart_faults

TEXT: Final = """\
[node]
name = "veil"

[[listen]]
address = "127.0.0.1:5060"

[[listen]]
transport = "tcp"
address = "127.0.0.1:5060"

[[peer]]
name = "core"
match = ["10.0.0.1"]
targets = ["sip:10.0.0.1"]

[[peer]]
name = "phones"
match = ["10.0.0.2"]
caller = "digest"
targets = ["sip:10.0.0.2"]

[[account]]
user = "13800138000"
peer = "phones"
numbers = ["13800138000"]
password_file = "secret"

[[route]]
name = "mobiles"
called = "^1"
peers = ["core"]

[[route]]
name = "others"
called = "."
peers = ["core"]
"""
PHONES: Final = TEXT[TEXT.index('[[peer]]\nname = "phones"') : TEXT.index("[[account]]")]
OTHERS: Final = TEXT[TEXT.index('[[route]]\nname = "others"') :]
TCP: Final = '[[listen]]\ntransport = "tcp"\naddress = "127.0.0.1:5060"\n\n'


def told(file: Path, old: str, new: str) -> tuple[list[str], list[str]]:
    """What has changed, and what wants a restart, without the name of the file."""
    file.with_name("secret").write_text("old")
    file.write_text(TEXT)
    before = load(file)
    assert old in TEXT
    file.write_text(TEXT.replace(old, new, 1))
    after = load(file)
    return changes(before, after), [line.removeprefix(f"{file}:") for line in restart_faults(before, after)]


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ("sip:10.0.0.1", "sip:10.0.0.9", "peer core: targets"),
        ('["10.0.0.1"]\n', '["10.0.0.1"]\ntrusted = false\nmax_calls = 7\ncaller = "pai"\n',
         "peer core: trusted, caller, uniform_refusals, max_calls"),
        (OTHERS, OTHERS + '[[route]]\nname = "more"\ncalled = "x"\npeers = ["core"]\n', "route more: added"),
        (OTHERS, OTHERS + '[[number_rules]]\nname = "in"\nrules = [{ prefix = "0" }]\n', "number_rules in: added"),
        (OTHERS, "", "route others: removed"),
        ('numbers = ["', 'numbers = ["13900139000", "', "account phones 138****8000: numbers"),
        ("[[route]]", "[policy]\nring_timeout_s = 5\n\n[[route]]", "policy: ring_timeout_s"),
        ("[[route]]", '[inventory]\nfile = "inv.toml"\n\n[[route]]', "inventory: file"),
    ],
)  # fmt: skip
def test_a_change_is_told_by_name_and_key(file: Path, old: str, new: str, change: str) -> None:
    assert told(file, old, new) == ([change], [])


def test_changed_rules_are_taken_and_told_by_the_name_of_their_set(file: Path) -> None:
    rules = '[[number_rules]]\nname = "in"\nrules = [{ prefix = "0", strip = 1 }]\n'
    file.with_name("secret").write_text("old")
    file.write_text(TEXT + rules)
    before = load(file)
    file.write_text(TEXT + rules.replace("strip = 1", "strip = 2"))
    assert (changes(before, load(file)), restart_faults(before, load(file))) == (["number_rules in: rules"], [])


def test_the_order_of_peers_is_nothing_and_that_of_routes_is_something(file: Path) -> None:
    core = TEXT[TEXT.index('[[peer]]\nname = "core"') : TEXT.index(PHONES)]
    assert told(file, core + PHONES, PHONES + core) == ([], [])
    mobiles = TEXT[TEXT.index('[[route]]\nname = "mobiles"') : TEXT.index(OTHERS)]
    assert told(file, mobiles + OTHERS, OTHERS + mobiles) == (["route: order"], [])


def test_changes_stand_in_the_order_of_the_tables(file: Path) -> None:
    more = '[[peer]]\nname = "more"\nmatch = ["10.0.0.9"]\n[policy]\nring_timeout_s = 5\n'
    assert told(file, OTHERS, more)[0] == ["peer more: added", "route others: removed", "policy: ring_timeout_s"]


def test_another_password_in_the_same_file_is_a_change(file: Path) -> None:
    file.write_text(TEXT)
    file.with_name("secret").write_text("old")
    before = load(file)
    file.with_name("secret").write_text("new")
    assert changes(before, load(file)) == ["account phones 138****8000: password_file"]
    assert changes(before, before) == []


@pytest.mark.parametrize(
    ("old", "new", "faults"),
    [
        ('"veil"', '"other"', ["2: node.name: a changed value wants a restart"]),
        ('name = "veil"', "", ["1: node.name: a changed value wants a restart"]),
        ('"tcp"\naddress = "127.0.0.1:5060"', '"tcp"\naddress = "127.0.0.1:5070"',
         ["9: listen.address: a changed value wants a restart (listener tcp:127.0.0.1:5060)"]),
        (TCP, "", ["4: listen: another number of listeners wants a restart (tcp:127.0.0.1:5060 gone)"]),
        (TCP, TCP + TCP.replace("5060", "5070"),
         ["11: listen: another number of listeners wants a restart (tcp:127.0.0.1:5070 added)"]),
        ("[[route]]", "[log]\nlevel = 'debug'\n[sip]\nt1_ms = 20\ndscp = 24\n[[route]]",
         ["29: log.level: a changed value wants a restart", "31: sip.t1_ms: a changed value wants a restart",
          "32: sip.dscp: a changed value wants a restart"]),
    ],
)  # fmt: skip
def test_what_wants_a_restart_is_told_with_its_line(file: Path, old: str, new: str, faults: list[str]) -> None:
    assert told(file, old, new)[1] == faults
