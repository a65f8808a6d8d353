"""An answered call as plain values: all that another run of the node needs to serve it on (table `call_answer`).

What is not here may be forgotten: the call's tries, whose late answers are known by their From tag (`try_ids`); its
pending requests, which their senders repeat; and the hash of the last description that crossed each way, so that the
next one counts as changed. Of what the descriptions have told each side nothing is forgotten, since what a party has
written itself must not come back to it (`session_attributes.Exchange`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from engine.core.listeners import Listeners
from engine.core.pair import PairSide
from engine.core.session_bodies import FrozenOrigin
from sipstack import headers as h
from sipstack.message import Message, render
from sipstack.parser import parse

if TYPE_CHECKING:
    from engine.core.call import Call

# Rows of another version are closed, not read: raise it with every change of what follows.
VERSION: Final = 1

_ANY_REQUEST: Final = "INVITE sip:unknown.invalid SIP/2.0"  # what it asked for was decided long ago

Pairs = tuple[tuple[int, int], ...]
# Of a connection nothing is left in another run: its `reply_port` is the port.
FrozenFlow = tuple[str, str, int, str]  # transport, host, port, `Listener.address` of its `local`; "" while not known


class FrozenSide(NamedTuple):
    """One of the two dialogs with the party behind it; names as in `Dialog`, `Party` and `PairSide`."""

    call_id: str
    local_tag: str
    remote_tag: str
    local: str
    remote: str
    local_seq: int
    remote_seq: int
    remote_target: str
    route_set: tuple[str, ...]
    peer: str
    hidden: str
    also_hidden: tuple[str, ...]
    flow: FrozenFlow
    seqs: Pairs
    references: Pairs
    rseqs: tuple[int, ...]
    takes: int
    origin: FrozenOrigin


class FrozenCall(NamedTuple):
    """Times are monotonic seconds of the boot `boot_id`; with "" the wall clock alone knows since when the call talks.

    `answer` is the caller's 2xx, `answer_flow` is where it goes.
    `known_at` is the last moment at which both ends were known to be there.
    """

    version: int
    boot_id: str
    epoch: int  # of the run that wrote this
    answered_at: float
    known_at: float
    rang_at: float | None
    session_s: int
    may_transfer: bool
    answer: bytes
    answer_flow: FrozenFlow
    caller: FrozenSide
    callee: FrozenSide
    max_call_s: float = 0.0  # of its binding: 0 says nothing, as older rows do


# Where each field stands in a row: what is read is made whole before it becomes the tuple that says so, since what is
# compiled holds a value to its type.
_SIDE_PLACES: Final = {name: place for place, name in enumerate(FrozenSide._fields)}
_CALL_PLACES: Final = {name: place for place, name in enumerate(FrozenCall._fields)}


def freeze(call: Call, known_at: float) -> tuple[object, ...]:
    """The call as it stands, as a FrozenCall for the store; its callee's 2xx has been chosen."""
    pair, run, flow = call.chosen, call.context.run, call.transaction.flow
    listeners = call.context.listeners
    assert pair is not None and call.answered_at is not None
    return (
        VERSION,
        run.boot_id if call.record.duration_source == "monotonic" else "",
        run.epoch,
        call.answered_at,
        known_at,
        call.rang_at,
        call.session_s,
        pair.callee.party.may_transfer,
        call.answer,
        (flow.transport, flow.host, flow.reply_port or flow.port, listeners.all[flow.local].address),
        _side(pair.caller, listeners),
        _side(pair.callee, listeners),
        call.max_call_s if call.max_call_s < call.policy.max_call_s else 0.0,
    )


def _side(side: PairSide, listeners: Listeners) -> tuple[object, ...]:
    """A FrozenSide. What grows is copied: another thread writes it."""
    dialog, party, flow = side.dialog, side.party, side.flow
    return (
        dialog.call_id,
        dialog.local_tag,
        dialog.remote_tag,
        dialog.local,
        dialog.remote,
        dialog.local_seq,
        dialog.remote_seq,
        dialog.remote_target,
        tuple(dialog.route_set) if dialog.route_set else (),
        party.peer.name,
        party.hidden,
        party.also_hidden,
        (flow.transport, flow.host, flow.reply_port or flow.port, listeners.all[flow.local].address),
        tuple(side.seqs.items()) if side.seqs else (),
        tuple(side.references.items()) if side.references else (),
        tuple(side.rseqs) if side.rseqs else (),
        side.takes,
        side.origin.frozen(),
    )


def read_frozen(stored: object) -> FrozenCall:
    """What `freeze` gave, out of the JSON that the store made of it; ValueError for anything else."""
    try:
        row = [*cast(list[Any], stored)]
        if row[0] != VERSION:
            raise ValueError("a frozen call of another version")
        at = _CALL_PLACES
        row[at["answer"]] = _octets(row[at["answer"]])
        row[at["answer_flow"]] = _read_flow(row[at["answer_flow"]])
        row[at["caller"]], row[at["callee"]] = _read_side(row[at["caller"]]), _read_side(row[at["callee"]])
        return FrozenCall(*row)
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise ValueError("not a frozen call") from error


def invite_of(frozen: FrozenCall) -> Message:
    """The caller's INVITE as far as it can be told from its answer: its transaction, not what it asked for.

    Raises RemoteSipError for one whose rows, as the node writes them, are longer than what it reads.
    """
    answer = parse(frozen.answer)
    dialog = frozen.caller
    lines = [f"Via: {value}" for value in answer.values(h.VIA)]
    lines += [f"From: {dialog.remote}", f"To: {dialog.local.removesuffix(f';tag={dialog.local_tag}')}"]
    lines += [f"Call-ID: {dialog.call_id}", f"CSeq: {answer.cseq} INVITE"]
    return parse(render(_ANY_REQUEST, lines))


def _read_side(stored: object) -> FrozenSide:
    row = [*cast(list[Any], stored)]
    at = _SIDE_PLACES
    for name in ("route_set", "also_hidden", "rseqs"):
        row[at[name]] = tuple(row[at[name]])
    for name in ("seqs", "references"):
        row[at[name]] = tuple([(one, other) for one, other in row[at[name]]])
    row[at["flow"]] = _read_flow(row[at["flow"]])
    session_id, version, told, heard, names = row[at["origin"]]
    row[at["origin"]] = FrozenOrigin(
        session_id,
        version,
        tuple([_octets(line) for line in told]),
        tuple([_octets(line) for line in heard]),
        tuple([(_octets(word), _octets(ours)) for word, ours in names]),
    )
    return FrozenSide(*row)


def _read_flow(stored: object) -> FrozenFlow:
    transport, host, port, *listener = cast(list[Any], stored)  # older rows name no listener
    return transport, host, port, listener[0] if listener else ""


def _octets(stored: object) -> bytes:
    """Bytes as the store writes them into JSON."""
    return cast(dict[str, str], stored)["latin1"].encode("latin-1")
