"""Header fields and bodies of captured messages, with keywords where a scenario has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final, final

from sipstack.pcap import Address
from sipstack.scenario.captured.marks import Marks
from sipstack.scenario.captured.numbers import Numbers
from sipstack.scenario.received import Received
from sipstack.uri import uri_host

LOCAL: Final = "[local_ip]:[local_port]"
REMOTE: Final = "[remote_ip]:[remote_port]"

_LONG: Final = {
    "a": "Accept-Contact", "b": "Referred-By", "c": "Content-Type", "d": "Request-Disposition", "e": "Content-Encoding",
    "f": "From", "i": "Call-ID", "j": "Reject-Contact", "k": "Supported", "l": "Content-Length", "m": "Contact",
    "n": "Identity-Info", "o": "Event", "r": "Refer-To", "s": "Subject", "t": "To", "u": "Allow-Events", "v": "Via",
    "x": "Session-Expires", "y": "Identity",
}  # fmt: skip
_TELLING: Final = 4  # a tag shorter than this may stand anywhere by chance
_FOLD: Final = re.compile(r"\r?\n[ \t]+")
_TAG: Final = re.compile(r";[ \t]*tag[ \t]*=[ \t]*[^;,\s>]+", re.IGNORECASE)
_HOST: Final = re.compile(r"(sips?:(?:[^@>\s,]{0,256}@)?)(\[[^\]]*\]|[^:;>\s,?]+)(:\d+)?", re.IGNORECASE)
_TRANSPORT: Final = re.compile(r"(;transport=)(?:udp|tcp|tls)", re.IGNORECASE)
_CONNECTION: Final = re.compile(r"^(c=IN )IP[46] (\S+)$")
_ORIGIN: Final = re.compile(r"^(o=\S+ \S+ \S+ IN )IP[46] (\S+)$")


def rows(message: Received) -> list[tuple[str, str]]:
    """Name and value of each header row, names in their long form, values without folds."""
    found = []
    for row in _FOLD.sub(" ", message.head).split("\n")[1:]:
        name, colon, value = row.partition(":")
        name = name.strip(" \t\r")
        if colon and name:
            found.append((_LONG.get(name.lower(), name), value.strip(" \t\r")))
    return found


def without_tag(value: str) -> str:
    """A From or To without its tag."""
    return _TAG.sub("", value, count=1)


@final
class Fields:
    """Makes texts for one side. `own` and `other` are where it is and where its neighbour is, in the capture;
    `own_tags` are its tags there, and what stands for each."""

    def __init__(
        self, own: Address, other: Address, own_tags: Mapping[str, str], call_id: str, numbers: Numbers
    ) -> None:  # fmt: skip
        self._marks = Marks()
        self._numbers = numbers
        self._known = [(call_id, "[call_id]"), *own_tags.items()]
        places = {
            f"{uri_host(own[0])}:{own[1]}": LOCAL, f"{uri_host(other[0])}:{other[1]}": REMOTE,
            uri_host(own[0]): "[local_ip]",
        }  # fmt: skip
        places.setdefault(uri_host(other[0]), "[remote_ip]")
        pattern = "|".join(rf"(?<![\w.]){re.escape(place)}(?![\w]|\.\w)" for place in places)
        if ":" in own[0]:  # outside of URIs it has no brackets, and in SIPp `[local_ip]` has
            places[own[0]] = "[media_ip]"
            pattern += rf"|(?<![\w.:\[]){re.escape(own[0])}(?![\w.:\]])"
        self._places = places
        self._place = re.compile(pattern)

    def line(self, text: str) -> str:
        """Any line of a head."""
        return self._marks.line(self._numbers.marked(self._addressed(text), self._marks))

    def target(self, text: str) -> str:
        """A line whose URIs lead to the neighbour: an address in them is its."""
        return self._at(text, REMOTE)

    def contact(self, text: str) -> str:
        """A line whose URIs lead to us, wherever a network in between has made them lead."""
        return self._at(_TRANSPORT.sub(lambda found: found[1] + self._marks.mark("[transport]"), text), LOCAL)

    def keyword(self, keyword: str) -> str:
        """A character that becomes a keyword in a text that is given to one of the others."""
        return self._marks.mark(keyword)

    def body(self, text: str) -> str:
        """A body; the addresses of SDP are ours."""
        lines = [self._described(line) for line in text.split("\r\n")]
        return self._marks.body(self._numbers.marked(self._addressed("\r\n".join(lines)), self._marks))

    def _at(self, text: str, place: str) -> str:
        host, _, port = place.partition("]:")

        def placed(found: re.Match[str]) -> str:
            if place == REMOTE and not _is_address(found[2].strip("[]")):
                return found[0]  # a domain: it may decide something
            is_whole = place == LOCAL or found[3]
            return found[1] + self._marks.mark(f"{host}]") + (f":{self._marks.mark(port)}" if is_whole else "")

        return self.line(_HOST.sub(placed, text))

    def _addressed(self, text: str) -> str:
        for known, keyword in self._known:
            if len(known) < _TELLING:
                continue
            text = text.replace(known, self._marks.mark(keyword))
        return self._place.sub(lambda found: self._marks.mark(self._places[found[0]]), text)

    def _described(self, line: str) -> str:
        for pattern in (_CONNECTION, _ORIGIN):
            found = pattern.match(line)
            if found and _is_address(found[2]) and not ip_address(found[2]).is_unspecified:  # one means hold
                return f"{found[1]}IP{self._marks.mark('[media_ip_type]')} {self._marks.mark('[media_ip]')}"
        return line


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
