"""Rows that cross between trunks of one trust domain (RFC 3325), and no others; all but a Route in our words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from engine.core.copies import text_hides
from engine.core.disclosure import Draft, LeakStopped, RequestDraft
from engine.core.features import asserted_services, dispositions
from sipstack import headers as h
from sipstack.fields import option_tags
from sipstack.message import ENCODING, ERRORS, Message

# Parameters of P-Early-Media (RFC 5009 §8), one for each media line in order.
_EARLY_MEDIA: Final = frozenset(("sendrecv", "sendonly", "recvonly", "inactive", "gated", "supported"))
_MOST_EARLY_MEDIA: Final = 16


def early_media(draft: Draft) -> str:
    """Within the trust domain only (RFC 5009 §6): who may be heard before the answer is charged for."""
    return _within_domain(draft, h.P_EARLY_MEDIA, _early_words)


def _early_words(message: Message) -> list[str]:
    words = [word for word in option_tags(message.values(h.P_EARLY_MEDIA)) if word in _EARLY_MEDIA]
    return words[:_MOST_EARLY_MEDIA]


def asserted_service(draft: Draft) -> str:
    """Within the trust domain only (RFC 6050 §4.1)."""
    return _within_domain(draft, h.P_ASSERTED_SERVICE, asserted_services)


def disposition(draft: Draft) -> str:
    """What proxies behind are asked to do. None of it is for this node, which tries one place at a time."""
    return _within_domain(draft, h.REQUEST_DISPOSITION, dispositions)


def _within_domain(draft: Draft, header: int, words_of: Callable[[Message], list[str]]) -> str:
    assert draft.message is not None
    words = words_of(draft.message) if draft.from_trusted and draft.party.peer.trusted else []
    return f"{h.CANONICAL[header]}: {', '.join(words)}" if words else ""


def service_route(draft: RequestDraft) -> str:
    """What the S-CSCF that the request goes to has written of itself (`engine.core.isc`), and of nobody else.

    It is text that nobody reads here, so it is searched as copied text is. Raises LeakStopped.
    """
    text = "\n".join(draft.routes).encode(ENCODING, ERRORS)
    if any(number and text_hides(text, number) for number in (draft.party.hidden, *draft.party.also_hidden)):
        raise LeakStopped
    return "\r\n".join([f"Route: {value}" for value in draft.routes])
