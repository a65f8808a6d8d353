"""What plays one side of a story, whoever wrote it: real SIPp, or our own player."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol

from scenarios.rig.seen import Seen

EngineName = Literal["player", "sipp"]
ENGINES: Final[tuple[EngineName, ...]] = ("player", "sipp")

ENDS_S: Final = 60  # the longest story takes one second, and ten on a machine that is busy with other stories
TALK_MS: Final = 30  # how long a pause without a length lasts


@dataclass(frozen=True)
class Counted:
    """An engine's own figures at its end."""

    exit_status: int
    successful: int
    failed: int
    retransmissions: int
    unexpected: int
    errors: str  # what it has complained about lately

    def is_clean(self, calls: int) -> bool:
        """So many calls, and nothing in them went against the file. What was sent twice shows in the ladder."""
        return (self.exit_status, self.successful, self.failed, self.unexpected) == (0, calls, 0, 0)


class Run(Protocol):
    """One file being played. It ends by itself after its calls."""

    @property
    def messages(self) -> list[Seen]:
        """All that it has sent and received, in order."""

    def start(self) -> Run:
        """Returns once it takes messages. Raises RigError."""

    def wait(self) -> Counted:
        """Its figures, once it has ended."""

    def close(self) -> None:
        """Ends it if it still runs."""
