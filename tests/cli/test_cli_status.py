"""status shows what is still to be reported, and what the node says also where the store cannot be read."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.control.protocol import socket_path
from engine.control.server import ControlServer
from tests.cli.commands import Done, Run, X


@pytest.fixture
def ask(stocked: Run, file: Path) -> Run:
    """`status` of a node that says nothing but its name."""

    async def served(*words: str) -> Done:
        server = ControlServer(socket_path(file.parent / "data"), {"status": lambda: {"node": "veil-1"}})
        await server.start()
        try:
            return await asyncio.to_thread(stocked, "status", *words)
        finally:
            await server.close()

    return lambda *words: asyncio.run(served(*map(str, words)))


def test_openings_are_shown_until_they_are_reported(ask: Run, stocked: Run) -> None:
    (opening,) = ask("--json").json["openings"]
    assert (opening["prefix"], opening["status"]) == (X[:11], "due")
    assert f"{X[:11]}  to be reported until {opening['due_day']}" in ask().out
    assert stocked("report", "mark-reported", X[:11]).status == 0
    assert ask("--json").json["openings"] == []


def test_a_store_that_cannot_be_read_hides_nothing_of_the_node(ask: Run, file: Path) -> None:
    (file.parent / "data" / "bindings.db").write_bytes(b"no database" * 1000)
    done = ask("--json")
    assert (done.status, done.json, len(done.told)) == (0, {"node": "veil-1", "openings": []}, 1)
