"""Where the other side wants its media: read from the SDP of a message, as loosely as SIPp reads it."""

from __future__ import annotations

import re
from typing import Final

from sipstack.scenario.commands import MediaAddress
from sipstack.scenario.received import Received

# Requests whose SDP counts; of responses every one with a body does.
_METHODS: Final = frozenset(("INVITE", "ACK", "PRACK", "UPDATE"))
_HOST: Final = re.compile(r"^c=IN IP[46] ([^\s/]+)", re.MULTILINE)
_MEDIA: Final = re.compile(r"^m=(audio|image|video) (\d{1,5})\b", re.MULTILINE)


def media_addresses(message: Received) -> dict[str, MediaAddress]:
    """Address and port by medium (audio, image, video); the first line of a medium whose port is not 0 counts, and of
    the addresses that of its own section, else the one of the session.
    """
    if message.method and message.method not in _METHODS:
        return {}
    body = message.body
    found: dict[str, MediaAddress] = {}
    if "m=" not in body:
        return found
    session, *sections = re.split(r"^(?=m=)", body, flags=re.MULTILINE)
    common = _HOST.search(session)
    for section in sections:
        line, own = _MEDIA.match(section), _HOST.search(section)
        host = own or common
        if line is None or host is None or not 0 < int(line[2]) < 65536:
            continue
        found.setdefault(line[1], (host[1], int(line[2])))
    return found
