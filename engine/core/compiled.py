"""Whether the core runs as mypyc has compiled it, or as Python reads it."""

from __future__ import annotations


def is_compiled() -> bool:
    """True where this module is a shared library; all of those that can be compiled are then."""
    return not __file__.endswith(".py")
