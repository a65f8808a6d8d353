"""After a restart a repeated BYE got 481 from a target of its trunk, whose address is in no `match` of that trunk.

While the call was there its BYE was taken from there: the INVITE had gone to that host.
"""

from __future__ import annotations

import pytest

from engine.core.settings import CoreSettings
from tests.core.corenode import CALLEE, CoreNode, with_trunk
from tests.core.parties import Talk, talking
from tests.core.restart import restarted

ELSEWHERE = with_trunk("callee-side", match=("127.0.0.77",))
OF_ANOTHER = with_trunk("caller-side", match=("127.0.0.0/8",), settings=ELSEWHERE)
OTHER = "127.0.0.78:5060"  # no host of the call


def hung_up(settings: CoreSettings) -> Talk:
    """A call that has ended, and a node that was started since with these settings."""
    talk = talking(CoreNode())
    talk.hang_up()
    call_id = str(talk.node.record["callee_call_id"])
    talk.node = restarted(talk.node, settings)
    talk.node.service.last_run.ended = {call_id: {"callee-side"}}
    return talk


@pytest.mark.parametrize("settings", [ELSEWHERE, OF_ANOTHER], ids=["of no trunk", "of another trunk"])
def test_it_is_answered(settings: CoreSettings) -> None:
    talk = hung_up(settings)
    talk.from_callee("BYE")
    talk.node.book.wire_out("SIP/2.0 200", CALLEE)
    talk.from_callee("BYE", source=OTHER)
    if settings is OF_ANOTHER:
        talk.node.book.wire_out("SIP/2.0 481", OTHER)
    else:
        talk.node.book.silence()


def test_it_is_not_where_a_certificate_must_be_shown() -> None:
    talk = hung_up(with_trunk("callee-side", tls_names=("b.example",), settings=OF_ANOTHER))
    talk.from_callee("BYE")
    talk.node.book.wire_out("SIP/2.0 481", CALLEE)
