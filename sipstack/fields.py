"""Typed values of header fields, and the rows and lists that hold them."""

from __future__ import annotations

from typing import Final, final

from sipstack.errors import RemoteSipError
from sipstack.grammar import CSEQ, PARAM, RACK, USUAL_METHODS, USUAL_VIA, VIA
from sipstack.limits import MAX_LIST_VALUES, MAX_METHOD_CHARS
from sipstack.uri import PORT_LIMIT, check_host_port, parse_params, token_param

SEQUENCE_LIMIT: Final = 2**31  # CSeq sequence numbers stay below (RFC 3261 §8.1.1.5)

_BRANCH: Final = ";branch="
_SOURCE_PARAMS: Final = frozenset(("received", "rport"))
_LOAD_PARAMS: Final = frozenset(("oc", "oc-algo", "oc-seq", "oc-validity"))  # RFC 7339 §4


@final
class Via:
    """The top Via: where an answer goes and which transaction it belongs to (RFC 3261 §20.42).

    `sent_by` is `host` or `host:port` in lower case; `port` is 0 when absent; `branch` is "" when absent.
    `rest` holds the values below the top one in the same row, with the comma, else "". `asks_rport` is True when the
    sender wants its answer at the port that it sent from (RFC 3581 §4).
    """

    __slots__ = ("asks_rport", "branch", "host", "params", "port", "rest", "text", "transport")

    def __init__(
        self, text: str, transport: str, host: str, port: int, params: str, rest: str, branch: str, asks_rport: bool
    ) -> None:
        self.text = text
        self.transport = transport
        self.host = host
        self.port = port
        self.params = params
        self.rest = rest
        self.branch = branch
        self.asks_rport = asks_rport

    @property
    def sent_by(self) -> str:
        """Who sent it and wants the answers."""
        return f"{self.host}:{self.port}" if self.port else self.host

    def param(self, name: str) -> str | None:
        """Value of a parameter; None when absent or without a value."""
        return parse_params(self.params).get(name)

    def with_source(self, host: str, port: int, load: str = "") -> str:
        """The value as an answer carries it: `received` when the source is not sent-by (§18.2.1) or rport is asked for.

        What the sender itself wrote into `received` and `rport` goes; IPv6 is written without brackets (RFC 5118 §4.5).
        `load`, parameters of RFC 7339, stands in the place of those that the sender wrote.
        """
        text = self._without(_SOURCE_PARAMS | _LOAD_PARAMS) + load if load else self._without_source()
        if self.asks_rport:
            return f"{text};rport={port};received={host}"
        return text if self.host == host or self.host.strip("[]") == host else f"{text};received={host}"

    def _without_source(self) -> str:
        """The value without `received` and `rport`."""
        if self.branch and len(self.params) == len(self.branch) + len(_BRANCH):
            return self.text  # nearly always: the branch is the only parameter
        folded = self.params.lower()
        return self._without(_SOURCE_PARAMS) if "received" in folded or "rport" in folded else self.text

    def _without(self, names: frozenset[str]) -> str:
        """The value without these parameters; what a quoted string holds is no parameter."""
        kept = [param.group() for param in PARAM.finditer(self.params) if param[1].lower() not in names]
        return self.text.removesuffix(self.params) + "".join(kept)


def split_list(value: str) -> list[str]:
    """Splits a comma-separated row outside quotes and angle brackets (§7.3.1). Raises RemoteSipError past the limit."""
    if "," not in value:
        return [value]
    parts: list[str] = []
    start = 0
    quoted = escaped = False
    depth = 0
    for position, char in enumerate(value):
        if quoted:
            quoted = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            quoted = True
        elif char == "<":
            depth += 1
        elif char == ">":
            depth = 0
        elif char == "," and not depth:
            parts.append(value[start:position].strip(" \t"))
            start = position + 1
            if len(parts) >= MAX_LIST_VALUES:
                raise RemoteSipError("too many values in one header field")
    parts.append(value[start:].strip(" \t"))
    return parts


def parse_top_via(row: str) -> Via:
    """Reads the first value of a Via row. Raises RemoteSipError when it is malformed."""
    match = USUAL_VIA.fullmatch(row)
    if match is not None:
        transport, host, port, params, branch, rport = match.groups()
        number = 5060 if port == "5060" else int(port or 0)  # nearly always; a conversion costs five comparisons
        if number < PORT_LIMIT:
            return Via(row, transport, host, number, params, "", branch, rport is not None)
    top, rest = row, ""
    if "," in row:
        top = split_list(row)[0]
        rest = row[row.index(top) + len(top) :]
        if "" in split_list(rest)[1:]:
            raise RemoteSipError("Via has an empty value")
    match = VIA.fullmatch(top.strip(" \t"))
    if match is None:
        raise RemoteSipError("Via is malformed")
    transport, host, port, params = match.groups()
    number = check_host_port(host, port)
    asks_rport = "rport" in params.lower() and "rport" in parse_params(params)
    return Via(top.strip(" \t"), transport.upper(), host.lower(), number, params, rest, _branch(params), asks_rport)


def _branch(params: str) -> str:
    """The branch or "". Raises RemoteSipError when it is no token, or when rport, received or it repeats."""
    folded = params.lower()
    if folded.count("branch") == 1 and folded.count("rport") < 2 and folded.count("received") < 2 and '"' not in params:
        found, value = params.partition(";branch=")[1:]
        if found:  # the usual spelling, without a dictionary
            return value.partition(";")[0].strip(" \t")
    return token_param(params, "branch")


def parse_cseq(value: str) -> tuple[int, str]:
    """`314 INVITE` -> (314, "INVITE"). Raises RemoteSipError when malformed, too long, or at 2**31 and above."""
    digits, _, method = value.partition(" ")
    if method in USUAL_METHODS and len(digits) <= 9 and digits.isdigit() and digits.isascii():
        return int(digits), method
    match = CSEQ.fullmatch(value)
    if match is None or int(match.group(1)) >= SEQUENCE_LIMIT or len(match.group(2)) > MAX_METHOD_CHARS:
        raise RemoteSipError("CSeq is malformed or out of range")
    return int(match.group(1)), match.group(2)


def parse_number(value: str, limit: int, what: str) -> int:
    """ASCII digits below `limit`. Raises RemoteSipError otherwise; "+1", "1_0" and other digits are malformed."""
    if len(value) <= 20 and value.isascii() and value.isdigit():
        number = int(value)
        if number < limit:
            return number
    raise RemoteSipError(f"{what} is malformed or out of range")


def parse_max_forwards(value: str) -> int:
    """Max-Forwards. Raises RemoteSipError when it is no number from 0 to 255 (§20.22)."""
    return parse_number(value, 256, "Max-Forwards")


def parse_rack(value: str) -> tuple[int, int, str]:
    """RAck `776656 1 INVITE` -> (rseq, cseq, method) (RFC 3262 §7.2). Raises RemoteSipError when malformed."""
    match = RACK.fullmatch(value)
    if match is None:
        raise RemoteSipError("RAck is malformed")
    return parse_number(match.group(1), 2**32, "RAck"), *parse_cseq(match.group(2))


def option_tags(rows: list[str]) -> list[str]:
    """Option tags of Supported, Require and Proxy-Require rows, in order and in lower case.

    They are tokens: a quoted comma splits like any other, and what comes out of it is no option that anybody has.
    """
    return [tag for row in rows for part in row.lower().split(",") if (tag := part.strip(" \t"))]
