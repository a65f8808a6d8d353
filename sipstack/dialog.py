"""Dialogs: identifiers, route set, remote target and sequence numbers (RFC 3261 §12)."""

from __future__ import annotations

from typing import Final, NamedTuple, final

from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.fields import split_list
from sipstack.grammar import USUAL_CONTACT
from sipstack.message import Message
from sipstack.uri import PORT_LIMIT, SipUri, parse_name_addr, parse_uri

# Of nearly every dialog: route sets are replaced, and never changed.
_NO_ROUTES: Final[list[str]] = []


class DialogId(NamedTuple):
    """What a dialog is known by (§12); tags are "" for RFC 2543 peers."""

    call_id: str
    local_tag: str
    remote_tag: str


@final
class Dialog:
    """One dialog as one side keeps it.

    `local` and `remote` are the addresses with their tags, as From and To carry them. `remote_target` is a URI,
    `route_set` holds URIs in angle brackets in the order in which our requests list them: all of them sip or sips, as
    they may stand in a Request-URI. `remote_seq` is -1 until the peer has sent a request.
    """

    __slots__ = (
        "call_id",
        "local",
        "local_seq",
        "local_tag",
        "remote",
        "remote_seq",
        "remote_tag",
        "remote_target",
        "route_set",
    )

    def __init__(
        self, identity: tuple[str, str, str], local: str, remote: str, local_seq: int, remote_seq: int
    ) -> None:
        """`identity` as in DialogId."""
        self.call_id, self.local_tag, self.remote_tag = identity
        self.local = local
        self.remote = remote
        self.local_seq = local_seq
        self.remote_seq = remote_seq
        self.remote_target = ""
        self.route_set: list[str] = _NO_ROUTES

    @staticmethod
    def as_server(request: Message, local_tag: str, local_seq: int) -> Dialog:
        """The dialog that our answer to `request` makes (§12.1.1).

        Raises RemoteSipError without a usable Contact, or when a Record-Route is none. A peer of RFC 2543 (no tag in
        From) may send no Contact: its From then says where it is.
        """
        remote = request.value(h.FROM) or ""
        dialog = Dialog(
            (request.call_id, local_tag, request.from_tag),
            f"{request.value(h.TO)};tag={local_tag}",
            remote,
            local_seq,
            request.cseq,
        )
        dialog.route_set = _routes(request)
        if request.first[h.CONTACT] is not None or request.from_tag:
            dialog.remote_target = contact_uri(request)
        else:
            dialog.remote_target = _usable(remote, "From")
        return dialog

    @staticmethod
    def as_client(local: str, local_tag: str, response: Message, request_uri: str = "") -> Dialog:
        """The dialog that a 101-299 to our request makes (§12.1.2).

        Without a usable Contact in the response the remote target is `request_uri`; raises RemoteSipError when that is
        not given either, or when a Record-Route is none. Provisionals without Contact are common: no request needs to
        go anywhere yet.
        """
        dialog = Dialog(
            (response.call_id, local_tag, response.to_tag), local, response.value(h.TO) or "", response.cseq, -1
        )
        dialog.route_set = _routes_back(response)
        try:
            dialog.remote_target = contact_uri(response)
        except RemoteSipError:
            if not request_uri:
                raise
            dialog.remote_target = request_uri
        return dialog

    def confirm(self, response: Message) -> None:
        """The 2xx of an early dialog says the route set and the target anew (§13.2.2.4). Raises RemoteSipError."""
        self.route_set = _routes_back(response)
        self.refresh(response)

    @property
    def id(self) -> DialogId:
        """Call-ID, local tag, remote tag."""
        return DialogId(self.call_id, self.local_tag, self.remote_tag)

    def next_seq(self) -> int:
        """The number of our next request, never for ACK or CANCEL (§12.2.1.1)."""
        self.local_seq += 1
        return self.local_seq

    def accepts_seq(self, cseq: int) -> bool:
        """Takes note of the peer's number; False when it is not above the last one: 500 (§12.2.2)."""
        if cseq <= self.remote_seq:
            return False
        self.remote_seq = cseq
        return True

    def refresh(self, message: Message) -> None:
        """Takes a new remote target from a target refresh request or its 2xx (§12.2.1.2, §12.2.2)."""
        if message.contact:
            self.remote_target = message.contact
            return
        contact = message.first[h.CONTACT]
        if contact is not None:
            target = self.remote_target
            if target.startswith("sip:") and contact.strip(" \t") == f"<{target}>":
                return  # nearly always: it is where it was
            self.remote_target = contact_uri(message)

    def request_uri(self) -> str:
        """The remote target; the first route where that is a strict router (§12.2.1.1)."""
        if self.route_set and not _is_loose(self.route_set[0]):
            return _bracketed(self.route_set[0])
        return self.remote_target

    def route_lines(self) -> list[str]:
        """Route rows; behind a strict router the remote target comes last (§12.2.1.1)."""
        if not self.route_set:
            return []
        if _is_loose(self.route_set[0]):
            return [f"Route: {route}" for route in self.route_set]
        return [f"Route: {route}" for route in (*self.route_set[1:], f"<{self.remote_target}>")]

    def next_hop(self) -> str:
        """The URI that our requests are sent to: the first route, else the remote target."""
        return _bracketed(self.route_set[0]) if self.route_set else self.remote_target

    def request_rows(self, method: str, seq: int) -> str:
        """Route, From, To, Call-ID and CSeq of a request of ours in this dialog (§12.2.1.1), joined by CRLF."""
        rows = f"From: {self.local}\r\nTo: {self.remote}\r\nCall-ID: {self.call_id}\r\nCSeq: {seq} {method}"
        return "\r\n".join([*self.route_lines(), rows]) if self.route_set else rows


