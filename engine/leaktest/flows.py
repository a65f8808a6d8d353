"""The conversations that the rig holds through the element, and the messages in them that places are written into."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, final

from engine.leaktest import tpdu
from engine.leaktest.draft import Draft
from engine.leaktest.phone import (
    ack,
    answer,
    callee_dialog,
    cancel,
    confirm,
    first_request,
    report,
    request,
    with_sdp,
)
from engine.leaktest.places import INITIAL, REPORT, REQUEST, RESPONSE
from engine.leaktest.talk import ANSWER_S, Dialog, Talk, Wanted
from engine.leaktest.wires import CALLEE, CALLER
from sipstack.message import Message

Play = Callable[[Talk], Awaitable[None]]
Point = tuple[str, str, str]  # the message, who sends it, its kind

SHORT_S: Final = 0.3  # for what need not come


class Stuck(Exception):
    """The conversation cannot go on: the element did not say what the next step needs."""


@final
@dataclass(frozen=True, slots=True)
class Flow:
    """A conversation by name, and its messages into which places may be written."""

    name: str
    play: Play
    points: tuple[Point, ...]


# -- what is waited for ------------------------------------------------------------------------------------------------


def _asks(party: str, method: str) -> Wanted:
    return party, lambda message: message.status == 0 and message.method == method


def _says(party: str, method: str, least: int = 200) -> Wanted:
    return party, lambda message: message.status >= least and message.method == method


async def _need(talk: Talk, *wanted: Wanted, what: str) -> tuple[str, Message]:
    found = await talk.wait(*wanted)
    if found is None:
        raise Stuck(f"no {what} has come")
    return found


# -- the parts of a call -----------------------------------------------------------------------------------------------


async def _invite(talk: Talk, *, reliable: bool = False) -> tuple[Dialog, Message]:
    """The caller's INVITE, and as it reached the callee. Stuck, its final response acknowledged, when it did not."""
    draft, dialog = first_request(talk, "INVITE")
    if reliable:
        draft.add("Supported", "100rel")
    talk.send(CALLER, with_sdp(talk, CALLER, draft), "INVITE")
    party, message = await _need(talk, _asks(CALLEE, "INVITE"), _says(CALLER, "INVITE"), what="INVITE")
    if party == CALLER:
        ack(talk, dialog, message, "ACK of a refusal")
        raise Stuck(f"the INVITE was refused with {message.status}")
    return dialog, message


async def _ring(talk: Talk, asked: Message) -> None:
    talk.send(CALLEE, answer(talk, CALLEE, asked, 180), "180")
    await talk.wait(_says(CALLER, "INVITE", 180), within_s=SHORT_S)


async def _pick_up(talk: Talk, dialog: Dialog, asked: Message) -> Dialog:
    """200 and ACK; the callee's dialog."""
    talk.send(CALLEE, with_sdp(talk, CALLEE, answer(talk, CALLEE, asked, 200)), "200 to INVITE")
    _, answered = await _need(talk, _says(CALLER, "INVITE"), what="answer")
    if answered.status >= 300:
        ack(talk, dialog, answered, "ACK of a refusal")
        await _take(talk, "BYE", CALLEE, within_s=SHORT_S)
        raise Stuck(f"the answer became {answered.status}")
    confirm(dialog, answered)
    ack(talk, dialog, answered, "ACK")
    await talk.wait(_asks(CALLEE, "ACK"), within_s=SHORT_S)
    return callee_dialog(talk, asked)


async def _take(talk: Talk, method: str, party: str, *, within_s: float) -> bool:
    """Answers a request with 200 if it comes."""
    found = await talk.wait(_asks(party, method), within_s=within_s)
    if found is not None:
        talk.send(party, answer(talk, party, found[1], 200), f"200 to {method}")
    return found is not None


async def _hang_up(talk: Talk, dialog: Dialog) -> None:
    """BYE of this dialog's party, answered by the other one."""
    other = CALLEE if dialog.party == CALLER else CALLER
    talk.send(dialog.party, request(talk, dialog, "BYE"), "BYE")
    await _take(talk, "BYE", other, within_s=SHORT_S * 3)
    await talk.wait(_says(dialog.party, "BYE"))


