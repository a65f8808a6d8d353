"""The rules of docs/ARCHITECTURE.md as functions from a source tree to the list of its violations.

A source tree is the product as `read_tree` finds it, or a few lines given to `snippet`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PACKAGES: Final = ("engine", "sipstack")
MAX_LINES: Final = 410

# From the top down: a module may import what stands in its own row or in a lower one.
TIERS: Final = (
    ("engine.main", "engine.node", "engine.cli"),
    ("engine.leaktest",),
    (
        "engine.api", "engine.api_child", "engine.beside", "engine.capture", "engine.console", "engine.control",
        "engine.completeness", "engine.daily", "engine.deciding", "engine.diff", "engine.explain",
        "engine.hook_client", "engine.keeper", "engine.listening", "engine.load_watch", "engine.names",
        "engine.recording", "engine.reload", "engine.runner", "engine.sip_part", "engine.starting", "engine.steering",
        "engine.stopping", "engine.target_log", "engine.workers",
    ),
    ("engine.reports",),
    ("engine.store",),
    ("engine.domain",),
    ("engine.config", "engine.metrics", "engine.logging"),
    ("engine.core",),
    ("sipstack",),
)  # fmt: skip

# Later may import earlier. A module that is new in `sipstack` takes its place here.
SIPSTACK_ORDER: Final = (
    "errors", "limits", "grammar", "headers", "uri", "fields", "head_scan", "message", "scan", "parser", "framing",
    "pcap", "pcapng", "sdp", "multipart", "digest",
    "timers", "table", "location", "events", "response", "transaction", "client_transaction", "server_transaction",
    "transactions", "dialog", "aio", "scenario", "testing",
)  # fmt: skip

# Where I/O and clocks are allowed inside `sipstack`.
SIPSTACK_SHELL: Final = ("sipstack.aio", "sipstack.scenario", "sipstack.testing.link")
# Where they are not allowed inside `engine`.
ENGINE_CORE: Final = ("engine.core", "engine.domain")

# Package -> who alone may import it, besides itself.
RESERVED: Final = {
    "sipstack.aio": (
        "engine.listening", "engine.names", "engine.runner", "engine.node", "engine.cli", "engine.steering",
        "engine.workers", "sipstack.scenario", "sipstack.testing",
    ),
    "sipstack.scenario": ("engine.cli", "sipstack.testing"),
    "sipstack.testing": (),
}  # fmt: skip

# What the core may not import: I/O, clocks, threads and chance come in as arguments.
IMPURE: Final = frozenset(
    ("asyncio", "concurrent", "multiprocessing", "os", "random", "secrets", "select", "selectors", "signal",
     "socket", "socketserver", "sqlite3", "ssl", "subprocess", "threading", "time", "uuid")
)  # fmt: skip
IMPURE_BUILTINS: Final = frozenset(("input", "open", "print"))
WALL_CLOCK: Final = frozenset(("now", "today", "utcnow"))

# Costs memory in each process of the node, or start time: each of these has those who alone may load it.
COMMANDS: Final = ("engine.api", "engine.cli", "engine.console")
HEAVY: Final = {
    **dict.fromkeys(("click", "fastapi", "rich", "starlette", "typer", "uvicorn"), COMMANDS),
    **dict.fromkeys(("aiohttp", "yarl"), ("engine.api",)),
    "pyarrow": ("engine.store.parquet",),
    **dict.fromkeys(("asyncio_dgram", "defusedxml"), ("engine.cli", "sipstack.scenario")),
    "dns": ("sipstack.aio.dns_client", "sipstack.aio.resolver"),
}

GPL: Final = frozenset(("pyvoip",))


@dataclass(frozen=True)
class Import:
    """One import statement: `import target`, or `from target import names`."""

    line: int
    target: str
    names: tuple[str, ...]
    at_load: bool  # runs when the module is imported: not inside a function
    typing_only: bool  # under `if TYPE_CHECKING:`


@dataclass(frozen=True)
class Module:
    name: str
    text: str
    is_package: bool
    syntax: ast.Module
    imports: tuple[Import, ...]


Tree = dict[str, Module]
Rule = Callable[[Tree], list[str]]


# ---------------------------------------------------------------------- reading


def is_type_checking(test: ast.expr) -> bool:
    return last_name(test) == "TYPE_CHECKING"


def last_name(node: ast.expr) -> str:
    """`f` of `f` and of `a.b.f`, "" of anything else."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def absolute(package: str, node: ast.ImportFrom) -> str:
    """The module that `from ...x import` names inside `package`."""
    if not node.level:
        return node.module or ""
    parents = package.split(".")
    base = ".".join(parents[: len(parents) - node.level + 1])
    return f"{base}.{node.module}" if node.module else base


