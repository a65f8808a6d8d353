"""What each step of the policy asks, in words: its docstring, which a compiled step has no more.

So it is read from the source, which a compiled wheel holds, too.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib.resources import files

from engine.core.policy import Step


def rule_of(step: Step) -> str:
    """One line, without the full stop at its end."""
    return _rules()[step.__name__]


@cache
def _rules() -> dict[str, str]:
    """The rules of all functions of the policy, by name."""
    source = ast.parse(files("engine.core").joinpath("policy.py").read_text("utf-8"))
    functions = [node for node in source.body if isinstance(node, ast.FunctionDef)]
    return {each.name: " ".join((ast.get_docstring(each) or "").split()).rstrip(".") for each in functions}