async def _talking(talk: Talk) -> tuple[Dialog, Dialog]:
    dialog, asked = await _invite(talk)
    await _ring(talk, asked)
    return dialog, await _pick_up(talk, dialog, asked)


# -- the conversations -------------------------------------------------------------------------------------------------


async def call(talk: Talk) -> None:
    dialog, _ = await _talking(talk)
    await _hang_up(talk, dialog)


async def ended_by_callee(talk: Talk) -> None:
    _, dialog = await _talking(talk)
    await _hang_up(talk, dialog)


def within(method: str, party: str) -> Play:
    """A request in the dialog, answered by the other side; then the call is ended."""
    name = "re-INVITE" if method == "INVITE" else method

    async def play(talk: Talk) -> None:
        ends = dict(zip((CALLER, CALLEE), await _talking(talk), strict=True))
        other = CALLEE if party == CALLER else CALLER
        draft = request(talk, ends[party], method)
        _fit(talk, party, draft, method)
        talk.send(party, draft, name)
        found = await talk.wait(_asks(other, method), _says(party, method))
        if found is not None and found[0] == other:
            said = answer(talk, other, found[1], 200)
            if method in ("INVITE", "UPDATE"):
                with_sdp(talk, other, said)
            talk.send(other, said, f"200 to {name}")
            found = await talk.wait(_says(party, method))
        if found is not None and method == "INVITE":
            ack(talk, ends[party], found[1], "ACK of a re-INVITE")
            await talk.wait(_asks(other, "ACK"), within_s=SHORT_S)
        await _hang_up(talk, ends[CALLER])

    return play


def _fit(talk: Talk, party: str, draft: Draft, method: str) -> None:
    """What a method asks for."""
    if method in ("INVITE", "UPDATE"):
        with_sdp(talk, party, draft)
    elif method == "INFO":
        draft.carry("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n")
    elif method == "MESSAGE":
        draft.carry("text/plain", b"hello")
    elif method == "NOTIFY":
        draft.add("Event", "refer")
        draft.add("Subscription-State", "active;expires=60")
        draft.carry("message/sipfrag", b"SIP/2.0 100 Trying\r\n")
    elif method == "REFER":
        draft.add("Refer-To", f"<sip:{talk.trunk(party).number}@elsewhere.invalid>")


async def early(talk: Talk) -> None:
    """A reliable provisional response (RFC 3262), and an UPDATE before the answer."""
    dialog, asked = await _invite(talk, reliable=True)
    ringing = with_sdp(talk, CALLEE, answer(talk, CALLEE, asked, 183))
    ringing.add("Require", "100rel")
    ringing.add("RSeq", "1")
    talk.send(CALLEE, ringing, "183")
    is_tried = talk.work.point == "183" and bool(talk.work.places)  # with a canary in it, it may be dropped
    found = await talk.wait(_says(CALLER, "INVITE", 183), within_s=SHORT_S if is_tried else ANSWER_S)
    if found is not None and found[1].status < 200:
        confirm(dialog, found[1])
        prack = request(talk, dialog, "PRACK")
        sequence = next((line.partition(":")[2] for line in found[1].lines if line.lower().startswith("rseq")), "1")
        prack.add("RAck", f"{sequence.strip()} {found[1].cseq} INVITE")
        talk.send(CALLER, prack, "PRACK")
        await _take(talk, "PRACK", CALLEE, within_s=SHORT_S)
        await talk.wait(_says(CALLER, "PRACK"))
    await _pick_up(talk, dialog, asked)
    await _hang_up(talk, dialog)


def failed(status: int) -> Play:
    """The callee's side refuses."""

    async def play(talk: Talk) -> None:
        dialog, asked = await _invite(talk)
        talk.send(CALLEE, answer(talk, CALLEE, asked, status), f"{status} to INVITE")
        found = await talk.wait(_says(CALLER, "INVITE"))
        if found is not None:
            ack(talk, dialog, found[1], "ACK of a refusal")

    return play


def provisional(status: int) -> Play:
    """A provisional response of another kind, then the answer."""

    async def play(talk: Talk) -> None:
        dialog, asked = await _invite(talk)
        talk.send(CALLEE, answer(talk, CALLEE, asked, status), f"{status} to INVITE")
        await talk.wait(_says(CALLER, "INVITE", 101), within_s=SHORT_S)
        await _pick_up(talk, dialog, asked)
        await _hang_up(talk, dialog)

    return play


