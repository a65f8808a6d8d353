"""The build that compiles: what it takes, and what becomes of a wheel where it cannot."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
import threading
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder
from mypyc.build import include_dir

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


BRANCH = """
int paid(PyObject *callee, PyObject *seven)
{
    if (CPyTagged_IsEq((CPyTagged)seven, 2)) return 1;
    if (callee == NULL) {
        CPy_AddTraceback("core.py", "paid", 7, seven);
        return 2;
    }
    return 0;
}
"""


def assembler_of(code: str, folder: Path, *flags: str) -> str:
    """The assembler that the compiler makes of what mypyc could have written."""
    include = sysconfig.get_path("include")
    if shutil.which("cc") is None or not Path(include, "Python.h").is_file():
        pytest.skip("no C compiler, or no headers of Python (Debian: python3-dev)")
    (folder / "code.c").write_text(f"#include <Python.h>\n#include <CPy.h>\n{code}")
    command = ["cc", "-O2", "-Wall", "-Werror", "-Wno-unused-function", f"-I{include}", f"-I{include_dir()}", *flags]
    subprocess.run([*command, "-S", "code.c"], cwd=folder, check=True)
    return (folder / "code.s").read_text()


def test_what_is_hardly_ever_called_lies_out_of_the_way(tmp_path: Path) -> None:
    (tmp_path / "rare.h").write_text(hatch_build.rare_header())
    assert "paid.cold:" not in assembler_of(BRANCH, tmp_path)
    hot, _, cold = assembler_of(BRANCH, tmp_path, "-include", "rare.h").partition("paid.cold:")
    assert ("CPy_AddTraceback" in cold, "CPyTagged_IsEq_" in cold) == (True, True)
    assert "call" not in hot


def test_mypycs_own_code_is_told_and_closed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    setuptools = pytest.importorskip("setuptools")
    flags = ["-O2"]  # mypyc gives one list to all
    library, shim = (
        setuptools.Extension(name, ["a.c"], extra_compile_args=flags) for name in ("veil700__mypyc", "sipstack.parser")
    )
    monkeypatch.setattr("mypyc.build.mypycify", lambda *args, **options: [shim, library])
    made: list[Any] = []
    monkeypatch.setattr("setuptools.command.build_ext.build_ext.run", lambda self: made.extend(self.extensions))
    hatch_build.compile_into(ROOT, tmp_path)
    told = {one.name: one.extra_compile_args for one in made}
    assert told["sipstack.parser"] == ["-O2"]
    assert told["veil700__mypyc"] == ["-O2", *hatch_build.CLOSED, "-include", str(tmp_path / "rare.h")]
    assert told["sipstack.head_scan"] == list(hatch_build.CLOSED)


def test_the_files_of_the_library_are_compiled_side_by_side(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    setuptools = pytest.importorskip("setuptools")
    both = threading.Barrier(2)
    asked: list[tuple[list[str], str]] = []

    class Compiler:
        def compile(self, sources: list[str], output_dir: str) -> list[str]:
            both.wait(10.0)
            asked.append((sources, output_dir))
            return [f"{source[:-2]}.o" for source in sources]

    def run(command: Any) -> None:
        command.compiler = Compiler()
        command.build_extensions()

    made: list[str] = []
    library = setuptools.Extension("veil700__mypyc", ["a.c", "b.c"], extra_compile_args=[])
    monkeypatch.setattr("mypyc.build.mypycify", lambda *args, **options: [library])
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1})
    monkeypatch.setattr("setuptools.command.build_ext.build_ext.run", run)
    monkeypatch.setattr(
        "setuptools.command.build_ext.build_ext.build_extensions",
        lambda command: made.extend(command.compiler.compile(["a.c", "b.c"], output_dir="temp")),
    )
    hatch_build.compile_into(ROOT, tmp_path)
    assert made == ["a.o", "b.o"]
    assert sorted(asked) == [(["a.c"], "temp"), (["b.c"], "temp")]
