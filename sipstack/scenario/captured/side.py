"""One side of a leg as a scenario."""

from __future__ import annotations

import re
from typing import Final, final

from sipstack.digest import CHALLENGES
from sipstack.scenario.captured.calls import Leg, tag_of
from sipstack.scenario.captured.events import BORROW, Event, Events
from sipstack.scenario.captured.fields import LOCAL, Fields, rows, without_tag
from sipstack.scenario.captured.numbers import Numbers
from sipstack.scenario.received import Received

SHORT_S: Final = 0.2  # a pause below it is how fast the peer was, and is not kept
RACE_S: Final = 0.02  # before a CANCEL every pause counts: it decides what it meets
LONGEST_S: Final = 3600.0
RETRANS_MS: Final = 500

# What every message has anew, or what cannot hold in another call.
_MADE: Final = frozenset(
    ("via", "from", "to", "call-id", "cseq", "content-length", "record-route", "authorization", "proxy-authorization",
     "identity", "identity-info", "rack")
)  # fmt: skip
_CREDENTIALS: Final = ("Authorization", "Proxy-Authorization")
_RACK: Final = re.compile(r"\s*([0-9]{1,10})\s+([0-9]{1,10})\s+(\S+)\s*")  # RFC 3262 §7.2
_ASSIGNED: Final = re.compile(r'assign_to="([a-z]+\d+)"')
_KEPT: Final = {"via": "Via", "from": "From", "to": "To", "cseq": "CSeq"}  # of a request that is answered later


