"""What the node would do with a call or message, told line by line; nothing is sent and nothing is written."""

from __future__ import annotations

from engine.deciding.arrival import Arrival, Question, QuestionFault, arrival_of
from engine.explain.account import explain
from engine.explain.told import Explanation, Line, as_document

__all__ = ["Arrival", "Explanation", "Line", "Question", "QuestionFault", "arrival_of", "as_document", "explain"]
