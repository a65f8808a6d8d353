"""Every link of the documentation leads somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import ROOT, anchors, links, pages


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_nothing_shows_an_unfinished_merge() -> None:
    """Not in the pages, nor where no other test reads."""
    marks = ("<" * 7, "=" * 7, ">" * 7)
    files = [*pages(), *(ROOT / name for name in ("CHANGELOG.md", "Makefile", ".ci/run"))]
    wrong = [file.name for file in files for line in file.read_text("utf-8").splitlines() if line.startswith(marks)]
    assert wrong == []


def test_links_and_anchors_are_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `b`: c_d\n\n[x](y.md#z) ![p](q.png)\n\n```\n# no heading [no](link)\n```\n")
    assert anchors(page) == {"a-b-c_d"}
    assert list(links(page)) == ["y.md#z", "q.png"]
