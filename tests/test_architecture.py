"""The product keeps the rules of docs/ARCHITECTURE.md, and each rule is seen to catch what breaks it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

from tests.architecture_rules import (
    COMMANDS,
    HEAVY,
    IMPURE,
    MAX_LINES,
    Rule,
    Tree,
    core_asks_no_clock,
    core_is_pure,
    every_module_has_a_place,
    inside,
    modules_are_short,
    no_gpl,
    only_commands_are_heavy,
    packages_in,
    read_tree,
    reserved_packages,
    sipstack_goes_in_order,
    snippet,
    tiers_point_down,
    undeclared,
    unused,
)

ROOT: Final = Path(__file__).resolve().parent.parent

# Every rule with snippets that break it: the first module named is the one to be caught.
CAUGHT: Final[dict[Rule, tuple[str, ...]]] = {
    every_module_has_a_place: ("engine.helpers: ", "sipstack.misc: ", "sipstack.misc.deep: "),
    tiers_point_down: (
        "engine.core.call: import engine.store.records",
        "engine.core.call: def f(): from engine import config || engine.config: ",
        "engine.core.call: from ..store import a || engine.store.a: ",
        "engine.store.a: from engine.runner import Runner",
        "engine.config: from .main import main",
        "engine.runner: import engine.cli",
        "engine/: from engine.core import numbers",
        "sipstack.uri: from engine.core import numbers",
        "sipstack.aio.udp: if TYPE_CHECKING: import engine.core.call",
    ),
    sipstack_goes_in_order: (
        "sipstack.uri: from sipstack.message import Message",
        "sipstack.uri: from . import dialog || sipstack.dialog: ",
        "sipstack.uri: def f(): import sipstack.parser",
        "sipstack.uri: from sipstack import parse",
        "sipstack.aio.udp: from ..scenario import player",
    ),
    reserved_packages: (
        "engine.store.a: import sipstack.aio.udp",
        "engine.core.a: from sipstack import aio || sipstack.aio: ",
        "engine.runner: from sipstack.scenario import loader",
        "engine.cli: from sipstack.testing import link",
        "sipstack.dialog: import sipstack.testing.playbook",
    ),
    core_is_pure: (
        *(f"engine.core.a: import {name}" for name in sorted(IMPURE)),
        "sipstack.timers: from time import monotonic",
        "sipstack.testing.playbook: import asyncio",
        "engine.core.a: def f(): import_module('random')",
        "engine.core.a: x = [__import__('os.path')]",
        "engine.core.a: with x: import ssl",
        "engine.core.a: import pydantic",
    ),
    core_asks_no_clock: (
        "engine.core.a: datetime.now()",
        "engine.core.a: import datetime as dt; dt.datetime.utcnow()",
        "engine.core.a: from datetime import date as d; d.today()",
        "engine.core.a: clock = datetime.now",
        "sipstack.parser: open('x')",
    ),
    no_gpl: ("sipstack.aio.phone: from pyVoIP.VoIP import VoIPPhone", "engine.cli: def f(): import pyVoIP"),
    only_commands_are_heavy: (
        "engine.main: import typer",
        "engine.runner: def f(): from rich import print",
        "engine.main: from engine import cli || engine.cli: import typer",
        "engine.runner: class A: import engine.api.app || engine.api.app: import fastapi.routing",
        "engine.main: import engine.cli.tables || engine.cli/: import rich || engine.cli.tables: ",
        "sipstack.scenario.player: import rich",
        "engine.api.a: import asyncio_dgram",
        "engine.cli.cdr: def f(): import pyarrow.parquet",
        "engine.store.export: import engine.store.parquet || engine.store.parquet: import pyarrow",
        "engine.main: import sipstack.aio.resolver || sipstack.aio.resolver: import dns.name",
        "sipstack.aio.udp: def f(): import dns.resolver",
    ),
    modules_are_short: ("engine.main: " + "\n" * (MAX_LINES + 1),),
}

# Snippets that come close and are right.
ALLOWED: Final[dict[Rule, tuple[str, ...]]] = {
    every_module_has_a_place: ("engine.store.records:  || sipstack.aio.udp: ",),
    tiers_point_down: (
        "engine.store.a: from engine.core import records; import sipstack.uri",
        "engine.main: def f(): import engine.cli",
    ),
    sipstack_goes_in_order: (
        "sipstack.message: from sipstack.uri import SipUri",
        "sipstack.errors: if TYPE_CHECKING: import sipstack.message",
    ),
    reserved_packages: (
        "engine.runner: import sipstack.aio",
        "engine.cli: import sipstack.scenario.player",
        "sipstack.testing.link: import sipstack.aio",
    ),
    core_is_pure: (
        "sipstack.aio.udp: import asyncio, socket || engine.store.a: import sqlite3",
        "sipstack.testing.link: import random || engine.core.a: import hashlib, re",
    ),
    core_asks_no_clock: (
        "engine.core.a: self.now(); today = wheel.now; f(open)",
        "engine.store.a: datetime.now(); open('x')",
    ),
    only_commands_are_heavy: (
        "engine.main: def f(): import engine.cli || engine.cli: import typer",
        "engine.cli.a: import sipstack.scenario.udp || sipstack.scenario.udp: import asyncio_dgram",
        "engine.main: def f(): import sipstack.aio.resolver || sipstack.aio.resolver: import dns.name",
    ),
    modules_are_short: ("engine.main: " + "\n" * MAX_LINES,),
}


@pytest.fixture(scope="module")
def product() -> Tree:
    return read_tree(ROOT)


@pytest.fixture(scope="module")
def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (*project["dependencies"], *project["optional-dependencies"]["archive"])
    return {line.split(">")[0].strip().lower() for line in lines}


@pytest.mark.parametrize("rule", CAUGHT, ids=lambda rule: rule.__name__)
def test_rule_holds(rule: Rule, product: Tree) -> None:
    assert rule(product) == []


def test_files_of_tests_are_short_too() -> None:
    files = [path for folder in ("tests", "bench", "scenarios") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 100
    assert [path.name for path in files if len(path.read_text(encoding="utf-8").splitlines()) > MAX_LINES] == []


def test_the_product_was_read(product: Tree) -> None:
    assert {"engine.core", "engine.core.binding", "sipstack.parser"} <= product.keys()
    assert any(found.target == "sipstack.errors" for found in product["sipstack.parser"].imports)


def test_dependencies_are_declared_and_used(product: Tree, declared: set[str]) -> None:
    assert undeclared(product, declared) == []
    assert unused(product, declared) == []


def test_tests_are_no_packages() -> None:
    assert packages_in(ROOT / "tests") == []


def test_node_process_stays_light(product: Tree) -> None:
    """What the syntax tree cannot see: a library of ours that loads rich by itself."""
    node = [name for name in product if name.startswith("engine.") and not inside(name, *COMMANDS)]
    program = f"import sys, {', '.join(node)}\nprint(*sorted({set(HEAVY)} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr, done.stdout.split()) == (0, "", [])


def test_a_short_command_does_not_wait_for_the_node_or_the_player(tmp_path: Path) -> None:
    """Scripts run commands by the thousand, and half of the time of each goes into loading it."""
    file = tmp_path / "veil.toml"
    file.write_text('[node]\ndata_dir = "var"\n')
    program = "import sys, engine.main, engine.cli.app, engine.cli.bindings, engine.cli.cdr, engine.cli.node\n"
    program += f"engine.cli.run_cli(['check', '--config', {str(file)!r}])\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    slow = ("engine.node", "engine.deciding", "sipstack.scenario", "rich")
    assert [name for name in done.stdout.split() if inside(name, *slow)] == []


def test_what_has_loaded_is_not_looked_through_for_garbage() -> None:
    """A tenth of a start, and a fifth of that of the API, went into collections that find nothing."""
    for entry, argv in (("engine.main", ["veil700", "--version"]), ("engine.api.__main__", ["engine.api", "--help"])):
        program = (
            "import atexit, gc, importlib, sys\ncount = lambda: print(gc.isenabled(), gc.get_freeze_count() > 30_000)\n"
            f"atexit.register(count); sys.argv = {argv}\nimportlib.import_module({entry!r}).main()"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stdout.splitlines()[-1] == "True True", entry


def cases(table: dict[Rule, tuple[str, ...]]) -> list[object]:
    return [
        pytest.param(rule, text, id=f"{rule.__name__}-{text.strip()}")
        for rule, texts in table.items()
        for text in texts
    ]


@pytest.mark.parametrize(("rule", "text"), cases(CAUGHT))
def test_rule_catches(rule: Rule, text: str) -> None:
    culprit = text.partition(": ")[0].rstrip("/")
    assert [line for line in rule(snippet(text)) if line.partition(":")[0] == culprit]


@pytest.mark.parametrize(("rule", "text"), cases(ALLOWED))
def test_rule_allows(rule: Rule, text: str) -> None:
    assert rule(snippet(text)) == []


def test_dependency_rules_catch() -> None:
    tree = snippet("engine.cli: import typer; import asyncio_dgram, json, engine.main")
    assert undeclared(tree, {"typer"}) == ["engine.cli:1: asyncio_dgram is no dependency in pyproject.toml"]
    assert undeclared(tree, {"typer", "asyncio-dgram"}) == []
    assert unused(tree, {"typer", "asyncio-dgram", "rich"}) == ["rich"]


def test_a_package_under_tests_is_found(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "__init__.py").touch()
    assert packages_in(tmp_path) == ["engine/__init__.py"]