@final
class Side:
    """Writes it. `elements` are its elements; an index among them is what `[branch-N]` counts by."""

    def __init__(self, leg: Leg, numbers: Numbers, *, is_caller: bool) -> None:
        own, other = (leg.caller, leg.callee) if is_caller else (leg.callee, leg.caller)
        self._events: Final = Events(leg, is_caller=is_caller)
        self._is_caller = is_caller
        self._tags = _own_tags(self._events)
        self._fields = Fields(own, other, self._tags, leg.call_id, numbers)
        self._written: dict[int, int] = {}  # place of an event -> index of its element
        self._is_counted = self._events.is_counted
        self._kept, self._reliable = self._what_is_kept()
        self.elements: Final[list[str]] = []
        self.asks_password = False
        for place, event in enumerate(self._events.all):
            self._add(place, event)
        self._without_unused()

    # -- what is remembered ------------------------------------------------------------------------------------------

    def _what_is_kept(self) -> tuple[set[int], set[int]]:
        """Places of requests whose fields are wanted later, and of responses whose RSeq is."""
        kept: set[int] = set()
        reliable: set[int] = set()
        for place, event in enumerate(self._events.all):
            if not event.is_sent:
                continue
            if event.message.status:
                request = self._events.request_of(place)
                if request is not None and request != self._events.last_received(place):
                    kept.add(request)
            elif not self._is_caller:
                kept.add(0)
            elif not self._events.names_latest(place) and (named := self._events.named(place)) is not None:
                kept.add(named)
            if event.message.method == "PRACK" and (found := self._events.reliable(place)) is not None:
                reliable.add(found)
        return kept, reliable

    # -- elements ----------------------------------------------------------------------------------------------------

    def _add(self, place: int, event: Event) -> None:
        if not event.is_sent:
            self._written[place] = len(self.elements)
            self.elements.append(self._received(place, event.message))
            return
        waits_s = event.at_s - self._events.all[place - 1].at_s if place else 0.0
        if waits_s >= (RACE_S if event.message.method == "CANCEL" else SHORT_S):
            self.elements.append(f'<pause milliseconds="{round(min(waits_s, LONGEST_S) * 1000)}"/>')
        self._written[place] = len(self.elements)
        is_request = bool(event.message.method)
        text = self._request(place, event.message) if is_request else self._response(place, event.message)
        retrans = f' retrans="{RETRANS_MS}"' if _is_repeated(event.message) else ""
        self.elements.append(f"<send{retrans}><![CDATA[\n{text}]]></send>")
        if event.message.method == "INVITE" and self._may_be_trying(place):
            self.elements.append('<recv response="100" optional="true"/>')

    def _may_be_trying(self, place: int) -> bool:
        """True where the first answer to an INVITE is no 100: on another way there may be one."""
        following = self._events.all[place + 1 : place + 2]
        return bool(following) and not following[0].is_sent and following[0].message.status != 100

    def _received(self, place: int, message: Received) -> str:
        following = self._events.all[place + 1 : place + 2]
        if message.status:
            what = f'response="{message.status}"'
            if message.status == 100 and following and not following[0].is_sent:
                what += ' optional="true"'
            if self._is_caller and _leads_on(message):
                what += ' rrs="true"'
            if message.status in CHALLENGES and self._is_answered_with_credentials(place):
                what += ' auth="true"'
        else:
            what = f'request="{message.method}"' + (' rrs="true"' if message.method == "INVITE" else "")
        actions = self._actions(place, message)
        return f"<recv {what}><action>\n{actions}</action></recv>" if actions else f"<recv {what}/>"

    def _is_answered_with_credentials(self, place: int) -> bool:
        return any(
            one.is_sent and any(one.message.rows(name) for name in _CREDENTIALS) for one in self._events.all[place:]
        )

    def _actions(self, place: int, message: Received) -> str:
        made = ""
        if place in self._kept:
            for word, name in _KEPT.items():
                made += f'<ereg regexp=".*" search_in="hdr" header="{name}:" assign_to="{word}{place}"/>\n'
            made += f'<ereg regexp="Record-Route:[^[:cntrl:]]*" search_in="msg" assign_to="route{place}"/>\n'
        if place in self._reliable:
            made += f'<ereg regexp="[0-9]+" search_in="hdr" header="RSeq:" assign_to="rseq{place}"/>\n'
        return made

    def _without_unused(self) -> None:
        """SIPp does not start with a variable that stands only once."""
        text = "".join(self.elements)
        for name in _ASSIGNED.findall(text):
            if f"[${name}]" not in text:
                line = re.compile(rf'<ereg [^\n]* assign_to="{name}"/>\n')
                self.elements[:] = [line.sub("", element) for element in self.elements]
        self.elements[:] = [element.replace("<action>\n</action>", "") for element in self.elements]

    # -- messages ----------------------------------------------------------------------------------------------------

    def _request(self, place: int, message: Received) -> str:
        """In a dialog it goes where the dialog leads; an ACK to a refusal and a CANCEL go where their INVITE went."""
        invite = self._events.request_of(place) if message.method in BORROW else None
        borrows = invite is not None and not (message.method == "ACK" and self._events.acknowledges_success(place))
        target = self._events.all[invite].message if borrows and invite is not None else message
        is_inside = bool(target.to_tag)
        uri = "[next_url]" if is_inside else self._fields.target(_uri(target))
        branch = (
            f"[branch-{len(self.elements) - self._written[invite]}]" if borrows and invite is not None else "[branch]"
        )
        rport = ";rport" if ";rport" in message.value("Via").partition(",")[0].lower() else ""
        lines = [
            f"{message.method} {uri} SIP/2.0",
            f"Via: SIP/2.0/[transport] {LOCAL};branch={branch}{rport}",
        ]
        if is_inside:
            lines.append("[routes]")
        lines += [*self._parties(place, message), "Call-ID: [call_id]"]
        lines.append(f"CSeq: {self._cseq(place, message.cseq[0], invite)} {message.method}")
        lines += self._rack(place, message)
        if any(message.rows(name) for name in _CREDENTIALS):
            self.asks_password = True
            lines.append("[authentication]")
        skipped = {"route"} if is_inside else set()
        return self._whole(lines, message, skipped)

    def _parties(self, place: int, message: Received) -> list[str]:
        tag = f";tag={self._tags.get(tag_of(message.value('From')), '')}"
        named = self._events.named(place)
        foreign = self._fields.line(f";tag={message.to_tag}") if message.to_tag and named is None else ""
        to = self._fields.target("To: " + without_tag(message.value("To")))
        if not self._is_caller:
            return [f"From: [$to0]{tag}", to + foreign if foreign else "To: [$from0]"]
        sender = self._fields.line("From: " + without_tag(message.value("From"))) + tag
        if foreign or not message.to_tag:
            return [sender, to + foreign]
        if named is None or self._events.names_latest(place):
            return [sender, to + "[peer_tag_param]"]
        return [sender, f"To: [${'from' if self._events.all[named].message.method else 'to'}{named}]"]

    def _cseq(self, place: int, number: int, invite: int | None) -> str:
        """By SIPp's counter; as numbers from 1 where requests of the other side would move it in between."""
        if not self._is_counted:
            return str(number - self._events.lowest_cseq + 1)
        back = self._events.counted(invite, place) if invite is not None else 0
        return f"[cseq-{back}]" if back else "[cseq]"

    def _rack(self, place: int, message: Received) -> list[str]:
        read = _RACK.fullmatch(message.value("RAck"))
        if read is None:
            return []
        found = self._events.reliable(place)
        rseq = f"[$rseq{found}]" if found in self._reliable else read[1]
        wanted = int(read[2]), read[3]
        invite = next(
            (at for at, one in enumerate(self._events.all) if one.is_sent and one.message.cseq == wanted), None
        )
        return [f"RAck: {rseq} {self._cseq(place, wanted[0], invite)} {self._fields.line(read[3])}"]

    def _response(self, place: int, message: Received) -> str:
        request = self._events.request_of(place)
        asked = self._events.all[request].message if request is not None else message
        tag = f";tag={self._tags[message.to_tag]}" if message.to_tag and not asked.to_tag else ""
        has_routes = bool(message.rows("Record-Route"))
        lines = [self._fields.line(message.start_line)]
        if request is None or request == self._events.last_received(place):
            routes = ["[last_Record-Route:]"] if has_routes else []
            lines += ["[last_Via:]", *routes, "[last_From:]", f"[last_To:]{tag}", "[last_Call-ID:]", "[last_CSeq:]"]
        else:
            routes = [f"[$route{request}]"] if has_routes else []
            lines += [
                f"Via: [$via{request}]", *routes, f"From: [$from{request}]", f"To: [$to{request}]{tag}",
                "Call-ID: [call_id]", f"CSeq: [$cseq{request}]",
            ]  # fmt: skip
        return self._whole(lines, message, set())

    def _whole(self, lines: list[str], message: Received, skipped: set[str]) -> str:
        """Behind what is made: the other rows, the length, the body."""
        is_redirection = 300 <= message.status < 400
        for name, value in rows(message):
            if name.lower() in _MADE or name.lower() in skipped:
                continue
            is_contact = name.lower() == "contact" and not is_redirection
            lines.append((self._fields.contact if is_contact else self._fields.line)(f"{name}: {value}"))
        lines.append("Content-Length: [len]" if message.body else "Content-Length: 0")
        return "\n".join(lines) + "\n\n" + self._fields.body(message.body)


def _own_tags(events: Events) -> dict[str, str]:
    """The tags of this side, a callee of which several have answered has as many, and what stands for each."""
    tags = [
        tag_of(one.message.value("From")) if one.message.method else one.message.to_tag
        for one in events.all
        if one.is_sent
    ]
    each = dict.fromkeys(tag for tag in tags if tag)
    return {tag: f"[pid]v[call_number]{f'x{place}' if place else ''}" for place, tag in enumerate(each)}


def _leads_on(message: Received) -> bool:
    """True for a response that says where requests of the dialog go (RFC 3261 §12.1.2)."""
    is_progress = 100 < message.status < 300 and message.cseq[1] == "INVITE"
    return is_progress and bool(message.to_tag) and bool(message.rows("Contact"))


def _uri(message: Received) -> str:
    return message.start_line.partition(" ")[2].rpartition(" ")[0]


def _is_repeated(message: Received) -> bool:
    if message.method:
        return message.method != "ACK"
    return bool(message.rows("RSeq")) or (message.status >= 200 and message.cseq[1] == "INVITE")
