"""What is written in C: what is built in, or compiled for the test out of the same source."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from sipstack.scan import SCAN, scanner_of

ROOT: Final = Path(__file__).resolve().parents[2]
STRICT: Final = ("-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared")


def compile_c(name: str, folder: Path) -> ModuleType:
    """Compiles a module as it is, and takes no warning. Skips the test where C cannot be compiled for this Python."""
    include = sysconfig.get_path("include")
    if shutil.which("cc") is None or not Path(include, "Python.h").is_file():
        pytest.skip("no C compiler, or no headers of Python (Debian: python3-dev)")
    source = ROOT / f"{name.replace('.', '/')}.c"
    library = folder / f"{source.stem}{sysconfig.get_config_var('EXT_SUFFIX')}"
    command = ["cc", *STRICT, f"-I{include}", str(source), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    spec = importlib.util.spec_from_file_location(name, library)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compile_scan(folder: Path) -> ModuleType:
    """The module of the scan."""
    return compile_c("sipstack.head_scan", folder)


def make_scan(folder: Path) -> Any:
    """The scanner that the parser uses, or would use."""
    return scanner_of(compile_scan(folder).Scanner) if SCAN is None else SCAN
