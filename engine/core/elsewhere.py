"""What a CANCEL may tell the callee: that somebody has taken the call elsewhere, so that no phone shows it as missed.

A forking proxy before the node says so in the Reason of its CANCEL (RFC 3326 §2, §3.1). It is the one reason that is
read; what is sent on is a row of our own, and nothing of the caller's words is in it.
"""

from __future__ import annotations

from typing import Final

from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.fields import split_list
from sipstack.message import Message
from sipstack.uri import parse_params

_REASON: Final = "Reason: SIP;cause=200"


def rows_of_cancel(message: Message | None) -> list[str]:
    """What our CANCEL says more than every one does, when this has ended the call: the caller's CANCEL, or anything."""
    return [_REASON] if message is not None and message.method == "CANCEL" and _is_taken(message) else []


def _is_taken(cancel: Message) -> bool:
    try:
        values = [value for row in cancel.values(h.REASON) for value in split_list(row)]
    except RemoteSipError:
        return False
    for value in values:
        protocol, _, params = value.partition(";")
        if protocol.strip(" \t").upper() == "SIP" and parse_params(f";{params}").get("cause") == "200":
            return True
    return False
