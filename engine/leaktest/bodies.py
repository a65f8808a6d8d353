"""Where a number can hide in bodies: the lines of SDP, parts and types of other bodies, texts, short messages."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Final

from engine.leaktest import tpdu
from engine.leaktest.draft import SDP, Draft, Mark
from engine.leaktest.places import REPORT, Place

WITH_SDP: Final = frozenset(("INVITE", "183", "200 to INVITE", "re-INVITE", "200 to re-INVITE", "UPDATE",
                             "200 to UPDATE"))  # fmt: skip
WITH_BODY: Final = frozenset(("INVITE", "ACK", "183", "200 to INVITE", "INFO", "MESSAGE", "BYE", "200 to MESSAGE",
                              "403 to MESSAGE", "486 to INVITE", "380 to INVITE", "NOTIFY"))  # fmt: skip
_WITH_PARTS: Final = frozenset(("INVITE", "183", "200 to INVITE", "INFO", "MESSAGE"))
_MESSAGE: Final = frozenset(("MESSAGE",))
_BOUNDARY: Final = "part-of-this"


# -- SDP ---------------------------------------------------------------------------------------------------------------


def _sdp(name: str, put: Callable[[bytes, Mark], bytes], *, foreign: bool, alone: bool = False) -> Place:
    """`put` writes into the whole description."""

    def change(draft: Draft, mark: Mark) -> None:
        if draft.content_type == SDP:
            draft.body = put(draft.body, mark)

    return Place(f"sdp/{name}", change, WITH_SDP, "SDP", alone, foreign)


def _line(name: str, template: str, *, before: bytes = b"", foreign: bool = True, alone: bool = False) -> Place:
    """One more line, before the first one that begins so, else at the end."""

    def put(body: bytes, mark: Mark) -> bytes:
        line = mark.filled(template).encode() + b"\r\n"
        at = body.find(b"\r\n" + before) + 2 if before else len(body)
        return body[:at] + line + body[at:]

    return _sdp(name, put, foreign=foreign, alone=alone)


def _attribute(name: str, value: str) -> Place:
    """An attribute of the media. Words in it are the media's affair; the sender's own number is not."""
    return _line(f"a={name}", f"a={name}:{value}", foreign=False)


def _media_title(body: bytes, mark: Mark) -> bytes:
    return body + mark.filled("i={w} {n}\r\n").encode()


SDP_LINES: Final = (
    _line("i=", "i={w} {n}", before=b"c="),
    _sdp("i= of media", _media_title, foreign=True),
    _line("u=", "u=http://{h}/{n}", before=b"c="),
    _line("e=", "e={w} <{n}@{h}>", before=b"c="),
    _line("p=", "p=+86 {n} ({w})", before=b"c="),
    _line("k=", "k=clear:{w}{n}", before=b"m="),
    _line("r=", "r={n} 3600 0 {w}", before=b"m="),
    _line("z=", "z={n} -1h", before=b"m="),
    _line("b=", "b={w}:{n}", before=b"t="),
    _line("y= (unknown letter)", "y={w}{n}"),
    _line("a=tool", "a=tool:{w} {n}", before=b"m="),
    _line("a=cat", "a=cat:{w}.{n}", before=b"m="),
    _line("a=keywds", "a=keywds:{w} {n}", before=b"m="),
    _line("a=identity", "a=identity:{w}{n}", before=b"m="),
    _line("c= with more words", "c=IN IP4 127.0.0.1 {w} {n}", before=b"m="),
    _line("a=candidate with more words",
          "a=candidate:1 1 UDP 1 127.0.0.1 9 typ host generation 0 x {n}", foreign=False),
    _attribute("ssrc", "1 cname:{n}@phone"),
    _attribute("msid", "{n} track"),
    _attribute("label", "{n}"),
    _attribute("ice-ufrag", "{n}"),
    _attribute("ice-pwd", "{n}abcdefghijklmnop"),
    _attribute("crypto", "1 AES_CM_128_HMAC_SHA1_80 inline:{n}abcdefghijklmnopqrstuvwxyz"),
    _attribute("fmtp", "101 x={n}"),
    _attribute("rtpmap", "96 {n}/8000"),
    _attribute("extmap", "1 urn:{n}"),
    _attribute("mid", "{n}"),
    _attribute("rtcp", "9 IN IP4 127.0.0.1 {n}"),
    _attribute("unknown", "+86 {n}"),
)  # fmt: skip


# -- other bodies ------------------------------------------------------------------------------------------------------


def _body(name: str, content_type: str, make: Callable[[Mark], bytes], on: frozenset[str] = WITH_BODY) -> Place:
    return Place(f"body/{name}", lambda draft, mark: draft.carry(content_type, make(mark)), on, "body", alone=True)


def _part(
    name: str,
    content_type: str,
    make: Callable[[Mark], bytes],
    on: frozenset[str] = _WITH_PARTS,
    *,
    foreign: bool = True,
) -> Place:
    """Beside the description, where there is one, in multipart/mixed."""

    def put(draft: Draft, mark: Mark) -> None:
        parts = [(draft.content_type, draft.body)] if draft.body else []
        parts.append((content_type, make(mark)))
        draft.carry(f"multipart/mixed;boundary={_BOUNDARY}", multipart(parts, mark.filled("<{w}{n}@{h}>")))

    return Place(f"body/{name} in multipart", put, on, "body", alone=True, foreign=foreign)


def multipart(parts: list[tuple[str, bytes]], content_id: str) -> bytes:
    """The parts as RFC 2046 §5.1 joins them; each has a Content-ID."""
    joined = b"".join(
        f"--{_BOUNDARY}\r\nContent-Type: {kind}\r\nContent-ID: {content_id}\r\n\r\n".encode() + body + b"\r\n"
        for kind, body in parts
    )
    return joined + f"--{_BOUNDARY}--\r\n".encode()


def _isup(mark: Mark) -> bytes:
    """An initial address message: called and calling party number, redirecting number (ITU-T Q.763 §3.9, 3.10)."""
    address = bytes((0x03, 0x13)) + tpdu.semi_octets(mark.number)
    called = bytes((len(address),)) + address
    return (
        b"\x01\x00\x60\x00\x0a\x00\x02" + called + b"\x0a" + called + b"\x0b" + called
        + bytes((0x30, len(mark.word))) + mark.word.encode() + b"\x00"
    )  # fmt: skip


def _xml(template: str) -> Callable[[Mark], bytes]:
    return lambda mark: mark.filled(f'<?xml version="1.0"?>{template}').encode()


def _text(template: str) -> Callable[[Mark], bytes]:
    return lambda mark: mark.filled(template).encode()


_KINDS: Final[tuple[tuple[str, str, Callable[[Mark], bytes]], ...]] = (
    ("isup", "application/isup;version=itu-t92+", _isup),
    ("qsig", "application/qsig;version=iso", _isup),
    ("pidf", "application/pidf+xml", _xml('<presence entity="pres:{n}@{h}"><note>{w}</note></presence>')),
    ("sipfrag", "message/sipfrag;version=2.0", _text('SIP/2.0 200 {w}\r\nContact: "{w}" <sip:{n}@{h}>\r\n')),
    ("sip", "message/sip", _text("INVITE sip:{n}@{h} SIP/2.0\r\nFrom: <sip:{n}@{h}>;tag={w}\r\n\r\n")),
    ("mcid", "application/vnd.etsi.mcid+xml",
     _xml("<mcid><request><OrigPartyIdentity>sip:{n}@{h}</OrigPartyIdentity></request><x>{w}</x></mcid>")),
    ("ussd", "application/vnd.3gpp.ussd+xml", _xml("<ussd-data><ussd-string>*21*{n}# {w}</ussd-string></ussd-data>")),
    ("cw", "application/vnd.3gpp.cw+xml", _xml("<ims-cw><x>{w} {n}</x></ims-cw>")),
    ("unknown", "application/x-unheard-of", _text("{w} {n} {h}")),
    ("text in percent escapes", "text/x-unheard-of", _text("{w} {p}")),
)  # fmt: skip

BODIES: Final = (
    *(_body(*kind) for kind in _KINDS),
    *(_part(*kind) for kind in _KINDS),
    _part("text", "text/plain", _text("{w} {n}"), _WITH_PARTS - _MESSAGE),
    _part("own number as text", "text/plain", _text("call {n}"), _MESSAGE, foreign=False),
    Place("body/Content-Type parameter", lambda draft, mark: draft.carry(
        mark.filled('text/plain;name="{w} {n}"'), b"hello"), frozenset(("MESSAGE",)), "Content-Type", alone=True),
    Place("body/DTMF relay with more lines", lambda draft, mark: draft.carry(
        "application/dtmf-relay", mark.filled("Signal=5\r\nDuration=160\r\nX-{w}={n}\r\n").encode()),
        frozenset(("INFO",)), "body", alone=True),
)  # fmt: skip


# -- texts -------------------------------------------------------------------------------------------------------------


def _spelled(name: str, write: Callable[[str], str], charset: str = "utf-8") -> Place:
    """The sender's own number in a text. The text itself may cross: it is what was said."""

    def put(draft: Draft, mark: Mark) -> None:
        text = f"call me: {write(mark.number)} thanks"
        draft.carry(f"text/plain;charset={charset}", text.encode(charset))

    return Place(f"text/{name}", put, _MESSAGE, "text", alone=True, foreign=False)


