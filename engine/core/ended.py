"""What an attempt lets go of when it has ended, long before it is forgotten.

For 64*T1 and more copies of its messages may come, and late answers. They ask for the transactions' keys and last
responses, for the dialogs' numbers and targets, for our ACK; not for the requests, nor for what was decided by them. At
1000 calls a second this is the greater part of a node's memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.core.choice import NOWHERE

if TYPE_CHECKING:
    from engine.core.attempt import AttemptBase


def shed_attempt(attempt: AttemptBase) -> None:
    """Its end is on record, and its sender has been told: of an INVITE, whose last response is not ours to repeat."""
    attempt.transaction.shed()
    del attempt.request, attempt.facts
    attempt.choice = NOWHERE
    attempt.asked = None
    attempt.refusal = None
