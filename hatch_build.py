"""Compiles what every message goes through, where VEIL700_COMPILE=1 asks for it (docs/decisions/0038).

A wheel of it holds the modules that mypyc has made beside the sources that they were made of; Python takes the former.
The scan of the head, the datagrams of a socket, the cipher of a lookup, the lookup itself, the octets of a step and
what the hash of a record covers, which are written in C, are modules of their own: there is all, or nothing.
Where they cannot be made, one line says why and the wheel is the pure one. An editable installation runs its sources.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SWITCH: Final = "VEIL700_COMPILE"
TOOLS: Final = ("mypy>=2.4,<3", "setuptools>=77,<85")  # mypyc is a part of mypy

# Whole packages without what lies below them: players and test tools gain nothing.
PACKAGES: Final = ("sipstack", "engine/core")
# What of the shell each message, or each call, goes through as well.
SHELL: Final = (
    "sipstack/aio/endpoint.py", "sipstack/aio/udp.py", "sipstack/aio/wakes.py", "engine/runner.py",
    "engine/completeness.py", "engine/store/binding_reader.py", "engine/store/crypto.py",
    # ... and what makes each step durable, and brings it into the tables (decision 0051).
    "engine/recording/client.py", "engine/recording/frames.py", "engine/recording/serving.py",
    "engine/store/breathing.py", "engine/store/caller_memory.py", "engine/store/fresh.py", "engine/store/journal.py",
    "engine/store/journal_reader.py", "engine/store/ledger.py", "engine/store/loader.py", "engine/store/records.py",
    "engine/store/rows.py", "engine/store/segment.py",
)  # fmt: skip
PURE: Final = ("__init__.py", "pcap.py")
DOUBLES: Final = "sipstack/testing/doubles.py"  # tests that run on the compiled stack cannot do without

# Written in C (decisions 0042, 0046, 0050, 0060, 0061 and 0062): module, source, what that includes.
IN_C: Final[tuple[tuple[str, str, list[str]], ...]] = (
    (
        "sipstack.head_scan",
        "sipstack/head_scan.c",
        [
            "sipstack/description_look.h",
            "sipstack/head_functions.h",
            "sipstack/head_values.h",
            "sipstack/head_look.h",
            "sipstack/head_octets.h",
            "sipstack/text_look.h",
        ],
    ),
    ("sipstack.aio.datagrams", "sipstack/aio/datagrams.c", []),
    ("engine.store.short_siv", "engine/store/short_siv.c", ["engine/store/short_siv.h"]),
    ("engine.store.target_read", "engine/store/target_read.c", ["engine/store/short_siv.h"]),
    ("engine.store.step_octets", "engine/store/step_octets.c", []),
    ("engine.core.record_frame", "engine/core/record_frame.c", []),
)

GROUP: Final = "veil700"  # the code of all modules is in one shared library of this name

# What mypyc's code calls only where something has gone wrong, once a module is made, or for an integer beyond 62 bits.
# gcc takes what leads to such a call out of the way, which leaves half of the code where messages pass (0052).
RARE: Final = (
    "CPy_AddTraceback", "CPy_TypeErrorTraceback", "CPy_AttributeError", "CPy_TypeError", "CPyError_OutOfMemory",
    "PyErr_SetString", "CPy_DecRef", "CPy_XDecRef", "CPyTagged_IncRef", "CPyTagged_DecRef", "CPyTagged_XDecRef",
    "CPyTagged_IsEq_", "CPyTagged_IsLt_", "CPyTagged_Add_", "CPyTagged_Subtract_",
    "CPyImport_GetModuleCacheForImport", "CPyImport_ReplaceModuleCacheForImport", "CPyImport_ImportFromMany",
    "CPyImport_GetNativeAttrs", "CPyImport_ImportNative", "CPyType_FromTemplate",
)  # fmt: skip
# Nobody asks a library of ours for a name: what is ours is found without a table, what is Python's without a detour.
CLOSED: Final = ("-fvisibility=hidden", "-fno-semantic-interposition", "-fno-plt")


class CustomBuildHook(BuildHookInterface[Any]):
    """What hatchling calls."""

    def dependencies(self) -> list[str]:
        """What the build needs besides hatchling."""
        return list(TOOLS) if os.environ.get(SWITCH) == "1" else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the compiled modules to a wheel before it is packed."""
        if version != "standard" or os.environ.get(SWITCH) != "1":
            return
        self._folder = tempfile.TemporaryDirectory(prefix="veil700-compiled-")
        try:
            made = compile_into(Path(self.root), Path(self._folder.name))
        except Exception as error:
            print(f"veil700: not compiled, the wheel is pure Python: {_first_line(error)}", file=sys.stderr)
            return
        build_data["force_include"].update(made)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Once they are packed, the compiled modules go."""
        if hasattr(self, "_folder"):
            self._folder.cleanup()


def modules(root: Path) -> list[str]:
    """The files that are compiled, relative to the root."""
    files = [file for package in PACKAGES for file in sorted((root / package).glob("*.py")) if file.name not in PURE]
    return [*[str(file.relative_to(root)) for file in files], *SHELL, DOUBLES]


def compile_into(root: Path, folder: Path) -> dict[str, str]:
    """Compiles into a folder -> each shared library, and its place in the wheel. Raises what the tools raise.

    Works in the root, and changes nothing there.
    """
    _check_compiler()
    from mypyc.build import mypycify
    from setuptools import Distribution, Extension
    from setuptools.command.build_ext import build_ext

    before = Path.cwd()
    os.chdir(root)
    try:
        extensions = mypycify(
            [f"--cache-dir={folder / 'cache'}", *modules(root)],
            opt_level="2",
            debug_level="0",
            multi_file=True,  # one C file a module: half the memory of one file, and the processors share the work
            group_name=GROUP,
            target_dir=str(folder / "c"),
        )
        (folder / "rare.h").write_text(rare_header())
        library = next(extension for extension in extensions if extension.name == f"{GROUP}__mypyc")
        told = [*CLOSED, "-include", str(folder / "rare.h")]
        library.extra_compile_args = [*library.extra_compile_args, *told]  # the list itself is shared by all
        for module, source, headers in IN_C:
            extensions.append(Extension(module, [source], depends=headers, extra_compile_args=list(CLOSED)))

        class FileByFile(build_ext):
            """Setuptools compiles extensions side by side, but the files of one, as the library is, in a row."""

            def build_extensions(self) -> None:
                self.compiler.compile = partial(_side_by_side, self.compiler.compile)
                super().build_extensions()

        command = FileByFile(Distribution({"name": GROUP, "ext_modules": extensions}))
        command.build_lib = str(folder / "lib")
        command.build_temp = str(folder / "temp")
        command.parallel = len(os.sched_getaffinity(0))
        command.ensure_finalized()
        command.run()
    except SystemExit as error:  # so mypycify says what it cannot compile, on stderr
        raise RuntimeError("mypyc has found faults") from error
    finally:
        os.chdir(before)
    lib = folder / "lib"
    return {str(file): str(file.relative_to(lib)) for file in sorted(lib.rglob("*.so"))}


def _side_by_side(compile_files: Callable[..., list[str]], sources: list[str], **options: Any) -> list[str]:
    """The objects of all files, in their order: as many at a time as there are processors."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        objects = threads.map(lambda source: compile_files([source], **options), sources)
        return [each for made in objects for each in made]


def rare_header() -> str:
    """What is put before each C file of mypyc's: it tells the compiler which functions are hardly ever called."""
    lines = ["#define PY_SSIZE_T_CLEAN", "#include <Python.h>", "#include <CPy.h>"]
    lines += [f"__typeof__({name}) {name} __attribute__((cold));" for name in RARE]
    return "\n".join(lines) + "\n"


def _check_compiler() -> None:
    """Raises RuntimeError where C cannot be compiled for this Python: known at once, and not after a minute."""
    compiler = str(sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        raise RuntimeError(f"there is no C compiler ({compiler})")
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.is_file():
        raise RuntimeError(f"{header} is missing (Debian: apt-get install python3-dev)")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
