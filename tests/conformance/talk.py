"""A call as both parties make it: each side with the identifiers, sequence numbers and route of its own dialog."""

from __future__ import annotations

from dataclasses import dataclass, field

from scenarios.rig.seen import Seen
from tests.conformance.parties import Party, written
from tests.conformance.rig import Rig


@dataclass
class Side:
    """One party's dialog."""

    party: Party
    call_id: str
    local: str  # what it writes into From
    remote: str  # into To
    target: str  # Request-URI
    cseq: int
    routes: list[str] = field(default_factory=list)

    def request(
        self, method: str, *rows: str, body: bytes = b"", kind: str = "application/sdp", cseq: int = 0, branch: str = ""
    ) -> bytes:
        """The next request; ACK and CANCEL have the number that is given."""
        if not cseq:
            self.cseq += 1
        lines = [
            f"{method} {self.target} SIP/2.0",
            f"Via: SIP/2.0/{self.party.transport} {self.party.sent_by};branch={branch or self.branch()};rport",
            "Max-Forwards: 70",
            *(f"Route: {route}" for route in self.routes),
            f"From: {self.local}",
            f"To: {self.remote}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {cseq or self.cseq} {method}",
        ]
        has_contact = any(row.startswith("Contact:") for row in rows)
        if method in ("INVITE", "UPDATE", "REFER", "SUBSCRIBE", "NOTIFY") and not has_contact:
            lines.append(f"Contact: {self.party.contact}")
        lines += [*rows, f"User-Agent: {self.party.word()}"]
        return written(lines, body, kind)

    def branch(self) -> str:
        return f"z9hG4bK{self.party.word()}"

    def confirm(self, response: Seen) -> None:
        """The dialog after a response that makes or refreshes it."""
        self.remote = response.value("To")
        self.target = uri_in(response.value("Contact")) or self.target
        self.routes = response.values("Record-Route")[::-1]


def uri_in(address: str) -> str:
    """What stands between < and >."""
    return address.partition("<")[2].partition(">")[0]


class Call:
    """One call from A to X, or to another number that it dials."""

    def __init__(self, rig: Rig, called: str = "") -> None:
        self.rig = rig
        caller, node = rig.caller, rig.place.node
        called = called or rig.x
        self.caller = Side(
            caller,
            caller.word(),
            f'"{caller.word()}" <sip:{caller.number}@{caller.host}>;tag={caller.word()}',
            f"<sip:{called}@{node}>",
            f"sip:{called}@{node}",
            0,
        )
        self.dialled = self.caller.target
        self.invite_branch = self.caller.branch()
        self.at = rig.callee  # where the call arrives

    # -- how it comes about ----------------------------------------------------------------------------------------

    def invite(self, *rows: str, body: bytes | None = None, method: str = "INVITE") -> bytes:
        """The caller's INVITE, not sent."""
        offer = self.rig.caller.description() if body is None else body
        return self.caller.request(method, *rows, body=offer, cseq=1, branch=self.invite_branch)

    def start(self, *rows: str, data: bytes = b"", body: bytes | None = None) -> Seen:
        """INVITE; what the callee gets."""
        self.caller.cseq = 1
        self.first = self.rig.caller.send(data or self.invite(*rows, body=body))
        self.sent = self.rig.hear(self.at, "INVITE")
        self.callee = Side(
            self.at, self.sent.call_id, self.sent.value("To"), self.sent.value("From"),
            uri_in(self.sent.value("Contact")), 100, self.sent.values("Record-Route"),
        )  # fmt: skip
        self.tag = self.at.word()
        return self.sent

    def answer(self, status: int, *rows: str, tag: str = "", body: bytes = b"", contact: str = "") -> Seen:
        """The callee says something about the INVITE."""
        data = self.at.answer(self.sent, status, *rows, tag=tag or self.tag, body=body, contact=contact)
        return self.at.send(data)

    def ring(self, status: int = 180, *rows: str, tag: str = "") -> Seen:
        """The callee rings; what the caller gets."""
        self.answer(status, *rows, tag=tag)
        return self.rig.hear(self.rig.caller, f"{status} INVITE")

    def pick_up(self, *rows: str, body: bytes | None = None, contact: str = "") -> Seen:
        """The callee answers; what the caller gets."""
        self.answer(200, *rows, body=self.at.description() if body is None else body, contact=contact)
        self.ok = self.rig.hear(self.rig.caller, "200 INVITE")
        self.caller.confirm(self.ok)
        self.callee.local = f"{self.sent.value('To')};tag={self.tag}"
        return self.ok

    def ack(self, *rows: str, body: bytes = b"") -> Seen:
        """The caller acknowledges; what the callee gets."""
        self.rig.caller.send(self.caller.request("ACK", *rows, body=body, cseq=1))
        return self.rig.hear(self.at, "ACK")

    def talk(self, *rows: str) -> Call:
        """INVITE, 200, ACK."""
        self.start(*rows)
        self.pick_up()
        self.ack()
        return self

    # -- how it ends -----------------------------------------------------------------------------------------------

    def of_invite(self, method: str, *rows: str, to: str = "", branch: str = "") -> bytes:
        """The caller's CANCEL, or its ACK for a failure: both belong to the transaction of its INVITE."""
        caller, target = self.caller, self.dialled
        lines = [
            f"{method} {target} SIP/2.0",
            f"Via: SIP/2.0/{caller.party.transport} {caller.party.sent_by};branch={branch or self.invite_branch};rport",
            "Max-Forwards: 70", f"From: {caller.local}", f"To: {to or f'<{target}>'}", f"Call-ID: {caller.call_id}",
            f"CSeq: 1 {method}", *rows,
        ]  # fmt: skip
        return written(lines)

    def refused(self) -> Seen:
        """The caller's final failure, acknowledged."""
        response = self.rig.final("INVITE")
        assert response.status >= 300
        self.rig.caller.send(self.of_invite("ACK", to=response.value("To")))
        return response

    def hang_up(self) -> Seen:
        """The caller says BYE, the callee agrees; the caller's 200."""
        self.rig.caller.send(self.caller.request("BYE"))
        bye = self.rig.hear(self.at, "BYE")
        self.at.send(self.at.answer(bye, 200))
        return self.rig.hear(self.rig.caller, "200 BYE")

    def drop(self, status: int = 486) -> None:
        """The callee refuses; the end of a test that is about something before it."""
        self.answer(status)
        self.rig.hear(self.at, "ACK")
        self.refused()

    def record(self) -> dict[str, object]:
        return self.rig.record(self.caller.call_id)
