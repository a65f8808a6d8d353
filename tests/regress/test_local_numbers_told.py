"""A number that rules have made shorter is no clearer in what commands tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.commands import INVENTORY, A, B, Run, X, bind_words
from tests.cli.conftest import file, run
from tests.cli.test_cli_diff import CONFIG, numbers

__all__ = ["file", "run"]

AT_HOME = B[3:]  # what is left of the callee
RULES = f'\n[[number_rules]]\nname = "home"\nrules = [{{ prefix = "{B[:3]}", strip = 3 }}]\n'


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_a_request_uri_of_rules(run: Run, file: Path, as_json: tuple[str, ...]) -> None:
    file.write_text(CONFIG)
    assert run("inventory", "apply", INVENTORY).status == 0
    assert run(*bind_words()).status == 0
    new = file.with_name("new.toml")
    rules = 'match = ["127.0.0.13"]\nnumber_rules_out = "home"'
    new.write_text(CONFIG.replace('match = ["127.0.0.13"]', rules) + RULES)
    done = run("diff", file, new, "--numbers", numbers(file, f"{A},{X},mobile"), *as_json)
    assert "request_uri" in done.out
    assert AT_HOME not in done.out
    assert done.status == 1
