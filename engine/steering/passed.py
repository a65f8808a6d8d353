"""What a worker is handed at its birth: descriptors of sockets that the process above it has opened and keeps open."""

from __future__ import annotations

from typing import Final, NamedTuple

_NONE: Final = "-"


class Passed(NamedTuple):
    """Descriptors of one worker, which it inherits under the same numbers.

    `listeners` are in the order of the configuration: of UDP the worker's own socket, of a stream the one that all
    accept on. `inbox` is where messages come that others have received; `outboxes` lead to those of the others, None in
    the worker's own place.
    """

    worker: int
    workers: int
    listeners: tuple[int, ...]
    inbox: int
    outboxes: tuple[int | None, ...]

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All of them, for who starts the process (`subprocess`: `pass_fds`)."""
        return (*self.listeners, self.inbox, *(one for one in self.outboxes if one is not None))

    def told(self) -> str:
        """As one word, for a command line or the environment: `1/3:5,6:9:10,-,11`."""
        outboxes = ",".join(_NONE if one is None else str(one) for one in self.outboxes)
        return f"{self.worker}/{self.workers}:{','.join(map(str, self.listeners))}:{self.inbox}:{outboxes}"


def read_passed(told: str) -> Passed:
    """What `Passed.told` says; ValueError for anything else."""
    try:
        place, listeners, inbox, outboxes = told.split(":")
        worker, workers = place.split("/")
        found = Passed(
            int(worker),
            int(workers),
            tuple([int(one) for one in listeners.split(",")]),
            int(inbox),
            tuple([None if one == _NONE else int(one) for one in outboxes.split(",")]),
        )
        if not 0 <= found.worker < found.workers == len(found.outboxes) or found.outboxes[found.worker] is not None:
            raise ValueError(told)
    except ValueError:
        raise ValueError(f"not what a worker is handed: {told}") from None
    return found
