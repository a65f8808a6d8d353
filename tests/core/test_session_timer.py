"""RFC 4028: intervals that are too short, what the ends agree, and the call whose refreshes stop."""

from __future__ import annotations

import pytest

from engine.core import call_table as t
from engine.core.call import Call
from engine.core.records import Step
from engine.core.settings import SessionTimer
from sipstack import headers as h
from sipstack.message import Message
from tests.core.corenode import CALLEE, CALLER, TWO_TARGETS, A, CoreNode, with_policy
from tests.core.parties import B_SDP, SDP, Talk, answer, invite, of_invite, ring, start, talking

# The ends' affair: what the node itself does where they do not refresh stands in test_refresh.py.
WATCHING = with_policy(session_timer=SessionTimer.RELAY)

A_CONTACT = f"<sip:{A}@127.0.0.12:5060>"
TIMER = "Require: timer\nSession-Expires: {0};refresher={1}"


def agreed(node: CoreNode, interval_s: int = 90, refresher: str = "uac", asked: str = "") -> Talk:
    """A conversation whose ends have agreed on an interval."""
    sent = start(node, invite(extra=asked or f"Session-Expires: {interval_s}"))
    node.book.wire_in(answer(sent, 200, extra=TIMER.format(interval_s, refresher), sdp=B_SDP), CALLEE)
    talk = Talk(node, sent, node.book.wire_out("SIP/2.0 200", CALLER))
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    return talk


def refresh(talk: Talk, side: str, method: str, rows: str, status: int = 200, asked: str = "") -> Message:
    """A request of one side in the dialog, answered with `rows` by the other; returns what the first one hears."""
    node = talk.node
    near, far = (CALLER, CALLEE) if side == "caller" else (CALLEE, CALLER)
    say = talk.from_caller if side == "caller" else talk.from_callee
    say(method, extra=asked, sdp=SDP if side == "caller" else B_SDP)
    if method == "INVITE":
        node.book.wire_out("SIP/2.0 100", near)
    sent = node.book.wire_out(f"{method} ", far)
    own = {"sdp": B_SDP} if side == "caller" else {"sdp": SDP, "contact": A_CONTACT}
    node.book.wire_in(answer(sent, status, extra=rows, **own), far)  # type: ignore[arg-type]
    if status >= 300 and method == "INVITE":
        node.book.wire_out("ACK ", far)
    response = node.book.wire_out(f"SIP/2.0 {status}", near)
    if method == "INVITE" and status < 300:
        say("ACK", cseq=talk.caller_seq if side == "caller" else talk.callee_seq)
        node.book.wire_out("ACK ", far)
    node.book.silence()
    return response


def asked_again(interval_s: int) -> bytes:
    """The caller's next INVITE after a 422: the same Call-ID, the next number (§7.4)."""
    rows = f"Session-Expires: {interval_s}\nMin-SE: {interval_s}"
    return invite(branch="z9hG4bK-a2", extra=rows).replace(b"CSeq: 1 ", b"CSeq: 2 ")


def over(node: CoreNode) -> None:
    """The node ends the call on both sides: nobody has refreshed it."""
    to_caller, to_callee = node.book.wire_out("BYE ", CALLER), node.book.wire_out("BYE ", CALLEE)
    assert to_caller.values(h.REASON) == to_callee.values(h.REASON) == ["Q.850;cause=31"]
    node.book.wire_in(answer(to_callee, 200), CALLEE)
    node.book.wire_in(answer(to_caller, 200, who=A), CALLER)
    node.book.silence()
    node.assert_recorded(
        release_cause="SESSION_EXPIRED", release_direction="platform", decided_by="session_timer",
        sip_status=200, q850=31,
    )  # fmt: skip


# -- too short ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("least", "asked"), [(90, 89), (90, 0), (300, 299)])
def test_interval_that_is_too_short_is_422_and_the_next_invite_is_a_call(least: int, asked: int) -> None:
    node = CoreNode(with_policy(min_se_s=least))
    node.book.wire_in(invite(extra=f"Session-Expires: {asked};refresher=uac"), CALLER)
    response = node.book.wire_out("SIP/2.0 422", CALLER)
    assert response.values(h.MIN_SE) == [str(least)]  # §6: without it the caller cannot ask again
    assert response.to_tag
    node.book.wire_in(of_invite("ACK", response.to_tag), CALLER)
    node.book.silence()
    assert (node.steps, node.counters["answered_422"]) == ([], 1)
    sent = start(node, asked_again(least))
    assert (sent.value(h.SESSION_EXPIRES), sent.value(h.MIN_SE)) == (str(least), str(least))


