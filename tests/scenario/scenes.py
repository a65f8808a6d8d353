"""Scenarios for tests, written line by line, and calls on a clock of our own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from sipstack.scenario.call import Call
from sipstack.scenario.commands import Command
from sipstack.scenario.injection import Injection
from sipstack.scenario.loader import load_scenario
from sipstack.scenario.model import Scenario
from sipstack.scenario.received import Received
from sipstack.scenario.rules import Rules
from sipstack.scenario.tally import Tally
from sipstack.scenario.values import Shared, values_of

HEAD = (
    "Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]\nFrom: <sip:a@a>;tag=a\nTo: <sip:b@b>[peer_tag_param]\n"
    "Call-ID: [call_id]\n"
)
ANSWER_HEAD = "[last_Via:]\n[last_From:]\n[last_To:];tag=b\n[last_Call-ID:]\n[last_CSeq:]\n"


def send(text: str, inside: str = "", **attributes: str) -> str:
    """`<send>`; `text` is a whole message, or "INVITE", or "200" with the usual head."""
    if text.isdigit():
        text = f"SIP/2.0 {text} Text\n{ANSWER_HEAD}Content-Length: 0"
    elif " " not in text:
        text = f"{text} sip:b@b SIP/2.0\n{HEAD}CSeq: [cseq] {text}\nContent-Length: 0"
    return f"<send{written(attributes)}><![CDATA[\n{text}\n\n]]>{inside}</send>"


def recv(what: str, inside: str = "", **attributes: str) -> str:
    kind = "response" if what.isdigit() else "request"
    return f'<recv {kind}="{what}"{written(attributes)}>{inside}</recv>'


def written(attributes: dict[str, str]) -> str:
    return "".join(f' {name}="{value}"' for name, value in attributes.items())


def document(*elements: str) -> str:
    """A file whose first element stands in the second line."""
    return "\n".join(['<scenario name="test">', *elements, "</scenario>", ""])


def scenario(folder: Path, *elements: str, name: str = "test") -> Scenario:
    path = folder / f"{name}.xml"
    path.write_text(document(*elements))
    return load_scenario(path)


def message(
    start: str, *lines: str, cseq: str = "1 INVITE", call_id: str = "1-7@127.0.0.1", body: str = ""
) -> Received:
    """A message of the other side with what every message has."""
    head = (start, "Via: SIP/2.0/UDP h;branch=z9hG4bKx", "From: <sip:f@f>;tag=f", "To: <sip:t@t>;tag=t",
            f"Call-ID: {call_id}", f"CSeq: {cseq}", *lines, "", body)  # fmt: skip
    return Received("\r\n".join(head).encode())


def response(status: int, cseq: str = "1 INVITE", *lines: str) -> Received:
    return message(f"SIP/2.0 {status} Text", *lines, cseq=cseq)


def request(method: str, number: int = 1, *lines: str) -> Received:
    return message(f"{method} sip:x@x SIP/2.0", *lines, cseq=f"{number} {method}")


class Clocked:
    """One call whose clock goes when it is told to."""

    def __init__(self, played: Scenario, row: Sequence[str] = (), shared: Shared | None = None, **rules: Any) -> None:
        set_once = {
            "pid": "7", "local_ip": "127.0.0.1", "remote_ip": "127.0.0.9", "local_ip_type": "4", "service": "s",
            "transport": "UDP", "media_ip": "127.0.0.1", "media_ip_type": "4", "mine": "key",
            "remote_host": "far.example", "server_ip": "127.0.0.1",
        }  # fmt: skip
        numbers = {"local_port": 5060, "remote_port": 5070, "media_port": 6000}
        self.elements = played.elements
        self.tally = Tally.of(len(played.elements))
        self.said: list[str] = []
        self.logged: list[str] = []
        self.shared = shared or Shared(Injection.of_rows([row] if row else []), random=Random(1))
        self.values = values_of(played, self.shared, set_once, numbers, 1, "1-7@127.0.0.1", self.shared.next_lines(0))
        self.commands: list[Command] = []
        self.now = 100.0
        given = Rules(**{"say": self.said.append, "log": self.logged.append} | rules)
        self.call = Call(played, given, self.values, self.tally)
        self.call.start(self.now)

    def sent(self) -> list[str]:
        """First words of what has been sent since the last time it was asked: "INVITE", "200"."""
        return [text.split(" ")[1 if text.startswith("SIP/") else 0] for text in self.texts()]

    def texts(self) -> list[str]:
        outputs, self.call.outputs = self.call.outputs, []
        self.commands += [output for output in outputs if not isinstance(output, bytes)]
        return [output.decode("latin-1") for output in outputs if isinstance(output, bytes)]

    def hears(self, *messages: Received) -> list[str]:
        for one in messages:
            self.call.receive(one, self.now)
        return self.sent()

    def waits(self, seconds: float) -> list[tuple[float, str]]:
        """What is sent in the time to come, each with the seconds since now."""
        begun, end = self.now, self.now + seconds
        seen: list[tuple[float, str]] = []
        while (deadline := self.call.deadline) is not None and deadline <= end:
            self.now = deadline
            self.call.timer(self.now)
            seen += [(round(self.now - begun, 3), what) for what in self.sent()]
        self.now = end
        return seen

    @property
    def ended(self) -> str:
        """ "" while the call goes on, "well", or why it has failed, with the place of the element, from 1."""
        if not self.call.has_ended:
            return ""
        if not self.tally.failures:
            return "well"
        _, line, reason = self.tally.failures[-1].split(":", 2)
        return f"{1 + [element.line for element in self.elements].index(int(line))}:{reason}"
