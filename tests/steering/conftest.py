"""An address of its own for each test."""

from __future__ import annotations

import pytest

from tests.sipstack.endpoint_rig import own_address


@pytest.fixture
def host(request: pytest.FixtureRequest) -> str:
    return own_address(request)
