"""The client of docs/api.md binds, and the page knows every resource."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.api.app import make_app
from engine.config import load
from engine.store.api_keys import Role
from engine.store.crypto import open_key
from engine.store.inventory import apply_inventory, read_inventory
from scenarios.rig.place import Place
from tests.api.conftest import key_of
from tests.api.process import Served, serve
from tests.docs.pages import DOCS, ROOT

PAGE = (DOCS / "api.md").read_text("utf-8")


@pytest.fixture
def served(tmp_path: Path, place: Place) -> Iterator[Served]:
    with serve(tmp_path, place.node) as served:
        config = load(served.file)
        inventory = read_inventory(ROOT / "configs" / "inventory.toml")
        apply_inventory(config.data_dir / "bindings.db", open_key(config.data_dir), inventory)
        yield served


def test_the_client_of_the_page_binds(served: Served, tmp_path: Path) -> None:
    """The second time is a repeat within a week, and gets the first answer."""
    [program] = re.findall(r"<!-- file: bind.py -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "bind.py").write_text(program)
    key = key_of(load(served.file), Role.PLATFORM, "ap-demo")
    words = [sys.executable, str(tmp_path / "bind.py"), served.url, key.key_id, key.secret]
    for _ in range(2):
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("201 {'subs_id': '")


def test_every_resource_stands_on_the_page() -> None:
    paths = make_app().openapi()["paths"]
    resources = {path.removeprefix("/v1").split("/{")[0] for path in paths}
    assert {name for name in resources if f"`{name}`" not in PAGE} == set()
