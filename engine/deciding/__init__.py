"""What the core decides about one call or message, without a node: nothing is sent and nothing is written.

`Decider` is for many questions, `Rehearsal` for one of which every byte is wanted. Both run the code of the node: the
one up to where a request would be built, the other as far as it leaves.
"""

from __future__ import annotations

from engine.deciding.arrival import Arrival, Arrivals, Arrived, Question, QuestionFault, arrival_of
from engine.deciding.decider import Decider
from engine.deciding.live import Caller, Live, Resolved, live_of, standing, told_state
from engine.deciding.rehearsal import Finder, Rehearsal
from engine.deciding.verdict import Outcome, Verdict

__all__ = [
    "Arrival", "Arrivals", "Arrived", "Caller", "Decider", "Finder", "Live", "Outcome", "Question", "QuestionFault",
    "Rehearsal", "Resolved", "Verdict", "arrival_of", "live_of", "standing", "told_state",
]  # fmt: skip
