"""Whom to ask about, out of a capture: the requests that begin calls and messages, as they came to the node."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final, final

from engine.core.numbers import PRIVACY, Dialled, canonical_real, is_privacy_number, read_number
from engine.core.settings import ListenerSettings, NumberFormat
from engine.deciding import Arrived, Question
from engine.deciding.arrival import METHODS
from engine.diff.corpus import NOBODY, Corpus
from sipstack import headers as h
from sipstack.errors import RemoteSipError
from sipstack.message import Message, render
from sipstack.parser import parse
from sipstack.pcap import CapturedMessage, SipCapture
from sipstack.uri import SipUri, TelUri, Uri, parse_name_addr, parse_uri, uri_host

BoundCallers = Callable[[str], Sequence[str]]
"""The real numbers that a 700 number is bound for."""

# Rows that two requests which are decided alike need not have in common.
_OF_ONE_REQUEST: Final = frozenset(
    ("via", "v", "call-id", "i", "cseq", "contact", "m", "content-length", "l", "date", "timestamp", "session-id",
     "user-agent", "p-charging-vector")
)  # fmt: skip
# A password was for a challenge of that time: as in `diff`, the account is taken to show another.
_CREDENTIALS: Final = frozenset(("authorization", "proxy-authorization"))
_TAG: Final = re.compile(r";[ \t]*tag[ \t]*=[^;,\s>]*", re.IGNORECASE)
_START: Final = re.compile(rb"(?:INVITE|MESSAGE) ")
_SAYS_MASKED: Final = re.compile(r"\bpseudonyms\b")

NO_SIP: Final = "request: nothing that the node can read"
FROM_US: Final = "source: the node itself"
NO_CALLER: Final = "capture: masked, and nobody is bound to what was called"
MASKED: Final = (
    "the numbers of the capture are masked: each call to a 700 number is decided for everybody that this number is"
    " bound for; calls to real numbers are left out"
)


def is_masked(capture: SipCapture) -> bool:
    """True when the file says of itself that its numbers are pseudonyms, as those of `veil700 capture` do."""
    return any(_SAYS_MASKED.search(text) for text in capture.comments)


def of_capture(
    capture: SipCapture, origin: str, listeners: Sequence[ListenerSettings], bound_callers: BoundCallers
) -> Corpus:
    """The INVITEs and MESSAGEs outside of a dialog that did not leave one of `listeners`, each once.

    Repeats of one request are one. `bound_callers` is asked where the numbers are masked. StoreError of it.
    """
    requests = _Requests(listeners)
    for one in capture.messages:
        if _START.match(one.data):
            requests.add(one)
    if not is_masked(capture):
        return Corpus(list(requests.asked.items()), origin, requests.left_out)
    asked: Counter[Question] = Counter()
    for question, count in requests.asked.items():
        known = list(_for_bound(question, bound_callers))
        asked.update(dict.fromkeys(known, count))
        if not known:
            requests.left_out[NO_CALLER] += count
    return Corpus(list(asked.items()), origin, requests.left_out, (MASKED,))


@final
class _Requests:
    """Collects them. Two that are decided alike are one question, whose data are those of the first."""

    def __init__(self, listeners: Sequence[ListenerSettings]) -> None:
        self.asked: Counter[Question] = Counter()
        self.left_out: Counter[str] = Counter()
        self._own = {f"{uri_host(one.host)}:{one.port}" for one in listeners} | {one.advertise for one in listeners}
        self._own_hosts = {address.rpartition(":")[0] for address in self._own}
        self._seen: set[tuple[object, ...]] = set()
        self._alike: dict[tuple[object, ...], Question] = {}

    def add(self, one: CapturedMessage) -> None:
        """One request of the capture."""
        try:
            request = parse(one.data)
        except RemoteSipError:
            self.left_out[NO_SIP] += 1
            return
        if request.to_tag or request.method not in METHODS:
            return
        body = request.body if request.method == "MESSAGE" else b""
        same = one.source[0], request.call_id, request.from_tag, request.method, body
        if same in self._seen:
            return
        self._seen.add(same)
        if self._is_ours(one):
            self.left_out[FROM_US] += 1
            return
        port = one.source[1] if one.transport == "UDP" else 0
        alike = one.transport, one.source[0], port, one.destination, request.start_line(), _telling(request), body
        question = self._alike.get(alike)
        if question is None:
            question = self._alike[alike] = _question(one, request)
        self.asked[question] += 1

    def _is_ours(self, one: CapturedMessage) -> bool:
        source, destination = (f"{uri_host(host)}:{port}" for host, port in (one.source, one.destination))
        if one.transport != "UDP" and uri_host(one.source[0]) in self._own_hosts:
            return destination not in self._own  # a connection leaves from any port
        return source in self._own


def _question(one: CapturedMessage, request: Message) -> Question:
    kept = [line for line in request.lines if _name(line) not in (*_CREDENTIALS, "content-length", "l")]
    data = render(request.start_line(), kept, request.body)
    called = _number(request.uri) or "a URI without a number"
    arrived = Arrived(one.transport, one.source, one.destination, data)
    return Question(_caller(request) or NOBODY, called, request.method, arrived=arrived)


def _for_bound(question: Question, bound_callers: BoundCallers) -> Iterator[Question]:
    """Of a masked capture: for each caller that X is bound for, with that number in place of the pseudonym."""
    arrived = question.arrived
    assert arrived is not None
    if is_privacy_number(question.caller):
        yield question  # 700 numbers are not masked
        return
    if not is_privacy_number(question.called) or not question.caller.isdigit():
        return
    head, _, body = arrived.data.partition(b"\r\n\r\n")
    for caller in bound_callers(question.called):
        data = head.replace(question.caller.encode(), caller.encode()) + b"\r\n\r\n" + body
        yield replace(question, caller=caller, arrived=replace(arrived, data=data))


def _telling(request: Message) -> tuple[str, ...]:
    """The rows that may decide something."""
    skipped = _OF_ONE_REQUEST | _CREDENTIALS
    return tuple(_TAG.sub("", line, count=1) for line in request.lines if _name(line) not in skipped)


def _name(line: str) -> str:
    return line.partition(":")[0].strip(" \t").lower()


def _caller(request: Message) -> str:
    """Digits of who calls, for those who read the answer: P-Asserted-Identity before From."""
    value = request.value(h.P_ASSERTED_IDENTITY) or request.value(h.FROM) or ""
    try:
        return _number(parse_uri(parse_name_addr(value).uri))
    except RemoteSipError:
        return ""


def _number(uri: Uri | None) -> str:
    """The number of a URI, canonical where it can be read; "" for none."""
    if isinstance(uri, SipUri):
        text = uri.user
    elif isinstance(uri, TelUri):
        text = uri.number
    else:
        return ""
    dialled: Dialled = read_number(text, NumberFormat.NATIONAL)
    if dialled.kind is PRIVACY:
        return dialled.number
    return canonical_real(text) or "".join(re.findall(r"[0-9]", text))
