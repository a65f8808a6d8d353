"""What `step_octets.c` makes, where the build has compiled it: `engine.store.segment.plain_encoded_step`, in C."""

from typing import Any

def encoded_step(step: int, values: tuple[Any, ...], extra: Any, /) -> bytes:
    """One step, as groups hold it. ValueError for what `marshal` cannot hold."""
