"""Number rules: what is read and written by them, and that no spelling which they make crosses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core import callee_try, message_attempt, message_try
from engine.core.health import AddressHealth
from engine.core.identity import request_uri_for, to_value_for
from engine.core.number_rules import NumberRule, NumberRules
from engine.core.numbers import PRIVACY, UNKNOWN, Dialled, DialledKind, read_number
from engine.core.routing import Hop, Routing
from engine.core.settings import NumberFormat, PeerSettings, TargetSettings
from engine.core.wire_forms import arriving_user, wire_forms
from sipstack import headers as h
from sipstack.events import Flow
from tests.core.corenode import CALLEE, CALLER, CoreNode, X
from tests.core.parties import B_SDP, answer, invite, message, refused, send, start, talking
from tests.core.restart import frozen_of, restarted
from tests.core.trunkrules import (
    AT_HOME_A,
    AT_HOME_B,
    BY_RULES,
    GUANGZHOU,
    LOCAL_A,
    LOCAL_B,
    SHANGHAI,
    node_by_rules,
)

NATIONAL = NumberFormat.NATIONAL
MOBILE = "13800138000"
PLAIN = PeerSettings("plain", (), ())
INVITED = invite(caller=AT_HOME_A)


# -- reading and writing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "number", "wire"),
    [
        (AT_HOME_A, SHANGHAI, AT_HOME_A),
        ("8888-8888", SHANGHAI, AT_HOME_A),
        ("+86%388888888", SHANGHAI, f"+86{AT_HOME_A}"),
        (f"+86{AT_HOME_A}", SHANGHAI, f"+86{AT_HOME_A}"),
        (f"{AT_HOME_A};phone-context=+86", SHANGHAI, AT_HOME_A),
        (f"10198{MOBILE}", MOBILE, f"10198{MOBILE}"),
        (f"10198021{AT_HOME_A}", SHANGHAI, f"10198021{AT_HOME_A}"),
        (MOBILE, MOBILE, ""),  # none takes it
        (f"0{SHANGHAI}", SHANGHAI, ""),
        ("10086", "10086", ""),
    ],
)
def test_what_rules_make_is_read(user: str, number: str, wire: str) -> None:
    found = read_number(user, NATIONAL, LOCAL_A)
    assert (found.kind, found.number, found.wire) == (DialledKind.REAL, number, wire)


@pytest.mark.parametrize(
    "user", ["1019812", "1019811111111111111111111111111111111111", "+8688", "8888888a", "+4988888888"]
)
def test_what_is_no_number_after_its_rule_is_none(user: str) -> None:
    assert read_number(user, NATIONAL, LOCAL_A) == UNKNOWN


@pytest.mark.parametrize("user", [X, f"+86{X}", f"0086{X}", f"86{X}", X[:-1], f"{X}1"])
def test_700_numbers_come_to_no_rule(user: str) -> None:
    every = NumberRules("all", (NumberRule(add="9"),))
    assert read_number(user, NATIONAL, every) == read_number(user, NATIONAL)
    assert read_number("9", NATIONAL, every) == UNKNOWN


def test_a_mobile_comes_to_rules_like_any_other_number() -> None:
    moved = NumberRules("moved", (NumberRule("138", 11, None, 3, "139"),))
    assert read_number(MOBILE, NATIONAL, moved).number == f"139{MOBILE[3:]}"


def test_a_700_number_behind_a_routing_prefix_is_one() -> None:
    assert read_number(f"10198{X}", NATIONAL, LOCAL_A) == Dialled(PRIVACY, X)


@pytest.mark.parametrize(
    ("number_format", "number", "uri", "to"),
    [
        ("national", GUANGZHOU, f"sip:{AT_HOME_B}@h", f"<sip:{AT_HOME_B}@h>"),
        ("plus", GUANGZHOU, f"sip:{AT_HOME_B}@h", f"<sip:{AT_HOME_B}@h>"),
        ("plus", SHANGHAI, f"sip:+86{SHANGHAI}@h", f"<sip:+86{SHANGHAI}@h>"),
        ("national", MOBILE, f"sip:0{MOBILE}@h", f"<sip:0{MOBILE}@h>"),
        ("tel", SHANGHAI, f"tel:+86{SHANGHAI}", f"<tel:+86{SHANGHAI}>"),
        ("tel", GUANGZHOU, f"tel:{AT_HOME_B};phone-context=+86", f"<tel:{AT_HOME_B};phone-context=+86>"),
    ],
)
def test_rules_write_what_is_sent(number_format: str, number: str, uri: str, to: str) -> None:
    peer = replace(PLAIN, number_format=NumberFormat(number_format), rules_out=LOCAL_B)
    hop = Hop(peer, TargetSettings("sip:h", "h", 0), Flow("UDP", "h", 5060), AddressHealth("", None))
    assert (request_uri_for(number, hop), to_value_for(number, hop)) == (uri, to)


def test_a_number_as_it_would_come() -> None:
    """As its trunk writes numbers, unless it would be read there as another one."""
    assert arriving_user(SHANGHAI, NATIONAL, LOCAL_A) == SHANGHAI
    with_nine = NumberRules("nine", (NumberRule("9", 0, None, 1), NumberRule(add="99")))
    assert arriving_user(SHANGHAI, NATIONAL, with_nine) == f"9{SHANGHAI}"
    assert read_number(f"9{SHANGHAI}", NATIONAL, with_nine).number == SHANGHAI


# -- spellings that are searched ---------------------------------------------------------------------------------------


def peer(rules_in: tuple[NumberRule, ...] = (), rules_out: tuple[NumberRule, ...] = ()) -> PeerSettings:
    found = [NumberRules("n", rules) if rules else None for rules in (rules_in, rules_out)]
    return replace(PLAIN, rules_in=found[0], rules_out=found[1])


@pytest.mark.parametrize(
    ("writer", "number", "wire", "forms"),
    [
        (peer(), SHANGHAI, "1", set()),
        (peer((NumberRule(length=8, add="21"),)), SHANGHAI, "", {AT_HOME_A}),
        (peer((NumberRule(length=8, add="021"),)), SHANGHAI, "", {AT_HOME_A}),
        (peer((NumberRule(length=8, add="+8621"),)), SHANGHAI, "", {AT_HOME_A}),
        (peer((NumberRule(length=8, add="21"),)), GUANGZHOU, "", set()),
        (peer((NumberRule("9", 9, None, 1, "21"),)), SHANGHAI, "", {f"9{AT_HOME_A}", AT_HOME_A}),
        (peer((NumberRule("0", 0, None, 1),)), SHANGHAI, f"0{SHANGHAI}", set()),  # the number itself finds it
        (
            peer((NumberRule("9", 0, None, 1),)),
            "10086",
            "910086",
            {"910086", "98610086", "9008610086"},
        ),  # of a short one only words count
        (peer((NumberRule(length=4, add="218888"),)), SHANGHAI, "8888", set()),  # an extension
        (peer((), (NumberRule("21", 0, None, 2),)), SHANGHAI, "", {AT_HOME_A}),
        (peer((), (NumberRule("21", 0, None, 2, "9"),)), SHANGHAI, "", {AT_HOME_A, f"9{AT_HOME_A}"}),
        (peer((), (NumberRule("20", 0, None, 2),)), SHANGHAI, "", set()),
        (peer((NumberRule("1", 0, None, 9),)), SHANGHAI, "123456789", {"123456789"}),  # as it has come
    ],
)
def test_spellings_that_the_number_itself_does_not_find(
    writer: PeerSettings, number: str, wire: str, forms: set[str]
) -> None:
    assert set(wire_forms(number, writer, PLAIN, wire)) == forms
    if not wire:
        assert set(wire_forms(number, PLAIN, writer)) == forms  # whichever leg has the rules


# -- in a call ---------------------------------------------------------------------------------------------------------


def test_a_call_is_read_and_written_by_rules() -> None:
    node = node_by_rules()
    talk = talking(node, INVITED)
    assert (talk.invite.uri_text, talk.invite.value(h.TO)) == (
        f"sip:{AT_HOME_B}@127.0.0.13:5060",
        f"<sip:{AT_HOME_B}@127.0.0.13>",
    )
    talk.hang_up()
    node.assert_recorded(caller=SHANGHAI, callee=GUANGZHOU, release_cause="NORMAL")
    assert not any(AT_HOME_A.encode() in data for data in node.sent_to(CALLEE))
    assert not any(AT_HOME_B.encode() in data for data in node.sent_to(CALLER))


def leaking_invite(note: str) -> bytes:
    return invite(caller=AT_HOME_A, extra=f"X-Note: {note}")


A_SPELLED = [AT_HOME_A, "8888-8888", f"+86{AT_HOME_A}", SHANGHAI, f"021 {AT_HOME_A}", f"10198{SHANGHAI}"]


@pytest.mark.parametrize("spelled", A_SPELLED)
def test_no_spelling_of_the_caller_crosses(spelled: str) -> None:
    node = node_by_rules()
    node.book.wire_in(leaking_invite(spelled), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    refused(node, 403, 21)
    assert node.record["release_cause"] == "LEAK_STOPPED" and node.sent_to(CALLEE) == []


@pytest.mark.parametrize("spelled", [AT_HOME_B, f"020-{AT_HOME_B}", GUANGZHOU])
def test_no_spelling_of_the_callee_crosses(spelled: str) -> None:
    node = node_by_rules()
    sent = start(node, INVITED)
    node.book.wire_in(answer(sent, 183, extra=f"X-Note: {spelled}"), CALLEE)
    node.book.silence()  # counted, and not passed on
    assert node.counters["leak_stopped_provisional"] == 1
    node.book.wire_in(answer(sent, 486), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    refused(node, 486, 17)


def test_what_came_by_another_rule_is_searched_as_it_came() -> None:
    """Of a rule that takes off what is not known beforehand nothing but the number as it has come can tell."""
    rules = NumberRules("short", (NumberRule("6", 7, None, 7), NumberRule("6", 8, None, 7, SHANGHAI[:-1])))
    settings = replace(BY_RULES, peers=(replace(BY_RULES.peers[0], rules_in=rules), BY_RULES.peers[1]))
    node = node_by_rules(settings)
    node.book.wire_in(invite(caller="61234568", extra="X-Note: 61234568").replace(b"+86", b""), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    refused(node, 403, 21)
    assert (node.record["caller"], node.record["release_cause"]) == (SHANGHAI, "LEAK_STOPPED")


@pytest.mark.parametrize(("side", "spelled"), [("caller", AT_HOME_A), ("callee", AT_HOME_B)])
def test_an_adopted_call_hides_them_too(side: str, spelled: str) -> None:
    talk = talking(node_by_rules(), INVITED)
    frozen = frozen_of(talk.node)
    assert AT_HOME_B in frozen.caller.also_hidden and AT_HOME_A in frozen.callee.also_hidden
    talk.node = node = restarted(talk.node, BY_RULES, 40.0)
    (talk.from_caller if side == "caller" else talk.from_callee)("INFO", f"X-Note: {spelled}")
    node.book.wire_out("SIP/2.0 403", CALLER if side == "caller" else CALLEE)
    node.book.wire_out("BYE ", CALLER)
    node.book.wire_out("BYE ", CALLEE)
    assert node.counters["leaks_stopped"] == 1


def test_each_try_hides_the_callee_as_its_trunk_spells_him() -> None:
    """The first target fails, and the next is on a trunk with rules of its own."""
    bare = replace(BY_RULES.peers[1], name="bare", match=("127.0.0.14",), rules_out=None)
    routes = (BY_RULES.routes[0], replace(BY_RULES.routes[1], peers=("bare", "callee-side")))
    settings = replace(BY_RULES, peers=(*BY_RULES.peers, bare), routes=routes)
    node = node_by_rules(settings)
    first = start(node, INVITED)
    assert first.uri_text.startswith(f"sip:{GUANGZHOU}@")
    node.book.wire_in(answer(first, 503), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    second = node.book.wire_out("INVITE ", CALLEE)
    assert second.uri_text.startswith(f"sip:{AT_HOME_B}@")
    node.book.wire_in(answer(second, 200, extra=f"X-Note: {AT_HOME_B}", sdp=B_SDP), CALLEE)
    node.book.wire_out("ACK ", CALLEE)
    node.book.wire_in(answer(node.book.wire_out("BYE ", CALLEE), 200), CALLEE)
    refused(node, 403, 21)


# -- in a message ------------------------------------------------------------------------------------------------------


def text(said: str, rows: str = "") -> bytes:
    return message(said, rows=rows).replace(MOBILE.encode(), AT_HOME_A.encode())


@pytest.mark.parametrize(
    ("said", "arrives"),
    [
        (f"call {AT_HOME_A}", "call 88****88"),
        ("call 8888-8888 or 8888 8888!", "call 88**-**88 or 88** **88!"),
        (f"call {SHANGHAI}", "call 21******88"),
        ("call 77777777", "call 77777777"),
    ],
)
def test_a_text_is_masked_in_every_spelling(said: str, arrives: str) -> None:
    node = node_by_rules()
    sent = send(node, text(said))
    assert sent.body.decode().strip() == arrives
    assert sent.uri_text == f"sip:{AT_HOME_B}@127.0.0.13:5060"
    node.book.wire_in(answer(sent, 200), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)


def test_a_row_of_a_message_is_searched() -> None:
    node = node_by_rules()
    node.book.wire_in(text("hello", rows=f"X-Note: {AT_HOME_A}"), CALLER)
    refused(node, 403, 21)
    assert node.record["release_cause"] == "LEAK_STOPPED" and node.sent_to(CALLEE) == []


# -- what would happen without -----------------------------------------------------------------------------------------


def crosses(node: CoreNode, secret: str, address: str) -> bool:
    return any(secret.encode() in data for data in node.sent_to(address))


@pytest.mark.pure
def test_without_the_spellings_they_would_cross(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the tests above are about them: each place that asks for the spellings is missed when it does not."""
    for module in (callee_try, message_attempt, message_try):
        monkeypatch.setattr(module, "wire_forms", lambda *known: ())
    node = node_by_rules()
    sent = start(node, leaking_invite(AT_HOME_A))
    node.book.wire_in(answer(sent, 200, extra=f"X-Note: {AT_HOME_B}", sdp=B_SDP), CALLEE)
    node.book.wire_out("SIP/2.0 200", CALLER)
    assert crosses(node, AT_HOME_A, CALLEE) and crosses(node, AT_HOME_B, CALLER)
    other = node_by_rules()
    send(other, text(f"call {AT_HOME_A}", rows=f"X-Note: {AT_HOME_A}"))
    assert crosses(other, AT_HOME_A, CALLEE)
    CoreNode.made.clear()  # neither of them rests


def test_a_call_that_began_before_a_reload_hides_what_its_rules_had_made() -> None:
    """The next target is tried after the rules have gone from the file."""
    node = node_by_rules(replace(BY_RULES, routes=(replace(BY_RULES.routes[1], peers=("callee-side",)),)))
    node.looks_up = False
    node.book.wire_in(leaking_invite(AT_HOME_A), CALLER)
    node.book.wire_out("SIP/2.0 100", CALLER)
    bare = tuple(replace(one, rules_in=None, rules_out=None) for one in BY_RULES.peers)
    changed, trunks = replace(BY_RULES, peers=bare), node.service.trunks
    node.book.perform(trunks.reload(changed, Routing(changed, trunks.addresses()), node.book.now))
    node.release_lookup()
    refused(node, 403, 21)
    assert (node.record["caller"], node.record["release_cause"]) == (SHANGHAI, "LEAK_STOPPED")
