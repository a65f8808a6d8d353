"""One call on a clock of our own: what is expected and what is not, and every end."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipstack.scenario.loader import load_scenario
from sipstack.scenario.received import Received, route_set
from tests.e2e.stories import file_of
from tests.scenario.scenes import Clocked, message, recv, request, response, scenario, send

EREG = '<action><ereg regexp="[0-9]+" search_in="hdr" header="CSeq:" check_it="true" assign_to="n"/></action>'
ACK = send("ACK sip:b SIP/2.0\nCSeq: 1 ACK")
USES = '<Reference variables="n"/>'


# ---------------------------------------------------------------------- what is expected


def test_optional_messages_may_come_late_and_in_any_order(tmp_path: Path) -> None:
    played = scenario(tmp_path, send("INVITE"), recv("100", optional="true"), recv("180", optional="true"),
                      recv("183", optional="true"), recv("200"))  # fmt: skip
    call = Clocked(played)
    call.hears(response(183), response(100), response(180), response(200))
    assert call.ended == "well"


def test_a_response_counts_for_the_methods_sent_before_it(tmp_path: Path) -> None:
    call = Clocked(scenario(tmp_path, send("INVITE"), recv("200"), send("BYE"), recv("200")))
    call.hears(response(200, "1 BYE"))
    assert call.ended == "2: unexpected 200 BYE while waiting for 200"


def test_a_transaction_is_told_by_its_branch(tmp_path: Path) -> None:
    played = scenario(tmp_path, send("INVITE"), send("INFO", start_txn="info"), recv("200", response_txn="info"),
                      recv("200"))  # fmt: skip
    call = Clocked(played)
    branch = Received(call.texts()[1].encode()).branch
    assert branch == "z9hG4bK-7-1-1"
    call.hears(response(200, "2 INFO", "X: y"))
    assert "unexpected 200 INFO" in call.ended
    call = Clocked(played)
    right = Received(response(200, "2 INFO").text.replace("z9hG4bKx", branch).encode())
    call.hears(right, response(200))
    assert call.ended == "well"


def test_a_method_may_be_an_expression(tmp_path: Path) -> None:
    call = Clocked(scenario(tmp_path, recv("^(INFO|UPDATE)$", regexp_match="true"), send("200")))
    assert call.hears(request("UPDATE")) == ["200"]


def test_an_optional_message_that_stands_last_ends_the_call(tmp_path: Path) -> None:
    call = Clocked(scenario(tmp_path, recv("INVITE"), send("200"), recv("INFO", optional="true"),
                            recv("ACK", optional="true")))  # fmt: skip
    call.hears(request("INVITE"), request("INFO", 2))
    assert call.ended == ""
    call.hears(request("ACK"))
    assert call.ended == "well"


def test_a_global_message_is_welcome_at_any_time(tmp_path: Path) -> None:
    played = scenario(tmp_path, recv("INVITE"), recv("INFO", optional="global"), recv("ACK"), recv("BYE"), send("200"))
    call = Clocked(played)
    call.hears(request("INVITE"), request("ACK"), request("INFO", 2), request("INFO", 3), request("BYE", 4))
    assert call.ended == "well"


def test_next_is_taken_when_its_variable_is_set(tmp_path: Path) -> None:
    played = scenario(tmp_path, recv("INVITE", EREG.replace("[0-9]+", "77"), next="far", test="n"), send("180"),
                      '<label id="far"/>', send("200"))  # fmt: skip
    call = Clocked(played)
    assert call.hears(request("INVITE", 77)) == ["200"]
    call = Clocked(played)
    assert call.hears(request("INVITE", 78)) == ["180", "200"]


def test_next_of_an_optional_message_is_taken_at_once(tmp_path: Path) -> None:
    played = scenario(tmp_path, send("INVITE"), recv("486", optional="true", next="busy"), recv("200"), send("BYE"),
                      '<label id="busy"/>', send("ACK"))  # fmt: skip
    call = Clocked(played)
    call.sent()
    assert call.hears(response(486)) == ["ACK"]
    assert call.ended == "well"


def test_a_loop_may_go_back_to_the_first_element(tmp_path: Path) -> None:
    call = Clocked(scenario(tmp_path, '<label id="again"/>', '<pause milliseconds="100"/>', send("INFO", next="again")))
    assert [at for at, _ in call.waits(0.35)] == [0.1, 0.2, 0.3]


def test_a_loop_without_a_wait_ends_its_call(tmp_path: Path) -> None:
    call = Clocked(scenario(tmp_path, '<label id="a"/>', '<nop next="a"/>'))
    assert call.ended == "1: goes round in circles"


def test_the_route_set_and_the_target_are_kept(tmp_path: Path) -> None:
    info = send("INFO [next_url] SIP/2.0\n[routes]\nX: y")
    call = Clocked(scenario(tmp_path, recv("INVITE", rrs="true"), "<pause/>", info), pause_s=1.0)
    call.hears(request("INVITE", 1, "Record-Route: <sip:a;lr>, <sip:b;lr>", 'Contact: "x" <sip:c@c;x=1>;q=1'))
    call.now += 1.0
    call.call.timer(call.now)
    assert call.texts() == ["INFO sip:c@c;x=1 SIP/2.0\r\nRoute: <sip:a;lr>, <sip:b;lr>\r\nX: y\r\n\r\n"]


@pytest.mark.parametrize(
    ("status", "rows", "contact", "expected"),
    [
        (0, ["<sip:a;lr>", "<sip:b;lr>"], "<sip:c>", ("<sip:a;lr>, <sip:b;lr>", "sip:c")),
        (200, ["<sip:a;lr>, <sip:b;lr>"], "<sip:c>", ("<sip:b;lr>, <sip:a;lr>", "sip:c")),
        (200, ["<sip:a;x=1,2;lr>"], "sip:c;expires=1", ("<sip:a;x=1,2;lr>", "sip:c")),
        (0, ["<sip:strict>", "<sip:b;lr>"], "<sip:c>", ("<sip:b;lr>, <sip:c>", "sip:strict")),
        (0, [], "<sip:c>", ("", "sip:c")),
        (0, [], "", ("", "")),
    ],
)
def test_route_sets(status: int, rows: list[str], contact: str, expected: tuple[str, str]) -> None:
    lines = [*(f"Record-Route: {row}" for row in rows), *([f"Contact: {contact}"] if contact else [])]
    assert route_set(message(f"SIP/2.0 {status} X" if status else "INVITE x SIP/2.0", *lines)) == expected


def test_cseq_and_the_tag_of_the_peer_are_kept(tmp_path: Path) -> None:
    ack = send("ACK sip:b SIP/2.0\nCSeq: [cseq] ACK\nX: [peer_tag_param]")
    played = scenario(tmp_path, send("INVITE"), recv("200"), ack, send("BYE"), "<pause/>")
    call = Clocked(played, pause_s=1)
    call.texts()
    call.call.receive(response(200), call.now)
    acknowledged, bye = call.texts()
    assert "CSeq: 1 ACK\r\nX: ;tag=t" in acknowledged
    assert "CSeq: 2 BYE" in bye


def test_cseq_goes_on_from_what_the_other_side_has_counted(tmp_path: Path) -> None:
    call = Clocked(scenario(tmp_path, recv("INVITE"), send("BYE")))
    call.call.receive(request("INVITE", 41), call.now)
    assert "CSeq: 42 BYE" in call.texts()[0]


# ---------------------------------------------------------------------- actions


def test_a_field_may_begin_anywhere_unless_it_must_begin_its_line(tmp_path: Path) -> None:
    ereg = '<action><ereg regexp=".*" search_in="hdr" header="ID:" {}assign_to="n"/></action>'
    for more, found in (("", " 1-7@127.0.0.1"), ('start_line="true" ', "")):
        call = Clocked(scenario(tmp_path, recv("INVITE", ereg.format(more)), USES))
        call.hears(request("INVITE"))
        assert call.values.variables == {"n": found}


def test_actions_keep_and_say(tmp_path: Path) -> None:
    played = scenario(
        tmp_path,
        recv("INVITE", '<action><ereg regexp="sip:([a-z]+)@([a-z]+)" search_in="hdr" header="From:" '
             'assign_to="all,user,host"/><ereg regexp="v=." search_in="body" assign_to="sdp"/>'
             '<ereg regexp=".*" search_in="hdr" header="via:" case_indep="true" occurrence="2" assign_to="via"/>'
             '<assignstr assign_to="both" value="[$user] at [$host]"/><log message="[$both] [$sdp] [$all]|[$via]"/>'
             "</action>"),
    )  # fmt: skip
    call = Clocked(played)
    call.hears(message("INVITE x SIP/2.0", "Via: other", body="v=0"))
    assert call.logged == ["f at f v=0 sip:f@f| other"]


def test_a_check_that_fails_fails_the_call_at_its_end(tmp_path: Path) -> None:
    played = scenario(tmp_path, recv("INVITE", EREG.replace("[0-9]+", "77")), send("200"), USES)
    call = Clocked(played)
    assert call.hears(request("INVITE", 78)) == ["200"]
    assert call.ended == "1: /77/ does not match"


def test_a_check_may_be_turned_around(tmp_path: Path) -> None:
    played = scenario(tmp_path, recv("INVITE", EREG.replace("check_it", "check_it_inverse")), USES)
    call = Clocked(played)
    call.hears(request("INVITE"))
    assert call.ended == "1: /[0-9]+/ matches"


# ---------------------------------------------------------------------- time


def test_a_pause_is_as_long_as_it_says(tmp_path: Path) -> None:
    call = Clocked(
        scenario(tmp_path, '<pause milliseconds="250"/>', send("INFO"), "<pause/>", send("BYE")), pause_s=2.0
    )
    assert call.waits(5) == [(0.25, "INFO"), (2.25, "BYE")]
    assert call.ended == "well"


@pytest.mark.parametrize(("attribute", "rule"), [("1000", None), (None, 1.0)])
def test_a_wait_may_be_too_long(tmp_path: Path, attribute: str | None, rule: float | None) -> None:
    timeout = {"timeout": attribute} if attribute else {}
    call = Clocked(scenario(tmp_path, send("INVITE"), recv("100", optional="true"), recv("200", **timeout)),
                   recv_timeout_s=rule)  # fmt: skip
    call.sent()
    assert call.waits(2) == []
    assert call.ended == "2: waited too long for 100"


def test_a_wait_may_lead_to_a_label_but_not_to_the_end(tmp_path: Path) -> None:
    over = '<label id="over"/>'
    played = scenario(tmp_path, recv("INVITE"), recv("ACK", timeout="1000", ontimeout="over"), over, send("BYE"))
    call = Clocked(played)
    call.hears(request("INVITE"))
    assert call.waits(1) == [(1.0, "BYE")]
    assert call.ended == "well"
    call = Clocked(scenario(tmp_path, recv("INVITE"), recv("ACK", timeout="1000", ontimeout="over"), over))
    call.hears(request("INVITE"))
    call.waits(1)
    assert call.ended == "2: waited too long for ACK"


def test_the_time_of_an_element_that_is_not_waited_for_does_not_run(tmp_path: Path) -> None:
    call = Clocked(scenario(tmp_path, send("INVITE"), recv("180"), recv("200", timeout="1000")))
    assert call.call.deadline is None
    call.hears(response(180))
    assert call.call.deadline == call.now + 1.0


def test_a_message_in_time_ends_the_wait(tmp_path: Path) -> None:
    call = Clocked(scenario(tmp_path, recv("INVITE"), recv("ACK", timeout="1000"), recv("BYE"), send("200")))
    call.hears(request("INVITE"))
    call.waits(0.9)
    call.hears(request("ACK"))
    assert call.waits(60) == []
    assert call.hears(request("BYE", 2)) == ["200"]


# ---------------------------------------------------------------------- what is not expected


@pytest.mark.parametrize(
    ("rules", "answers", "goes_on"),
    [
        ({}, ["200"], False),
        ({"ends_politely": False}, [], False),
        ({"ends_politely": False, "gives_up": False}, [], True),
        ({"gives_up": False}, [], True),
    ],
)
@pytest.mark.parametrize("method", ["BYE", "CANCEL"])
def test_an_unexpected_end_is_answered(
    tmp_path: Path, method: str, rules: dict[str, bool], answers: list[str], goes_on: bool
) -> None:
    call = Clocked(scenario(tmp_path, recv("INVITE"), send("180"), recv("ACK")), **rules)
    call.hears(request("INVITE"))
    assert call.hears(request(method, 2)) == answers
    assert call.tally.unexpected == 1
    assert call.ended == ("" if goes_on else f"3: unexpected {method} while waiting for ACK")


def test_a_ping_is_answered_and_the_call_goes_on(tmp_path: Path) -> None:
    call = Clocked(scenario(tmp_path, recv("INVITE"), recv("ACK")))
    call.hears(request("INVITE"))
    assert call.hears(request("PING", 2)) == ["200"]
    call.hears(request("ACK"))
    assert call.ended == "well"


@pytest.mark.parametrize(
    ("heard", "sent"),
    [
        ([response(486)], ["ACK"]),
        ([response(302)], ["ACK"]),
        ([response(183)], ["CANCEL"]),
        ([response(180), response(183)], ["CANCEL"]),
    ],
)
def test_a_caller_takes_back_what_it_has_begun(tmp_path: Path, heard: list[Received], sent: list[str]) -> None:
    call = Clocked(scenario(tmp_path, send("INVITE"), recv("180"), recv("200")))
    call.sent()
    assert call.hears(*heard) == sent
    assert "unexpected" in call.ended


def test_a_caller_hangs_up_an_answered_call(tmp_path: Path) -> None:
    played = scenario(tmp_path, send("INVITE"), recv("200"), ACK, recv("INFO"))
    call = Clocked(played)
    call.hears(response(200))
    call.call.receive(request("UPDATE", 2), call.now)
    (bye,) = call.texts()
    assert bye.startswith("BYE sip:t@t SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK-7-1-3\r\n")
    call = Clocked(scenario(tmp_path, send("INVITE"), recv("200"), "<pause/>"), pause_s=9)
    call.sent()
    call.call.receive(response(200), call.now)
    call.call.give_up("stopped", call.now)
    assert call.sent() == ["ACK", "BYE"]


def test_a_callee_says_nothing_when_it_gives_up(tmp_path: Path) -> None:
    call = Clocked(scenario(tmp_path, recv("INVITE"), send("180"), recv("ACK")))
    call.hears(request("INVITE"))
    assert call.hears(request("OPTIONS", 2)) == []
    assert call.ended == "3: unexpected OPTIONS while waiting for ACK"


def test_nothing_comes_at_ease_in_a_pause(tmp_path: Path) -> None:
    call = Clocked(scenario(tmp_path, recv("INVITE"), "<pause/>", recv("ACK")), pause_s=1.0)
    call.hears(request("INVITE"), request("ACK"))
    assert call.ended == "2: unexpected ACK in a pause"


def test_what_is_no_sip_is_unexpected(tmp_path: Path) -> None:
    call = Clocked(scenario(tmp_path, recv("INVITE"), recv("ACK")))
    call.hears(request("INVITE"), Received(b"\x00Call-ID: x"))
    assert call.ended == "2: unexpected something that is no SIP while waiting for ACK"


MESSAGES = st.one_of(
    st.sampled_from(["INVITE", "ACK", "BYE", "CANCEL", "INFO", "PING", ""]).map(request),
    st.sampled_from([99, 100, 180, 200, 299, 486, 999]).map(response),
    st.binary(max_size=80).map(Received),
    st.binary(max_size=40).map(lambda data: Received(b"SIP/2.0 200 OK\r\n" + data + b"\r\nCSeq: 1 INVITE\r\n\r\n")),
)


@given(
    st.lists(MESSAGES, max_size=8),
    st.sampled_from(["answered/uac", "answered/uas", "hold-by-caller/uac", "ended-by-callee/uas"]),
)
def test_whatever_comes_a_call_stays_a_call(heard: list[Received], name: str) -> None:
    call = Clocked(load_scenario(file_of(name)), ("1", "2"), pause_s=0.1)
    for one in heard:
        if not call.call.has_ended:
            call.hears(one)
            call.waits(0.2)
    call.waits(1000)
    if not call.call.has_ended:
        call.call.give_up("stopped", call.now)
    assert call.tally.successful + call.tally.failed == 1


def test_what_is_answered_always_with_aa(tmp_path: Path) -> None:
    call = Clocked(scenario(tmp_path, send("INVITE"), recv("200")), answers_all=True)
    call.sent()
    assert [call.hears(request(method, 7)) for method in ("OPTIONS", "INFO")] == [["200"], ["200"]]
    assert (call.ended, call.tally.auto_answered, call.tally.unexpected) == ("", 2, 2)
    call.hears(request("REFER", 8))
    assert call.ended


def test_a_repeat_is_known_loosely(tmp_path: Path) -> None:
    """Its Via may differ (a proxy's other branch), its From, To and CSeq may not."""
    other = request("INVITE", 1, "X-New: 1")
    for loosely, ended in ((True, ""), (False, "4: unexpected INVITE while waiting for ACK")):
        played = scenario(tmp_path, recv("INVITE"), send("180"), send("200"), recv("ACK"))
        call = Clocked(played, compares_loosely=loosely)
        call.hears(request("INVITE"), other)
        assert call.ended == ended
