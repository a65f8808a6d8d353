"""Addresses for targets that are names, where nobody is asked: decisions must not depend on the DNS of the day."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from engine.core.settings import CoreSettings, ListenerSettings
from engine.deciding.live import Resolved
from engine.names import places_of
from sipstack.location import DEFAULT_PORTS, Address, Place

_ANYWHERE: Final = {False: "192.0.2.1", True: "2001:db8::1"}  # of nobody (RFC 5737, RFC 3849)


def assumed(settings: CoreSettings) -> Resolved:
    """For each target that is a name one address, which a listener can send to."""
    return {place: (tuple(_addresses(place, settings.listeners)), "") for place in places_of(settings)}


def _addresses(place: Place, listeners: tuple[ListenerSettings, ...]) -> Iterator[Address]:
    wanted = "TLS" if place.is_secure else place.transport
    for one in listeners:
        if wanted in ("", one.transport):
            port = place.port or DEFAULT_PORTS[one.transport]
            yield Address(one.transport, _ANYWHERE[":" in one.host], port, 0, 0.0)
            return