async def cancelled(talk: Talk) -> None:
    dialog, asked = await _invite(talk)
    await _ring(talk, asked)
    talk.send(CALLER, cancel(talk, dialog), "CANCEL")
    if await _take(talk, "CANCEL", CALLEE, within_s=SHORT_S * 3):
        talk.send(CALLEE, answer(talk, CALLEE, asked, 487), "487 to INVITE")
    await talk.wait(_says(CALLER, "CANCEL"))
    found = await talk.wait(_says(CALLER, "INVITE"))
    if found is not None:
        ack(talk, dialog, found[1], "ACK of a refusal")


async def answered_while_cancelled(talk: Talk) -> None:
    """The callee picks up while the CANCEL is on its way: the element must end that call."""
    dialog, asked = await _invite(talk)
    await _ring(talk, asked)
    talk.send(CALLER, cancel(talk, dialog), "CANCEL")
    await talk.wait(_asks(CALLEE, "CANCEL"), within_s=SHORT_S * 3)
    draft = with_sdp(talk, CALLEE, answer(talk, CALLEE, asked, 200))
    talk.send(CALLEE, draft, "200 after CANCEL")
    await talk.wait(_asks(CALLEE, "ACK"), within_s=SHORT_S)
    found = await talk.wait(_says(CALLER, "INVITE"))
    if found is not None:
        ack(talk, dialog, found[1], "ACK of a refusal")
        if found[1].status < 300:  # the element let the answer win: it is for the caller to end the call
            confirm(dialog, found[1])
            await _hang_up(talk, dialog)
            return
    await _take(talk, "BYE", CALLEE, within_s=SHORT_S)


async def forked(talk: Talk) -> None:
    """Two branches behind the callee's side ring and answer."""
    dialog, asked = await _invite(talk)
    for tag in ("", "b"):
        draft = answer(talk, CALLEE, asked, 180, tag=tag)
        talk.send(CALLEE, draft, f"180 of {'another' if tag else 'one'} branch")
        await talk.wait(_says(CALLER, "INVITE", 180), within_s=SHORT_S)
    await _pick_up(talk, dialog, asked)
    second = with_sdp(talk, CALLEE, answer(talk, CALLEE, asked, 200, tag="b"))
    talk.send(CALLEE, second, "200 of another branch")
    await talk.wait(_asks(CALLEE, "ACK"), within_s=SHORT_S)
    await _take(talk, "BYE", CALLEE, within_s=SHORT_S)
    await _hang_up(talk, dialog)


def message(status: int) -> Play:
    """A MESSAGE, answered with `status`."""

    async def play(talk: Talk) -> None:
        draft, _ = first_request(talk, "MESSAGE")
        draft.carry("text/plain", b"hello")
        talk.send(CALLER, draft, "MESSAGE")
        found = await talk.wait(_asks(CALLEE, "MESSAGE"), _says(CALLER, "MESSAGE"))
        if found is None or found[0] == CALLER:
            return
        talk.send(CALLEE, answer(talk, CALLEE, found[1], status), f"{status} to MESSAGE")
        await talk.wait(_says(CALLER, "MESSAGE"))

    return play


async def reported(talk: Talk) -> None:
    """A short message, and the report that the callee's phone sends about it."""
    draft, _ = first_request(talk, "MESSAGE")
    if draft.centre:
        draft.start = f"MESSAGE {draft.centre} SIP/2.0"
    draft.carry(tpdu.SMS, tpdu.rp_data_up(tpdu.submit(talk.pair.x, "hello")))
    talk.send(CALLER, draft, "MESSAGE with a short message")
    found = await talk.wait(_asks(CALLEE, "MESSAGE"), _says(CALLER, "MESSAGE"))
    if found is None or found[0] == CALLER:
        return
    talk.send(CALLEE, answer(talk, CALLEE, found[1], 202), "202 to a short message")
    await talk.wait(_says(CALLER, "MESSAGE"))
    said = report(talk, found[1], tpdu.rp_ack_down(found[1].body[1]))
    talk.send(CALLEE, said, "report")
    found = await talk.wait(_asks(CALLER, "MESSAGE"), _says(CALLEE, "MESSAGE"))
    if found is not None and found[0] == CALLER:
        talk.send(CALLER, answer(talk, CALLER, found[1], 200), "200 to a report")
        await talk.wait(_says(CALLEE, "MESSAGE"))