def test_interval_that_is_no_number_is_400() -> None:
    node = CoreNode()
    node.book.wire_in(invite(extra="Session-Expires: soon"), CALLER)
    node.book.wire_out("SIP/2.0 400", CALLER)
    assert node.steps == []


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("side", ["caller", "callee"])
def test_refresh_that_is_too_short_goes_nowhere(side: str, method: str) -> None:
    node = CoreNode(with_policy(min_se_s=120))
    talk = agreed(node, 120)
    near = CALLER if side == "caller" else CALLEE
    (talk.from_caller if side == "caller" else talk.from_callee)(method, extra="Supported: timer\nSession-Expires: 119")
    assert node.book.wire_out("SIP/2.0 422", near).values(h.MIN_SE) == ["120"]
    node.book.silence()
    assert node.counters["in_dialog_422"] == 1
    talk.hang_up()
    assert b"CSeq: %d BYE" % (talk.invite.cseq + 1) in node.sent_to(CALLEE)[-1]


@pytest.mark.parametrize(("least", "rows", "crosses"), [
    (90, "Session-Expires: 30;refresher=uas", ("90;refresher=uas", [])),  # 90 is what no Min-SE means (§5)
    (300, "Session-Expires: 120", ("300", ["300"])),
    (300, "Session-Expires: 120\nMin-SE: 100", ("300", ["300"])),
    (300, "Session-Expires: 1800", ("1800", ["300"])),  # or the callee could settle on less than we take
    (300, "Session-Expires: 1800\nMin-SE: 600", ("1800", ["600"])),
])  # fmt: skip
@pytest.mark.parametrize("where", ["first", "later"])
def test_who_knows_of_no_422_is_given_a_longer_one(
    where: str, least: int, rows: str, crosses: tuple[str, list[str]]
) -> None:
    """A trunk put it in for a phone without session timers: a refusal would end the call (§8.1)."""
    node = CoreNode(with_policy(min_se_s=least))
    if where == "first":
        bare = invite(extra=rows).replace(b"Supported: 100rel, timer, replaces, histinfo\r\n", b"")
        sent = start(node, bare)
    else:
        talk = talking(node)
        talk.from_callee("UPDATE", extra=rows)
        sent = node.book.wire_out("UPDATE ", CALLER)
        node.book.wire_in(answer(sent, 488, contact=A_CONTACT), CALLER)
        node.book.wire_out("SIP/2.0 488", CALLEE)
        talk.hang_up()
    assert (sent.value(h.SESSION_EXPIRES), sent.values(h.MIN_SE)) == crosses


