"""What `record_frame.c` makes, where the build has compiled it: `engine.core.records.read_framed`, in C."""

def framed(values: list[object], count: int, /) -> bytes | None:
    """The first `count` values, each behind its length; None where one is not of the usual types, or all are long."""
