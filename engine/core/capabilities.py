"""What this node says that it takes: methods, bodies, extensions (RFC 3261 §20.1, §20.5, §20.37).

A refusal for one of these must say what would be taken instead (§21.4.6, §21.4.13, §21.4.15), so the rows for that
stand here too: of what the far end says, only the words that are in our own lists.
"""

from __future__ import annotations

from typing import Final

from engine.core.bodies import INFO_TYPES
from engine.core.disclosure import NEW, TRANSLATED, VARIOUS, ResponseDraft, Row
from engine.core.rp_message import CONTENT_TYPE as SMS_TYPE
from engine.core.transfer import REPORT_TYPE
from sipstack.fields import option_tags
from sipstack.sdp import CONTENT_TYPE as SDP_TYPE

_METHODS: Final = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "MESSAGE", "PRACK", "UPDATE", "INFO")
_WITH_TRANSFER: Final = (*_METHODS, "REFER", "NOTIFY")
ALLOW: Final = f"Allow: {', '.join(_METHODS)}"
ALLOW_WITH_TRANSFER: Final = f"Allow: {', '.join(_WITH_TRANSFER)}"
ACCEPT: Final = f"Accept: {SDP_TYPE}, text/plain, {SMS_TYPE}"

# Option tags that mean the same to both ends when they cross (contract §5).
CROSSING_OPTIONS: Final = ("100rel", "timer", "precondition")
SUPPORTED: Final = f"Supported: {', '.join(CROSSING_OPTIONS)}"

# Bodies of requests within a dialog; a REFER has none (RFC 3515 §2.3).
_TYPES: Final = {"INFO": INFO_TYPES, "NOTIFY": (REPORT_TYPE,), "REFER": ()}

_METHOD_NOT_ALLOWED: Final = 405
UNSUPPORTED_TYPE: Final = 415
_BAD_EXTENSION: Final = 420


def accept_line(method: str) -> str:
    """The row that a 415 to a request within a dialog must have; empty where no body at all is taken (§20.1)."""
    return f"Accept: {', '.join(_types(method))}"


def _types(method: str) -> tuple[str, ...]:
    return _TYPES.get(method, (SDP_TYPE,))


# -- rows of failures that the far end has answered --------------------------------------------------------------------


def _allowed(draft: ResponseDraft) -> str:
    """Allow of a 405: all that is carried in this dialog, but for the method that the far end refuses."""
    if draft.status != _METHOD_NOT_ALLOWED:
        return ""
    assert draft.message is not None
    methods = _WITH_TRANSFER if draft.party.may_transfer else _METHODS
    return f"Allow: {', '.join([method for method in methods if method != draft.message.method])}"


def _accepted(draft: ResponseDraft) -> str:
    """Accept of a 415: the types of our list that the far end names."""
    if draft.status != UNSUPPORTED_TYPE:
        return ""
    assert draft.message is not None
    named = [kind.partition(";")[0].rstrip(" \t") for kind in option_tags(draft.message.named("Accept"))]
    return f"Accept: {', '.join([kind for kind in _types(draft.message.method) if kind in named])}"


def _unsupported(draft: ResponseDraft) -> str:
    """Unsupported of a 420: the option tags of our list that the far end names."""
    if draft.status != _BAD_EXTENSION:
        return ""
    assert draft.message is not None
    named = option_tags(draft.message.named("Unsupported"))
    tags = [tag for tag in CROSSING_OPTIONS if tag in named]
    return f"Unsupported: {', '.join(tags)}" if tags else ""


INSTEAD: Final = (
    Row("Allow", NEW, _allowed),
    Row("Accept", TRANSLATED, _accepted, VARIOUS),
    Row("Unsupported", TRANSLATED, _unsupported, VARIOUS),
)
