"""Whether the core runs as mypyc has compiled it, or as Python reads it."""

from __future__ import annotations

from sipstack.scan import SCAN


def is_compiled() -> bool:
    """True where this module is a shared library, as all that can be compiled are then, and the scan is there."""
    return SCAN is not None and not __file__.endswith(".py")
