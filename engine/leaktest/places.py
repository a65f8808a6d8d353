"""Where a number can hide in SIP: one row for each place. Bodies have their own list in `bodies`.

A place says how it is written into a message, which messages it can stand in, and what is hidden in it: canaries that
stand nowhere else (so that what crosses has been copied), the sender's own real number (what the other party must not
read whatever way it takes), or both, one after the other.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from engine.leaktest.draft import Draft, Mark

Put = Callable[[Draft, Mark], None]

# Kinds of messages, as `points` names them.
INITIAL: Final = "initial"  # INVITE and MESSAGE outside a dialog
REQUEST: Final = "request"  # every other request, ACK and CANCEL too
RESPONSE: Final = "response"
REPORT: Final = "report"  # the MESSAGE that reports on a short message
ANY: Final = frozenset((INITIAL, REQUEST, REPORT, RESPONSE))
REQUESTS: Final = frozenset((INITIAL, REQUEST, REPORT))


@final
@dataclass(frozen=True, slots=True)
class Place:
    """One row of the table."""

    name: str
    put: Put
    on: frozenset[str] = ANY  # kinds of messages, or single ones: "INVITE"
    header: str = ""  # the field that it writes into
    alone: bool = False  # the element may refuse a message for it: it stands in one of its own
    foreign: bool = True  # hides canaries
    own: bool = True  # hides the sender's own number


def _row(name: str, header: str, template: str, on: frozenset[str] = ANY, *, alone: bool = False) -> Place:
    return Place(name, lambda draft, mark: draft.add(header, mark.filled(template)), on, header, alone)


def _params(name: str, header: str, template: str, on: frozenset[str] = ANY, *, alone: bool = False) -> Place:
    """Behind the value of a field that is there."""

    def put(draft: Draft, mark: Mark) -> None:
        draft.edit(header, lambda value: value + mark.filled(template))

    return Place(name, put, on, header, alone)


def _in_uri(name: str, header: str, template: str, on: frozenset[str] = ANY, *, alone: bool = False) -> Place:
    """Inside the angle brackets of a field that is there, behind the URI."""

    def put(draft: Draft, mark: Mark) -> None:
        draft.edit(header, lambda value: value.replace(">", mark.filled(template) + ">", 1))

    return Place(name, put, on, header, alone)


def _display(name: str, header: str, on: frozenset[str] = ANY) -> Place:
    """The display name of an address that is there."""

    def put(draft: Draft, mark: Mark) -> None:
        draft.edit(header, lambda value: mark.filled('"{w} {n}" ') + value)

    return Place(name, put, on, header)


def _request_uri(name: str, change: Callable[[str, Mark], str]) -> Place:
    """The Request-URI: `change` gets the URI."""

    def put(draft: Draft, mark: Mark) -> None:
        method, uri, version = draft.start.split(" ")
        draft.start = f"{method} {change(uri, mark)} {version}"

    return Place(name, put, frozenset((INITIAL,)), "Request-URI", alone=True)


def _behind(template: str) -> Callable[[str, Mark], str]:
    return lambda uri, mark: uri + mark.filled(template)


def _in_user(template: str) -> Callable[[str, Mark], str]:
    return lambda uri, mark: uri.replace("@", mark.filled(template) + "@", 1)


def _tel(template: str) -> Callable[[str, Mark], str]:
    return lambda uri, mark: f"tel:{uri[4:].partition('@')[0]}" + mark.filled(template)


_REQUEST_URI: Final = (
    _request_uri("uri/rn", _in_user(";rn=+86{n}")),
    _request_uri("uri/npdi", _in_user(";npdi;rn={n}")),
    _request_uri("uri/cic", _in_user(";cic=+86{n}")),
    _request_uri("uri/isub", _in_user(";isub={n}")),
    _request_uri("uri/ext", _in_user(";ext={n}")),
    _request_uri("uri/phone-context", _in_user(";phone-context={h}")),
    _request_uri("uri/tel isub", _tel(";phone-context=+86;isub={n}")),
    _request_uri("uri/tel ext", _tel(";phone-context=+86;ext={n}")),
    _request_uri("uri/tel rn", _tel(";phone-context=+86;npdi;rn=+86{n}")),
    _request_uri("uri/parameter", _behind(";user=phone;{w}={n}")),
    _request_uri("uri/header fields", _behind("?P-Asserted-Identity=%3Csip:{n}%40{h}%3E")),
    _request_uri("uri/password", _in_user(":{n}")),
)


def _passport(draft: Draft, mark: Mark) -> None:
    """RFC 8225: the caller's number in `orig`, base64url."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    head = part({"alg": "ES256", "typ": "passport", "x5u": f"https://{mark.host}/cert"})
    claims = part({"dest": {"tn": ["700"]}, "iat": 1, "orig": {"tn": f"86{mark.number}"}, "sub": mark.word})
    draft.add("Identity", f"{head}.{claims}.c2lnbmF0dXJl;info=<https://{mark.host}/cert>;alg=ES256;ppt=shaken")


