"""Every story of scenarios/ with real SIPp on either side, and on both: what comes of them is what our player finds."""

from __future__ import annotations

import pytest

from scenarios.play import play_all
from scenarios.rig.engine import EngineName
from scenarios.rig.story import read_story, story_names

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400)]


@pytest.mark.parametrize(("uac", "uas"), [("sipp", "sipp"), ("sipp", "player"), ("player", "sipp")])
def test_stories(uac: EngineName, uas: EngineName) -> None:
    names = story_names()
    results = list(play_all([read_story(name) for name in names], uac, uas))
    assert {result.story: result.wrong for result in results if result.wrong} == {}
    assert sorted(result.story for result in results) == names
