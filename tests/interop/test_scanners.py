"""SIPVicious looks for SIP devices and for extensions while a call is on: it hears nothing, and harms nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from scenarios.rig.check import ended_wrong
from scenarios.rig.node import Node
from scenarios.rig.place import PORT, Place
from scenarios.rig.privacy import CALLEE_CANARY, CALLER_CANARY, Side
from tests.e2e.stories import BINDING, A, B, X, assert_private

SCAN_S: Final = 60
TALK_MS: Final = 20_000

pytestmark = pytest.mark.interop


@pytest.fixture
def scan(place: Place, tmp_path: Path) -> Callable[..., str]:
    """Runs one of its tools on the node from a stranger's host to its end, and returns all that it has printed."""

    def run(tool: str, *words: str) -> str:
        done = subprocess.run(
            [tool, "-b", place.stranger, "-x", place.stranger, "-P", str(PORT), f"-p{PORT}", *words, place.node],
            cwd=tmp_path, env={**os.environ, "HOME": str(tmp_path)}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=SCAN_S, check=False,
        )  # fmt: skip
        return done.stdout

    return run


def test_scans_during_a_call(make_node: Callable[..., Node], place: Place, sipp: Any, scan: Callable[..., str]) -> None:
    node = make_node()
    node.bind(BINDING)
    node.start()
    answering = sipp("answered/uas", place.callee, timeout_s=SCAN_S)
    calling = sipp(
        "answered/uac", place.caller, target=place.node, rows=[(X, A)], talk_ms=TALK_MS, timeout_s=SCAN_S
    )  # fmt: skip
    strangers = 0
    for words in (
        ("svmap", "-m", "OPTIONS"),
        ("svmap", "-m", "INVITE", "-e", X),
        ("svwar", "-m", "REGISTER", "-e", "100-120", "--force", "--maximumtime", "1"),
        ("svwar", "-m", "INVITE", "-e", f"{X}-{int(X) + 3}", "--force", "--maximumtime", "1"),
    ):
        said = scan(*words)
        known = node.status()["counters"]["unknown_source"]
        assert known > strangers, (words, said)  # it has asked
        assert "SIP Device" not in said and "reqauth" not in said and "noauth" not in said, (words, said)
        strangers = known
    assert len(node.calls()) == 1, "the scans took longer than the call"
    assert (calling.wait().is_clean(1), answering.wait().is_clean(1)) == (True, True)
    [record] = node.records()
    assert ended_wrong(node) == []
    assert (record["release_cause"], record["caller"], record["callee"]) == ("NORMAL", A, B)
    assert_private(
        Side(calling.messages, place.caller, A, CALLER_CANARY),
        Side(answering.messages, place.callee, B, CALLEE_CANARY),
    )
