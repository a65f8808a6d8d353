"""The build that compiles: what it takes, and what becomes of a wheel where it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

import hatch_build

ROOT = Path(hatch_build.__file__).parent


def built(version: str = "standard") -> dict[str, Any]:
    """The data of a wheel after the hook has seen it."""
    builder = WheelBuilder(str(ROOT))
    data: dict[str, Any] = {"force_include": {}, "pure_python": True, "infer_tag": False}
    hook = hatch_build.CustomBuildHook(str(ROOT), {}, builder.config, builder.metadata, "", "wheel", builder.app)
    hook.initialize(version, data)
    hook.finalize(version, data, "")
    return data


PURE = {"force_include": {}, "pure_python": True, "infer_tag": False}


def test_it_takes_core_and_stack_and_of_the_shell_what_is_named() -> None:
    taken = hatch_build.modules(ROOT)
    assert {"sipstack/parser.py", "engine/core/service.py", "engine/core/crossing.py"} <= set(taken)
    assert set(hatch_build.SHELL) <= set(taken)
    folders = {str(Path(file).parent) for file in set(taken) - set(hatch_build.SHELL)}
    assert folders == {"sipstack", "engine/core", "sipstack/testing"}
    assert not [file for file in taken if file.endswith("__init__.py")]


@pytest.mark.parametrize("value", [None, "", "0", "yes"])
def test_without_the_switch_nothing_is_compiled(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(hatch_build.SWITCH, raising=False)
    if value is not None:
        monkeypatch.setenv(hatch_build.SWITCH, value)
    monkeypatch.setattr(hatch_build, "compile_into", None)  # would raise
    assert built() == PURE


def test_an_editable_installation_runs_its_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hatch_build.SWITCH, "1")
    monkeypatch.setattr(hatch_build, "compile_into", None)
    assert built("editable") == PURE


def test_without_a_compiler_the_wheel_is_pure_and_a_line_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(hatch_build.SWITCH, "1")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert built() == PURE
    said = capsys.readouterr().err
    assert said.startswith("veil700: not compiled, the wheel is pure Python: there is no C compiler")
    assert said.count("\n") == 1


def test_what_is_compiled_makes_a_wheel_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hatch_build.SWITCH, "1")
    monkeypatch.setattr(hatch_build, "compile_into", lambda root, folder: {f"{folder}/a.so": "sipstack/a.so"})
    data = built()
    assert list(data["force_include"].values()) == ["sipstack/a.so"]
    assert (data["pure_python"], data["infer_tag"]) == (False, True)
