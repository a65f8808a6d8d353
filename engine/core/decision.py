"""An attempt that is only decided: what `engine.deciding` asks the core for."""

from __future__ import annotations

from typing import Final, final

from engine.core.attempt import AttemptBase
from engine.core.binding import Binding
from engine.core.policy import Refusal
from engine.core.records import Step

_PERMITTED: Final = "permitted"


@final
class Decision(AttemptBase):
    """An attempt that ends where it is decided."""

    __slots__ = ()

    @property
    def state_name(self) -> str:
        """It has no table."""
        return _PERMITTED if self.refusal is None else self.refusal.decided_by

    def refused(self, refusal: Refusal, now: float) -> None:
        """The decision."""
        self.refusal = refusal

    def permitted(self, binding: Binding, now: float) -> None:
        """The decision: `choice` has where to."""

    def wait_for_store(self, now: float) -> None:
        """It is answered at once."""

    def wait_for_hook(self, timeout_s: float, now: float) -> None:
        """It is taken to let it pass."""

    def committed(self, step: Step, durable: bool, now: float) -> None:
        """Nothing is recorded."""
