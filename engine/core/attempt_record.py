"""What a request and its binding say, as the record of the attempt says it."""

from __future__ import annotations

from engine.core.binding import Binding
from engine.core.charging import icid_value
from engine.core.context import CoreContext
from engine.core.identity import caller_of, number_of
from engine.core.numbers import REAL, Dialled, masked_identifier
from engine.core.policy import Facts
from engine.core.records import CallRecord
from engine.core.settings import PeerSettings
from engine.core.tokens import RECORD_LETTERS
from sipstack import headers as h
from sipstack.message import Message


def begun(
    context: CoreContext,
    request: Message,
    peer: PeerSettings,
    kind: str,
    now: float,
    numbers: tuple[Dialled, Dialled] | None = None,
) -> tuple[Facts, CallRecord]:
    """What the request of a new attempt says: the facts to decide on, and its record.

    `numbers`, called and caller, when they do not stand in the usual fields. Raises RemoteSipError when its caller
    cannot be read.
    """
    wall_s = context.wall(now)
    if numbers is None:
        numbers = number_of(request.uri, peer), caller_of(request, peer)
    time = int(wall_s * 1000).to_bytes(6, "big").hex()  # a format of twelve digits costs five times as much
    record_id = f"{time}-{context.tokens.owner}{context.tokens.letters(RECORD_LETTERS)}"
    record = CallRecord(record_id, context.settings.node, kind)
    record.call_time = wall_s
    record.ingress_peer = peer.name
    record.caller_call_id = masked_identifier(request.call_id)
    record.caller_cseq = request.cseq
    via = request.top_via
    record.caller_branch = masked_identifier(via.branch) if via is not None else ""
    if peer.trusted and request.first[h.P_CHARGING_VECTOR] is not None:
        record.icid_in = masked_identifier(icid_value(request))
    _write_numbers(record, numbers[0], numbers[1])
    return Facts(numbers[0], numbers[1], peer, wall_s, kind == "message"), record


def _write_numbers(record: CallRecord, called: Dialled, caller: Dialled) -> None:
    """Who calls whom, as far as it could be read; a real number stands where it will be encrypted."""
    if called.kind is REAL:
        record.callee = called.number
    else:
        record.tel_x = called.number
    record.caller = caller.number


def write_binding(record: CallRecord, binding: Binding) -> None:
    """Which binding decides, as the record says it."""
    record.mode = binding.mode
    record.subs_id = binding.subs_id
    record.binding_version = binding.version
    record.app_platform = binding.app_platform
    record.business_user = binding.business_user
    record.order_id = binding.order_id
    record.scenario = binding.scenario
    record.tel_x = binding.tel_x
    record.tel_y = binding.tel_y
    record.presented_number = binding.presented
    record.group_member = "" if binding.mode == "AXB" else binding.member  # a property of a tuple is searched for


def number_called(record: CallRecord) -> str:
    """The 700 number by which the caller knows this binding: X, or Y of a mode that has one.

    In AXYB whoever is shown X has been called by Y's owner, in a group binding by a member of the group.
    """
    if not record.tel_y:
        return record.tel_x
    if record.group_member:
        return record.tel_y if record.group_member == record.caller else record.tel_x
    return record.tel_y if record.presented_number == record.tel_x else record.tel_x
