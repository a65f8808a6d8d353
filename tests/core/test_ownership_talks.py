"""Conversations that other tests tell, as one of 32 workers has them: whatever comes in one of them belongs to it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from engine.core.ownership import MAX_WORKERS, owner_letter, owner_of, owner_of_record, owner_of_sent
from engine.core.tokens import TokenSource
from sipstack.testing.playbook import Playbook
from tests.core import (
    corenode,
    test_adoption,
    test_call_answered,
    test_call_bye,
    test_call_cancel,
    test_call_forks,
    test_call_in_dialog,
    test_call_races,
    test_call_reinvite,
    test_call_retransmissions,
    test_dialog_prack,
    test_dialog_update,
    test_lost_tries,
    test_message_delivery,
    test_redirect,
    test_refresh,
    test_sms_report,
    test_sms_restart,
    test_transfer,
)
from tests.core.corenode import CENTRE_A, CoreNode, X

OF_X = int(X[-4:]) % MAX_WORKERS
OF_CENTRE = int(CENTRE_A[-4:]) % MAX_WORKERS  # to which short messages are addressed

TALKS = (
    (OF_X, test_adoption), (OF_X, test_call_answered), (OF_X, test_call_bye), (OF_X, test_call_cancel),
    (OF_X, test_call_forks), (OF_X, test_call_in_dialog), (OF_X, test_call_races), (OF_X, test_call_reinvite),
    (OF_X, test_call_retransmissions), (OF_X, test_dialog_prack), (OF_X, test_dialog_update), (OF_X, test_lost_tries),
    (OF_X, test_message_delivery), (OF_X, test_redirect), (OF_X, test_refresh), (OF_X, test_transfer),
    (OF_CENTRE, test_sms_report), (OF_CENTRE, test_sms_restart),
)  # fmt: skip

# The one tells what is written with one worker; in the other somebody guesses a branch.
ELSEWHERE = (
    "test_invite_to_callee_is_the_reference_line_by_line", "test_forged_response_with_a_guessed_branch_reaches_nobody",
)  # fmt: skip


def talks() -> Iterator[object]:
    for owner, module in TALKS:
        for name, talk in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("test_") and not inspect.signature(talk).parameters and name not in ELSEWHERE:
                yield pytest.param(owner, talk, id=f"{short(module)}-{name}")


def short(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


@pytest.mark.parametrize(("owner", "talk"), list(talks()))
def test_what_comes_belongs_to_the_worker_of_the_number(
    owner: int, talk: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    came: list[bytes] = []
    wire_in = Playbook.wire_in

    def note(book: Playbook, message: bytes, source: str) -> None:
        came.append(message)
        wire_in(book, message, source)

    monkeypatch.setattr(Playbook, "wire_in", note)
    monkeypatch.setattr(corenode, "TokenSource", lambda draw: TokenSource(draw, owner_letter(owner)))
    talk()
    assert came
    for message in came:
        assert owner_of(message, MAX_WORKERS) == owner, message
    for node in CoreNode.made:
        assert_is_told_by_what_it_sent(node, owner)


def assert_is_told_by_what_it_sent(node: CoreNode, owner: int) -> None:
    """Of its requests by the branch, as ICMP quotes them: but for ACKs of a 2xx, which no transaction waits for."""
    for sent in node.book.log:
        if not sent.data.startswith((b"SIP/2.0", b"ACK ")):
            assert owner_of_sent(sent.data[:200], MAX_WORKERS) == owner, sent.data
    for record in node.records:
        assert owner_of_record(str(record["record_id"]), "", MAX_WORKERS) == owner
