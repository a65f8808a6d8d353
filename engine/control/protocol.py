"""What both ends of the control socket agree on: JSON lines over a Unix socket in the data folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

# One request and one answer are one line each. `calls` of a busy node is the longest answer.
MAX_REQUEST_BYTES: Final = 64 * 1024
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
ANSWER_TIMEOUT_S: Final = 10.0


def socket_path(data_dir: Path) -> Path:
    """Where the control socket of the SIP process is."""
    return data_dir / "control-0.sock"
