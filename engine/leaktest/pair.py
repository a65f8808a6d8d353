"""What is under test, and between whom: plain data for the rig, whoever has set it up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from engine.core.number_rules import NumberRules
from engine.core.settings import NumberFormat
from engine.core.wire_forms import arriving_user
from sipstack.uri import uri_host

Address = tuple[str, int]
_TEL: Final = NumberFormat.TEL


@final
@dataclass(frozen=True, slots=True)
class Trunk:
    """One side: where its party is, how numbers look there, and what the operator lets through towards it."""

    name: str
    address: Address
    number: str  # the party's own real number, canonical
    number_format: NumberFormat = NumberFormat.NATIONAL
    trusted: bool = True
    pass_headers: tuple[str, ...] = ()
    sms_centre: str = ""  # the number of the service centre that this trunk has, canonical
    is_ims: bool = False  # an S-CSCF of the operator's own IMS
    rules: NumberRules | None = None  # by which the element reads what comes from there

    def uri(self, number: str, host: str) -> str:
        """The address of a number as this trunk writes it."""
        user = arriving_user(number, self.number_format, self.rules)
        return f"tel:{user}" if self.number_format is _TEL else f"sip:{user}@{host}"


@final
@dataclass(frozen=True, slots=True)
class Pair:
    """Two trunks, the element between them, and the number under which the caller reaches the callee."""

    element: Address
    caller: Trunk
    callee: Trunk
    x: str
    relays_text: bool = False  # the operator lets numbers in texts cross

    @property
    def name(self) -> str:
        return f"{self.caller.name} > {self.callee.name}"

    def side(self, party: str) -> Trunk:
        """The trunk of "caller" or "callee"."""
        return self.caller if party == "caller" else self.callee


def shown(address: Address) -> str:
    """host:port as SIP writes it."""
    host, port = address
    return f"{uri_host(host)}:{port}"