def outside(method: str) -> Play:
    """A request outside a dialog of which nothing may reach the callee."""

    async def play(talk: Talk) -> None:
        draft, _ = first_request(talk, method)
        talk.send(CALLER, draft, f"{method} outside a dialog")
        found = await talk.wait(_says(CALLER, method), _asks(CALLEE, method))
        if found is not None and found[0] == CALLEE:
            talk.send(CALLEE, answer(talk, CALLEE, found[1], 200), f"200 to {method}")
            await talk.wait(_says(CALLER, method))

    return play


# -- all of them -------------------------------------------------------------------------------------------------------

_WITHIN: Final = ("INVITE", "UPDATE", "INFO", "OPTIONS", "REFER", "NOTIFY", "MESSAGE")
_OUTSIDE: Final = ("OPTIONS", "REGISTER", "SUBSCRIBE", "NOTIFY", "PUBLISH", "REFER", "INFO")
_PROVISIONAL: Final = (181, 182, 199)
_FAILURES: Final = (
    300, 301, 302, 305, 380, 400, 401, 403, 404, 406, 407, 408, 410, 413, 415, 420, 421, 423, 429, 433, 480, 483, 484,
    485, 486, 488, 491, 500, 501, 503, 504, 513, 580, 600, 603, 604, 606, 607, 608,
)  # fmt: skip
_MESSAGE_ANSWERS: Final = (200, 202, 302, 403, 404, 415, 480, 500, 603)


def _within_flow(method: str, party: str) -> Flow:
    name = "re-INVITE" if method == "INVITE" else method
    other = CALLEE if party == CALLER else CALLER
    points = ((name, party, REQUEST), (f"200 to {name}", other, RESPONSE))
    return Flow(f"{name} of the {party}", within(method, party), points)


BUSY_FLOW: Final = "refused 503"
FLOWS: Final = (
    Flow("call", call, (
        ("INVITE", CALLER, INITIAL), ("180", CALLEE, RESPONSE), ("200 to INVITE", CALLEE, RESPONSE),
        ("ACK", CALLER, REQUEST), ("BYE", CALLER, REQUEST), ("200 to BYE", CALLEE, RESPONSE))),
    Flow("call ended by the callee", ended_by_callee, (("BYE", CALLEE, REQUEST), ("200 to BYE", CALLER, RESPONSE))),
    *(_within_flow(method, party) for method in _WITHIN for party in (CALLER, CALLEE)),
    Flow("early media", early, (
        ("183", CALLEE, RESPONSE), ("PRACK", CALLER, REQUEST), ("200 to PRACK", CALLEE, RESPONSE))),
    *(Flow(f"{status}", provisional(status), ((f"{status} to INVITE", CALLEE, RESPONSE),)) for status in _PROVISIONAL),
    *(Flow(f"refused {status}", failed(status), ((f"{status} to INVITE", CALLEE, RESPONSE),)) for status in _FAILURES),
    Flow("cancelled", cancelled, (
        ("CANCEL", CALLER, REQUEST), ("200 to CANCEL", CALLEE, RESPONSE), ("487 to INVITE", CALLEE, RESPONSE),
        ("ACK of a refusal", CALLER, REQUEST))),
    Flow("answered while cancelled", answered_while_cancelled, (("200 after CANCEL", CALLEE, RESPONSE),)),
    Flow("forked", forked, (
        ("180 of one branch", CALLEE, RESPONSE), ("180 of another branch", CALLEE, RESPONSE),
        ("200 of another branch", CALLEE, RESPONSE))),
    Flow("message", message(200), (("MESSAGE", CALLER, INITIAL),)),
    *(Flow(f"message {status}", message(status), ((f"{status} to MESSAGE", CALLEE, RESPONSE),))
      for status in _MESSAGE_ANSWERS),
    Flow("short message", reported, (
        ("202 to a short message", CALLEE, RESPONSE), ("report", CALLEE, REPORT),
        ("200 to a report", CALLER, RESPONSE))),
    *(Flow(f"{method} outside", outside(method), ((f"{method} outside a dialog", CALLER, REQUEST),))
      for method in _OUTSIDE),
)  # fmt: skip