_WITH_CONTACT: Final = frozenset(("INVITE", "re-INVITE", "UPDATE", "180", "183", "200 to INVITE", "200 to UPDATE",
                                  "200 to re-INVITE", "REFER", "NOTIFY", "302 to INVITE"))  # fmt: skip
_FIRST_INVITE: Final = frozenset(("INVITE",))
_REDIRECTS: Final = frozenset(f"{status} to INVITE" for status in (300, 301, 302, 305, 380, 485))

_IDENTITY: Final = (
    _display("identity/From display name", "From", REQUESTS),
    _in_uri("identity/From URI parameter", "From", ";{w}={n}", REQUESTS),
    _params("identity/From parameter", "From", ";{w}={n}", REQUESTS),
    _display("identity/To display name", "To"),
    _in_uri("identity/To URI parameter", "To", ";{w}={n}", REQUESTS),
    _params("identity/To parameter", "To", ";{w}={n}"),
    _display("identity/Contact display name", "Contact", _WITH_CONTACT),
    _in_uri("identity/Contact URI parameter", "Contact", ";{w}={n}", _WITH_CONTACT),
    _params("identity/Contact parameter", "Contact", ";+sip.instance=\"<urn:uuid:{w}>\";{w}={n}", _WITH_CONTACT),
    _row("identity/second P-Asserted-Identity", "P-Asserted-Identity", '"{w}" <tel:+86{n}>', frozenset((INITIAL,)),
         alone=True),
    _row("identity/P-Asserted-Identity", "P-Asserted-Identity", '"{w}" <sip:{n}@{h}>, <tel:+86{n}>',
         frozenset((REQUEST, RESPONSE))),
    _row("identity/P-Preferred-Identity", "P-Preferred-Identity", '"{w}" <sip:{n}@{h}>'),
    _row("identity/Remote-Party-ID", "Remote-Party-ID", '"{w}" <sip:+86{n}@{h}>;party=calling;privacy=off'),
    _row("identity/P-Called-Party-ID", "P-Called-Party-ID", "<sip:{n}@{h}>"),
    _row("identity/P-Served-User", "P-Served-User", "<sip:{n}@{h}>;sescase=orig;regstate=reg"),
    _row("identity/P-Profile-Key", "P-Profile-Key", "<sip:{n}@{h}>"),
    _row("identity/P-Associated-URI", "P-Associated-URI", "<sip:{n}@{h}>, <tel:+86{n}>"),
    Place("identity/Identity", _passport, ANY, "Identity"),
    _row("identity/Identity-Info", "Identity-Info", "<https://{h}/{n}>"),
    _row("identity/Privacy", "Privacy", "Id;{w}"),
    _row("identity/P-Asserted-Service", "P-Asserted-Service", "urn:urn-7:{w}.{n}"),
    _row("identity/Authorization", "Authorization", 'Digest username="{n}", realm="{h}", nonce="{w}", uri="sip:{h}", '
         'response="00"', REQUESTS),
    _row("identity/Proxy-Authorization", "Proxy-Authorization", 'Digest username="{n}", realm="{h}", nonce="{w}", '
         'uri="sip:{h}", response="00"', REQUESTS),
    _row("identity/Authentication-Info", "Authentication-Info", 'nextnonce="{w}{n}"', frozenset((RESPONSE,))),
    _row("identity/WWW-Authenticate", "WWW-Authenticate", 'Digest realm="{h}", nonce="{n}"', frozenset((RESPONSE,))),
)  # fmt: skip

