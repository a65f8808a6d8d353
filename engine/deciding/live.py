"""What a running node knows that decides with the configuration: told by it, and taken up by a core that rehearses.

The node tells it over the control socket and decides nothing itself: a question costs its loop a few copies, and the
work is done by whoever asks. Facts that thin out calls by share (load, RFC 7339) are told and not taken up: of such a
share no single call can say whether it belongs to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from engine.core.health import STATES, UP
from engine.core.limits import InUse
from engine.core.service import CallService
from engine.core.trunks import Unwell
from engine.store.rows import utc_text
from sipstack.events import Flow
from sipstack.location import Address, Place

# Of each target that is a name its addresses, and why there are none, or old ones; "" when all is well.
Resolved = Mapping[Place, tuple[tuple[Address, ...], str]]


class Caller(NamedTuple):
    """Whom a question is about: numbers as the node reads them."""

    peer: str
    caller: str
    called: str
    subs_id: str = ""  # of the binding that was found


class Live(NamedTuple):
    """What a node has said of itself for one question."""

    config: str  # the file that it runs with
    text: str  # of it, when it was read
    state: str  # running | draining
    is_store_behind: bool
    shed_share: float
    in_use: InUse
    calls_of_day: int
    unwell: list[Unwell]
    resolved: Resolved
    last_member: str = ""  # of a group, that has called last through the binding, encrypted: "" when the store knows


def standing(service: CallService, request: Mapping[str, object], wall_s: float, now: float) -> dict[str, object]:
    """The answer of a node to the control verb `standing`, but for what its configuration says."""
    asked = Caller(*(str(request.get(name, "")) for name in Caller._fields))
    intake, trunks = service.intake, service.trunks
    names = trunks.names
    return {
        "state": "draining" if intake.is_draining else "running",
        "is_store_behind": intake.is_store_behind,
        "shed_share": intake.load.share,
        "in_use": intake.limits.in_use(names, asked.peer, asked.caller, now)._asdict(),
        "calls_of_day": intake.calls_of_day.begun(asked.called, asked.caller, wall_s),
        "unwell": [one._asdict() for one in trunks.unwell(now)],
        "resolved": [
            {"place": place._asdict(), "addresses": [one._asdict() for one in addresses]}
            for place, addresses in trunks.addresses().all()
        ],
    }


def live_of(answer: Mapping[str, object]) -> Live:
    """What `standing` has written, read back."""
    told = cast(dict[str, Any], answer)
    resolved = {
        Place(**one["place"]): (tuple([Address(**address) for address in one["addresses"]]), "")
        for one in told["resolved"]
    }
    return Live(
        told["config"], told["text"], told["state"], told["is_store_behind"], told["shed_share"],
        InUse(**told["in_use"]), told["calls_of_day"], [Unwell(**one) for one in told["unwell"]], resolved,
        told.get("last_member", ""),
    )  # fmt: skip


def take_up(service: CallService, live: Live, asked: Caller, wall_s: float) -> None:
    """Has a core without calls decide as the node would, at the monotonic time 0."""
    intake = service.intake
    intake.is_draining = live.state == "draining"
    intake.is_store_behind = live.is_store_behind
    intake.limits.assume(live.in_use, asked.peer, asked.caller, 0.0)
    intake.calls_of_day.assume(asked.called, asked.caller, live.calls_of_day, wall_s)
    service.trunks.assume(live.unwell, 0.0)


def told_state(live: Live, flow: Flow) -> str:
    """How a place is, in a few words."""
    for one in live.unwell:
        if (one.transport, one.host, one.port) == (flow.transport, flow.host, flow.port):
            since = "" if one.since_s is None else f" since {utc_text(one.since_s)}"
            return f"{STATES[one.state]}{since}"
    return STATES[UP]
