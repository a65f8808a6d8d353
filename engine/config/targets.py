"""Where a peer takes requests: a SIP URI with an address or a name, and its share among others (contract §4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, final

from engine.config.values import address_of, is_host_name, port_of, shown, suggestion
from engine.core.settings import TargetSettings
from sipstack.location import DEFAULT_PORTS, Place

MOST: Final = 65_535  # of a priority or weight: as in the DNS (RFC 2782)

_KEYS: Final = ("uri", "priority", "weight")
_CHOICE: Final = ("priority", "weight")


@final
@dataclass(frozen=True, slots=True)
class Target:
    """One of a peer's `targets`."""

    uri: str  # as configured, without priority and weight: what records show
    host: str  # an address without brackets, or a name in small letters
    address: IPv4Address | IPv6Address | None  # None for a name
    port: int  # 0: a name, and no port with it
    transport: str  # as in Flow; "": a name, and no transport with it
    is_secure: bool  # sips
    priority: int = 0
    weight: int | None = None

    def core_settings(self) -> TargetSettings:
        """The same for the core."""
        place = Place(self.host, self.port, self.transport, self.is_secure) if self.address is None else None
        return TargetSettings(
            self.uri, self.host, self.port, self.transport, self.priority, self.weight, place, self.is_secure
        )


def target(value: str) -> Target:
    """Reads `sip:127.0.0.1:5080;transport=udp` or `sips:core.example;priority=1;weight=10`. ValueError says why not."""
    scheme, colon, rest = value.partition(":")
    if not colon or scheme.lower() not in ("sip", "sips"):
        raise ValueError(f"{shown(value)} is no SIP URI")
    is_secure = scheme.lower() == "sips"
    for forbidden, what in (("@", "a user part"), ("?", "header fields")):
        if forbidden in rest:
            raise ValueError(f"{shown(value)}: {what} has no place in a target")
    place, *rows = rest.split(";")
    parameters = _parameters(rows)
    transport = _transport(parameters["transport"], is_secure) if "transport" in parameters else ""
    host, port = _host_and_port(place)
    address = None
    if is_host_name(host):
        host = host.lower().removesuffix(".")
    else:
        address = address_of(host, bracketed=True)
        if address.is_unspecified or address.is_multicast:
            raise ValueError(f"{shown(value)}: nothing can be sent to {address}")
        host = str(address)
        transport = transport or ("TLS" if is_secure else "UDP")
        port = port or DEFAULT_PORTS[transport]
    uri = ";".join([f"{scheme}:{place}", *(row for row in rows if row.partition("=")[0].lower() not in _CHOICE)])
    priority, weight = (_count(key, parameters[key]) if key in parameters else None for key in _CHOICE)
    return Target(uri, host, address, port, transport, is_secure, priority or 0, weight)


def target_text(value: object) -> object:
    """One entry of `targets` as a text, once it is seen to be a target; a table of the three keys becomes one."""
    if isinstance(value, Mapping):
        value = _text_of(value)
    if isinstance(value, str):
        target(value)
    return value


def _text_of(table: Mapping[str, object]) -> str:
    for key in table:
        if key not in _KEYS:
            raise ValueError(f"unknown key {shown(key)}{suggestion(key, _KEYS)}")
    uri = table.get("uri")
    if not isinstance(uri, str):
        raise ValueError("uri: missing" if uri is None else f"uri: must be a text in quotes, not {shown(uri)}")
    for key in _CHOICE:
        if key in table:
            number = table[key]
            if type(number) is not int:
                raise ValueError(f"{key}: must be a whole number, not {shown(number)}")
            uri += f";{key}={number}"
    return uri


def _parameters(rows: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in rows:
        key, _, text = row.partition("=")
        key = key.lower()
        if key not in ("transport", *_CHOICE):
            raise ValueError(f"unknown parameter {shown(key)}{suggestion(key, ['transport', *_CHOICE])}")
        if key in found:
            raise ValueError(f"{key} stands there twice")
        found[key] = text
    return found


def _transport(text: str, is_secure: bool) -> str:
    """As in Flow. A sips URI names the transport that TLS runs over (RFC 3261 §26.2.2), so that TCP means TLS there."""
    transport = text.upper()
    if transport not in DEFAULT_PORTS:
        raise ValueError(f"unknown transport {shown(text)}, only udp, tcp and tls")
    if is_secure and transport == "UDP":
        raise ValueError("sips never goes over UDP")
    return "TLS" if is_secure else transport


def _host_and_port(place: str) -> tuple[str, int]:
    """The port is 0 when there is none."""
    if ":" not in place or place.endswith("]"):
        return place, 0
    host, _, digits = place.rpartition(":")
    return host, port_of(digits)


def _count(key: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= MOST):
        raise ValueError(f"{key}: {shown(text)} is no whole number from 0 to {MOST}")
    return int(text)
