"""What keeps the rig from doing its work."""

from __future__ import annotations


class RigError(Exception):
    """The leak test cannot run; the text is one clear line."""