def test_other_methods_have_no_interval() -> None:
    node = CoreNode()
    talk = talking(node)
    talk.from_caller("INFO", extra="Session-Expires: 1")
    node.book.wire_in(answer(node.book.wire_out("INFO ", CALLEE), 200, extra="Session-Expires: 90"), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    node.wait(100)
    node.book.silence()  # nor does their answer settle one
    talk.hang_up()


@pytest.mark.parametrize(("rings", "wanted", "told"), [
    (False, "3600", "3600"), (True, "3600", "3600"),
    (False, "45", "90"),  # who asks again with less than ours would hear 422 again
    (False, "4000000000", "99999999"),  # too few digits to spell a number
])  # fmt: skip
def test_422_of_the_callee_is_the_callers_to_answer(rings: bool, wanted: str, told: str) -> None:
    node = CoreNode(TWO_TARGETS)
    sent = start(node, invite(extra="Session-Expires: 90"))
    if rings:
        ring(node, sent)
    node.book.wire_in(answer(sent, 422, extra=f"Min-SE: {wanted}"), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    response = node.book.wire_out("SIP/2.0 422", CALLER)
    assert response.values(h.MIN_SE) == [told] and response.values(h.REASON) == ["Q.850;cause=31"]
    node.book.silence()  # the second target would say the same
    node.assert_recorded(
        release_cause="REJECTED", release_direction="callee", decided_by="callee", sip_status=422, q850=31
    )
    assert node.record["attempts"] == (("callee-side", "sip:127.0.0.13:5060", 422, 0, None, ""),)
    node.book.wire_in(of_invite("ACK", response.to_tag), CALLER)
    sent = start(node, asked_again(3600))
    assert sent.value(h.MIN_SE) == "3600"
    node.book.wire_in(answer(sent, 486), CALLEE)
    assert [record["release_cause"] for record in node.records] == ["REJECTED", "BUSY"]


def test_422_waits_for_its_row() -> None:
    node = CoreNode()
    node.durable = {Step.OPEN}
    sent = start(node)
    node.book.wire_in(answer(sent, 422, extra="Min-SE: 100"), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.silence()
    node.release_held()
    assert node.book.wire_out("SIP/2.0 422", CALLER).value(h.MIN_SE) == "100"


@pytest.mark.parametrize("row", ["X-Min-SE: 100", "Min-SE: long", "Min-SE: -5"])
def test_422_that_does_not_say_what_it_wants_is_a_target_that_cannot_serve(row: str) -> None:
    node = CoreNode()
    sent = start(node)
    node.book.wire_in(answer(sent, 422, extra=row), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_out("SIP/2.0 480", CALLER)
    assert node.record["release_cause"] == "ALL_TARGETS_FAILED"


def test_422_to_a_refresh_crosses() -> None:
    node = CoreNode()
    talk = agreed(node)
    assert refresh(talk, "caller", "INVITE", "Min-SE: 1800", 422).values(h.MIN_SE) == ["1800"]
    talk.hang_up()


# -- what the ends agree -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("refresher", ["uac", "uas"])
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("side", ["caller", "callee"])
def test_who_refreshes_is_the_same_on_both_sides(side: str, method: str, refresher: str) -> None:
    """uac and uas are those of the transaction (§4), and each of ours runs the way of the one that it carries."""
    node = CoreNode(WATCHING)
    talk = agreed(node, refresher=refresher, asked=f"Session-Expires: 90;refresher={refresher}")
    assert talk.invite.value(h.SESSION_EXPIRES) == talk.ok.value(h.SESSION_EXPIRES) == f"90;refresher={refresher}"
    assert talk.ok.value(h.REQUIRE) == "timer"
    row = f"Session-Expires: 600;refresher={refresher}"
    (talk.from_caller if side == "caller" else talk.from_callee)(method, extra=f"Supported: timer\n{row}", sdp=SDP)
    if method == "INVITE":
        node.book.wire_out("SIP/2.0 100", CALLER if side == "caller" else CALLEE)
    sent = node.book.wire_out(f"{method} ", CALLEE if side == "caller" else CALLER)
    assert (sent.value(h.SESSION_EXPIRES), sent.value(h.SUPPORTED)) == (f"600;refresher={refresher}", "timer")
    node.book.wire_in(answer(sent, 488, contact=A_CONTACT), CALLEE if side == "caller" else CALLER)
    node.book.sent.clear()
    response = refresh(talk, side, method, TIMER.format(600, refresher), asked=row)
    assert response.value(h.SESSION_EXPIRES) == f"600;refresher={refresher}"
    assert response.value(h.REQUIRE) == "timer"
    talk.hang_up()


# -- the watch ---------------------------------------------------------------------------------------------------------


def test_call_whose_refreshes_never_come_is_ended_on_both_sides() -> None:
    """At the interval itself: the ends' own BYE, 30 s before (§10), would have come first."""
    node = CoreNode(WATCHING)
    agreed(node)
    node.wait(89.9)
    node.book.silence()
    node.wait(0.2)
    over(node)
    assert node.record["bill_seconds"] == 0  # nobody has been heard since the answer was acknowledged


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("side", ["caller", "callee"])
def test_each_refresh_starts_the_interval_anew(side: str, method: str) -> None:
    node = CoreNode(WATCHING)
    talk = agreed(node)
    node.wait(45)
    refresh(talk, side, method, TIMER.format(90, "uac"))
    node.wait(89.5)
    node.book.silence()
    refresh(talk, side, method, TIMER.format(120, "uac"))  # the newest interval counts
    node.wait(119.9)
    node.book.silence()
    node.wait(0.2)
    over(node)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_refresh_that_fails_is_none(method: str) -> None:
    node = CoreNode(WATCHING)
    talk = agreed(node)
    node.wait(45)
    refresh(talk, "caller", method, TIMER.format(90, "uac"), 488)
    node.wait(44.9)
    node.book.sent.clear()  # Timer G of the 488
    node.wait(0.2)
    over(node)


def test_refresh_whose_answer_does_not_cross_is_none() -> None:
    node = CoreNode(WATCHING)
    talk = agreed(node)
    node.wait(45)
    talk.from_caller("UPDATE", sdp=SDP)
    update = node.book.wire_out("UPDATE ", CALLEE)
    node.book.wire_in(answer(update, 200, extra="Session-Expires: 90 s", sdp=B_SDP), CALLEE)
    node.book.wire_out("SIP/2.0 500", CALLER)
    node.wait(45.1)
    over(node)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_2xx_without_an_interval_ends_the_watch(method: str) -> None:
    node = CoreNode(WATCHING)
    talk = agreed(node)
    refresh(talk, "callee", method, "Supported: timer")
    node.wait(300)
    node.book.silence()
    talk.hang_up()


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_ends_may_agree_later(method: str) -> None:
    node = CoreNode(WATCHING)
    talk = talking(node)
    node.wait(200)
    refresh(talk, "callee", method, TIMER.format(90, "uas"))
    node.wait(90.1)
    over(node)


def test_interval_below_the_least_ends_no_call_early() -> None:
    node = CoreNode(WATCHING)
    agreed(node, 5, asked="Session-Expires: 90")
    node.wait(89.9)
    node.book.silence()
    node.wait(0.2)
    over(node)


def test_copies_of_the_2xx_of_a_refresh_are_no_refreshes() -> None:
    node = CoreNode(WATCHING)
    talk = agreed(node)
    talk.from_caller("INVITE", sdp=SDP)
    node.book.wire_out("SIP/2.0 100", CALLER)
    again = node.book.wire_out("INVITE ", CALLEE)
    for _ in range(3):
        node.book.wire_in(answer(again, 200, extra=TIMER.format(90, "uac"), sdp=B_SDP), CALLEE)
        node.wait(4)
    node.book.sent.clear()
    talk.from_caller("ACK", cseq=2)
    node.book.wire_out("ACK ", CALLEE)
    node.wait(77.9)
    node.book.silence()
    node.wait(0.2)
    over(node)


def test_update_before_the_answer_settles_nothing() -> None:
    node = CoreNode(WATCHING)
    sent = start(node)
    talk = Talk(node, sent, ring(node, sent, 183))
    refresh(talk, "caller", "UPDATE", TIMER.format(90, "uac"))
    node.wait(50)
    node.book.wire_in(answer(sent, 200, sdp=B_SDP), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    talk.from_caller("ACK")
    node.book.wire_out("ACK ", CALLEE)
    node.wait(200)
    node.book.silence()
    talk.hang_up()


@pytest.mark.parametrize("side", ["caller", "callee"])
def test_nothing_is_watched_after_the_end(side: str) -> None:
    """The teardown sees that no timer is left, and no second record."""
    node = CoreNode(WATCHING)
    talk = agreed(node, 1800)
    node.wait(10)
    if side == "caller":
        talk.hang_up()
    else:
        talk.from_callee("BYE")
        node.book.wire_in(answer(node.book.wire_out("BYE ", CALLER), 200, contact=A_CONTACT), CALLER)
        node.book.wire_out("SIP/2.0 200", CALLEE)
    assert node.record["release_cause"] == "NORMAL"


def test_bye_that_came_while_the_answer_was_stored_leaves_no_watch() -> None:
    node = CoreNode(WATCHING)
    node.durable = {Step.OPEN}
    sent = start(node, invite(extra="Session-Expires: 1800"))
    early = ring(node, sent, 183)
    node.book.wire_in(answer(sent, 200, extra=TIMER.format(1800, "uac"), sdp=B_SDP), CALLEE)
    Talk(node, sent, early).from_callee("BYE")
    node.release_held()
    node.book.wire_out("SIP/2.0 200", CALLER)
    (call,) = node.context.attempts.values()
    assert isinstance(call, Call) and not call.is_set(t.SESSION_TIMER)


def test_byes_of_the_ends_join_the_end_that_was_decided() -> None:
    node = CoreNode(WATCHING)
    talk = agreed(node)
    node.wait(90.1)
    node.book.wire_out("BYE ", CALLER)
    bye = node.book.wire_out("BYE ", CALLEE)
    talk.from_callee("BYE")
    node.book.wire_in(answer(bye, 481), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLEE)
    assert (node.record["release_cause"], node.record["decided_by"]) == ("SESSION_EXPIRED", "session_timer")


def test_max_call_s_is_the_shorter_limit() -> None:
    node = CoreNode(with_policy(WATCHING, max_call_s=60))
    agreed(node)
    node.wait(60.1)
    assert node.book.wire_out("BYE ", CALLER) and node.book.wire_out("BYE ", CALLEE)
    node.wait(1)
    assert node.record["release_cause"] == "MAX_DURATION"
