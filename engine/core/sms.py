"""A short message of 3GPP in a MESSAGE: who sends it to whom, and the same for the other side (TS 24.341, TS 23.040).

A phone submits to its service centre (RP-DATA with SMS-SUBMIT): the Request-URI names the centre, TP-DA the 700 number,
and the sender is whoever the network asserts. A gateway delivers (SMS-DELIVER), or tells what became of an earlier one
(SMS-STATUS-REPORT): the Request-URI names the 700 number, TP-OA the sender or TP-RA the receiver of that earlier one,
for which the gateway vouches.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, final

from engine.core.copies import text_hides
from engine.core.disclosure import LeakStopped
from engine.core.identity import caller_of, number_of
from engine.core.numbers import COUNTRY_CODE, REAL, UNKNOWN, Dialled, read_number
from engine.core.rp_message import (
    CONTENT_TYPE,
    RP_ACK_FROM_MOBILE,
    RP_ACK_TO_MOBILE,
    RP_DATA_FROM_MOBILE,
    RP_DATA_TO_MOBILE,
    RP_ERROR_FROM_MOBILE,
    RP_ERROR_TO_MOBILE,
    RpMessage,
    parse_rp_message,
    render_rp_message,
)
from engine.core.semi_octets import INTERNATIONAL, NATIONAL, Address
from engine.core.settings import CallerSource, NumberFormat, PeerSettings
from engine.core.spelling import holds_number
from engine.core.tpdu import Tpdu, parse_tpdu, render_tpdu, with_number
from engine.core.tpdu_text import masked_tpdu, tpdu_text
from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.fields import split_list
from sipstack.message import Message
from sipstack.multipart import body_of
from sipstack.uri import SipUri, TelUri, parse_name_addr, parse_uri

# RP messages that answer an RP-DATA (TS 24.011 §7.3.2 and §7.3.3).
REPORTS: Final = (RP_ACK_FROM_MOBILE, RP_ACK_TO_MOBILE, RP_ERROR_FROM_MOBILE, RP_ERROR_TO_MOBILE)


@final
class ShortMessage:
    """An RP-DATA that was read.

    `called` and `caller` are what the policy asks about. `centre` is the service centre that was addressed ("" for what
    a gateway sends), `gateway` the URI of the gateway ("" for what a phone sends): where a report goes back to.
    """

    __slots__ = ("called", "caller", "centre", "from_mobile", "gateway", "reference", "tpdu")

    def __init__(self, rp: RpMessage, tpdu: Tpdu) -> None:
        self.called = UNKNOWN
        self.caller = UNKNOWN
        self.centre = ""
        self.gateway = ""
        self.from_mobile = rp.from_mobile
        self.reference = rp.reference
        self.tpdu = tpdu


def is_short_message(request: Message) -> bool:
    """True for a MESSAGE whose body says that it is an RP message."""
    value = request.first[h.CONTENT_TYPE]
    if value is None or value.startswith(" text/"):  # nearly always
        return False
    return value.partition(";")[0].strip(" \t").lower() == CONTENT_TYPE


def read_rp_message(request: Message) -> RpMessage:
    """The RP message in a MESSAGE. Raises RemoteSipError when it cannot be read."""
    if body_of(request).is_encoded:
        raise RemoteSipError("body is encoded", 415)
    return parse_rp_message(request.body)


def read_short_message(request: Message, rp: RpMessage, peer: PeerSettings) -> ShortMessage:
    """The short message in an RP-DATA.

    Raises RemoteSipError for what cannot be read, and for an RP-SMMA, which holds no TPDU: it is between a phone and
    its own centre.
    """
    tpdu = parse_tpdu(rp.user_data, rp.from_mobile)
    if tpdu.address is None:  # SUBMIT-REPORT and DELIVER-REPORT have none (TS 23.040 §9.2.2)
        raise RemoteSipError("TPDU does not belong into an RP-DATA", 415)
    sms = ShortMessage(rp, tpdu)
    far = _number_in(tpdu.address, peer)
    if sms.from_mobile:
        centre = number_of(request.uri, peer)
        if centre.kind is REAL and centre.number in peer.sms_centres:
            sms.centre, sms.called = centre.number, far
        sms.caller = caller_of(request, peer)
    else:
        sms.called = number_of(request.uri, peer)
        sms.gateway = _gateway_of(request, peer, far)
        if sms.gateway:
            sms.caller = far
    return sms


def _number_in(address: Address, peer: PeerSettings) -> Dialled:
    """The number in an address field; unknown for what its type of number does not fit."""
    if address.number_type == INTERNATIONAL:
        return read_number(f"+{address.digits}", peer.number_format, peer.rules_in)
    number_format = NumberFormat.NATIONAL if address.number_type == NATIONAL else peer.number_format
    return read_number(address.digits, number_format, peer.rules_in)


def _gateway_of(request: Message, peer: PeerSettings, sender: Dialled) -> str:
    """The URI of the gateway that vouches for `sender`; "" when it is none.

    A subscriber can send any body that it likes, a DELIVER with somebody else's TP-OA too. So who is asserted must be a
    host without a user (a gateway, TS 24.341 §5.3.3), one of the peer's service centres, or the sender itself. A peer
    outside of the trust domain asserts nobody (RFC 3325 §5).
    """
    if not peer.trusted:
        return ""
    asserted = [] if peer.caller is CallerSource.FROM else request.values(h.P_ASSERTED_IDENTITY)
    if peer.caller is not CallerSource.PAI and not asserted:
        asserted = [request.value(h.FROM) or ""]
    found = [_gateway_in(value, peer, sender) for row in asserted for value in split_list(row)]
    return found[0] if found and all(found) else ""


def _gateway_in(value: str, peer: PeerSettings, sender: Dialled) -> str:
    try:
        uri = parse_uri(parse_name_addr(value).uri)
    except RemoteSipError:
        return ""
    number = number_of(uri, peer)
    is_known = number.kind is REAL and (number.number in peer.sms_centres or number == sender)
    if isinstance(uri, SipUri) and uri.scheme == "sip" and (is_known or not uri.user):
        return str(SipUri("sip", uri.user, uri.host, uri.port))
    return str(uri) if isinstance(uri, TelUri) and is_known else ""


# -- for the other side ------------------------------------------------------------------------------------------------


def rp_data(sms: ShortMessage, reference: int, centre: str, number: str) -> bytes:
    """The RP-DATA for the other side: its own service centre, our reference, `number` in TP-DA, TP-OA or TP-RA."""
    far = COUNTRY_CODE + centre  # of the international type, as RP addresses are
    user_data = render_tpdu(with_number(sms.tpdu, number))
    if sms.from_mobile:
        rp = RpMessage(RP_DATA_FROM_MOBILE, reference, destination=far, user_data=user_data)
    else:
        rp = RpMessage(RP_DATA_TO_MOBILE, reference, originator=far, user_data=user_data)
    return render_rp_message(rp)


def rp_report(rp: RpMessage, reference: int, hidden: Iterable[str], masks: bool) -> bytes:
    """An RP-ACK or RP-ERROR for the other side, under the reference that it has given its RP-DATA.

    `hidden` are the spellings of the number of whoever reports. Raises LeakStopped and RemoteSipError.
    """
    user_data = b""
    if rp.user_data:
        tpdu = parse_tpdu(rp.user_data, rp.from_mobile)
        if tpdu.address is not None:  # SUBMIT, DELIVER and STATUS-REPORT
            raise RemoteSipError("TPDU does not belong into a report", 415)
        user_data = render_tpdu(veiled_text(tpdu, *hidden) if masks else tpdu)
    return render_rp_message(RpMessage(rp.kind, reference, user_data=user_data, cause=rp.cause))


def veiled_text(tpdu: Tpdu, *hidden: str) -> Tpdu:
    """The TPDU with its sender's own number masked in the text. Raises LeakStopped when it can be read even so."""
    masked = tpdu
    for number in hidden:
        masked = masked_tpdu(masked, number)
    text = tpdu_text(masked).encode("utf-8", "replace")
    if any(holds_number(text, number) or text_hides(text, number) for number in hidden):
        raise LeakStopped
    return masked
