"""Writes tpdu.tsv, refused.tsv and rp.tsv with pycrate, and has smspdudecoder read what it can of them.

    python3 -m venv VENV && VENV/bin/pip install pycrate==0.8.1 smspdudecoder==2.2.0 "bitstring<4.2"
    VENV/bin/python tests/vectors/tpdu/make.py

Neither library is used by a test: the files are committed.
"""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from time import struct_time
from typing import Any

from pycrate_mobile import TS23040_SMS as sms  # noqa: N811
from pycrate_mobile import TS24011_PPSMS as rp  # noqa: N811
from pycrate_mobile.TS23038 import encode_7b
from smspdudecoder.fields import SMSDeliver, SMSSubmit

HERE = Path(__file__).parent
COLUMNS = ("name", "from_mobile", "number_type", "number", "text", "octets", "readdressed", "masked")
RP_COLUMNS = ("name", "kind", "reference", "originator", "destination", "cause", "tpdu", "octets")

X = "700123456789012"
NEW = "700987654321098"  # what takes the place of the number in `readdressed`
REAL = "13800138000"
INTERNATIONAL, NATIONAL, NETWORK, NAME = 1, 2, 3, 5
GSM7, UCS2, FLASH = 0x00, 0x08, 0xF0
TIME = struct_time((2026, 11, 25, 21, 40, 59, 0, 0, 0))
EAST, WEST = 0x23, 0x2A  # 32 quarters of an hour, and 22 with the sign: pycrate writes them in binary, not as digits

CHINESE = "快递已到，请下楼。回电 "
ENGLISH = "Your parcel is at the gate, please bring the code [A-7]; it costs 3 € to keep it ~ 2 days. "


def concatenation(reference: int, parts: int, number: int) -> bytes:
    """A user data header with one element: 00 for a small reference, 08 for a large one."""
    element = sms.TP_UDH_IE()
    element["T"].set_val(0x00 if reference < 0x100 else 0x08)
    element["V"].set_val({"MsgRef": reference, "MsgParts": parts, "MsgNum": number})
    octets = element.to_bytes()
    return bytes((len(octets),)) + octets