def find_imports(node: ast.AST, package: str, *, at_load: bool = True, typing_only: bool = False) -> Iterator[Import]:
    """All imports below `node`, in order; `import_module("x")` and `__import__("x")` count as `import x`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(child.lineno, alias.name, (), at_load, typing_only)
        elif isinstance(child, ast.ImportFrom):
            names = tuple(alias.name for alias in child.names)
            yield Import(child.lineno, absolute(package, child), names, at_load, typing_only)
        elif isinstance(child, ast.If) and is_type_checking(child.test):
            body = ast.Module(body=child.body, type_ignores=[])
            otherwise = ast.Module(body=child.orelse, type_ignores=[])
            yield from find_imports(body, package, at_load=at_load, typing_only=True)
            yield from find_imports(otherwise, package, at_load=at_load, typing_only=typing_only)
        else:
            if isinstance(child, ast.Call) and last_name(child.func) in ("import_module", "__import__"):
                first = child.args[0] if child.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield Import(child.lineno, first.value, (), at_load, typing_only)
            later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from find_imports(child, package, at_load=at_load and not later, typing_only=typing_only)


def read_module(name: str, text: str, *, is_package: bool = False) -> Module:
    syntax = ast.parse(text)
    package = name if is_package else name.rpartition(".")[0]
    return Module(name, text, is_package, syntax, tuple(find_imports(syntax, package)))


def read_tree(root: Path) -> Tree:
    """All modules of the product, by dotted name."""
    tree: Tree = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if is_package else parts)
            tree[name] = read_module(name, path.read_text(encoding="utf-8"), is_package=is_package)
    return tree


def snippet(text: str) -> Tree:
    """A tree out of `module: code || module: code`, with the packages above them; `name/` is a package."""
    tree: Tree = {}
    for part in text.split(" || "):
        name, _, code = part.partition(": ")
        parents = name.rstrip("/").split(".")[:-1]
        for depth in range(1, len(parents) + 1):
            parent = ".".join(parents[:depth])
            tree.setdefault(parent, read_module(parent, "", is_package=True))
        tree[name.rstrip("/")] = read_module(name.rstrip("/"), code, is_package=name.endswith("/"))
    return tree


# ---------------------------------------------------------------------- asking


def inside(name: str, *packages: str) -> bool:
    """True when `name` is one of the packages or lies in one."""
    return any(name == package or name.startswith(package + ".") for package in packages)


def targets(tree: Tree, found: Import) -> list[str]:
    """What an import loads: of `from a import b` module a.b where there is one, else a."""
    modules = [f"{found.target}.{name}" for name in found.names if f"{found.target}.{name}" in tree]
    return modules if modules and len(modules) == len(found.names) else [found.target, *modules]


def imports(tree: Tree, *, typing_too: bool = True) -> Iterator[tuple[Module, int, str]]:
    """Every (importing module, line, imported module) of the tree."""
    for module in tree.values():
        for found in module.imports:
            if typing_too or not found.typing_only:
                for target in targets(tree, found):
                    yield module, found.line, target


def tier(name: str) -> int | None:
    for index, row in enumerate(TIERS):
        if inside(name, *row):
            return index
    return None


def is_core(name: str) -> bool:
    """True for modules without I/O and clock."""
    return inside(name, *ENGINE_CORE) or (inside(name, "sipstack") and not inside(name, *SIPSTACK_SHELL))


def top(name: str) -> str:
    return name.partition(".")[0]


# ---------------------------------------------------------------------- rules


def every_module_has_a_place(tree: Tree) -> list[str]:
    """Each module of `engine` stands in a tier, each of `sipstack` in the order."""
    wrong = []
    for name in tree:
        if name in PACKAGES:
            continue
        if top(name) == "engine" and tier(name) is None:
            wrong.append(f"{name}: in no tier")
        if top(name) == "sipstack" and name.split(".")[1] not in SIPSTACK_ORDER:
            wrong.append(f"{name}: has no place in the order of sipstack")
    return wrong


def tiers_point_down(tree: Tree) -> list[str]:
    """Nobody imports from a tier above its own; so `sipstack` knows nothing of `engine`."""
    wrong = []
    for module, line, target in imports(tree):
        importer, imported = tier(module.name), tier(target)
        if module.name == "engine" and top(target) in PACKAGES:
            wrong.append(f"{module.name}:{line}: the package itself imports {target}")
        elif inside(module.name, "sipstack") and inside(target, "engine"):
            wrong.append(f"{module.name}:{line}: sipstack imports {target}")
        elif importer is not None and imported is not None and imported < importer:
            wrong.append(f"{module.name}:{line}: imports {target} from a tier above")
    return wrong


def sipstack_goes_in_order(tree: Tree) -> list[str]:
    """In `sipstack` later may import earlier. A name used only in annotations makes no order."""
    wrong = []
    for module, line, target in imports(tree, typing_too=False):
        if not (inside(module.name, "sipstack") and inside(target, "sipstack")):
            continue
        if "." not in module.name or "." not in target:
            wrong.append(f"{module.name}:{line}: imports {target}; the package itself holds nothing")
            continue
        here, there = module.name.split(".")[1], target.split(".")[1]
        known = here in SIPSTACK_ORDER and there in SIPSTACK_ORDER
        if known and SIPSTACK_ORDER.index(there) > SIPSTACK_ORDER.index(here):
            wrong.append(f"{module.name}:{line}: imports {target}, which comes later")
    return wrong


def reserved_packages(tree: Tree) -> list[str]:
    """Sockets of SIP only under the runner, the player only under the commands, test tools under nothing."""
    wrong = []
    for module, line, target in imports(tree):
        for package, allowed in RESERVED.items():
            if inside(target, package) and not inside(module.name, package, *allowed):
                wrong.append(f"{module.name}:{line}: may not import {target}")
    return wrong


def core_is_pure(tree: Tree) -> list[str]:
    """The core imports nothing that does I/O, asks a clock or draws by chance, and nothing from outside."""
    wrong = []
    for module, line, target in imports(tree):
        if not is_core(module.name):
            continue
        if top(target) in IMPURE:
            wrong.append(f"{module.name}:{line}: the core imports {target}")
        elif top(target) not in PACKAGES and top(target) not in sys.stdlib_module_names:
            wrong.append(f"{module.name}:{line}: the core imports {target}, which is not in the standard library")
    return wrong


def date_names(module: Module) -> set[str]:
    """What `datetime`, `date` and the module that holds them are called in this module."""
    names = {"datetime", "date"}
    for node in ast.walk(module.syntax):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname for alias in node.names if alias.name in ("datetime", "date") and alias.asname}
    return names


def core_asks_no_clock(tree: Tree) -> list[str]:
    """No `datetime.now()` and its like in the core, and no `open`, `input` or `print`."""
    wrong = []
    for module in tree.values():
        if not is_core(module.name):
            continue
        dates = date_names(module)
        for node in ast.walk(module.syntax):
            if isinstance(node, ast.Attribute) and node.attr in WALL_CLOCK:
                if (owner := last_name(node.value)) in dates:
                    wrong.append(f"{module.name}:{node.lineno}: {owner}.{node.attr} asks the clock")
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in IMPURE_BUILTINS:
                wrong.append(f"{module.name}:{node.lineno}: {last_name(node.func)}() in the core")
    return wrong


def no_gpl(tree: Tree) -> list[str]:
    """pyVoIP is GPLv3: a phone for tests, never a part of the product."""
    return [
        f"{module.name}:{line}: imports {target} (GPL)"
        for module, line, target in imports(tree)
        if top(target).lower() in GPL
    ]


def only_commands_are_heavy(tree: Tree) -> list[str]:
    """Nothing that the node loads reaches typer, rich or fastapi.

    Followed from every module but the commands and the HTTP side, through all that runs when a module is
    imported. Inside a function `engine.main` may load the commands; nobody else may load anything heavy.
    """
    wrong = []
    for module, line, target in imports(tree, typing_too=False):
        if top(target) in HEAVY and not inside(module.name, *HEAVY[top(target)]):
            wrong.append(f"{module.name}:{line}: imports {target}")
    for name in tree:
        wrong += [
            f"{name}: loads {heavy} by way of {way}"
            for heavy, way in reached(tree, name)
            if not inside(name, *HEAVY[top(heavy)])
        ]
    return wrong


def reached(tree: Tree, start: str) -> list[tuple[str, str]]:
    """The heavy packages that importing `start` loads, each with the module of ours that imports it."""
    seen: set[str] = set()
    waiting = [start]
    found = []
    while waiting:
        name = waiting.pop()
        if name in seen or name not in tree:
            continue
        seen.add(name)
        waiting.append(name.rpartition(".")[0])  # importing a.b runs a's own code first
        for entry in tree[name].imports:
            if entry.at_load and not entry.typing_only:
                waiting += (loaded := targets(tree, entry))
                if name != start:
                    found += [(target, name) for target in loaded if top(target) in HEAVY]
    return found


def modules_are_short(tree: Tree) -> list[str]:
    counts = {name: len(module.text.splitlines()) for name, module in tree.items()}
    return [f"{name}: {count} lines, {MAX_LINES} allowed" for name, count in counts.items() if count > MAX_LINES]


# Imported package -> what the package index calls it, where it is another name.
DISTRIBUTIONS: Final = {"dns": "dnspython"}


# Loaded by name, through another package: uvicorn is told to parse with it.
LOADED_BY_NAME: Final = frozenset(("httptools",))


def distribution(name: str) -> str:
    """What the package index calls an imported package."""
    return DISTRIBUTIONS.get(name) or name.replace("_", "-").lower()


def undeclared(tree: Tree, declared: set[str]) -> list[str]:
    """Imports from outside that pyproject.toml does not name."""
    wrong = []
    for module, line, target in imports(tree):
        name = top(target)
        if name in PACKAGES or name in sys.stdlib_module_names:
            continue
        if distribution(name) not in declared:
            wrong.append(f"{module.name}:{line}: {name} is no dependency in pyproject.toml")
    return wrong


def unused(tree: Tree, declared: set[str]) -> list[str]:
    """Dependencies in pyproject.toml that nobody imports."""
    used = {distribution(top(target)) for _, _, target in imports(tree)}
    return sorted(declared - used - LOADED_BY_NAME)


def packages_in(folder: Path) -> list[str]:
    """`__init__.py` files: under tests/ each would hide the package of the same name."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("__init__.py"))
