"""A run begins, with both ends in this process: what is handed over, what is refused, and what is waited for."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.records import CallRecord, Step
from engine.recording.beginning import begin_run
from engine.recording.client import Done, RecordWriter
from engine.recording.frames import Hello, say_hello
from engine.recording.serving import RefusedError, Server
from engine.store.crypto import NumberCipher, open_key
from engine.store.database import RECORDS, open_database
from engine.store.errors import StoreError
from engine.store.records import GroupWriter

PATIENCE_S = 60.0
BEGINS = Hello(0, 1, begins=True)
GOES_ON = Hello(0, 1, begins=False)


@pytest.fixture
def cipher(tmp_path: Path) -> NumberCipher:
    return open_key(tmp_path)


class Ends:
    """A lobby, and a server that can be started behind it."""

    def __init__(self, path: Path, cipher: NumberCipher) -> None:
        self.lobby, self._others = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._server = Server(self._others, GroupWriter(path, cipher, "veil-1", "boot"), 0.0)
        self._serving = threading.Thread(target=self._serve)
        self.refused = ""

    def start(self) -> None:
        self._serving.start()

    def close(self) -> None:
        self.lobby.close()
        self._serving.join(PATIENCE_S)
        self._others.close()

    def _serve(self) -> None:
        try:
            self._server.run()
        except RefusedError as error:
            self.refused = str(error)


@pytest.fixture
def ends(tmp_path: Path, cipher: NumberCipher) -> Iterator[Ends]:
    made = Ends(tmp_path / "records.db", cipher)
    yield made
    made.close()


def record(name: str) -> CallRecord:
    made = CallRecord(name, "veil-1", "voice")
    made.call_time = made.call_out_time = 1_795_482_123.0
    return made


async def test_who_comes_back_is_handed_what_its_last_steps_have_left(ends: Ends, cipher: NumberCipher) -> None:
    """They were on their way when it died, and nobody has looked at them before the next one asks."""
    told: list[Done] = []
    dead = RecordWriter(ends.lobby, say_hello(ends.lobby, GOES_ON), GOES_ON, told.append, print)
    for step in (Step.OPEN, Step.ANSWER):
        assert dead.submit(step, record("a").snapshot(), ("dialogs",), step)
    await asyncio.sleep(0)
    dead._stream.close()
    asking = asyncio.create_task(begin_run(ends.lobby, BEGINS, cipher, print, print))
    await asyncio.sleep(0)
    ends.start()
    stream, left = await asyncio.wait_for(asking, PATIENCE_S)
    stream.close()
    assert left.unreadable == ["a"], "it was answered, and nothing is known of its dialogs"
    assert (left.epoch, [one.sip_status for one in left.recent]) == (1, [500])


async def test_several_runs_begin_one_behind_the_other(ends: Ends, cipher: NumberCipher) -> None:
    ends.start()
    epochs = []
    for _ in range(3):
        stream, left = await asyncio.wait_for(begin_run(ends.lobby, BEGINS, cipher, print, print), PATIENCE_S)
        epochs.append(left.epoch)
        stream.close()
    assert epochs == [1, 2, 3]


async def test_what_cannot_be_read_is_refused(tmp_path: Path, cipher: NumberCipher) -> None:
    connection = open_database(tmp_path / "records.db", RECORDS, cipher)
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("ROLLBACK")
    ends = Ends(tmp_path / "records.db", cipher)
    connection.execute("DROP TABLE call_answer")
    connection.close()
    ends.start()
    with pytest.raises(StoreError, match="no such table"):
        await asyncio.wait_for(begin_run(ends.lobby, BEGINS, cipher, print, print), PATIENCE_S)
    ends.close()


async def test_a_process_that_is_gone_is_said(ends: Ends, cipher: NumberCipher) -> None:
    lobby, others = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with lobby, others:
        asking = asyncio.create_task(begin_run(lobby, BEGINS, cipher, print, print))
        await asyncio.sleep(0)
        _, descriptors, _, _ = socket.recv_fds(others, 1024, 1)
        socket.socket(fileno=descriptors[0]).close()
        with pytest.raises(StoreError, match="has ended before the run began"):
            await asyncio.wait_for(asking, PATIENCE_S)
    ends.start()
