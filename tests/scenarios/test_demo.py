"""`make demo`: it shows a call and a message that were really placed, and it would say when a number crossed."""

from __future__ import annotations

import subprocess
import sys
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from scenarios.demo.demo import A, B, X, embedded_node, verdict
from scenarios.rig.node import ROOT
from scenarios.rig.place import Place
from scenarios.rig.seen import Seen
from scenarios.rig.told import Told

PLACE = Place("127.98.0")


def received(start: str, *rows: str) -> list[Seen]:
    """One message that a side sent, and one that it got."""
    own = "\r\n".join(["OPTIONS sip:x SIP/2.0", f"Call-ID: {start}-own", "CSeq: 1 OPTIONS", "", ""])
    got = "\r\n".join([start, f"Call-ID: {start}-given", "CSeq: 1 INVITE", *rows, "", ""])
    return [Seen(0.0, True, own.encode()), Seen(1.0, False, got.encode())]


def judged(told: Told) -> tuple[int, str]:
    console = Console(width=200, file=StringIO())
    status = verdict(console, [told], PLACE)
    return status, console.file.getvalue()


def test_a_clean_story_is_praised() -> None:
    status, text = judged(Told(received("SIP/2.0 200 OK"), received(f"INVITE sip:{B}@h SIP/2.0", f"From: <sip:{X}@h>")))
    assert status == 0
    assert text.startswith("No real number crossed")
    assert "2 received messages" in text


@pytest.mark.parametrize(
    ("caller_got", "callee_got", "said"),
    [
        (f"X: {B}", "X: x", "to A: 200 INVITE: the real number"),
        ("X: x", f"X: +86 {A[:3]} {A[3:]}", "to B: INVITE: the real number"),
        (f"Via: SIP/2.0/UDP {PLACE.callee}", "X: x", "to A: 200 INVITE: the host"),
        ("X: x", "Server: CanaryOfCaller", "to B: INVITE: a canary"),
    ],
    ids=["to A", "to B", "host", "canary"],
)
def test_what_crossed_is_told(caller_got: str, callee_got: str, said: str) -> None:
    told = Told(received("SIP/2.0 200 OK", caller_got), received(f"INVITE sip:{B}@h SIP/2.0", callee_got))
    status, text = judged(told)
    assert status == 1
    assert said in text.splitlines()
    assert "NOT GOOD: 1 " in text
    assert "No real number crossed" not in text


def test_the_node_is_the_embedded_default_but_for_its_place(tmp_path: Path) -> None:
    text = embedded_node(PLACE, tmp_path).config.read_text()
    usual = (ROOT / "configs" / "embedded.toml").read_text()
    changed = [line for line, before in zip(text.splitlines(), usual.splitlines(), strict=True) if line != before]
    assert len(changed) == 3
    assert 'address = "127.98.0.1:5060"' in changed
    assert 'targets = ["sip:127.98.0.13:5060"]' in changed


def test_demo(tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"
    done = subprocess.run(
        [sys.executable, "-m", "scenarios.demo.demo", "--picture", picture],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "No real number crossed" in done.stdout
    assert "chain: 2 records, clean" in done.stdout
    ElementTree.parse(picture)
    assert "url(http" not in picture.read_text().replace('"', "")


def test_demo_with_a_wrong_word() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scenarios.demo.demo", "--movie"],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--movie" in done.stderr
