"""The two ends of a conversation that is to be mutated: each says the next message from what it has said and heard.

An end keeps to the RFCs as far as what came lets it; None stands for a message that it cannot say. Its number, its word
and its host stand in nearly all that it says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.message import Message, render
from sipstack.parser import parse
from tests.core import sms
from tests.core.corenode import CENTRE_A, X
from tests.core.hostile import FORWARDED, SDP_LINES
from tests.core.passwords import challenges_in, with_credentials

# Words of the leak test's scanner: zq and ten letters.
WORDS: Final = {"a": "zqalfaalfaal", "b": "zqbravobravo"}

TYPES: Final = {
    "sdp": "application/sdp",
    "text": "text/plain;charset=UTF-8",
    "dtmf": "application/dtmf-relay",
    "frag": "message/sipfrag;version=2.0",
    "parts": "multipart/mixed;boundary=zq",
}


@dataclass
class End:
    """One side. `said` is what left it, as it left where that can be read; `heard` is all that reached it."""

    side: str  # "a": it calls, "b": it is called
    address: str
    number: str
    first_seq: int
    uri: str = f"sip:{X}@veil.example;user=phone"  # what it calls
    rows: tuple[str, ...] = ()  # of each request that opens something
    said: list[Message] = field(default_factory=list)
    heard: list[Message] = field(default_factory=list)
    made: int = 0

    @property
    def word(self) -> str:
        return WORDS[self.side]

    @property
    def host(self) -> str:
        return self.address.rpartition(":")[0]

    def filled(self, text: str) -> str:
        fields = {"number": self.number, "word": self.word, "host": self.host, "x": X, "forwarded": FORWARDED}
        for name, value in fields.items():
            text = text.replace("{" + name + "}", value)
        return text

    def body(self, kind: str) -> bytes:
        """What goes with a Content-Type of TYPES."""
        description = "".join(f"{self.filled(line)}\r\n" for line in SDP_LINES)
        texts = {
            "sdp": description,
            "text": f"call me: {self.number}, or {self.number[:3]}-{self.number[3:7]}-{self.number[7:]}",
            "dtmf": "Signal=5\r\nDuration=160\r\n",
            "frag": f"SIP/2.0 200 {self.word}\r\nContact: <sip:{self.number}@{self.host}>\r\n",
            "parts": f"--zq\r\nContent-Type: application/sdp\r\n\r\n{description}\r\n--zq\r\n"
            "Content-Type: application/isup\r\nContent-Disposition: signal;handling=optional\r\n\r\n"
            f"{self.number}\r\n--zq--\r\n",
        }
        return texts[kind].encode() if kind else b""

    def leaves(self, data: bytes) -> None:
        """What was put on the wire in the end: later messages of its dialog are made from it."""
        try:
            self.said.append(parse(data))
        except RemoteSipError:
            pass

    # -- what it says ----------------------------------------------------------------------------------------------

    def _rendered(self, start: str, rows: list[str], kind: str) -> bytes:
        return render(start, rows + ([f"Content-Type: {TYPES[kind]}"] if kind else []), self.body(kind))

    def _next(self) -> int:
        self.made += 1
        return self.made

    def _own_rows(self, method: str, seq: int) -> list[str]:
        branch = f"z9hG4bK{self.word}{self._next()}"
        return [
            f"Via: SIP/2.0/UDP {self.address};branch={branch};rport",
            "Max-Forwards: 70",
            f"CSeq: {seq} {method}",
            f'Contact: "{self.word}" <sip:{self.number}@{self.address}>;+sip.instance="<urn:{self.word}>"',
            f"User-Agent: {self.word}/{self.number}",
        ]

    def calls(self, method: str, kind: str, rows: list[str]) -> bytes | None:
        """A request that opens something."""
        rows = [
            *self._own_rows(method, self.first_seq + self._next()),
            f'From: "{self.word}" <sip:{self.number}@{self.host}>;tag={self.word}-{self.made}',
            f"To: <{self.uri}>",
            f"Call-ID: {self.word}-{self.made}@{self.host}",
            f"P-Asserted-Identity: <sip:{self.number}@{self.host}>, <tel:+86{self.number}>",
            *self.rows,
            *rows,
        ]
        return self._rendered(f"{method} {self.uri} SIP/2.0", rows, kind)

    def answers(self, method: str, status: int, kind: str, rows: list[str], tag: str = "t") -> bytes | None:
        """A response to the last request of that method that came."""
        request = next((m for m in reversed(self.heard) if m.is_request and m.method == method), None)
        if request is None:
            return None
        tagged = "" if request.to_tag or status == 100 else f";tag={self.word}-{tag}"
        copied = [f"Via: {value}" for value in request.values(h.VIA)]
        copied += [f"From: {request.value(h.FROM)}", f"To: {request.value(h.TO)}{tagged}"]
        copied += [f"Call-ID: {request.call_id}", f"CSeq: {request.cseq} {request.method}"]
        copied += [f"Record-Route: {value}" for value in request.values(h.RECORD_ROUTE)]
        if not any(row.startswith("Contact:") for row in rows):
            copied.append(f'Contact: "{self.word}" <sip:{self.number}@{self.address}>')
        copied += [f'P-Asserted-Identity: "{self.word}" <tel:+86{self.number}>', *rows]
        return self._rendered(f"SIP/2.0 {status} {self.word} {self.number}", copied, kind)

    def cancels(self) -> bytes | None:
        """The CANCEL of its last INVITE that opened a call (RFC 3261 §9.1)."""
        invite = self._last_said("INVITE", opens=True)
        return None if invite is None else self._of_invite(invite, "CANCEL", invite.value(h.TO) or "")

    def _of_invite(self, invite: Message, method: str, to: str) -> bytes:
        rows = [row for row in invite.lines if row.startswith(("Via:", "From:", "Call-ID:", "Max-Forwards:", "Route:"))]
        return render(f"{method} {invite.uri_text} SIP/2.0", [*rows, f"To: {to}", f"CSeq: {invite.cseq} {method}"], b"")

    def _last_said(self, method: str, opens: bool) -> Message | None:
        found = (m for m in reversed(self.said) if m.is_request and m.method == method and bool(m.to_tag) != opens)
        return next(found, None)

    def acks(self, kind: str) -> bytes | None:
        """The ACK of the last final answer to an INVITE of its own."""
        final = next((m for m in reversed(self.heard) if m.method == "INVITE" and m.status >= 200), None)
        if final is None:
            return None
        if final.status >= 300:
            own = (m for m in reversed(self.said) if m.method == "INVITE" and m.is_request and m.cseq == final.cseq)
            invite = next(own, None)
            return None if invite is None else self._of_invite(invite, "ACK", final.value(h.TO) or "")
        return self._within("ACK", final.cseq, kind, [])

    def asks(self, method: str, kind: str, rows: list[str]) -> bytes | None:
        """A request in its last dialog; a PRACK of the last reliable response."""
        if method == "PRACK":
            ringing = next((m for m in reversed(self.heard) if 100 < m.status < 200 and m.value(h.RSEQ)), None)
            if ringing is None:
                return None
            rows = [*rows, f"RAck: {ringing.value(h.RSEQ)} {ringing.cseq} INVITE"]
        return self._within(method, self.first_seq + 1000 + self._next(), kind, rows)

    def _within(self, method: str, seq: int, kind: str, rows: list[str]) -> bytes | None:
        dialog = self._dialog()
        if dialog is None:
            return None
        call_id, local, remote, target = dialog
        ends = [f"From: {local}", f"To: {remote}", f"Call-ID: {call_id}"]
        return self._rendered(f"{method} {target} SIP/2.0", [*self._own_rows(method, seq), *ends, *rows], kind)

    def _dialog(self) -> tuple[str, str, str, str] | None:
        """Call-ID, own and far row, target: of the last response to an INVITE of its own, or of the last that came."""
        for message in reversed(self.heard):
            if message.method != "INVITE" or not message.value(h.CONTACT):
                continue
            target = (message.value(h.CONTACT) or "").partition("<")[2].partition(">")[0]
            mine, far = message.value(h.FROM) or "", message.value(h.TO) or ""
            if message.is_request:
                tagged = "" if message.to_tag else f";tag={self.word}-t"
                return message.call_id, f"{far}{tagged}", mine, target
            if message.to_tag and 100 < message.status < 300:
                return message.call_id, mine, far, target
        return None

    def shows(self) -> bytes | None:
        """Its last request again, with the password that the last 401 asks for."""
        asked = next((m for m in reversed(self.heard) if m.status == 401), None)
        request = next((m for m in reversed(self.said) if m.is_request and m.method != "ACK"), None)
        if asked is None or request is None or not challenges_in(asked):
            return None
        if f"\r\nCSeq: {request.cseq} {request.method}\r\n".encode() not in request.to_bytes():
            return None  # written in a way in which it is not counted on
        return with_credentials(request.to_bytes(), challenges_in(asked)[0])

    def submits(self) -> bytes | None:
        """A short message to its service centre."""
        return sms.submitted(who=self.number, centre=CENTRE_A, **self._of_sms())

    def delivers(self) -> bytes | None:
        """A short message from its network to the number that it calls."""
        return sms.delivered(sms.deliver(self.number), **self._of_sms())

    def _of_sms(self) -> dict[str, str]:
        number = self._next()
        branch, call_id = f"z9hG4bK{self.word}{number}", f"{self.word}-{number}@{self.host}"
        return {"host": self.address, "branch": branch, "call_id": call_id}

    def reports(self, is_ack: bool, from_mobile: bool) -> bytes | None:
        """What has come of the last short message that reached it, a phone or a service centre."""
        came = next((m for m in reversed(self.heard) if m.is_request and m.method == "MESSAGE"), None)
        if came is None or len(came.body) < 2:
            return None
        octets = (sms.rp_ack if is_ack else sms.rp_error)(sms.reference_of(came), from_mobile)
        return sms.report(octets, came, self.address, branch=f"z9hG4bK{self.word}{self._next()}")