_HISTORY: Final = (
    _row("history/Diversion", "Diversion", '"{w}" <sip:{n}@{h}>;reason=unconditional;counter=1'),
    _row("history/History-Info", "History-Info",
         "<sip:{n}@{h}?Reason=SIP%3Bcause%3D302%3Btext%3D%22{w}%22>;index=1;mp=1, <sip:{n}@{h}>;index=1.1;rc=1;np=1"),
    _row("history/Referred-By", "Referred-By", '"{w}" <sip:{n}@{h}>'),
    _row("history/Refer-To", "Refer-To", "<sip:{n}@{h}?Replaces={w}%3Bto-tag%3D1%3Bfrom-tag%3D2>"),
    _row("history/Replaces", "Replaces", "{w}@{h};to-tag={w};from-tag={n}", REQUESTS),
    _row("history/Join", "Join", "{w}@{h};to-tag={w};from-tag={n}", REQUESTS),
    _row("history/Target-Dialog", "Target-Dialog", "{w}@{h};local-tag={w};remote-tag={n}", REQUESTS),
    _row("history/In-Reply-To", "In-Reply-To", "{w}{n}@{h}", REQUESTS),
)  # fmt: skip

_ABOUT: Final = (
    _row("about/Call-Info", "Call-Info", "<http://{h}/{n}.jpg>;purpose=icon"),
    _row("about/Alert-Info", "Alert-Info", "<http://{h}/{n}.wav>"),
    _row("about/Error-Info", "Error-Info", "<sip:{n}@{h}>"),
    _row("about/Reply-To", "Reply-To", '"{w}" <sip:{n}@{h}>'),
    _row("about/Subject", "Subject", "{w} +86 {n}"),
    _row("about/Organization", "Organization", "{w} {n}"),
    _row("about/Geolocation", "Geolocation", "<cid:{n}@{h}>"),
    _row("about/Geolocation-Routing", "Geolocation-Routing", "{w}"),
    _row("about/P-Access-Network-Info", "P-Access-Network-Info",
         "3GPP-E-UTRAN-FDD;utran-cell-id-3gpp={n};{w}"),
    _row("about/Cellular-Network-Info", "Cellular-Network-Info",
         "3GPP-E-UTRAN-FDD;utran-cell-id-3gpp={n};cell-info-age=1;{w}"),
    _row("about/P-Visited-Network-ID", "P-Visited-Network-ID", '"{w} {n}"'),
    _row("about/User-to-User", "User-to-User", "{n}{w};encoding=ascii"),
    Place("about/User-to-User in hex", lambda draft, mark: draft.add(
        "User-to-User", f"{mark.filled('{n}{w}').encode().hex()};encoding=hex"), ANY, "User-to-User"),
    _row("about/P-Early-Media", "P-Early-Media", "sendrecv, {w}"),
    _row("about/P-Charging-Vector", "P-Charging-Vector",
         'icid-value="{w}{n}";icid-generated-at={h};orig-ioi={h};term-ioi={h}'),
    _row("about/P-Charging-Function-Addresses", "P-Charging-Function-Addresses", 'ccf={h};ecf="{w}{n}"'),
    _row("about/Session-ID", "Session-ID", "{w}{n};remote={w}"),
    _row("about/Accept-Contact", "Accept-Contact", '*;+g.3gpp.{w}="{n}"', REQUESTS),
    _row("about/Reject-Contact", "Reject-Contact", '*;{w}="{n}"', REQUESTS),
    _row("about/Reason", "Reason", 'SIP;cause=200;text="{w} {n}"'),
    _row("about/Warning", "Warning", '399 {h} "{w} {n}"'),
    _row("about/Retry-After", "Retry-After", "5 ({w} {n});duration=9", frozenset((RESPONSE,))),
    _row("about/Date", "Date", "{w} {n}"),
    _row("about/Timestamp", "Timestamp", "{n}"),
    _row("about/Feature-Caps", "Feature-Caps", '*;+g.3gpp.{w}="<sip:{n}@{h}>"'),
    _row("about/Info-Package", "Info-Package", "{w}"),
    _row("about/Recv-Info", "Recv-Info", "{w}"),
    _row("about/Event", "Event", "{w};id={n}"),
    _row("about/Subscription-State", "Subscription-State", "active;reason={w};expires={n}"),
    _row("about/Content-ID", "Content-ID", "<{n}@{h}>"),
    _row("about/Content-Disposition", "Content-Disposition", "session;{w}={n}"),
    _row("about/Content-Language", "Content-Language", "{w}"),
    _row("about/Call-ID of another", "X-Call-ID", "{w}{n}@{h}"),
    _row("about/X-", "X-Real-Number", "{w} {n}"),
    _row("about/P-", "P-Real-Number", "{w} {n}"),
    _row("about/unknown", "Unheard-Of", "{w}, tel:+86{n}"),
    _row("about/unknown in percent escapes", "Unheard-Of-Too", "{w} {p}"),
)  # fmt: skip


