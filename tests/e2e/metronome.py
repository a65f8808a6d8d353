"""How long a machine keeps one waiting that has nothing to do but to wake up."""

from __future__ import annotations

import threading
import time
from typing import Final

_BEAT_S: Final = 0.01


class Metronome(threading.Thread):
    """Beats a hundred times a second; `late_s` is by how much the latest beat was late.

    A node and its parties that share the processors with it were kept waiting as long, through no fault of theirs.
    """

    def __init__(self) -> None:
        super().__init__(name="metronome", daemon=True)
        self._ended = threading.Event()
        self.late_s = 0.0

    def run(self) -> None:
        """The thread's body."""
        due_s = time.monotonic() + _BEAT_S
        while not self._ended.wait(max(0.0, due_s - time.monotonic())):
            now_s = time.monotonic()
            self.late_s = max(self.late_s, now_s - due_s)
            due_s = now_s + _BEAT_S

    def end(self) -> None:
        """The last beat."""
        self._ended.set()
        self.join()
