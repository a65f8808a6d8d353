"""The programs that a measurement needs, besides veil700 itself."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Final

# Program -> its package in Debian.
PROGRAMS: Final = {"sipp": "sip-tester", "kamailio": "kamailio", "cc": "gcc", "setpriv": "util-linux"}
HEADERS: Final = {
    Path("/usr/include/stdio.h"): "libc6-dev",
    Path(sysconfig.get_path("include"), "Python.h"): "python3-dev",  # for what is compiled of this project
}
KAMAILIO_SQLITE: Final = "kamailio-sqlite-modules"
# The interpreter of an environment that has sippy, where `make bench` could make one.
SIPPY: Final = Path(__file__).resolve().parents[2] / "build" / "sippy" / "bin" / "python"


def kamailio_modules() -> Path | None:
    """The folder that holds Kamailio's modules, the one for SQLite among them; None when there is none."""
    found = sorted(Path("/usr").glob("lib*/**/kamailio/modules/db_sqlite.so"))
    return found[0].parent if found else None


def missing_packages() -> list[str]:
    """The packages to install before anything can be measured."""
    packages = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    packages += [package for header, package in HEADERS.items() if not header.exists()]
    if kamailio_modules() is None:
        packages.append(KAMAILIO_SQLITE)
    return packages


def main() -> int:
    """Prints what is missing, for the Makefile."""
    print(" ".join(missing_packages()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
