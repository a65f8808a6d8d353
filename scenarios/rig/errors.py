"""What stops a story before it can be judged."""

from __future__ import annotations


class RigError(Exception):
    """A node does not start, an engine is missing, a story cannot be read. The text is for people: one line, or few."""
