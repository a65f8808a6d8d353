"""Writes the table of scenarios/README.md from the stories; `make docs` runs it."""

from __future__ import annotations

from typing import Final

from docs.conformance import table_row
from scenarios.rig.story import STORIES, Story, read_story, story_names

PAGE: Final = STORIES / "README.md"
BEGIN: Final = "<!-- made by `make docs` from the stories: change it there -->\n"
END: Final = "<!-- end of what `make docs` makes -->\n"


def row(number: int, story: Story) -> str:
    """One story as a row of the table."""
    told = story.record
    proves = " ".join(story.proves.split())
    return table_row(
        str(number), f"`{story.name}`", story.title, proves, story.flow, str(told.sip_status), told.release_cause
    )


def with_stories(page: str) -> str:
    """The page with the table between its marks made anew. ValueError when a mark is missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("needs both marks")
    stories = [read_story(name) for name in story_names()]
    lines = [
        table_row("", "story", "what happens", "what it proves", "flow", "SIP", "recorded as"),
        "|---|---|---|---|---|---|---|",
        *(row(number, story) for number, story in enumerate(stories, 1)),
    ]
    return f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n\n{END}{after}"
