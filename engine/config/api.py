"""`[api]`: where the HTTP API answers."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, Field

from engine.config import values
from engine.config.listeners import PemFile
from engine.config.table import STRICT

EVENTS_DAYS: Final = 90


class Api(BaseModel):
    """`[api]`: the [HTTP API](api.md), served by a process of its own beside the node; none without this table."""

    model_config = STRICT

    address: Annotated[str, AfterValidator(values.listen_address)] = "127.0.0.1:8700"
    """address:port of the HTTP API; IPv6 as `"[::1]:8700"`. What is asked there is signed but, without a certificate,
    not encrypted: `veil700 check` warns when the address is none of this machine alone."""
    alibaba_address: Annotated[str, AfterValidator(values.listen_address)] | None = None
    """address:port of the [operations of Alibaba's SDKs](alibaba.md), on which applications that were written for those
    bind without a change; none without. HTTPS with the same certificate."""
    alibaba_scenario: Annotated[str, Field(max_length=128)] = ""
    """Code of the scenario of the bindings that are made there, since those SDKs name none; for pools that
    `alibaba_scenarios` does not name. Without it only those it names bind there."""
    alibaba_scenarios: dict[str, Annotated[str, Field(min_length=1, max_length=128)]] = Field(default_factory=dict)
    """The same for single number pools, by their keys, which those SDKs call PoolKey: `{ FC1 = "express" }`."""
    certificate: PemFile = None
    """With it the API speaks HTTPS only: the certificate, and those between it and its authority; PEM file, relative to
    this one."""
    private_key: PemFile = None
    """Its key, without a password; PEM file."""
    rate_per_s: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Requests of one key whose own limit is 0; 0 is no limit. Beyond it 429 with `Retry-After`."""
    events_days: Annotated[int, Field(ge=1, le=3650)] = EVENTS_DAYS
    """So long [events](events.md) are kept, taken or not."""
    webhook_hosts: list[Annotated[str, AfterValidator(values.outside)]] = Field(default_factory=list)
    """Where [hooks](hooks.md) and webhooks may lie that are not public: host names, addresses, networks such as
    `"10.1.0.0/16"`. A platform chooses its URL itself, so without an entry nothing private is asked, this machine
    neither; one on this machine that is named here needs no HTTPS."""

    @property
    def url(self) -> str:
        """`http://127.0.0.1:8700`, as the line that says that the node is ready has it."""
        return f"{'http' if self.certificate is None else 'https'}://{self.address}"

    @property
    def alibaba_url(self) -> str:
        """The same of `alibaba_address`; "" without."""
        address = self.alibaba_address
        return "" if address is None else f"{'http' if self.certificate is None else 'https'}://{address}"

    @property
    def is_bare(self) -> bool:
        """True when others than this machine's may reach it, and nothing is encrypted."""
        return self.certificate is None and not _is_loopback(self.address)

    @property
    def is_alibaba_bare(self) -> bool:
        """The same of `alibaba_address`."""
        address = self.alibaba_address
        return address is not None and self.certificate is None and not _is_loopback(address)


def _is_loopback(text: str) -> bool:
    return values.socket_address(text)[0].is_loopback
