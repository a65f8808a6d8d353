"""The files that a configuration is made of, and the folder that it names."""

from __future__ import annotations

import os
from pathlib import Path


def contents(file: Path, most: int) -> bytes:
    """The octets of a file, `most` + 1 of one that is larger. ValueError with the reason why there are none."""
    try:
        with file.open("rb") as opened:
            return opened.read(most + 1)
    except OSError as error:
        raise ValueError(error.strerror) from None
    except ValueError:  # a NUL in the name
        raise ValueError("no such file") from None


def nearest(folder: Path) -> Path:
    """The folder, or what is there of the way to it."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(place))
