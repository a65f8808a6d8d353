"""A record waits a fifth of a second for the answer to a BYE: of a party that was held up it says nothing of that."""

from __future__ import annotations

from typing import Any

import pytest

from scenarios.rig.place import Place
from scenarios.rig.record import expected_record
from scenarios.rig.seen import Seen
from scenarios.rig.story import read_story
from scenarios.rig.told import Told


def seen(at_s: float, start: str, cseq: str) -> Seen:
    return Seen(at_s, True, f"{start}\r\nCSeq: {cseq}\r\nCall-ID: 1\r\n\r\n".encode())


@pytest.mark.parametrize(
    ("took_s", "kept", "is_wanted"),
    [(0.1, {}, True), (0.1, {"bye": 200}, True), (0.3, {}, False), (0.3, {"bye": 200}, True)],
)
def test_an_answer_that_came_late_may_be_missing(took_s: float, kept: dict[str, int], is_wanted: bool) -> None:
    story = read_story("answered")
    record: dict[str, Any] = {"attempts": [{"peer": "callee-side", "status": 200, **kept}]}
    caller = [seen(1.0, "INVITE sip:b SIP/2.0", "1 INVITE"), seen(5.0, "BYE sip:b SIP/2.0", "2 BYE")]
    callee = [seen(5.0 + took_s, "SIP/2.0 200 OK", "2 BYE")]
    expected = expected_record(story, Told(caller, callee, records=[record]), Place("127.0.0"))
    attempts: Any = expected["attempts"]
    assert ("bye" in attempts[-1]) is is_wanted