def fill(tpdu: Any, coding: int, text: str | bytes, header: bytes = b"") -> None:
    """TP-DCS and TP-UD. The count of septets is set: pycrate takes a filling CR for a character."""
    tpdu["TP_DCS"].from_bytes(bytes((coding,)))
    if header:
        tpdu["TP_UDHI"].set_val(1)
        tpdu["TP_UD"]["UDH"].from_bytes(header)
    tpdu["TP_UD"]["UD"].encode(text)
    if isinstance(text, str) and coding != UCS2:
        tpdu["TP_UD"]["UDL"].set_val((len(header) * 8 + 6) // 7 + encode_7b(text)[1])


def time(field: Any, zone: int = EAST) -> None:
    field.encode(TIME, 0.0)
    field["TZ"].from_bytes(bytes((zone,)))


def address(field: Any, number_type: int, number: str) -> None:
    field.set_val({"Type": number_type, "NumberingPlan": 0 if number_type == NAME else 1})
    field["Num"].encode(number)


def submit(
    number_type: int, number: str, text: str, coding: int = GSM7, header: bytes = b"", form: int = 0, period: Any = None
) -> Any:
    tpdu = sms.SMS_SUBMIT(val={"TP_MR": 7, "TP_SRR": 1, "TP_VPF": form})
    address(tpdu["TP_DA"], number_type, number)
    if form == 2:
        tpdu[10].set_val(period)
    elif form == 3:
        time(tpdu[11])
    elif form == 1:
        tpdu[12].from_bytes(period)
    fill(tpdu, coding, text, header)
    return tpdu


def deliver(
    number_type: int, number: str, text: str, coding: int = GSM7, header: bytes = b"", protocol: int = 0
) -> Any:
    tpdu = sms.SMS_DELIVER(val={"TP_MMS": 1, "TP_SRI": 1})
    address(tpdu["TP_OA"], number_type, number)
    tpdu["TP_PID"].from_bytes(bytes((protocol,)))
    time(tpdu["TP_SCTS"])
    fill(tpdu, coding, text, header)
    return tpdu


def status_report(number_type: int, number: str, text: str, status: int = 0, coding: int = GSM7) -> Any:
    """Without a text it ends at TP-ST."""
    tpdu = sms.SMS_STATUS_REPORT(val={"TP_MMS": 1, "TP_MR": 7, "TP_ST": status})
    address(tpdu["TP_RA"], number_type, number)
    time(tpdu["TP_SCTS"])
    time(tpdu["TP_DT"], WEST)
    if text:
        tpdu["TP_PI"].set_val({"TP_UDL": 1, "TP_DCS": 1, "TP_PID": 1})
        fill(tpdu, coding, text)
    else:
        tpdu["TP_PI"].set_trans(True)
    return tpdu


def report(kind: Any, cause: int = -1, text: str = "", present: int = 0) -> Any:
    """A report on a SUBMIT or DELIVER; `present` has the bits of TP-PI."""
    tpdu = kind()
    tpdu["TP_PI"].from_bytes(bytes((present,)))
    if cause >= 0:
        tpdu["TP_FCS"].set_val(cause)
    if kind in (sms.SMS_SUBMIT_REPORT_RP_ACK, sms.SMS_SUBMIT_REPORT_RP_ERROR):
        time(tpdu["TP_SCTS"])
    if text:
        fill(tpdu, GSM7, text)
    return tpdu


# Name, how it is made, number type and number, text, masked text if it is another, further arguments.
TPDUS: tuple[tuple[str, Any, int, str, str, str, dict[str, Any]], ...] = (
    ("submit-gsm7", submit, NATIONAL, X, "hello", "", {}),
    ("submit-empty", submit, NATIONAL, X, "", "", {}),
    ("submit-extensions", submit, NATIONAL, X, "{a} [b] \\ ~ ^ | € \f end", "", {}),
    ("submit-all-characters", submit, NATIONAL, X,
     "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà", "", {}),
    ("submit-number", submit, NATIONAL, X, f"call me: {REAL} now", "call me: 138****8000 now", {}),
    ("submit-number-apart", submit, NATIONAL, X, "138-0013 {8000}", "138-**** {8000}", {}),
    ("submit-7-characters", submit, NATIONAL, X, "hello 7", "", {}),
    ("submit-8-characters", submit, NATIONAL, X, "hello 77", "", {}),
    ("submit-160-characters", submit, NATIONAL, X, "0123456789 abcdefghi" * 8, "", {}),
    ("submit-flash", submit, NATIONAL, X, "hello", "", {"coding": FLASH}),
    ("submit-ucs2", submit, NATIONAL, X, CHINESE + REAL, CHINESE + "138****8000", {"coding": UCS2}),
    ("submit-ucs2-full-width", submit, NATIONAL, X, "好😀１３８００１３８０００。", "好😀１３８****８０００。",
     {"coding": UCS2}),
    ("submit-ucs2-pairs", submit, NATIONAL, X, "138\U0001d7ce0138000", "138*****8000", {"coding": UCS2}),
    ("submit-international", submit, INTERNATIONAL, "86" + X, "hi", "", {}),
    ("submit-mobile", submit, NATIONAL, REAL, "hi", "", {}),
    ("submit-20-digits", submit, 0, "10655012345678901234", "hi", "", {}),
    ("submit-star-hash", submit, 0, "*#1abc0", "hi", "", {}),
    ("submit-relative", submit, NATIONAL, X, "hi", "", {"form": 2, "period": 0xA7}),
    ("submit-absolute", submit, NATIONAL, X, "hi", "", {"form": 3}),
    ("submit-enhanced-none", submit, NATIONAL, X, "hi", "", {"form": 1, "period": bytes(7)}),
    ("submit-enhanced-relative", submit, NATIONAL, X, "hi", "", {"form": 1, "period": b"\x01\xa7" + bytes(5)}),
    ("submit-enhanced-seconds", submit, NATIONAL, X, "hi", "", {"form": 1, "period": b"\x42\x3c" + bytes(5)}),
    ("submit-enhanced-hms", submit, NATIONAL, X, "hi", "", {"form": 1, "period": b"\x03\x32\x95\x95" + bytes(3)}),
    ("submit-1-of-2", submit, NATIONAL, X, ENGLISH, "", {"header": concatenation(0x5A, 2, 1)}),
    ("submit-2-of-2", submit, NATIONAL, X, f"call {REAL}", "call 138****8000", {"header": concatenation(0x5A, 2, 2)}),
    ("submit-ucs2-1-of-2", submit, NATIONAL, X, CHINESE * 5, "",
     {"coding": UCS2, "header": concatenation(0x5A, 2, 1)}),
    ("deliver-gsm7", deliver, INTERNATIONAL, "86" + REAL, "hello", "", {}),
    ("deliver-national", deliver, NATIONAL, X, "hello", "", {}),
    ("deliver-number", deliver, INTERNATIONAL, "86" + REAL, f"+86 {REAL}", "+86 138****8000", {}),
    ("deliver-ucs2", deliver, NATIONAL, REAL, CHINESE + REAL, CHINESE + "138****8000", {"coding": UCS2}),
    ("deliver-replace", deliver, NATIONAL, REAL, "new time: 18:00", "", {"protocol": 0x41}),
    ("deliver-service-number", deliver, NETWORK, "95588", "hello", "", {}),
    ("deliver-1-of-3", deliver, NATIONAL, REAL, ENGLISH + "Thanks", "", {"header": concatenation(0x1234, 3, 1)}),
    ("deliver-2-of-3", deliver, NATIONAL, REAL, f"{REAL}, {REAL}", "138****8000, 138****8000",
     {"header": concatenation(0x1234, 3, 2)}),
    ("deliver-3-of-3", deliver, NATIONAL, REAL, "end", "", {"header": concatenation(0x1234, 3, 3)}),
    ("deliver-ucs2-2-of-3", deliver, NATIONAL, REAL, CHINESE + REAL, CHINESE + "138****8000",
     {"coding": UCS2, "header": concatenation(0x1234, 3, 2)}),
    ("status-report", status_report, INTERNATIONAL, "86" + REAL, "", "", {}),
    ("status-report-failed", status_report, NATIONAL, REAL, "", "", {"status": 0x46}),
    ("status-report-text", status_report, NATIONAL, REAL, f"read by {REAL}", "read by 138****8000", {}),
    ("status-report-ucs2", status_report, NATIONAL, REAL, "已读", "", {"coding": UCS2}),
)  # fmt: skip

# What must be refused, each well-formed. Name, direction, TPDU.
REFUSED = (
    ("name", False, deliver(NAME, "Express", "hello")),
    ("command", True, sms.SMS_COMMAND(val={"TP_DA": {"Type": NATIONAL, "Num": X}})),
    ("8-bit", True, submit(NATIONAL, X, b"hello", coding=0x04)),
    ("8-bit-class", True, submit(NATIONAL, X, b"hello", coding=0xF6)),
    ("compressed", True, submit(NATIONAL, X, b"hello", coding=0x20)),
    ("voice-mail-waiting", False, deliver(NATIONAL, X, "hello", coding=0xC8)),
    ("silent", False, deliver(NATIONAL, X, "hello", protocol=0x40)),
    ("e-mail", False, deliver(NATIONAL, X, "a@b.example hello", protocol=0x32)),
    ("sim-download", False, deliver(NATIONAL, X, "hello", protocol=0x7F)),
    ("ports", False, deliver(NATIONAL, X, "BEGIN:VCARD", header=bytes.fromhex("06050423f40000"))),
    ("ports-8-bit", False, deliver(NATIONAL, X, "hello", header=bytes.fromhex("040402f0f0"))),
    ("sound", False, deliver(NATIONAL, X, "hello", header=bytes.fromhex("040b020003"))),
    ("reply-address", False, deliver(NATIONAL, X, "hello", header=bytes.fromhex("0a22080ba13108108300f0"))),
    ("hyperlink", False, deliver(NATIONAL, X, "hello", header=bytes.fromhex("06210400000505"))),
    ("e-mail-header", False, deliver(NATIONAL, X, "hello", header=bytes.fromhex("03200104"))),
    ("turkish", False, deliver(NATIONAL, X, "hello", header=bytes.fromhex("03240101"))),
    ("bengali", False, deliver(NATIONAL, X, "hello", header=bytes.fromhex("03250104"))),
    ("sim-toolkit", False, deliver(NATIONAL, X, "hello", header=bytes.fromhex("027000"))),
    ("two-parts", False, deliver(NATIONAL, X, "hello", header=bytes.fromhex("0a00035a020100035a0202"))),
    ("part-and-reply-address", False,
     deliver(NATIONAL, X, "hello", header=bytes.fromhex("0f00035a020122080ba13108108300f0"))),
)  # fmt: skip

# Reports have no number. Name, direction, TPDU, text.
REPORTS = (
    ("deliver-report", True, report(sms.SMS_DELIVER_REPORT_RP_ACK), ""),
    ("deliver-report-text", True, report(sms.SMS_DELIVER_REPORT_RP_ACK, text="stored", present=7), "stored"),
    ("deliver-report-failed", True, report(sms.SMS_DELIVER_REPORT_RP_ERROR, cause=0xD3), ""),
    ("submit-report", False, report(sms.SMS_SUBMIT_REPORT_RP_ACK), ""),
    ("submit-report-protocol", False, report(sms.SMS_SUBMIT_REPORT_RP_ACK, present=1), ""),
    ("submit-report-failed", False, report(sms.SMS_SUBMIT_REPORT_RP_ERROR, cause=0xC0), ""),
    ("submit-report-failed-text", False, report(sms.SMS_SUBMIT_REPORT_RP_ERROR, 0xC0, "full", 6), "full"),
)


def rp_row(name: str, message: Any, tpdu: Any = None, centre: str = "", cause: int = -1) -> tuple[object, ...]:
    """An RP message; `centre` is the number of the service centre, in RP-DATA the other address stays empty."""
    message["Ref"].set_val(0x2A)
    from_mobile = message["MTI"]() % 2 == 0
    if message["MTI"]() < 2:
        for field in ("RPOriginatorAddress", "RPDestinationAddress"):
            message[field]["V"].set_val(b"")
    if centre:
        number = rp.RPDestinationAddress(val={"Type": INTERNATIONAL, "NumberingPlan": 1, "Num": centre})
        element = message["RPDestinationAddress" if from_mobile else "RPOriginatorAddress"]
        element["V"].set_val(number.to_bytes())
    if cause >= 0:
        message["RPCause"]["V"].set_val(rp.RPCause(val={"Ext": 0, "Value": cause}).to_bytes())
    octets = tpdu.to_bytes() if tpdu is not None else b""
    if octets:
        message["RPUserData"].set_trans(False)
        message["RPUserData"]["V"].set_val(octets)
    originator, destination = ("", centre) if from_mobile else (centre, "")
    return (
        name, message["MTI"](), 0x2A, originator, destination, cause, octets.hex(), message.to_bytes().hex()
    )  # fmt: skip


def rp_rows() -> list[tuple[object, ...]]:
    hello, status = submit(NATIONAL, X, "hello"), status_report(NATIONAL, REAL, "")
    return [
        rp_row("data-submit", rp.RP_DATA_MO(), hello, "8613800100500"),
        rp_row("data-submit-even", rp.RP_DATA_MO(), hello, "861380010050"),
        rp_row("data-submit-no-centre", rp.RP_DATA_MO(), hello),
        rp_row("data-deliver", rp.RP_DATA_MT(), deliver(NATIONAL, REAL, "hello"), "8613800100500"),
        rp_row("data-status-report", rp.RP_DATA_MT(), status, "8613800100500"),
        rp_row("ack-submit-report", rp.RP_ACK_MT(), report(sms.SMS_SUBMIT_REPORT_RP_ACK)),
        rp_row("ack-deliver-report", rp.RP_ACK_MO(), report(sms.SMS_DELIVER_REPORT_RP_ACK)),
        rp_row("ack-bare", rp.RP_ACK_MO()),
        rp_row("error-bare", rp.RP_ERROR_MT(), cause=38),
        rp_row("error-submit-report", rp.RP_ERROR_MT(), report(sms.SMS_SUBMIT_REPORT_RP_ERROR, 0xC0), cause=21),
        rp_row("error-deliver-report", rp.RP_ERROR_MO(), report(sms.SMS_DELIVER_REPORT_RP_ERROR, 0xD3), cause=22),
        rp_row("smma", rp.RP_SMMA()),
    ]


def tpdu_rows() -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for name, make, number_type, number, text, masked, more in TPDUS:
        octets = make(number_type, number, text, **more).to_bytes()
        readdressed = make(NATIONAL, NEW, text, **more).to_bytes()
        hidden = make(number_type, number, masked or text, **more).to_bytes()
        if make is not status_report and number.isdigit() and more.get("coding") != FLASH:
            check(make is submit, octets, number, text)
        rows.append((
            name, make is submit, number_type, number, text, octets.hex(), readdressed.hex(), hidden.hex()
        ))  # fmt: skip
    for name, from_mobile, tpdu, text in REPORTS:
        rows.append((name, from_mobile, "", "", text, tpdu.to_bytes().hex(), "", tpdu.to_bytes().hex()))
    return rows


def check(from_mobile: bool, octets: bytes, number: str, text: str) -> None:
    """The other library reads the same; it knows no status reports, message classes, nor digits beyond 9."""
    stream = StringIO("00" + octets.hex().upper())  # no service centre's address before it
    read = SMSSubmit.decode(stream) if from_mobile else SMSDeliver.decode(stream)
    address = read["recipient" if from_mobile else "sender"]
    assert (address["number"], read["user_data"]["data"]) == (number, text), read


def write(name: str, columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    lines = ["\t".join(columns)]
    for row in rows:
        fields = [str(field) for field in row]
        lines.append("\t".join(field.encode("unicode_escape").decode() for field in fields))
    (HERE / name).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write("tpdu.tsv", COLUMNS, tpdu_rows())
    write("refused.tsv", ("name", "from_mobile", "octets"), [(n, m, t.to_bytes().hex()) for n, m, t in REFUSED])
    write("rp.tsv", RP_COLUMNS, rp_rows())
