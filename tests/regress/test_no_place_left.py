"""A SIP server on 0.0.0.0:5060 let `make demo` look for a free address for ever."""

from __future__ import annotations

import pytest

from scenarios.rig import place
from scenarios.rig.errors import RigError


def test_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "is_free", lambda _host: False)
    with pytest.raises(RigError, match=r"no loopback address 127\.97\.\*:5060 is free: does a SIP server listen"):
        place.Places(97).take()
