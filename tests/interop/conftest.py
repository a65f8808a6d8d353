"""The places, nodes and SIPp processes of the end-to-end tests, and programs that must be there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import make_node, place, places, sipp
from tests.interop.phones import Phone

__all__ = ["make_node", "place", "places", "sipp"]

Ring = Callable[[Phone], Phone]


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Ring]:
    """Starts a phone, which is ended with the test; what it said is shown with a failure."""
    started: list[Phone] = []

    def start(phone: Phone) -> Phone:
        started.append(phone)
        phone.start()
        return phone

    yield start
    for phone in started:
        phone.close()
        print(f"--- {type(phone).__name__} at {phone.host}\n{phone.log[-8000:].decode(errors='replace')}")
