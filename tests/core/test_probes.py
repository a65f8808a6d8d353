"""OPTIONS to the targets of peers that want it: what they say, and what their answers mean (requirement 77)."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from engine.core.capabilities import ACCEPT
from engine.core.settings import CoreSettings, NumberFormat
from sipstack.message import Message
from sipstack.testing.playbook import Playbook
from tests.core.corenode import (
    CALLEE,
    CALLEE2,
    CALLEE_SIDE,
    CALLER,
    CALLER_SIDE,
    SETTINGS,
    TWO_TARGETS,
    CoreNode,
    target,
    with_policy,
    with_trunk,
)
from tests.core.parties import answer, invite, refused
from tests.core.test_sips import SECURE, THERE, to

EVERY_S = 10
FIRST = "udp:127.0.0.13:5060"
PROBED = with_trunk("callee-side", options_interval_s=EVERY_S)


def follow(node: CoreNode) -> None:
    node.book.perform(node.service.trunks.follow(node.book.now))


def probing(settings: CoreSettings = PROBED) -> CoreNode:
    node = CoreNode(settings)
    follow(node)
    return node


def rest(node: CoreNode) -> None:
    """Nobody is asked any more, so that the test can look whether anything is left."""
    node.service.trunks._probes.stop(node.book.now)
    node.book.sent.clear()
    node.echoes |= {output.data for output in node.book.log if output.data.startswith(b"OPTIONS ")}  # of no call


def probe(node: CoreNode, to: str = CALLEE) -> Message:
    """The next OPTIONS, once it is due."""
    deadline = node.book.now + EVERY_S * 1.1 + 0.1
    while not node.book.sent:
        following = node.service.next_deadline()
        assert following is not None and following <= deadline, "no probe"
        node.book.at(following - Playbook.START_S)
    return node.book.wire_out("OPTIONS ", to)


def loses(node: CoreNode) -> None:
    """A probe that gets no answer in its time."""
    probe(node)
    node.wait(4.01)
    node.book.sent.clear()  # again, by Timer E


def target_state(node: CoreNode) -> str:
    return node.service.trunks.states(node.book.now)[-1].state


def test_probe_names_no_number_and_waits_for_an_answer() -> None:
    node = probing()
    sent = probe(node)
    assert node.book.now - Playbook.START_S <= 1.01
    assert sent.top_via is not None
    assert [sent.start_line(), *sent.lines] == [
        "OPTIONS sip:127.0.0.13:5060 SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.11:5060;branch={sent.top_via.branch};rport",
        "Max-Forwards: 70",
        f"From: <sip:veil.example>;tag={sent.from_tag}",
        "To: <sip:127.0.0.13>",
        f"Call-ID: {sent.call_id}",
        f"CSeq: {sent.cseq} OPTIONS",
        ACCEPT,
        "Content-Length: 0",
    ]
    node.book.wire_in(answer(sent, 200), CALLEE)
    other = probe(node)
    assert len({sent.call_id, other.call_id}) == len({sent.from_tag, other.from_tag}) == 2
    node.book.wire_in(answer(other, 200), CALLEE)
    assert (node.counters["probes_sent"], node.targets) == (2, [])
    rest(node)


def test_number_format_of_the_trunk_changes_nothing() -> None:
    node = probing(with_trunk("callee-side", options_interval_s=EVERY_S, number_format=NumberFormat.TEL))
    assert probe(node).uri_text == "sip:127.0.0.13:5060"
    rest(node)


def test_probe_over_tls_is_for_the_uri_that_is_configured() -> None:
    settings = to(SECURE)
    node = probing(replace(settings, peers=(CALLER_SIDE, replace(settings.peers[1], options_interval_s=EVERY_S))))
    sent = probe(node, THERE)
    assert sent.uri_text == "sips:127.0.0.13:5061"
    node.wait(3)
    node.book.silence()  # nothing is repeated on a stream
    node.book.wire_in(answer(sent, 200), THERE)
    other = probe(node, THERE)
    node.book.perform(node.service.connection_lost(node.book.log[-1].flow, node.book.now))
    assert (other.method, node.counters["probes_lost"]) == ("OPTIONS", 1)
    rest(node)


def test_probes_come_at_their_interval_a_tenth_more_or_less() -> None:
    node = probing()
    times = []
    for _ in range(20):
        node.book.wire_in(answer(probe(node), 200), CALLEE)
        times.append(node.book.now)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(EVERY_S * 0.9 <= gap <= EVERY_S * 1.1 + 0.011 for gap in gaps)
    assert max(gaps) - min(gaps) > EVERY_S * 0.1
    rest(node)


@pytest.mark.parametrize(
    "status", [200, 202, 302, 400, 401, 403, 404, 405, 407, 420, 481, 483, 486, 500, 501, 504, 600]
)
def test_any_answer_shows_that_somebody_is_there(status: int) -> None:
    node = probing()
    loses(node)
    loses(node)
    assert target_state(node) == "down"
    node.book.wire_in(answer(probe(node), status), CALLEE)
    assert target_state(node) == "up"
    rest(node)


def test_silence_twice_takes_it_down_and_one_answer_brings_it_back() -> None:
    node = probing()
    loses(node)
    assert node.targets == []
    loses(node)
    assert node.targets == [(FIRST, "down")]
    node.book.wire_in(invite(), CALLER)  # nobody else is there
    node.book.wire_out("SIP/2.0 100", CALLER)
    refused(node, 480, 31)
    node.assert_recorded(release_cause="ALL_TARGETS_FAILED", attempts=())
    loses(node)
    node.book.wire_in(answer(probe(node), 200), CALLEE)
    assert node.targets == [(FIRST, "down"), (FIRST, "up")]
    assert node.counters["probes_lost"] == 3
    rest(node)


def test_thresholds_count_probes_in_a_row() -> None:
    changes = {"options_interval_s": EVERY_S, "options_up_after": 2, "options_down_after": 3}
    node = probing(with_trunk("callee-side", **changes))
    for _ in range(2):
        loses(node)
        loses(node)
        node.book.wire_in(answer(probe(node), 200), CALLEE)
    assert node.targets == []
    for _ in range(3):
        loses(node)
    assert node.targets == [(FIRST, "down")]
    node.book.wire_in(answer(probe(node), 200), CALLEE)
    loses(node)
    node.book.wire_in(answer(probe(node), 200), CALLEE)
    assert target_state(node) == "down"
    node.book.wire_in(answer(probe(node), 200), CALLEE)
    assert target_state(node) == "up"
    rest(node)


def test_transport_error_is_a_lost_probe_at_once() -> None:
    node = probing()
    for _ in range(2):
        probe(node)
        node.transport_fails(CALLEE)
    assert node.targets == [(FIRST, "down")]
    rest(node)


def test_408_is_a_lost_probe() -> None:
    node = probing()
    for _ in range(2):
        node.book.wire_in(answer(probe(node), 408), CALLEE)
    assert node.targets == [(FIRST, "down")]
    rest(node)


def test_503_bars_at_once_and_twice_is_down() -> None:
    node = probing()
    node.book.wire_in(answer(probe(node), 503, extra="Retry-After: 30"), CALLEE)
    [_, state] = node.service.trunks.states(node.book.now)
    assert (state.state, round(state.barred_s, 3)) == ("busy", 30.0)
    node.book.wire_in(answer(probe(node), 200), CALLEE)
    assert target_state(node) == "busy"
    for _ in range(2):
        node.book.wire_in(answer(probe(node), 503), CALLEE)
    assert target_state(node) == "down"
    rest(node)


def test_late_answer_of_a_probe_that_was_given_up_is_nobodys() -> None:
    node = probing()
    sent = probe(node)
    node.wait(4.01)
    node.book.wire_in(answer(sent, 200), CALLEE)
    assert (node.counters["probes_lost"], node.counters["stray_responses"]) == (1, 1)
    rest(node)


def test_100_is_no_answer() -> None:
    node = probing()
    node.book.wire_in(answer(probe(node), 100), CALLEE)
    node.wait(4.01)
    assert node.counters["probes_lost"] == 1
    rest(node)


def test_short_interval_is_time_enough_for_one_at_a_time() -> None:
    node = probing(with_trunk("callee-side", options_interval_s=1))
    node.wait(10)
    assert node.counters["probes_lost"] in range(node.counters["probes_sent"] - 1, node.counters["probes_sent"] + 1)
    assert len(node.context.transactions) <= 1
    rest(node)


def test_each_address_is_asked_once_and_only_where_it_is_wanted() -> None:
    shared = replace(CALLEE_SIDE, name="other", match=("127.0.0.20",), options_interval_s=5)
    slow = replace(CALLEE_SIDE, targets=(target(CALLEE), target(CALLEE2)), options_interval_s=60)
    node = probing(replace(SETTINGS, peers=(CALLER_SIDE, slow, shared)))
    node.wait(30.5)
    asked = [output.flow.host for output in node.book.log]
    assert asked.count("127.0.0.12") == 0
    fresh = {output.data: output.flow.host for output in node.book.log}  # not what Timer E sends again
    hosts = list(fresh.values())
    assert hosts.count("127.0.0.13") in (5, 6, 7) and hosts.count("127.0.0.14") == 1
    states = [(s.peer, s.address, s.is_probed) for s in node.service.trunks.states(node.book.now)]
    assert states == [
        ("caller-side", "udp:127.0.0.12:5060", False),
        ("callee-side", FIRST, True),
        ("callee-side", "udp:127.0.0.14:5060", True),
        ("other", FIRST, True),
    ]
    rest(node)


def test_other_settings_keep_what_is_known_and_let_go_whom_nobody_asks() -> None:
    node = probing()
    loses(node)
    loses(node)
    node.context.settings = replace(PROBED, policy=replace(PROBED.policy, max_call_s=1.0))
    follow(node)
    assert target_state(node) == "down"
    node.context.settings = TWO_TARGETS
    follow(node)
    node.wait(60)
    node.book.silence()
    assert node.targets == [(FIRST, "down"), (FIRST, "up")]  # nothing else could bring it back


def test_wait_is_no_longer_than_for_the_first_answer_to_a_call() -> None:
    node = probing(with_policy(PROBED, first_response_ms=300))
    probe(node)
    node.wait(0.32)
    assert node.counters["probes_lost"] == 1
    rest(node)