def contact_uri(message: Message) -> str:
    """The URI of the first Contact. Raises RemoteSipError when there is none or it is no sip or sips URI (§12.1)."""
    if message.contact:
        return message.contact
    value = message.value(h.CONTACT)
    if value is None:
        raise RemoteSipError("Contact is missing")
    match = USUAL_CONTACT.fullmatch(value)
    if match is not None and int(match[4] or 0) < PORT_LIMIT and (match[5] or "")[:8] != ";method=":
        return match[1]
    return _usable(split_list(value)[0], "Contact")


def _routes(message: Message) -> list[str]:
    if message.first[h.RECORD_ROUTE] is None:
        return _NO_ROUTES
    rows = message.values(h.RECORD_ROUTE)
    return [f"<{_usable(value, 'Record-Route')}>" for row in rows for value in split_list(row)]


def _routes_back(response: Message) -> list[str]:
    """Those of a response, for our requests (§12.1.2)."""
    routes = _routes(response)
    return routes[::-1] if routes else routes


def _usable(value: str, field: str) -> str:
    """The URI of an address as our requests can use it. Raises RemoteSipError when it is no sip or sips URI.

    Header fields and `method` go: they may not stand in a Request-URI, nor in a Route (§19.1.1, §12.2.1.1).
    """
    text = parse_name_addr(value).uri
    uri = parse_uri(text)
    if not isinstance(uri, SipUri):
        raise RemoteSipError(f"{field} is no SIP URI")
    if not uri.headers and "method=" not in uri.params.lower():
        return text
    kept = [param for param in uri.params.split(";")[1:] if not param.lower().startswith("method=")]
    params = "".join(f";{param}" for param in kept)
    return str(SipUri(uri.scheme, uri.user, uri.host, uri.port, params, "", uri.password))


def _bracketed(route: str) -> str:
    return route[1:-1]


def _is_loose(route: str) -> bool:
    uri = parse_uri(_bracketed(route))
    return isinstance(uri, SipUri) and uri.param("lr") is not None
