"""Features of a phone that both ends understand alike: what it says it has, and what it is asked to have (RFC 3840)."""

from __future__ import annotations

from typing import Final

from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.fields import split_list
from sipstack.grammar import PARAM
from sipstack.message import Message
from sipstack.uri import parse_name_addr

# MMTel (TS 24.173) and short messages over IP (TS 24.341).
_TAGS: Final = ('+g.3gpp.icsi-ref="urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel"', "+g.3gpp.smsip")
_FEATURES: Final = tuple((tag, tag.lower()) for tag in _TAGS)
FEATURE_MARK: Final = "+g.3gpp."  # begins every one of them; a "+" alone stands in most addresses
_PREFERENCES: Final = ("require", "explicit")  # RFC 3841 §9.2
_ACCEPTED: Final = frozenset([lower for _, lower in _FEATURES] + list(_PREFERENCES))

# ICSI values that networks assert alike (TS 24.229 §7.2A.8): MMTel with its kinds of media.
_SERVICES: Final = (
    "urn:urn-7:3gpp-service.ims.icsi.mmtel",
    "urn:urn-7:3gpp-service.ims.icsi.mmtel.hd-audio",
    "urn:urn-7:3gpp-service.ims.icsi.mmtel.gsma.ipcall",
    "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.msg",
    "urn:urn-7:3gpp-service.ims.icsi.oma.cpm.session",
)

# Directives of RFC 3841 §9.1.
_DIRECTIVES: Final = (
    "proxy", "redirect", "cancel", "no-cancel", "fork", "no-fork", "recurse", "no-recurse", "parallel", "sequential",
    "queue", "no-queue",
)  # fmt: skip


def asserted_services(message: Message) -> list[str]:
    """Those of our list that the network asserts (RFC 6050 §4.1), in our words."""
    return _listed(message, h.P_ASSERTED_SERVICE, _SERVICES)


def dispositions(message: Message) -> list[str]:
    """What proxies behind are asked to do (RFC 3841 §9.1), in our words."""
    return _listed(message, h.REQUEST_DISPOSITION, _DIRECTIVES)


def _listed(message: Message, header: int, known: tuple[str, ...]) -> list[str]:
    named = {value.strip(" \t").lower() for row in message.values(header) for value in row.split(",")}
    return [word for word in known if word in named]


def feature_tags(contact: str) -> list[str]:
    """Those of our list behind the first address; what stands in quotes, like the <urn:...> of an instance, is none."""
    try:
        params = PARAM.findall(parse_name_addr(split_list(contact)[0]).params)
    except RemoteSipError:
        return []
    written = {f"{name}={value}".lower() if value else name.lower() for name, value in params}
    return [tag for tag, lower in _FEATURES if lower in written]


def wanted_features(message: Message) -> list[str]:
    """Values of Accept-Contact that ask for nothing but features of our list (RFC 3841 §9.2), written anew.

    Any other value is dropped whole.
    """
    values: dict[str, None] = {}
    for value in [value for row in message.values(h.ACCEPT_CONTACT) for value in split_list(row)]:
        first, *params = [part.strip(" \t") for part in value.lower().split(";")]
        features = [tag for tag, lower in _FEATURES if lower in params]
        if first == "*" and features and _ACCEPTED.issuperset(params):
            values[";".join(["*", *features, *[word for word in _PREFERENCES if word in params]])] = None
    return list(values)