def _via(draft: Draft, mark: Mark) -> None:
    """A Via below the sender's own."""
    index = next(index for index, (name, _) in enumerate(draft.rows) if name == "Via") + 1
    value = mark.filled("SIP/2.0/UDP {h};branch=z9hG4bK{w}{n};received=127.0.0.1")
    draft.rows.insert(index, ("Via", value))


def _route_back(header: str, draft: Draft, mark: Mark) -> None:
    """The sender's own address, so that what follows it comes back, with the canary in its user and parameters."""
    draft.add(header, mark.filled(f"<sip:{{n}}@{draft.sender};lr;{{w}}>"))


_TOPOLOGY: Final = (
    Place("topology/Via", _via, REQUESTS, "Via"),
    _params("topology/Via parameter", "Via", ";{w}={n}", REQUESTS),
    Place("topology/Record-Route", lambda draft, mark: _route_back("Record-Route", draft, mark),
          frozenset(("INVITE", "200 to INVITE")), "Record-Route", alone=True),
    _row("topology/Path", "Path", "<sip:{n}@{h};lr>"),
    _row("topology/Service-Route", "Service-Route", "<sip:{n}@{h};lr>"),
    _row("topology/Server", "Server", "{w}/{n}", frozenset((RESPONSE,))),
    _row("topology/Allow", "Allow", "INVITE, ACK, CANCEL, BYE, {w}"),
    _row("topology/Allow-Events", "Allow-Events", "{w}"),
    _row("topology/Accept", "Accept", "application/{w}, application/sdp"),
    _row("topology/Accept-Language", "Accept-Language", "{w}"),
    _row("topology/Supported", "Supported", "{w}, norefersub"),
    _row("topology/Unsupported", "Unsupported", "{w}", frozenset((RESPONSE,))),
    _row("topology/Require", "Require", "{w}", REQUESTS, alone=True),
    _row("topology/Proxy-Require", "Proxy-Require", "{w}", REQUESTS, alone=True),
    _row("topology/Security-Client", "Security-Client", "{w};spi-c={n}"),
    _row("topology/Session-Expires", "Session-Expires", "1800;refresher=uac;{w}={n}", _FIRST_INVITE),
    _row("topology/Min-SE", "Min-SE", "90;{w}={n}", _FIRST_INVITE),
)  # fmt: skip


def _reason_phrase(draft: Draft, mark: Mark) -> None:
    draft.start += mark.filled(" {w} {n}")


def _redirect(draft: Draft, mark: Mark) -> None:
    draft.add("Contact", mark.filled('"{w}" <sip:{n}@{h};{w}>;q=0.7'))


_RESPONSES: Final = (
    Place("response/reason phrase", _reason_phrase, frozenset((RESPONSE,)), "status line"),
    Place("response/Contact of a redirect", _redirect, _REDIRECTS, "Contact"),
)

# What the rig's own messages hold each time; found wherever it turns up.
_GIVEN: Final = (
    "identity/From user", "identity/P-Asserted-Identity user", "identity/Contact user", "topology/Call-ID",
    "topology/tag", "topology/branch", "topology/CSeq", "topology/User-Agent", "sdp/o= user name",
    "sdp/o= session id", "sdp/s=",
)  # fmt: skip


def _nothing(draft: Draft, mark: Mark) -> None:
    """The parties write it themselves."""


GIVEN: Final = tuple(Place(name, _nothing) for name in _GIVEN)
HEADERS: Final = (*_REQUEST_URI, *_IDENTITY, *_HISTORY, *_ABOUT, *_TOPOLOGY, *_RESPONSES)
