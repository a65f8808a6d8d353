"""`[[listen]]`: the sockets that take SIP, and what those of TLS need."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from engine.config import values
from engine.config.table import STRICT
from engine.core.settings import ListenerSettings

PemFile = Annotated[str, Field(min_length=1)] | None


class Listen(BaseModel):
    """`[[listen]]`: where SIP comes in, and whence what the node sends leaves. Without any, one with the defaults. Via
    and Contact of what leaves by a listener say its `advertise`, or its `address`. A target is sent to by the first
    listener of its transport and address family, an answer by the one that has taken the request."""

    model_config = STRICT

    transport: Literal["udp", "tcp", "tls"] = "udp"
    """Transport protocol."""
    address: Annotated[str, AfterValidator(values.listen_address)] = "127.0.0.1:5060"
    """address:port; IPv6 as `"[::1]:5060"`."""
    advertise: Annotated[str, AfterValidator(values.advertised)] | None = None
    """host:port that stands in Via and Contact when the world sees another address. Required when `address` is
    `0.0.0.0` or `[::]`."""
    certificate: PemFile = None
    """With `tls`, and only there: the certificate that the node shows, to clients and to targets, and those between it
    and its authority; PEM file, relative to this one."""
    private_key: PemFile = None
    """Its key, without a password; PEM file."""
    client_ca: PemFile = None
    """Authorities, PEM file: whoever connects must show a certificate of one of them. Without, none is asked for."""
    server_ca: PemFile = None
    """Authorities of the certificates that targets must show, PEM file. Without, those of the machine."""

    @property
    def shown(self) -> str:
        """`udp:127.0.0.1:5060`, as the line that says that the node is ready has it."""
        return f"{self.transport}:{self.address}"

    def core_settings(self) -> ListenerSettings:
        """The same for the core."""
        address, port = values.socket_address(self.address)
        return ListenerSettings(self.transport.upper(), str(address), port, self.advertise or self.address)
