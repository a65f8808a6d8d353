"""The programs that a measurement needs, besides veil700 itself."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Final

# Program -> its package in Debian.
PROGRAMS: Final = {"sipp": "sip-tester", "kamailio": "kamailio", "cc": "gcc", "setpriv": "util-linux"}
HEADERS: Final = (Path("/usr/include/stdio.h"), "libc6-dev")
KAMAILIO_SQLITE: Final = "kamailio-sqlite-modules"


def kamailio_modules() -> Path | None:
    """The folder that holds Kamailio's modules, the one for SQLite among them; None when there is none."""
    found = sorted(Path("/usr").glob("lib*/**/kamailio/modules/db_sqlite.so"))
    return found[0].parent if found else None


def missing_packages() -> list[str]:
    """The packages to install before anything can be measured."""
    packages = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if not HEADERS[0].exists():
        packages.append(HEADERS[1])
    if kamailio_modules() is None:
        packages.append(KAMAILIO_SQLITE)
    return packages


def main() -> int:
    """Prints what is missing, for the Makefile."""
    print(" ".join(missing_packages()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
