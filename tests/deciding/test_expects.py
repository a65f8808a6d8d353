"""Expects of a configuration: what holds, what does not and where it stands, without any store."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import pytest

from engine.config import ConfigError, load
from engine.config.written import masked, toml_text
from engine.deciding.expects import failing_expects

CONFIG: Final = """[[peer]]
name = "a-side"
match = ["10.1.0.1"]
[[peer]]
name = "b-side"
match = ["10.2.0.1"]
targets = ["sip:10.2.0.1", "sip:10.2.0.2:5070"]
number_format = "plus"
[[route]]
name = "mobiles"
called = "^1[3-9]"
peers = ["b-side"]
[[expect]]
"""
AXB: Final = 'binding = { tel_x = "700123456780001", tel_a = "13800138000", tel_b = "13900139000" }\n'
CALL: Final = 'caller = "13800138000"\ncalled = "700123456780001"\npeer = "a-side"\n'
SENT: Final = 'outcome = "sent"\n'


def failing(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "veil.toml"
    file.write_text(CONFIG + text)
    return [line.removeprefix(f"{file}:") for line in failing_expects(load(file), time.time())]


def test_all_that_an_expect_can_say_holds(tmp_path: Path) -> None:
    said = (
        'route = "mobiles"\ntarget = "sip:10.2.0.1"\ntargets = ["sip:10.2.0.1", "sip:10.2.0.2:5070"]\n'
        'request_uri = "sip:+8613900139000@10.2.0.1:5060"\npresented = "700123456780001"\ncause = ""\ndecided_by = ""\n'
    )
    assert failing(tmp_path, CALL + AXB + SENT + said) == []


@pytest.mark.parametrize(
    ("key", "got"),
    [
        ('route = "landlines"', 'route: expected "landlines", got "mobiles"'),
        ('target = "sip:10.2.0.2"', 'target: expected "sip:10.2.0.2", got "sip:10.2.0.1"'),
        (
            'targets = ["sip:10.2.0.2"]',
            'targets: expected ["sip:10.2.0.2"], got ["sip:10.2.0.1", "sip:10.2.0.2:5070"]',
        ),
        (
            'request_uri = "sip:13900139001@10.2.0.1"',
            'request_uri: expected "sip:139****9001@10.2.0.1", got "sip:+86****9000@10.2.0.1:5060"',
        ),
        ('presented = "700123456780002"', 'presented: expected "700123456780002", got "700123456780001"'),
        ('cause = "NO_ROUTE"', 'cause: expected "NO_ROUTE", got ""'),
        ("status = 404", "status: expected 404, got 0"),
    ],
)
def test_what_comes_out_otherwise_is_told_with_its_line(tmp_path: Path, key: str, got: str) -> None:
    assert failing(tmp_path, CALL + AXB + SENT + key) == [f"19: expect.{got}"]


def test_a_refusal_says_what_decided_it(tmp_path: Path) -> None:
    """Without a binding nothing is bound, whatever a store says."""
    [line] = failing(tmp_path, CALL + SENT)
    assert line == '17: expect.outcome: expected "sent", got "refused" (NO_BINDING, decided by bound)'


@pytest.mark.parametrize(
    ("binding", "caller", "called", "callee", "presented"),
    [
        ('mode = "AXYB", tel_y = "700123456780009", tel_a = "13800138000"', "a", "9", "b", "1"),
        ('mode = "AXYB", tel_y = "700123456780009", tel_a = "13800138000"', "b", "1", "a", "9"),
        ('mode = "GXB", group = ["13700137000", "13800138000"]', "a", "1", "b", "1"),
        ('mode = "GXB", group = ["13800138000", "13700137000"]', "b", "1", "a", "1"),
    ],
)
def test_every_mode_can_be_bound(
    tmp_path: Path, binding: str, caller: str, called: str, callee: str, presented: str
) -> None:
    numbers = {"a": "13800138000", "b": "13900139000"}
    text = (
        f'caller = "{numbers[caller]}"\ncalled = "70012345678000{called}"\npeer = "a-side"\n{SENT}'
        f'request_uri = "sip:+86{numbers[callee]}@10.2.0.1:5060"\npresented = "70012345678000{presented}"\n'
        f'binding = {{ tel_x = "700123456780001", tel_b = "13900139000", {binding} }}\n'
    )
    assert failing(tmp_path, text) == []


def test_a_message_and_whether_the_binding_lets_it_through(tmp_path: Path) -> None:
    text = CALL + 'method = "MESSAGE"\n' + SENT
    assert failing(tmp_path, text + AXB) == []
    [line] = failing(tmp_path, text + AXB.replace("{ ", "{ sms = false, "))
    assert line.endswith('got "refused" (DIRECTION_BLOCKED, decided by way_open)')


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (CALL + SENT + 'reqest_uri = "x"', "expect.reqest_uri: unknown key, did you mean request_uri?"),
        (
            CALL + SENT + AXB.replace("tel_b", "tell_b"),
            "expect.binding.tell_b: unknown key, did you mean tel_b?",
        ),
        (CALL + SENT + AXB.replace("{ ", '{ mode = "AXYB", '), "expect.binding: mode AXYB wants tel_y"),
        (CALL + SENT + AXB.replace("13800138000", "4711"), 'expect.binding.tel_a: "****" is no real number'),
        (CALL + SENT + AXB.replace("700123456780001", "7001"), 'expect.binding.tel_x: "7001" is no 700 number'),
        (CALL + SENT + 'at = "2026-11-24T08:00:00"', "expect.at: "),
        (CALL + SENT + 'at = "noon"', "expect.at: "),
        (CALL, "expect.outcome: missing"),
    ],
)
def test_an_expect_that_is_none_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        failing(tmp_path, text)
    assert told in str(refused.value)


def test_one_that_cannot_be_asked_fails(tmp_path: Path) -> None:
    [line] = failing(tmp_path, CALL.replace("a-side", "bside") + SENT)
    assert line == '16: expect.peer: cannot be decided: there is no peer "bside", did you mean b-side?'


def test_the_effective_configuration_shows_no_real_number_of_an_expect(tmp_path: Path) -> None:
    file = tmp_path / "veil.toml"
    file.write_text(CONFIG + CALL + AXB + SENT + 'request_uri = "sip:+8613900139000@10.2.0.1"\n')
    shown = toml_text(masked(load(file).model_dump(exclude_none=True)))
    assert "0013" not in shown
    assert 'called = "700123456780001"' in shown
    assert 'called = "^1[3-9]"' in shown  # of a route


def test_a_caller_is_written_as_the_rules_of_its_trunk_read_it(tmp_path: Path) -> None:
    """Every number that comes from there has a 9 before it; without one it would be another number, or none."""
    rules = '[[number_rules]]\nname = "nine"\nrules = [{ prefix = "9", strip = 1 }, { length = 11, add = "99" }]\n'
    text = CALL + AXB + SENT + rules
    file = tmp_path / "veil.toml"
    file.write_text(CONFIG.replace('match = ["10.1.0.1"]', 'match = ["10.1.0.1"]\nnumber_rules_in = "nine"') + text)
    assert failing_expects(load(file), time.time()) == []