def _full_width(number: str) -> str:
    return "".join(chr(0xFF10 + int(digit)) for digit in number)


TEXTS: Final = (
    _spelled("plain", str),
    _spelled("hyphens", lambda n: f"{n[:3]}-{n[3:7]}-{n[7:]}"),
    _spelled("spaces", lambda n: f"{n[:3]} {n[3:7]} {n[7:]}"),
    _spelled("dots and brackets", lambda n: f"({n[:3]}) {n[3:7]}.{n[7:]}"),
    _spelled("+86", lambda n: f"+86{n}"),
    _spelled("+86 with a space", lambda n: f"+86 {n[:3]} {n[3:7]} {n[7:]}"),
    _spelled("0086", lambda n: f"0086{n}"),
    _spelled("086", lambda n: f"086{n}"),
    _spelled("0", lambda n: f"0{n}"),
    _spelled("inside other digits", lambda n: f"99{n}99"),
    _spelled("percent escapes", lambda n: "".join(f"%{ord(digit):02X}" for digit in n)),
    _spelled("percent escapes twice", lambda n: "".join(f"%25{ord(digit):02X}" for digit in n)),
    _spelled("full width", _full_width),
    _spelled("Arabic digits", lambda n: "".join(chr(0x660 + int(digit)) for digit in n)),
    _spelled("Chinese digits", lambda n: "".join("〇一二三四五六七八九"[int(digit)] for digit in n)),
    _spelled("GB 18030", lambda n: f"电话{_full_width(n)}", "gb18030"),
    _spelled("UTF-16", str, "utf-16-be"),
    _spelled("base64", lambda n: base64.b64encode(n.encode()).decode()),
    _spelled("base64 one on", lambda n: base64.b64encode(b"x" + n.encode()).decode()),
    _spelled("base64 two on", lambda n: base64.b64encode(b"xx" + n.encode()).decode()),
    _spelled("base64url", lambda n: base64.urlsafe_b64encode(b"~?>" + n.encode() + b"~?>").decode()),
    _spelled("hex", lambda n: n.encode().hex()),
)


