"""The client of docs/alibaba.md binds, and its tables tell what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from engine.api.alibaba.errors import CODES
from engine.api.alibaba.operations import OPERATIONS
from engine.domain.problems import ProblemCode
from tests.alibaba.conftest import Served, module_place, places, served
from tests.docs.pages import DOCS

__all__ = ["module_place", "places", "served"]

PAGE = (DOCS / "alibaba.md").read_text("utf-8")


def test_the_client_of_the_page_binds(served: Served, tmp_path: Path) -> None:
    [program] = re.findall(r"<!-- file: bind_axb.py -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "bind_axb.py").write_text(program)
    key = served.key()
    words = [sys.executable, str(tmp_path / "bind_axb.py"), served.host, key.key_id, key.secret, "FC1"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"OK 70012345678\d{4}\n", done.stdout)


def test_every_operation_stands_on_the_page() -> None:
    rows = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert set(OPERATIONS) <= named


def test_every_code_stands_beside_its_own() -> None:
    told = {
        code: said
        for said, codes in re.findall(r"^\| (`is[vp]\..*?) \| (.*) \|$", PAGE, re.MULTILINE)
        for code in re.findall(r"[A-Z_]{6,}", codes)
    }
    assert set(told) == {code.value for code in CODES}
    for code, name in CODES.items():
        assert f"`{name}`" in told[code.value] or code is ProblemCode.NOT_FOUND
