"""A party that keeps to no rule: it answers, asks, repeats and mangles whatever comes to its mind.

All that it makes carries its mark: its real number, its name, its host, and a word that stands in every identifier.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from sipstack import headers as h
from sipstack.message import Message, render
from sipstack.parser import parse
from tests.core.corenode import NODE, X

FORWARDED: Final = "13700137000"  # where a party's redirects lead to

SDP_LINES: Final = (
    "v=0", "o={word}{number} 2890844526 2890844526 IN IP4 {host}", "s={word}", "i={word}", "u=http://{word}.example",
    "e={word}@{host}", "p=+86 {number}", "c=IN IP4 10.1.2.3", "b=AS:64", "t=2873397496 2873404696", "k=clear:{number}",
    "a=tool:{word}", "m=audio 40000 RTP/AVP 8 101", "i={number}", "a=rtpmap:8 PCMA/8000", "a=sendrecv",
    "a=x-{word}:{number}", "a=rtcp:40001 IN IP4 {host}", "a=ssrc:3735928559 cname:{number}@{host}",
)  # fmt: skip

# Rows in which a party can write what it likes.
FREE_ROWS: Final = (
    "Subject: {word}", "Organization: {word}", "User-Agent: {word}/{number}", "Server: {word}/{number}",
    "Reply-To: <sip:{number}@{host}>", "Call-Info: <http://{host}/{word}>", "Alert-Info: <http://{host}/{word}>",
    "Remote-Party-ID: \"{word}\" <sip:{number}@{host}>;party=calling", "P-Preferred-Identity: <sip:{number}@{host}>",
    "P-Called-Party-ID: <sip:{number}@{host}>", "P-Served-User: <tel:+86{number}>;sescase=orig",
    "Diversion: <sip:{number}@{host}>;reason=unknown", "History-Info: <sip:{number}@{host}>;index=1",
    "Referred-By: <sip:{number}@{host}>", "User-to-User: {word}", "Session-ID: {word};remote={number}",
    "P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp={number}", "Identity: {word};info=<http://{host}>",
    "P-Charging-Vector: icid-value={word};icid-generated-at={host};orig-ioi={word}", "Geolocation: <cid:{number}@x>",
    "P-Visited-Network-ID: \"{word}\"", "Warning: 399 {host} \"{word} {number}\"", "X-{word}: {number}",
    "P-Early-Media: {word}", "Accept-Contact: *;+{word}=\"{number}\"", "Reason: SIP;cause=200;text=\"{word}{number}\"",
    "Record-Route: <sip:{word}@{host};lr>", "In-Reply-To: {word}@{host}", "Error-Info: <sip:{number}@{host}>",
    "Privacy: {word}", "Timestamp: 54", "Date: {word}", "P-Asserted-Service: {word}", "Join: {word};to-tag=1",
)  # fmt: skip

BODIES: Final = {
    "": "",
    "sdp": "application/sdp",
    "sip": "message/sipfrag",
    "isup": "application/isup;version=itu-t92+",
    "text": "text/plain;charset=UTF-8",
    "dtmf": "application/dtmf-relay",
}


@dataclass
class View:
    """A dialog as one party knows it."""

    call_id: str
    local: str
    remote: str
    target: str
    invite_seq: int


@dataclass
class Party:
    """One side. `heard` are the messages that reached it; whether it listens is another matter."""

    side: str  # "a" or "b"
    host: str
    number: str
    first_seq: int
    heard: list[Message] = field(default_factory=list)
    said: list[bytes] = field(default_factory=list)
    views: dict[str, View] = field(default_factory=dict)
    made: int = 0

    @property
    def word(self) -> str:
        """Stands in all that this party makes, and nowhere else; no spoilt octet turns it into the other one's."""
        return {"a": "zqalfa", "b": "zqbravo"}[self.side]

    def filled(self, text: str) -> str:
        return text.format(word=self.word, number=self.number, host=self.host)

    def free_rows(self, choice: int) -> list[str]:
        """Some of the free rows: a window of them that begins anywhere."""
        first = choice % len(FREE_ROWS)
        return [self.filled(row) for row in (FREE_ROWS + FREE_ROWS)[first : first + 1 + choice % 7]]

    def allowed(self, choice: int) -> list[str]:
        """What it says that it takes, if it says so."""
        return ([], [f"Allow: INVITE, {self.word}"], [f"Allow: INVITE, UPDATE, {self.word}"])[choice % 3]

    def body(self, kind: str) -> tuple[list[str], bytes]:
        """Content-Type and octets."""
        if not kind:
            return [], b""
        texts = {
            "sdp": "".join(f"{self.filled(line)}\r\n" for line in SDP_LINES),
            "text": f"call me: {self.number}, or {self.number[:3]}-{self.number[3:7]}-{self.number[7:]}",
            "dtmf": "Signal=5\r\nDuration=160\r\n",
        }
        text = texts.get(kind, f"SIP/2.0 200 {self.word}\r\nContact: <sip:{self.number}@{self.host}>\r\n")
        return [f"Content-Type: {BODIES[kind]}"], text.encode()

    def next(self) -> int:
        self.made += 1
        return self.made

    # -- what it says ----------------------------------------------------------------------------------------------

    def first_request(self, method: str, choice: int, kind: str, called: str = X) -> bytes:
        """An INVITE or a MESSAGE, or anything else out of a dialog."""
        n = self.next()
        rows = [
            f"Via: SIP/2.0/UDP {self.host}:5060;branch=z9hG4bK{self.word}{n};rport",
            "Max-Forwards: 70",
            f'From: "{self.word}" <sip:{self.number}@{self.host}>;tag={self.word}-{n}',
            f"To: <sip:{called}@veil.example>",
            f"Call-ID: {self.word}-{n}@{self.host}",
            f"CSeq: {self.first_seq + n} {method}",
            f'Contact: "{self.word}" <sip:{self.number}@{self.host}:5060>;+sip.instance="<urn:{self.word}>"',
            f"P-Asserted-Identity: <sip:{self.number}@{self.host}>, <tel:+86{self.number}>",
        ]
        if choice % 3:
            rows.append("Supported: 100rel, timer, replaces")
        if choice % 5 == 0:
            rows.append("Session-Expires: 90;refresher=uac")
        rows += self.allowed(choice)
        return self._sent(f"{method} sip:{called}@{NODE} SIP/2.0", rows + self.free_rows(choice), kind)

    def response(self, request: Message, status: int, tag: int, choice: int, kind: str) -> bytes:
        """An answer to anything that came."""
        tagged = "" if request.to_tag or status == 100 else f";tag={self.word}-t{tag}"
        to = f"{request.value(h.TO)}{tagged}"
        rows = [f"Via: {value}" for value in request.values(h.VIA)]
        rows += [f"From: {request.value(h.FROM)}", f"To: {to}", f"Call-ID: {request.call_id}"]
        rows += [f"CSeq: {request.cseq} {request.method}"]
        rows += [f"Record-Route: {value}" for value in request.values(h.RECORD_ROUTE)]
        number = FORWARDED if 300 <= status < 400 and choice % 2 else self.number
        rows.append(f'Contact: "{self.word}" <sip:{number}@{self.host}:5060>;expires=3600')
        if request.method == "INVITE" and 100 < status < 300:
            target = (request.value(h.CONTACT) or "").strip("<>")
            view = View(request.call_id, to, request.value(h.FROM) or "", target, request.cseq)
            self.views.setdefault(f"{view.call_id} {to}", view)
        if 100 < status < 200 and choice % 3 == 0:
            rows += ["Require: 100rel", f"RSeq: {self.next()}"]
        if choice % 4 == 0:
            rows.append("Session-Expires: 90;refresher=uas")
        rows += [f'P-Asserted-Identity: "{self.word}" <tel:+86{self.number}>', *self.allowed(choice)]
        rows += self.free_rows(choice)
        return self._sent(f"SIP/2.0 {status} {self.word} {self.number}", rows, kind)

    def within(self, view: View, method: str, choice: int, kind: str, same_seq: bool = False) -> bytes:
        """A request in a dialog; an ACK has the number of the INVITE."""
        n = self.next()
        seq = view.invite_seq if method == "ACK" or same_seq else self.first_seq + 1000 + n
        rows = [
            f"Via: SIP/2.0/UDP {self.host}:5060;branch=z9hG4bK{self.word}{n};rport",
            "Max-Forwards: 70",
            f"From: {view.local}",
            f"To: {view.remote}",
            f"Call-ID: {view.call_id}",
            f"CSeq: {seq} {method}",
            f'Contact: "{self.word}" <sip:{self.number}@{self.host}:5060>',
        ]
        if method == "PRACK":
            rows.append(f"RAck: {choice % 5} {view.invite_seq} INVITE")
        if method in ("REFER", "NOTIFY"):
            refer_to = (
                f"<sip:{X}@{self.host}>" if choice % 2 else f"<sip:{self.number}@{self.host}?Replaces={self.word}>"
            )
            rows += [f"Refer-To: {refer_to}", "Event: refer", "Subscription-State: active;expires=60"]
        return self._sent(f"{method} {view.target} SIP/2.0", rows + self.free_rows(choice), kind)

    def cancel(self, invite: bytes) -> bytes:
        """The CANCEL of an INVITE that it sent."""
        message = parse(invite)
        rows = [
            line for line in message.lines if line.startswith(("Via:", "From:", "To:", "Call-ID:", "Max-Forwards:"))
        ]
        rows.append(f"CSeq: {message.cseq} CANCEL")
        return self._sent(f"CANCEL {message.uri_text} SIP/2.0", rows, "")

    def mangled(self, data: bytes, choice: int, where: int) -> bytes:
        """An earlier datagram of its own with one line gone, doubled, moved or with an octet changed."""
        lines = data.split(b"\r\n")
        place = 1 + where % max(1, len(lines) - 1)
        if choice % 4 == 0:
            del lines[place]
        elif choice % 4 == 1:
            lines.insert(place, lines[place])
        elif choice % 4 == 2:
            lines.append(lines.pop(place))
        else:
            octet = where % len(data)
            return data[:octet] + bytes([(data[octet] + choice) % 256]) + data[octet + 1 :]
        return b"\r\n".join(lines)

    def _sent(self, start_line: str, rows: list[str], kind: str) -> bytes:
        types, body = self.body(kind)
        data = render(start_line, rows + types, body)
        self.said.append(data)
        return data

    # -- what it hears ---------------------------------------------------------------------------------------------

    def hears(self, message: Message) -> None:
        """A message of the node; what it tells of a dialog is remembered."""
        self.heard.append(message)
        if not message.is_request and message.method == "INVITE" and message.to_tag and 100 < message.status < 300:
            target = (message.value(h.CONTACT) or "").strip("<>")
            view = View(message.call_id, message.value(h.FROM) or "", message.value(h.TO) or "", target, message.cseq)
            self.views.setdefault(f"{view.call_id} {view.remote}", view)
