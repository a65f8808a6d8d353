"""Bindings of all modes as the store would hand them over, and nodes that know them."""

from __future__ import annotations

from engine.core.binding import Binding, Conditions
from engine.core.settings import CoreSettings
from tests.core.corenode import SETTINGS, A, B, CoreNode, X, axb

Y = "700123456780002"
C = "13700137000"
D = "13700137001"


def said(**conditions: object) -> Conditions:
    """What the store says of a binding beside its numbers."""
    return Conditions(**conditions)  # type: ignore[arg-type]


def with_conditions(settings: CoreSettings = SETTINGS, **conditions: object) -> CoreNode:
    """A node whose binding of X, for A and for B, has these conditions."""
    there = axb()._replace(conditions=said(**conditions))
    return CoreNode(settings, (there, there._replace(caller=B, callee=A)))


def axyb(caller: str = A) -> Binding:
    """B sees X, A sees Y."""
    callee, presented = (B, X) if caller == A else (A, Y)
    return axb(caller, callee)._replace(mode="AXYB", tel_y=Y, presented=presented)


def knowing(bindings: dict[tuple[str, str], Binding], settings: CoreSettings = SETTINGS) -> CoreNode:
    """A node whose store answers for (called, caller)."""
    node = CoreNode(settings)
    node.bindings = bindings
    return node
