"""The lossy link, and two ends over it: whatever is lost, doubled or overtaken, every transaction ends once."""

from __future__ import annotations

import pytest

from sipstack.events import Flow, Output, SendMessage
from sipstack.testing.doubles import Note
from sipstack.testing.link import LossyLink
from tests.sipstack.link_phones import CALLEE, CALLER, AnsweringPhone, CallingPhone

HERE, THERE = ("192.0.2.1", 5060), ("192.0.2.2", 5060)
TO_THERE = Flow("UDP", *THERE)


class Mailbox:
    """Writes down what arrives and when; fires at the times that it was given."""

    def __init__(self, link: LossyLink, *deadlines: float) -> None:
        self.link = link
        self.deadlines = sorted(deadlines)
        self.arrived: list[tuple[bytes, Flow, float]] = []
        self.fired: list[float] = []

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Output]:
        assert now == self.link.now
        self.arrived.append((data, flow, now))
        return [Note("")] if data == b"note" else []

    def handle_timer(self, now: float) -> list[Output]:
        self.fired.append(now)
        self.deadlines.pop(0)
        return [SendMessage(b"tick", TO_THERE)]

    def next_deadline(self) -> float | None:
        return self.deadlines[0] if self.deadlines else None

    def data(self) -> list[bytes]:
        return [data for data, _, _ in self.arrived]


def joined(link: LossyLink) -> Mailbox:
    mailbox = Mailbox(link)
    link.join(THERE, mailbox, lambda _: [])
    return mailbox


def send(link: LossyLink, count: int) -> list[bytes]:
    sent = [b"%d" % number for number in range(count)]
    for data in sent:
        link.perform(HERE, [SendMessage(data, TO_THERE)])
        link.run(0.01)
    link.run(10)
    return sent


# ---------------------------------------------------------------------- the link


def test_good_link_carries_everything_in_order() -> None:
    link = LossyLink(seed=1)
    mailbox = joined(link)
    sent = send(link, 100)
    assert mailbox.data() == sent
    assert {flow for _, flow, _ in mailbox.arrived} == {Flow("UDP", *HERE)}
    assert [(source, flow, data) for source, flow, data in link.carried] == [(HERE, TO_THERE, data) for data in sent]


@pytest.mark.parametrize(("loss", "least", "most"), [(0.0, 1000, 1000), (0.3, 650, 750), (1.0, 0, 0)])
def test_loss_is_a_share(loss: float, least: int, most: int) -> None:
    link = LossyLink(seed=2, loss=loss)
    mailbox = joined(link)
    sent = send(link, 1000)
    assert least <= len(mailbox.arrived) <= most
    assert set(mailbox.data()) <= set(sent)
    assert len(link.carried) == 1000  # what was sent, lost or not


@pytest.mark.parametrize(("duplicate", "least", "most"), [(0.0, 1000, 1000), (0.2, 1150, 1250), (1.0, 2000, 2000)])
def test_duplicates_are_a_share(duplicate: float, least: int, most: int) -> None:
    link = LossyLink(seed=3, duplicate=duplicate)
    mailbox = joined(link)
    sent = send(link, 1000)
    assert least <= len(mailbox.arrived) <= most
    assert set(mailbox.data()) == set(sent)


def test_delay_lets_later_ones_overtake() -> None:
    link = LossyLink(seed=4, delay_s=0.5)
    mailbox = joined(link)
    sent = send(link, 100)
    assert mailbox.data() != sent
    assert sorted(mailbox.data()) == sorted(sent)
    delays = [now - 1000.0 - 0.01 * int(data) for data, _, now in mailbox.arrived]
    assert 0.0009 < min(delays) < 0.05
    assert 0.4 < max(delays) <= 0.5001


def test_same_seed_same_run() -> None:
    runs = []
    for seed in (5, 5, 6):
        link = LossyLink(seed, loss=0.3, duplicate=0.3, delay_s=0.5)
        mailbox = joined(link)
        send(link, 200)
        runs.append(mailbox.arrived)
    assert runs[0] == runs[1] != runs[2]


def test_time_timers_and_arrivals_are_in_order() -> None:
    link = LossyLink(seed=7)
    mailbox = Mailbox(link, 1000.5, 1000.7, 1003.0)
    link.join(THERE, mailbox, lambda _: [])
    link.run(1)
    assert link.now == 1001.0
    assert mailbox.fired == [1000.5, 1000.7]
    assert [(data, round(now, 3)) for data, _, now in mailbox.arrived] == [(b"tick", 1000.501), (b"tick", 1000.701)]
    link.run(2)  # what is due at the very end waits for the next run
    assert mailbox.fired == [1000.5, 1000.7]
    link.run(0.5)
    assert mailbox.fired == [1000.5, 1000.7, 1003.0]


