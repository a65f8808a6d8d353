"""Messages drawn by Hypothesis: what they say (`Written`) apart from how it is spelled (`Spelling`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hypothesis import strategies as st

Params = dict[str, str]  # a value "" is a parameter without one

TOKEN_TEXT: Final = "abzXYZ019-.!%*_+`'~"
WHITE_SPACE: Final = (" ", "\t", "\r\n ", " \t\r\n\t", "\r\n \r\n\t ")


@dataclass(frozen=True)
class Spelling:
    """How a message is written; none of it changes what it says (RFC 3261 §7.3.1, §7.3.3, §25.1)."""

    compact: bool = False
    fold: str = "as is"
    colon: str = ": "
    separator: str = ";"
    equal: str = "="
    space: str = " "
    length: bool = True
    lead: bytes = b""
    excess: bytes = b""

    def name(self, name: str) -> str:
        name = COMPACT.get(name, name) if self.compact else name
        return {"as is": name, "lower": name.lower(), "upper": name.upper(), "swap": name.swapcase()}[self.fold]

    def row(self, name: str, value: str) -> str:
        return self.name(name) + self.colon + value

    def params(self, params: Params) -> str:
        return "".join(
            f"{self.separator}{name}{self.equal}{value}" if value else f"{self.separator}{name}"
            for name, value in params.items()
        )


COMPACT: Final = {
    "Via": "v", "From": "f", "To": "t", "Call-ID": "i", "Contact": "m", "Content-Length": "l", "Content-Type": "c",
    "Supported": "k", "Content-Encoding": "e", "Session-Expires": "x", "Subject": "s",
}  # fmt: skip

# The same message in five spellings (conformance: all five are the same to us)
FIVE: Final = {
    "plain": Spelling(),
    "compact": Spelling(compact=True, colon=":", space=" "),
    "lower": Spelling(fold="lower", colon=" \t: \t", separator="\t; ", equal=" =\t"),
    "folded": Spelling(fold="upper", colon=" :\r\n ", separator="\r\n ;\r\n\t", equal=" =\r\n  ", space="\r\n\t"),
    "lax": Spelling(compact=True, fold="swap", colon="\t:", length=False, lead=b"\r\n\r\n", space=" \t "),
}


@dataclass(frozen=True)
class Address:
    display: str
    uri: str
    params: Params

    def write(self, spelling: Spelling) -> str:
        display = spelling.space.join(self.display.split(" ")) if '"' not in self.display else self.display
        return f"{display}{spelling.space if display else ''}<{self.uri}>{spelling.params(self.params)}"


@dataclass(frozen=True)
class WrittenVia:
    transport: str
    host: str
    port: int
    params: Params

    def write(self, spelling: Spelling) -> str:
        # An IPv6 address, its port behind white space, and so on: all that sent-by allows (§25.1)
        port = f"{spelling.space}:{self.port}" if self.port else ""
        protocol = f"SIP/2.0/{self.transport}"
        return f"{protocol}{spelling.space}{self.host}{port}{spelling.params(self.params)}"


@dataclass(frozen=True)
class Written:
    """What a message says. `status` is 0 for a request; `others` are rows that we do not look into."""

    method: str
    status: int
    reason: str
    uri: str
    vias: list[WrittenVia]
    sender: Address
    recipient: Address
    call_id: str
    cseq: int
    max_forwards: int
    contacts: list[Address]
    others: list[tuple[str, str]]
    body: bytes

    def write(self, spelling: Spelling) -> bytes:
        start = f"SIP/2.0 {self.status} {self.reason}" if self.status else f"{self.method} {self.uri} SIP/2.0"
        comma = spelling.space + "," + spelling.space
        rows = [
            spelling.row("Via", self.vias[0].write(spelling)),
            spelling.row("From", self.sender.write(spelling)),
            spelling.row("To", self.recipient.write(spelling)),
            spelling.row("Call-ID", self.call_id),
            spelling.row("CSeq", f"{self.cseq}{spelling.space}{self.method}"),
            spelling.row("Max-Forwards", str(self.max_forwards)),
            *(spelling.row(name, value) for name, value in self.others),
        ]
        if len(self.vias) > 1:
            rows.append(spelling.row("Via", comma.join(via.write(spelling) for via in self.vias[1:])))
        if self.contacts:
            rows.append(spelling.row("Contact", comma.join(contact.write(spelling) for contact in self.contacts)))
        excess = b""
        if spelling.length:
            rows.append(spelling.row("Content-Length", str(len(self.body))))
            excess = spelling.excess
        head = "\r\n".join([start, *rows]) + "\r\n\r\n"
        return spelling.lead + head.encode("utf-8", "surrogateescape") + self.body + excess


def tokens(max_size: int = 12) -> st.SearchStrategy[str]:
    return st.text(TOKEN_TEXT, min_size=1, max_size=max_size)


# Text between quotes: any character but controls, quoted pairs, and octets that are no UTF-8.
PLAIN_CHARS: Final = st.one_of(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"\\'), st.sampled_from("\t\x80\x85\u2028\u212a")
)
ESCAPES: Final = st.sampled_from(['\\"', "\\\\", "\\a", "\\ "])
CONTROL_ESCAPES: Final = st.sampled_from(["\\\x00", "\\\x07", "\\\x0b", "\\\x1c", "\\\x7f"])
WRONG_OCTETS: Final = st.sampled_from(["\udcff", "\udcc0"])
TRAPS: Final = st.sampled_from([";tag=x", ",", "<sip:a@b>", ">", ";rport", ";branch=b", ": ", "%0d%0a", "="])


def quoted(controls: bool = False) -> st.SearchStrategy[str]:
    pieces = PLAIN_CHARS | ESCAPES | WRONG_OCTETS | TRAPS
    pieces = pieces | CONTROL_ESCAPES if controls else pieces
    return st.lists(pieces, max_size=8).map(lambda found: f'"{"".join(found)}"')


HOSTS: Final = st.sampled_from(["h", "node-1.example", "192.0.2.1", "[2001:db8::9:1]", "a_b.", "H.Example"])
URIS: Final = st.sampled_from([
    "sip:700123456789012@node.example", "sips:u:pw@h:5061;transport=tcp", "sip:h",
    "tel:+86-138-0013-8000;phone-context=+86", "sip:%37%30%30@h;lr;x=%41", "sip:a;b@h", "urn:service:sos",
    "sip:u@[2001:db8::1]:5070",
])  # fmt: skip
ADDRESS_URIS: Final = URIS | st.sampled_from(
    ["sip:u@h?Route=%3Cx%3E", "sip:u@h;a=1,2", "x:\u5f20\u4e09@\udcff", "sip:a@b@c"]
)


def params(controls: bool = False, **known: st.SearchStrategy[str]) -> st.SearchStrategy[Params]:
    """Parameters in any order, the known ones among them; no two names are the same in any case."""
    values = st.just("") | tokens() | quoted(controls) | st.sampled_from(["[2001:db8::1]", "2001:db8::1", "h.example"])
    names = tokens().filter(lambda name: name.lower() not in ("tag", "branch", "rport", "received", *known))
    unknown = st.lists(st.tuples(names, values), max_size=3, unique_by=lambda pair: pair[0].lower())
    wanted = st.fixed_dictionaries({}, optional=known)
    return st.builds(_in_either_order, unknown, wanted, st.booleans())


def _in_either_order(unknown: list[tuple[str, str]], known: Params, known_first: bool) -> Params:
    return known | dict(unknown) if known_first else dict(unknown) | known


DISPLAYS: Final = st.just("") | quoted(controls=True) | st.lists(tokens(), min_size=1, max_size=3).map(" ".join)
PARTIES: Final = st.builds(Address, DISPLAYS, ADDRESS_URIS, params(controls=True, tag=tokens()))
CONTACTS: Final = st.builds(Address, st.just("") | quoted() | tokens(), ADDRESS_URIS, params(q=st.just("0.5")))
BRANCHES: Final = tokens().map(lambda text: "z9hG4bK" + text) | tokens()
VIA_PARAMS: Final = params(branch=BRANCHES, rport=st.sampled_from(["", "5060"]), received=st.just("192.0.2.9"))
VIAS: Final = st.builds(
    WrittenVia, st.sampled_from(["UDP", "TCP", "tls-sctp"]), HOSTS, st.sampled_from([0, 1, 5060, 65535]), VIA_PARAMS
)

FREE_TEXT: Final = st.lists(PLAIN_CHARS | WRONG_OCTETS | TRAPS | st.sampled_from(['"', "\\"]), max_size=8).map("".join)
OTHER_NAMES: Final = st.sampled_from(["Subject", "X-Test", "Supported", "Route", "P-Asserted-Identity", "Date", "_!%"])
OTHERS: Final = st.lists(st.tuples(OTHER_NAMES, FREE_TEXT.map(lambda text: text.strip(" \t"))), max_size=4)

CALL_IDS: Final = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20)
METHODS: Final = st.sampled_from(["INVITE", "ACK", "BYE", "CANCEL", "MESSAGE", "OPTIONS", "invite"]) | tokens(64)

MESSAGES: Final = st.builds(
    Written,
    method=METHODS,
    status=st.just(0) | st.integers(100, 699),
    reason=FREE_TEXT,
    uri=URIS,
    vias=st.lists(VIAS, min_size=1, max_size=3),
    sender=PARTIES,
    recipient=PARTIES,
    call_id=CALL_IDS,
    cseq=st.integers(0, 2**31 - 1),
    max_forwards=st.integers(0, 255),
    contacts=st.lists(CONTACTS, max_size=2),
    others=OTHERS,
    body=st.binary(max_size=60),
)

SPELLINGS: Final = st.sampled_from(list(FIVE.values())) | st.builds(
    Spelling,
    compact=st.booleans(),
    fold=st.sampled_from(["as is", "lower", "upper", "swap"]),
    colon=st.sampled_from([":", ": ", " :\t", "\t:\r\n "]),
    separator=st.sampled_from([";", " ;", "; ", "\r\n ;\t"]),
    equal=st.sampled_from(["=", " = ", "=\r\n "]),
    space=st.sampled_from(WHITE_SPACE),
    lead=st.sampled_from([b"", b"\r\n", b"\n"]),
    excess=st.binary(max_size=20),
)
