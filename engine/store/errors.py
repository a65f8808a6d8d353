"""What the store says when it cannot do its work. Each message is one line, with real numbers masked."""

from __future__ import annotations


class StoreError(Exception):
    """The data cannot be opened, read or written: names the file and the reason."""