def test_timer_that_is_overdue_does_not_turn_time_back() -> None:
    link = LossyLink(seed=7)
    mailbox = Mailbox(link, 990.0)
    link.join(THERE, mailbox, lambda _: [])
    link.run(1)
    assert mailbox.fired == [1000.0]
    assert [round(now, 3) for _, _, now in mailbox.arrived] == [1000.001]


def test_shell_is_asked_and_its_outputs_are_performed() -> None:
    link = LossyLink(seed=8)
    mailbox = Mailbox(link)
    link.join(THERE, mailbox, lambda output: [SendMessage(b"reply", TO_THERE)] if isinstance(output, Note) else [])
    link.perform(HERE, [SendMessage(b"note", TO_THERE)])
    link.run(1)
    assert mailbox.data() == [b"note", b"reply"]


def test_what_goes_nowhere_is_only_noted() -> None:
    link = LossyLink(seed=9)
    mailbox = joined(link)
    link.perform(HERE, [SendMessage(b"x", Flow("UDP", "192.0.2.99", 5060))])
    link.run(1)
    assert mailbox.arrived == []
    assert [data for _, _, data in link.carried] == [b"x"]


# ---------------------------------------------------------------------- two ends

CALLS = 120


def conversation(
    seed: int, loss: float, duplicate: float, delay_s: float
) -> tuple[LossyLink, CallingPhone, AnsweringPhone]:
    """Calls, one every 50 ms, then time enough for every timer."""
    link, caller, callee = LossyLink(seed, loss, duplicate, delay_s), CallingPhone(), AnsweringPhone()
    link.join(CALLER, caller, caller.execute)
    link.join(CALLEE, callee, callee.execute)
    for number in range(CALLS):
        link.perform(CALLER, caller.call(number, link.now))
        link.run(0.05)
    link.run(150)
    return link, caller, callee


def check_ends(caller: CallingPhone, callee: AnsweringPhone) -> None:
    """Every transaction has ended, and none of them twice."""
    for phone in (caller, callee):
        assert len(phone.core) == 0
        assert len(phone.core.wheel) == 0
        assert phone.core._context.merged == {}
        assert phone.core.counters["malformed"] == 0
        assert phone.core.counters["merged"] == 0
    copies_pass = "INVITE 200 "  # every copy of a 2xx reaches the user, who acknowledges it (RFC 6026 §7.2)
    twice = {what: times for what, times in (caller.done | callee.done).items() if times != 1}
    assert [what for what in twice if not what.startswith(copies_pass)] == []
    # Each INVITE of the caller is answered, busy, or timed out; so is the BYE of each one answered.
    busy, answered, silent = (caller.count(what) for what in ("INVITE 486", "INVITE 200", "INVITE timed out"))
    assert busy + answered + silent == CALLS
    assert caller.count("BYE 200") + caller.count("BYE timed out") == answered
    assert callee.count("INVITE") <= CALLS
    assert callee.count("ACK") <= answered


def test_calls_over_a_good_link_need_no_repeat() -> None:
    link, caller, callee = conversation(1, loss=0.0, duplicate=0.0, delay_s=0.001)
    check_ends(caller, callee)
    assert (caller.count("INVITE 200"), caller.count("INVITE 486")) == (90, 30)
    assert (callee.count("ACK"), callee.count("BYE"), caller.count("BYE 200")) == (90, 90, 90)
    # INVITE, 180, 200, ACK, BYE, 200; and INVITE, 180, 486, ACK
    assert len(link.carried) == 90 * 6 + 30 * 4
    assert callee.core.counters["retransmissions_in"] == 0
    assert caller.core.counters["stray_responses"] == 0


@pytest.mark.parametrize("delay_s", [0.001, 0.4], ids=["in order", "overtaking"])
@pytest.mark.parametrize("duplicate", [0.0, 0.3], ids=["single", "doubled"])
@pytest.mark.parametrize(("loss", "lost_calls"), [(0.0, 0), (0.1, 0), (0.3, 3)])
@pytest.mark.parametrize("seed", [11, 12])
def test_calls_over_a_bad_link_end(seed: int, loss: float, lost_calls: int, duplicate: float, delay_s: float) -> None:
    _, caller, callee = conversation(seed, loss, duplicate, delay_s)
    check_ends(caller, callee)
    assert caller.count("INVITE timed out") <= lost_calls
    assert caller.count("BYE timed out") <= lost_calls
    assert callee.count("missed ACK") <= lost_calls
    if loss or duplicate or delay_s > 0.1:
        assert callee.core.counters["retransmissions_in"] > 0


def test_calls_into_the_void_time_out() -> None:
    _, caller, callee = conversation(13, loss=1.0, duplicate=0.0, delay_s=0.001)
    check_ends(caller, callee)
    assert caller.count("INVITE timed out") == CALLS
    assert callee.done == {}


def test_same_seed_same_conversation() -> None:
    first, again, other = (conversation(seed, 0.2, 0.2, 0.4)[0].carried for seed in (21, 21, 22))
    assert first == again
    assert first != other
