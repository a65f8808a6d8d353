"""What tells what became of calls when a worker is killed: logs of both ends, and the records."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench import kill
from bench.kill import Killed
from bench.rig import data as rig_data
from bench.rig.command import alone
from bench.rig.interrupted import (
    CHANCE,
    KILLED,
    OTHERS,
    Books,
    Call,
    Group,
    Logged,
    Outcome,
    Phase,
    Record,
    books,
    judged,
    read_log,
)
from bench.rig.systems import VEIL700_TWO

KILLED_S = 100.0
OURS, THEIRS = "700904748873394", "700904748873395"  # of workers 0 and 1
GOOD = Record("019b0c6a5c00-b", "a@caller", "a@callee", 4000, "caller", "NORMAL", 200)
RESTARTED = replace(GOOD, release_direction="platform", release_cause="NODE_RESTART", sip_status=500)


def sent(at_s: float, method: str, number: str = OURS) -> Logged:
    return Logged(at_s, True, method, 0, f"{method} sip:{number}@127.0.0.11:5060 SIP/2.0")


def heard(at_s: float, method: str, status: int = 0) -> Logged:
    return Logged(at_s, False, method, status, f"SIP/2.0 {status} OK" if status else f"{method} sip:b SIP/2.0")


def said(at_s: float, method: str, status: int) -> Logged:
    return replace(heard(at_s, method, status), is_sent=True)


def call(began_s: float = 90.0, number: str = OURS) -> Call:
    """That rings for a second, and talks for four."""
    caller = [
        sent(began_s, "INVITE", number), heard(began_s + 0.01, "INVITE", 180), heard(began_s + 1.02, "INVITE", 200),
        sent(began_s + 1.02, "ACK"), sent(began_s + 5.02, "BYE"), heard(began_s + 5.04, "BYE", 200),
    ]  # fmt: skip
    callee = [
        heard(began_s + 0.01, "INVITE"), said(began_s + 0.01, "INVITE", 180), said(began_s + 1.01, "INVITE", 200),
        heard(began_s + 1.03, "ACK"), heard(began_s + 5.03, "BYE"), said(began_s + 5.03, "BYE", 200),
    ]  # fmt: skip
    return Call(caller, callee)


def without(seen: Call, method: str, status: int = 0) -> Call:
    """The same of which the caller has not logged that."""
    return replace(seen, caller=[m for m in seen.caller if (m.method, m.status) != (method, status)])


def unanswered(final: int = 0, began_s: float = 99.5) -> Call:
    """That rang, and was told so at last; 0: nothing."""
    ringing = call(began_s).caller[:2]
    return Call([*ringing, *([heard(began_s + 9, "INVITE", final)] if final else [])], call(began_s).callee[:2])


# -- one call ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("began_s", "phase"),
    [(94.9, Phase.OVER), (94.97, Phase.ANSWERED), (98.97, Phase.ANSWERED), (98.99, Phase.SETUP), (99.99, Phase.SETUP),
     (100.01, Phase.LATER)],
)  # fmt: skip
def test_what_a_call_is_at(began_s: float, phase: Phase) -> None:
    assert call(began_s).phase(KILLED_S) is phase


def test_a_call_that_was_refused_is_over() -> None:
    assert unanswered(500, 90.0).phase(KILLED_S) is Phase.OVER
    assert unanswered(500, 99.0).phase(KILLED_S) is Phase.SETUP


@pytest.mark.parametrize(
    ("seen", "records", "outcome"),
    [
        (call(), [GOOD], Outcome.NORMAL),
        (call(), [], Outcome.UNRECORDED),
        (call(), [GOOD, GOOD], Outcome.DOUBLED),
        (unanswered(), [RESTARTED], Outcome.RESTARTED),
        (unanswered(500), [RESTARTED], Outcome.RESTARTED),
        (unanswered(503), [replace(GOOD, release_cause="OVERLOAD", sip_status=503)], Outcome.REFUSED),
    ],
)
def test_what_came_of_a_call(seen: Call, records: list[Record], outcome: Outcome) -> None:
    assert judged(seen, records) == (outcome, "")


@pytest.mark.parametrize(
    ("seen", "record", "says"),
    [
        (call(), RESTARTED, "answered, recorded as NODE_RESTART 500"),
        (call(), replace(GOOD, release_cause="NO_ACK"), "answered, recorded as NO_ACK 200"),
        (call(), replace(GOOD, release_direction="platform"), "the caller hung up, recorded is platform"),
        (call(), replace(GOOD, duration_ms=3400), "recorded are 3.400 s, seen were 4.000..4.030"),
        (call(), replace(GOOD, duration_ms=4600), "recorded are 4.600 s, seen were 4.000..4.030"),
        (without(call(), "BYE", 200), GOOD, "hanging up was not confirmed"),
        (replace(call(), callee=call().callee[:4]), GOOD, "the callee was not hung up on"),
        (replace(call(), callee=call().callee[4:]), GOOD, "the callee has not answered"),
        (unanswered(), GOOD, "told 0, recorded as NORMAL 200"),
        (unanswered(503), RESTARTED, "told 503, recorded as NODE_RESTART 500"),
        (unanswered(), replace(GOOD, release_cause="OVERLOAD", sip_status=503), "told 0, recorded as OVERLOAD 503"),
        (unanswered(), replace(RESTARTED, sip_status=200), "told 0, recorded as NODE_RESTART 200"),
    ],
)
def test_what_is_wrong_with_a_call(seen: Call, record: Record, says: str) -> None:
    assert judged(seen, [record]) == (Outcome.WRONG, says)


def test_a_call_of_which_something_was_sent_twice() -> None:
    once = call()
    assert not once.is_repeated
    assert not replace(once, caller=[*once.caller, sent(91.5, "ACK")]).is_repeated, "asked for by another 200"
    for method in ("INVITE", "BYE"):
        assert replace(once, caller=[*once.caller, sent(95.6, method)]).is_repeated
    assert replace(once, callee=[*once.callee, said(91.5, "INVITE", 200)]).is_repeated


# -- all of them -------------------------------------------------------------------------------------------------------


def run(more: dict[str, Call] | None = None, records: list[Record] | None = None) -> Books:
    """A call of each row of the table, and `more` instead of them or beside them."""
    moments_s = {Phase.OVER: 90.0, Phase.ANSWERED: 97.0, Phase.SETUP: 99.5, Phase.LATER: 101.0}
    calls = {
        f"{phase} {number}": call(began_s, number)
        for number in (OURS, THEIRS)
        for phase, began_s in moments_s.items()
    } | (more or {})  # fmt: skip
    named = {record.caller_call_id for record in records or []}
    kept = [replace(GOOD, caller_call_id=i, callee_call_id=f"far of {i}") for i in calls if i not in named]
    callee = {f"far of {call_id}": each.callee for call_id, each in calls.items()}
    caller = {call_id: each.caller for call_id, each in calls.items()}
    return books(caller, callee, kept + (records or []), (0, KILLED_S), 2)


def named(record: Record, call_id: str) -> Record:
    return replace(record, caller_call_id=call_id, callee_call_id=f"far of {call_id}")


def test_books_that_are_in_order() -> None:
    found = run({f"in setup {OURS}": unanswered()}, [named(RESTARTED, f"in setup {OURS}")])
    assert [(one.name, one.calls) for one in found.groups] == [
        (f"{whose}, {phase}", 1) for whose in (KILLED, OTHERS) for phase in Phase
    ]
    assert found.groups[2].outcomes == {Outcome.RESTARTED: 1}
    assert found.faults == []


def test_a_call_in_setup_may_be_answered_all_the_same() -> None:
    assert run().faults == []


@pytest.mark.parametrize(
    ("call_id", "seen", "record", "says"),
    [
        (f"in setup {THEIRS}", replace(unanswered(), caller=[sent(99.5, "INVITE", THEIRS)]), RESTARTED,
         "others, in setup: 1 of 1 NODE_RESTART"),
        (f"answered {OURS}", call(97.0), replace(GOOD, release_cause="NODE_RESTART"),
         "killed worker, answered: 1 of 1 wrong: answered, recorded as NODE_RESTART 200"),
        (f"not begun {OURS}", unanswered(began_s=101.0), RESTARTED, "killed worker, not begun: 1 of 1 NODE_RESTART"),
    ],
)  # fmt: skip
def test_what_must_not_come_of_a_call(call_id: str, seen: Call, record: Record, says: str) -> None:
    assert run({call_id: seen}, [named(record, call_id)]).faults == [says]


def test_records_of_no_call_and_none_of_a_call() -> None:
    assert run(records=[named(GOOD, "nobody")]).faults == ["1 records of no call"]
    call_id = f"answered {OURS}"
    twice = [named(GOOD, call_id), named(GOOD, call_id)]
    assert run(records=twice).faults == ["killed worker, answered: 1 of 1 two records"]


def test_others_repeat_no_more_than_usual() -> None:
    def repeated(began_s: float, count: int) -> dict[str, Call]:
        once = call(began_s, THEIRS)
        twice = replace(once, caller=[*once.caller, sent(began_s + 5.6, "BYE")])
        return {f"{began_s} {number}": twice for number in range(count)}

    assert run(repeated(99.5, CHANCE)).faults == []
    assert run(repeated(99.5, CHANCE + 1)).faults == ["others: 3 repeated since the kill, at most 2 is usual"]
    usual = repeated(90.0, 1)  # one of three: of ten 3.3, and three times its root
    assert run(repeated(99.5, 7) | usual).repeats_allowed == 9 + CHANCE
    assert run(repeated(99.5, 7) | usual).faults == []


def test_a_row_without_a_call_proves_nothing() -> None:
    assert Group(KILLED, Phase.SETUP).faults == ["killed worker, in setup: no call, which proves nothing"]


def test_what_the_node_says_of_itself_counts_too() -> None:
    good = Killed(8, 0.6, run(), [1, 0], 0, [])
    assert good.faults == []
    assert replace(good, open=3).faults == ["3 records are open, and no call goes on"]
    assert replace(good, verified=["record 4 is not there"]).faults == ["cdr verify: record 4 is not there"]
    assert replace(good, restarts=[2, 0]).faults == ["workers were started again [2, 0] times: one was killed, once"]


def test_a_log_of_one_line_a_message(tmp_path: Path) -> None:
    file = tmp_path / "caller.log"
    file.write_text(
        "2026-11-27\t07:01:01.266882\t1795762861.266882\tS\t1-2@a\tCSeq:1 INVITE\tINVITE sip:7009@b:5060 SIP/2.0\n"
        "2026-11-27\t07:01:01.269292\t1795762861.269292\tR\t1-2@a\tCSeq:1 INVITE\tSIP/2.0 200 OK\n"
        "2026-11-27\t07:01:01.2692"
    )
    assert read_log(file) == {
        "1-2@a": [
            Logged(1795762861.266882, True, "INVITE", 0, "INVITE sip:7009@b:5060 SIP/2.0"),
            Logged(1795762861.269292, False, "INVITE", 200, "SIP/2.0 200 OK"),
        ]
    }


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--system", "veil700"], "invalid choice: 'veil700'"),
        (["--rate", "0"], "argument --rate"),
        (["--seconds", "11"], "--seconds 11: calls that are over in the middle need 12 at the least"),
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    with pytest.raises(SystemExit) as ended:
        kill.main(words)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_worker_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(rig_data, "_compile", lambda _folder: None)
    data = rig_data.ready_data(200, lambda _line: None, tmp_path)
    with alone():
        found = kill.killed(VEIL700_TWO, data, 20, 1.0, 7)
    assert (found.placed, found.faults) == (140, [])
    kill._print(VEIL700_TWO, found, 20)
    assert "records that are open: 0; cdr verify: clean" in capfd.readouterr().out
    assert json.loads(json.dumps(kill._as_object(found)))["groups"][0]["whose"] == KILLED
