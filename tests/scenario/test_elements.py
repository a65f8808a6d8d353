"""What elements do beyond sending and receiving: conditions, chance, loss, lengths, figures, twins, variables."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from sipstack.scenario.commands import SendCmd
from sipstack.scenario.distributions import KINDS, Distribution
from sipstack.scenario.model import Begins
from sipstack.scenario.tally import Failure
from sipstack.scenario.values import Shared
from tests.scenario.scenes import Clocked, message, recv, request, response, scenario, send
from tests.scenario.test_actions import nop


def test_condexec_passes_over_elements(tmp_path: Path) -> None:
    played = scenario(
        tmp_path, nop('<assign assign_to="a" value="1"/>'), send("INFO", condexec="a"), send("UPDATE", condexec="b"),
        send("OPTIONS", condexec="a", condexec_inverse="true"), send("BYE", condexec="b", condexec_inverse="true"),
        '<Reference variables="a,b"/>',
    )  # fmt: skip
    assert Clocked(played).sent() == ["INFO", "BYE"]


def test_chance_decides_whether_next_is_taken(tmp_path: Path) -> None:
    played = scenario(tmp_path, '<nop next="far" chance="0.3"/>', send("INFO"), '<label id="far"/>', send("BYE"))
    shared = Shared(random=Random(7))
    ways = [len(Clocked(played, shared=shared).sent()) for _ in range(500)]
    assert 0.2 < ways.count(1) / 500 < 0.4
    for chance, sent in (("0", ["INFO", "BYE"]), ("1", ["BYE"])):
        sure = scenario(
            tmp_path, f'<nop next="far" chance="{chance}"/>', send("INFO"), '<label id="far"/>', send("BYE")
        )
        assert Clocked(sure).sent() == sent


def test_messages_are_lost_on_purpose(tmp_path: Path) -> None:
    call = Clocked(scenario(tmp_path, send("INFO", lost="100", retrans="500"), recv("200")))
    assert (call.sent(), call.waits(0.6), call.tally.elements[0].lost) == ([], [], 2)
    call = Clocked(scenario(tmp_path, recv("INVITE", lost="100"), send("200")))
    assert (call.hears(request("INVITE"), request("INVITE")), call.tally.elements[0].lost) == ([], 2)
    call = Clocked(scenario(tmp_path, send("INFO"), send("BYE", lost="0")), lost_percent=100.0)
    assert call.sent() == ["BYE"]


def test_a_pause_has_the_length_that_is_said(tmp_path: Path) -> None:
    lengths = {
        '<pause milliseconds="250"/>': 0.25,
        '<pause distribution="fixed" value="300"/>': 0.3,
        '<pause min="400" max="400"/>': 0.4,
        '<pause variable="v"/>': 0.7,
        '<pause milliseconds="-5"/>': 0.0,
        "<pause/>": 1.0,
    }
    for pause, length_s in lengths.items():
        played = scenario(tmp_path, nop('<assign assign_to="v" value="700"/>'), pause, send("BYE"),
                          '<Reference variables="v"/>')  # fmt: skip
        call = Clocked(played, pause_s=1.0)
        assert [*((0.0, what) for what in call.sent()), *call.waits(2.0)] == [(length_s, "BYE")]


@pytest.mark.parametrize(
    ("kind", "parameters", "mean"),
    [
        ("fixed", (5.0,), 5.0), ("uniform", (2.0, 4.0), 3.0), ("normal", (10.0, 2.0), 10.0),
        ("lognormal", (1.0, 0.5), 3.080), ("exponential", (4.0,), 4.0), ("weibull", (3.0, 2.0), 2.659),
        ("pareto", (3.0, 2.0), 3.0), ("gpareto", (0.2, 2.0, 1.0), 3.5), ("gamma", (3.0, 2.0), 6.0),
        ("negbin", (2.0, 0.25), 6.0), ("poisson", (7.0,), 7.0), ("poisson", (900.0,), 900.0),
    ],
)  # fmt: skip
def test_draws_are_of_their_distribution(kind: str, parameters: tuple[float, ...], mean: float) -> None:
    distribution, random = Distribution(kind, parameters), Random(11)
    drawn = sorted(distribution.sample(random) for _ in range(20_000))
    assert abs(sum(drawn) / len(drawn) - mean) < 0.05 * mean
    below = sum(one <= distribution.percentile_99() for one in drawn) / len(drawn)
    assert below > 0.96 and (kind == "fixed" or drawn[-1] > distribution.percentile_99())


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_that_make_no_sense_make_no_draw(kind: str) -> None:
    for value in (0.0, -1.0, 1e300):
        distribution = Distribution(kind, (value,) * len(KINDS[kind].needs))
        assert isinstance(distribution.sample(Random(1)), float)
        assert isinstance(distribution.percentile_99(), float)


def test_a_call_in_its_timewait_is_through_and_answers_repeats(tmp_path: Path) -> None:
    played = scenario(tmp_path, recv("BYE"), send("200"), '<timewait milliseconds="4000"/>')
    call = Clocked(played)
    assert call.hears(request("BYE"), request("BYE")) == ["200", "200"]
    assert call.ended == ""
    call.call.give_up("stopped", call.now)
    assert (call.ended, call.sent()) == ("well", [])
    call = Clocked(played)
    call.hears(request("BYE"))
    call.waits(5.0)
    assert call.ended == "well"


def test_counters_and_response_times_are_told(tmp_path: Path) -> None:
    played = scenario(
        tmp_path, send("INVITE", start_rtd="setup", counter="calls"), recv("200", rtd="setup"), send("ACK"),
        '<pause milliseconds="2000"/>', '<label id="again"/>', send("BYE", rtd="true", counter="calls"),
        recv("200", rtd="1", repeat_rtd="true"), '<nop rtd="1"/>',
    )  # fmt: skip
    call = Clocked(played)
    call.now += 0.25
    call.hears(response(200))
    call.waits(2.0)
    call.hears(response(200, "2 BYE"))
    assert call.ended == "well"
    assert call.tally.counters == {"calls": 2}
    times = {name: (times.count, round(times.mean_ms)) for name, times in call.tally.response_times.items()}
    assert times == {"setup": (1, 250), "1": (1, 2250)}


def test_a_response_time_is_taken_once_unless_it_repeats(tmp_path: Path) -> None:
    loop = '<label id="again"/>', recv("INFO", rtd="once"), '<nop rtd="each" repeat_rtd="true" next="again"/>'
    call = Clocked(scenario(tmp_path, *loop))
    call.hears(request("INFO", 1), request("INFO", 2), request("INFO", 3))
    assert {name: times.count for name, times in call.tally.response_times.items()} == {"once": 1, "each": 3}


def test_no_pause_is_shorter_than_a_millisecond(tmp_path: Path) -> None:
    assert Clocked(scenario(tmp_path, '<pause milliseconds="0.9"/>', send("BYE"))).sent() == ["BYE"]


def test_an_empty_text_is_set(tmp_path: Path) -> None:
    empty = nop('<assignstr assign_to="a" value=""/>', next="far", test="a")
    assert Clocked(scenario(tmp_path, empty, send("INFO"), '<label id="far"/>', send("BYE"))).sent() == ["BYE"]


def test_a_timeout_may_stand_in_a_variable(tmp_path: Path) -> None:
    played = scenario(
        tmp_path, nop('<assignstr assign_to="t" value="300"/>'),
        recv("INVITE", timeout_variable="t", ontimeout="late"), '<label id="late"/>', send("BYE"),
    )  # fmt: skip
    assert Clocked(played).waits(1.0) == [(0.3, "BYE")]


def test_a_message_that_does_not_advance_leaves_no_trace(tmp_path: Path) -> None:
    played = scenario(
        tmp_path, send("INVITE"),
        recv("180", '<action><log message="seen"/></action>', optional="true", advance_state="false"), recv("200"),
        send("ACK sip:b SIP/2.0\nCSeq: 1 ACK\nX: [last_cseq_number]"),
    )  # fmt: skip
    call = Clocked(played)
    call.sent()
    call.hears(response(180), response(180))
    assert (call.logged, call.values.last) == (["seen", "seen"], None)


def test_an_ack_belongs_to_the_invite(tmp_path: Path) -> None:
    played = scenario(tmp_path, recv("INVITE"), send("200"), recv("ACK"))
    call = Clocked(played)
    call.hears(request("INVITE", 7), request("ACK", 8))
    assert call.ended == "3: the CSeq of ACK is not that of the INVITE"
    call = Clocked(played, checks_ack=False)
    call.hears(request("INVITE", 7), request("ACK", 8))
    assert call.ended == "well"


def test_what_comes_in_a_pause_may_be_ignored(tmp_path: Path) -> None:
    played = scenario(tmp_path, recv("INVITE"), '<pause milliseconds="500"/>', send("200"))
    call = Clocked(played, ignores_in_pauses=True)
    call.hears(request("INVITE"), request("INFO", 2))
    assert call.waits(1.0) == [(0.5, "200")]


# ---------------------------------------------------------------------- variables, before the calls and of all


def test_global_and_user_variables_are_shared(tmp_path: Path) -> None:
    adds = [f'<add assign_to="{name}" value="1"/>' for name in ("all", "mine", "own")]
    say = nop(*adds, '<log message="[$all] [$mine] [$own]"/>')
    played = scenario(tmp_path, '<Global variables="all"/>', '<User variables="mine"/>', say)
    assert (played.globals, played.user_variables) == ({"all"}, {"mine"})
    shared = Shared()
    first, second = Clocked(played, shared=shared), Clocked(played, shared=shared)
    assert first.logged == ["1.000000 1.000000 1.000000"]
    assert second.logged == ["2.000000 2.000000 1.000000"]
    assert shared.user_variables == {0: {"mine": 2.0}}


def test_init_is_a_scenario_of_its_own(tmp_path: Path) -> None:
    opening = '<assign assign_to="g" value="5"/>'
    played = scenario(
        tmp_path, '<Global variables="g"/>',
        "<init>" + nop(opening, next="on") + nop(opening.replace("5", "9")) + '<label id="on"/>' + nop() + "</init>",
        nop('<log message="[$g]"/>'),
    )  # fmt: skip
    assert (len(played.elements), len(played.init)) == (1, 3)
    shared = Shared()
    before = Clocked(played.opening(), shared=shared)
    assert before.ended == "well"
    assert Clocked(played, shared=shared).logged == ["5.000000"]


# ---------------------------------------------------------------------- twins


def test_twins_tell_each_other(tmp_path: Path) -> None:
    tell = "<sendCmd{}><![CDATA[\n  Call-ID: [call_id]\n  [$1]\n]]></sendCmd>"
    hear = '<recvCmd{}><action><ereg regexp="X-Answer: (.*)" search_in="msg" assign_to="2,3"/></action></recvCmd>'
    offer = '<action><ereg regexp="X-Offer:.*" search_in="msg" assign_to="1"/></action>'
    played = scenario(
        tmp_path, send("INVITE"), recv("200", offer),
        tell.format(' dest="m"'), hear.format(' src="s1"'), send("ACK sip:b SIP/2.0\nCSeq: 1 ACK\nX: [$3]"), "<pause/>",
        '<Reference variables="2"/>',
    )  # fmt: skip
    assert (played.begins, played.uses_twin, played.is_server) == (Begins.SEND, True, False)
    call = Clocked(played, pause_s=1.0)
    call.hears(message("SIP/2.0 200 OK", body="X-Offer: o\r\n"))
    assert call.commands == [SendCmd("Call-ID: 1-7@127.0.0.1\r\nX-Offer: o\r\n", "m")]
    call.call.hear("Call-ID: 1-7@127.0.0.1\r\nX-Answer: a\r\n\r\n", "s1", call.now)
    assert call.texts()[0].endswith("X: a\r\n\r\n")
    call.call.hear("Call-ID: 1-7@127.0.0.1\r\n", "s1", call.now)
    assert call.ended == "6: a text of the twin in a pause"


def test_a_text_of_another_peer_fails_the_call(tmp_path: Path) -> None:
    played = scenario(tmp_path, '<recvCmd src="m"/>', send("INVITE"))
    assert (played.begins, played.is_server) == (Begins.HEAR_TWIN, False)
    call = Clocked(played)
    call.call.hear("Call-ID: x", "s2", call.now)
    assert call.ended == "1: a text of the twin while waiting for the twin"
    assert call.tally.reasons == {Failure.REJECTED: 1}


def test_a_call_that_is_given_up_is_given_up_by_the_twin_too(tmp_path: Path) -> None:
    played = scenario(tmp_path, send("INVITE"), recv("200"), "<sendCmd><![CDATA[Call-ID: [call_id]]]></sendCmd>",
                      "<recvCmd/>")  # fmt: skip
    call = Clocked(played)
    call.hears(response(486))
    assert call.commands == [SendCmd("call-id: 1-7@127.0.0.1\r\ninternal-cmd: abort_call\r\n\r\n")]
    other = Clocked(played)
    other.hears(response(200))
    other.call.hear("call-id: 1-7@127.0.0.1\r\ninternal-cmd: abort_call\r\n\r\n", "", other.now)
    assert other.ended == "4: the twin has given up"


def test_other_words_for_what_stands_in_no_scenario(tmp_path: Path) -> None:
    words = '<DefaultMessage id="cancel"><![CDATA[CANCEL sip:x SIP/2.0\nX: [service]\n]]></DefaultMessage>'
    call = Clocked(scenario(tmp_path, words, send("INVITE"), recv("180", optional="true"), recv("200")))
    call.sent()
    call.call.receive(response(180), call.now)
    call.call.give_up("stopped", call.now)
    assert call.texts() == ["CANCEL sip:x SIP/2.0\r\nX: s\r\n\r\n"]