# -- short messages ----------------------------------------------------------------------------------------------------


def _to_centre(name: str, make: Callable[[Mark, str], bytes]) -> Place:
    """From a mobile: for the service centre, where the trunk has one. `make` gets the 700 number that it is for."""

    def put(draft: Draft, mark: Mark) -> None:
        body = make(mark, _called(draft))
        if draft.centre:
            draft.start = f"MESSAGE {draft.centre} SIP/2.0"
        draft.carry(tpdu.SMS, body)

    return Place(f"sms/{name}", put, _MESSAGE, "body", alone=True, foreign=False)


def _from_centre(name: str, make: Callable[[Mark, str], bytes], on: frozenset[str] = _MESSAGE) -> Place:
    """To a mobile, or a report on what came to one."""

    def put(draft: Draft, mark: Mark) -> None:
        draft.carry(tpdu.SMS, make(mark, _called(draft)))

    return Place(f"sms/{name}", put, on, "body", alone=True, foreign=False)


def _called(draft: Draft) -> str:
    """The user of the Request-URI."""
    return draft.start.split(" ")[1].partition(":")[2].partition("@")[0]


def _report(name: str, make: Callable[[int, bytes], bytes]) -> Place:
    """A report whose user data holds the number; its reference stays that of the RP-DATA."""

    def put(draft: Draft, mark: Mark) -> None:
        draft.carry(tpdu.SMS, make(draft.body[1], tpdu.status_report(mark.number)))

    return Place(f"sms/{name}", put, frozenset((REPORT,)), "body", alone=True, foreign=False)


SHORT_MESSAGES: Final = (
    _to_centre("TP-UD in GSM-7", lambda m, x: tpdu.rp_data_up(tpdu.submit(x, f"call {m.number} now"))),
    _to_centre("TP-UD in UCS2", lambda m, x: tpdu.rp_data_up(tpdu.submit(x, f"电话 {m.number}", ucs2=True))),
    _to_centre("RP-OA", lambda m, x: tpdu.rp_data_up(tpdu.submit(x, "hello"), originator=f"86{m.number}")),
    _to_centre("RP-DA", lambda m, x: tpdu.rp_data_up(tpdu.submit(x, "hello"), centre=f"86{m.number}")),
    _to_centre("TP-DA", lambda m, x: tpdu.rp_data_up(tpdu.submit(m.number, "hello"))),
    _from_centre("TP-OA", lambda m, x: tpdu.rp_data_down(tpdu.deliver(m.number, "hello"), destination=x)),
    _from_centre("TP-OA international", lambda m, x: tpdu.rp_data_down(
        tpdu.deliver(f"86{m.number}", "hello", kind=0x91))),
    _from_centre("TP-UD of a DELIVER", lambda m, x: tpdu.rp_data_down(
        tpdu.deliver(m.number, f"call {m.number}", ucs2=True))),
    _from_centre("RP-OA of a DELIVER", lambda m, x: tpdu.rp_data_down(
        tpdu.deliver(m.number, "hello"), centre=f"86{m.number}")),
    _from_centre("TP-RA", lambda m, x: tpdu.rp_data_down(tpdu.status_report(m.number))),
    _from_centre("RP-ACK of nothing", lambda m, x: tpdu.rp_ack(tpdu.status_report(m.number))),
    _from_centre("RP-ERROR of nothing", lambda m, x: tpdu.rp_error(tpdu.status_report(m.number))),
    _from_centre("no TPDU", lambda m, x: tpdu.rp_data_up(tpdu.semi_octets(m.number) * 3)),
    _report("RP-ERROR that reports", tpdu.rp_error_down),
    _report("RP-ACK that reports", tpdu.rp_ack_down),
)  # fmt: skip
