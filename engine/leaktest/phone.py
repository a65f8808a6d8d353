"""What both parties can do in a conversation: begin a call or a message, answer, and speak within the dialog."""

from __future__ import annotations

from typing import Final

from engine.leaktest import tpdu
from engine.leaktest.draft import SDP, Draft
from engine.leaktest.pair import shown
from engine.leaktest.talk import Dialog, Talk, response
from engine.leaktest.wires import CALLEE, CALLER
from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.fields import split_list
from sipstack.message import Message
from sipstack.uri import parse_name_addr

PHRASES: Final = {180: "Ringing", 183: "Session Progress", 200: "OK", 481: "Call/Transaction Does Not Exist"}


def description(talk: Talk, party: str) -> bytes:
    """The session that a party offers or answers; its o= and s= are canaries."""
    host, port = talk.trunk(party).address
    family = "IP6" if ":" in host else "IP4"
    name, session = talk.given(party, "sdp/o= user name"), talk.given(party, "sdp/o= session id")
    lines = (
        "v=0", f"o={name} {session} {session} IN {family} {host}", f"s={talk.given(party, 'sdp/s=')}",
        f"c=IN {family} {host}", "t=0 0", f"m=audio {port} RTP/AVP 8 101", "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000", "a=sendrecv",
    )  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n"


def first_request(talk: Talk, method: str, *, about: str = "") -> tuple[Draft, Dialog]:
    """A request of the caller's outside a dialog, for X. `about` tells it from another one of the same method."""
    pair, trunk = talk.pair, talk.pair.caller
    element = shown(pair.element)
    uri = f"sip:{pair.x}@{element}"
    key = f"{method} {about}".strip()
    tag = talk.given(CALLER, "topology/tag", key)
    number = trunk.uri(trunk.number, trunk.address[0])
    dialog = Dialog(
        CALLER,
        talk.given(CALLER, "topology/Call-ID", key),
        f"<{number}>;tag={tag}",
        f"<sip:{pair.x}@{element.rpartition(':')[0]}>",
        uri,
        [],
        int(talk.given(CALLER, "topology/CSeq", key)),
    )
    draft = _request(talk, dialog, method)
    draft.add("P-Asserted-Identity", f"<{number}>")
    draft.centre = trunk.uri(trunk.sms_centre, element) if trunk.sms_centre else ""
    return draft, dialog


def request(talk: Talk, dialog: Dialog, method: str) -> Draft:
    """The next request in a dialog. ACK and CANCEL have the number of the INVITE: see `ack`."""
    dialog.cseq += 1
    return _request(talk, dialog, method)


def _request(talk: Talk, dialog: Dialog, method: str, cseq: int = 0) -> Draft:
    cseq = cseq or dialog.cseq
    party = dialog.party
    sender = shown(talk.trunk(party).address)
    branch = talk.given(party, "topology/branch", f"{method} {cseq}")
    rows = [("Via", f"SIP/2.0/UDP {sender};branch=z9hG4bK{branch}"), ("Max-Forwards", "70")]
    rows += [("Route", route) for route in dialog.routes]
    rows += [("From", dialog.local), ("To", dialog.remote), ("Call-ID", dialog.call_id), ("CSeq", f"{cseq} {method}")]
    if method not in ("BYE", "CANCEL", "PRACK", "MESSAGE"):
        rows.append(("Contact", talk.contact(party)))
    rows.append(("User-Agent", talk.given(party, "topology/User-Agent")))
    return Draft(f"{method} {dialog.target} SIP/2.0", rows, sender)


def report(talk: Talk, sent: Message, body: bytes) -> Draft:
    """The callee's report about a short message (3GPP TS 24.341 §5.3.2.4): a MESSAGE of its own, to who had sent it."""
    trunk = talk.pair.callee
    tag = talk.given(CALLEE, "topology/tag", "report")
    number = trunk.uri(trunk.number, trunk.address[0])
    sender = parse_name_addr(sent.value(h.P_ASSERTED_IDENTITY) or sent.value(h.FROM) or "").uri
    dialog = Dialog(
        CALLEE,
        talk.given(CALLEE, "topology/Call-ID", "report"),
        f"<{number}>;tag={tag}",
        f"<{sender}>",
        sender,
        [],
        int(talk.given(CALLEE, "topology/CSeq", "report")),
    )
    draft = _request(talk, dialog, "MESSAGE")
    draft.add("P-Asserted-Identity", f"<{number}>")
    draft.add("In-Reply-To", sent.call_id)
    draft.carry(tpdu.SMS, body)
    return draft


def with_sdp(talk: Talk, party: str, draft: Draft) -> Draft:
    draft.carry(SDP, description(talk, party))
    return draft


def answer(talk: Talk, party: str, asked: Message, status: int, reason: str = "", *, tag: str = "") -> Draft:
    """A response of `party`'s; what makes a dialog has a Contact. `tag` makes another branch of a fork."""
    to_tag = talk.given(party, "topology/tag", tag)
    draft = response(asked, status, reason or PHRASES.get(status, "Said"), shown(talk.trunk(party).address), to_tag)
    if asked.method in ("INVITE", "UPDATE", "SUBSCRIBE", "REFER", "NOTIFY") and 100 < status < 300:
        draft.add("Contact", talk.contact(party))
    if asked.method == "INVITE" and 100 < status < 300:
        draft.add("P-Asserted-Identity", f"<{talk.trunk(party).uri(talk.trunk(party).number, 'callee.invalid')}>")
    return draft


def callee_dialog(talk: Talk, asked: Message, *, tag: str = "") -> Dialog:
    """The dialog that an INVITE and our answer to it have made at the callee's."""
    to = asked.value(h.TO) or ""
    local = f"{to};tag={talk.given(CALLEE, 'topology/tag', tag)}"
    routes = [value for row in asked.values(h.RECORD_ROUTE) for value in split_list(row)]
    cseq = int(talk.given(CALLEE, "topology/CSeq", tag))
    return Dialog(
        CALLEE, asked.call_id, local, asked.value(h.FROM) or "", _contact(asked, asked.uri_text), routes, cseq
    )


def confirm(dialog: Dialog, answered: Message) -> None:
    """The caller's dialog after a response that makes one."""
    dialog.remote = answered.value(h.TO) or dialog.remote
    dialog.target = _contact(answered, dialog.target)
    rows = [value for row in answered.values(h.RECORD_ROUTE) for value in split_list(row)]
    dialog.routes = rows[::-1]


def _contact(message: Message, otherwise: str) -> str:
    try:
        return parse_name_addr(message.value(h.CONTACT) or "").uri
    except RemoteSipError:
        return otherwise


def ack(talk: Talk, dialog: Dialog, answered: Message, point: str) -> None:
    """Acknowledges a final response to an INVITE of this dialog's party. For a refusal it belongs to the INVITE."""
    draft = _request(talk, dialog, "ACK", answered.cseq)
    if answered.status >= 300:
        via = answered.value(h.VIA) or ""
        draft.edit("Via", lambda _: via.partition(";received=")[0].partition(";rport=")[0])
        draft.edit("To", lambda _: answered.value(h.TO) or "")
    talk.send(dialog.party, draft, point)


def cancel(talk: Talk, dialog: Dialog) -> Draft:
    """A CANCEL of the first INVITE: its Via, its number, no To tag (RFC 3261 §9.1)."""
    invite = next(event.sent for event in talk.events if event.sent is not None)
    draft = _request(talk, dialog, "CANCEL")
    via = invite.get("Via")
    draft.edit("Via", lambda _: via)
    return draft
