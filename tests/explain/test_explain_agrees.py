"""What is explained is what the core does: the same call, driven by hand through a core of its own, ends the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from engine.core.binding import Binding, Miss
from engine.core.outputs import LookUpBinding
from engine.core.policy import Refusal
from engine.core.records import Step
from engine.core.settings import CoreSettings
from engine.deciding.arrival import SDP
from engine.explain import Explanation, Question
from sipstack.events import SendMessage
from sipstack.parser import parse
from sipstack.testing.playbook import Playbook, wire
from tests.core.corenode import CoreNode
from tests.explain.drawn import (
    CALLED,
    CALLERS,
    FORMATS,
    HEADERS,
    LANDLINE,
    MEANT,
    SERVICE,
    SOURCES,
    TEXTS,
    X2,
    Trunk,
    stores,
    trunks,
)
from tests.explain.explained import AT, A, B, Office, X, office

_RANDOM: Final = (
    (re.compile(r"branch=z9hG4bK[A-Za-z]{16}"), "branch=1"),
    (re.compile(r"tag=[A-Za-z]{13}"), "tag=1"),
    (re.compile(r"^Call-ID: [A-Za-z]{20}$", re.MULTILINE), "Call-ID: 1"),
    (re.compile(r"^CSeq: 2\d{8} ", re.MULTILINE), "CSeq: 1 "),
    (re.compile(r"^o=- 2\d{8} 2\d{8} ", re.MULTILINE), "o=- 1 1 "),
)


@pytest.fixture(scope="module")
def here() -> Iterator[Office]:
    with office() as made:
        yield made


# -- the same by hand --------------------------------------------------------------------------------------------------


def by_hand(trunk: Trunk, question: Question) -> bytes:
    """The request that the question is about, written out once more."""
    host = SOURCES[question.peer or ""].partition(":")[0]
    uri = question.called
    if not uri.startswith(("sip:", "tel:")):
        context = "" if uri.startswith("+") else ";phone-context=+86"
        escaped = uri.replace(":", "%3A").replace("@", "%40")
        uri = f"tel:{escaped}{context}" if trunk.number_format == "tel" else f"sip:{escaped}@veil.example;user=phone"
    number = MEANT.get(question.caller, question.caller)
    from_ = f"<sip:{number}@{host}>"
    if trunk.number_format == "tel" and number in (X, X2):
        from_ = f"<tel:{number};phone-context=+86>"
    elif number in (A, B, LANDLINE, SERVICE):
        user = FORMATS[trunk.number_format].format(number)
        from_ = f"<tel:{user}>" if trunk.number_format == "tel" else f"<sip:{user}@{host}>"
    is_call = question.method == "INVITE"
    rows = [
        f"{question.method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {host}:5060;branch=z9hG4bK-1;rport",
        "Max-Forwards: 70",
        f"From: {from_};tag=1",
        f"To: <{uri}>",
        "Call-ID: 1",
        f"CSeq: 1 {question.method}",
        *([f"Contact: <sip:{host}>"] if is_call else []),
        *([f"P-Asserted-Identity: {from_}"] if trunk.is_trusted else []),
        *question.headers,
        f"Content-Type: {'application/sdp' if is_call else 'text/plain;charset=UTF-8'}",
    ]
    if is_call:
        return wire("\n".join([*rows, "", SDP.format(family="IP4", host=host)]))
    return wire("\n".join(rows)).replace(b"Content-Length: 0", _counted(question.text)) + question.text.encode()


def _counted(text: str) -> bytes:
    return b"Content-Length: %d" % len(text.encode())


class Outcome:
    """What a core of its own did with a request."""

    def __init__(
        self, core: CoreSettings, bindings: dict[tuple[str, str], Binding], data: bytes, source: str, at: float
    ) -> None:
        def find(query: LookUpBinding) -> Binding | Miss:
            known = bindings.get((query.x, query.caller))
            others = [b for (x, _), b in bindings.items() if x == query.x and b.expires_at > at]
            return known or (Miss.NOT_A_PARTY if others else Miss.UNBOUND)

        node = CoreNode(core, ())
        CoreNode.made.clear()
        node.context.sheds = False  # it is asked afterwards why it has refused
        node._find = find  # type: ignore[assignment, method-assign]
        node.service.set_wall_clock(at - Playbook.START_S)
        node.book.wire_in(data, source)
        sent = [(output, parse(output.data)) for output in node.book.log]
        requests: list[SendMessage] = [output for output, message in sent if message.is_request]
        self.statuses = [message.status for _, message in sent if message.is_final]
        self.request = requests[0] if requests else None
        self.opened = [values for step, values in node.steps if step is Step.OPEN]
        self.closed = node.records
        refusals = [attempt.refusal for attempt, step in node.decided if step is Step.CLOSE]
        self.refusal: Refusal | None = refusals[0] if refusals else None


def steady(text: str) -> str:
    """A message without what is drawn by chance."""
    for pattern, replacement in _RANDOM:
        text = pattern.sub(replacement, text)
    return text


def assert_same(told: Explanation, done: Outcome) -> None:
    assert told.sent is (done.request is not None)
    if done.request is not None:
        event("sent")
        assert steady(told.leaves) == steady(done.request.data.decode().replace("\r\n", "\n"))
        assert told.next_hop == repr(done.request.flow)
        (row,) = done.opened
        assert (told.egress_peer, told.callee, told.presented_number, told.subs_id) == (
            row["egress_peer"], row["callee"], row["presented_number"], row["subs_id"],
        )  # fmt: skip
        assert told.target == row["attempts"][0][1]  # type: ignore[index]
        assert (told.cause, told.sip_status, told.q850, told.decided_by, told.seen_status) == ("", 0, 0, "", 0)
        return
    assert told.leaves == ""
    assert [told.seen_status] == done.statuses
    if not done.closed:
        event("answered by a rule")
        assert (told.cause, told.decided_by, done.opened) == ("", "", [])
        return
    (record,) = done.closed
    event(f"{record['release_cause']} by {record['decided_by']}")
    assert (told.cause, told.decided_by, told.seen_status, told.seen_q850) == (
        record["release_cause"], record["decided_by"], record["sip_status"], record["q850"],
    )  # fmt: skip
    assert done.refusal is not None
    assert (told.sip_status, told.q850) == (done.refusal.status, done.refusal.q850)


@settings(max_examples=300)
@given(data=st.data())
def test_an_explanation_says_what_the_core_does(here: Office, data: st.DataObject) -> None:
    sides = {"a-side": data.draw(trunks()), "b-side": data.draw(trunks())}
    rest = f'[policy]\nmessage_text = "{data.draw(st.sampled_from(("mask", "relay")))}"'
    config = here.configure(sides["a-side"].toml, sides["b-side"].toml, rest)
    bindings = data.draw(stores())
    here.bind(bindings.values())
    question = Question(
        data.draw(st.sampled_from((A, A, B, *CALLERS))),
        data.draw(st.sampled_from((X,) * 20 + CALLED)),
        data.draw(st.sampled_from(("INVITE", "MESSAGE"))),
        data.draw(st.sampled_from(tuple(sides))),
        data.draw(st.sampled_from(TEXTS)),
        data.draw(st.sampled_from(HEADERS)),
    )
    at = AT + data.draw(st.sampled_from((-1.0, 0.0, 0.0, 0.999, 1.0, 86400.0)))
    told = here.ask(question, at, reveal=True)
    request = by_hand(sides[question.peer or ""], question)
    assert_same(told, Outcome(config.core_settings(), bindings, request, SOURCES[question.peer or ""], at))
