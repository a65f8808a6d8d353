"""`python -m engine.recording LOBBY DATA_DIR NODE BOOT_ID WINDOW_MS ANNOUNCES`: the process that writes records.

The process that begins a node starts it, with the number of an inherited descriptor. It ends when nobody is left who
could want to have something written: signals that a terminal or a service manager sends to all processes of a node are
for the others, which have calls to end first.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Final

from engine.recording.frames import REFUSED, next_hello, told
from engine.recording.serving import RefusedError, Server
from engine.store.crypto import open_key
from engine.store.errors import StoreError
from engine.store.records import GroupWriter

SWITCH_S: Final = 0.001  # so long a group waits for the interpreter while the journal is loaded
COLLECT_AT: Final = 50_000  # objects; a load makes tens of thousands, which end without a collection
HELLO_WAIT_S: Final = 10.0
SAY_S: Final = 1.0


def main() -> int:
    """The exit status: 0 when nobody is left, 1 when records cannot be written."""
    lobby_number, data_dir, node, boot_id, window_ms, announces = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold the numbers of calls in clear
    sys.setswitchinterval(SWITCH_S)
    folder = Path(data_dir)
    with socket.socket(fileno=int(lobby_number)) as lobby:
        try:
            writer = GroupWriter(folder / "records.db", open_key(folder), node, boot_id, announces == "1")
            gc.freeze()
            gc.set_threshold(COLLECT_AT)
            Server(lobby, writer, float(window_ms) / 1000.0).run()
        except (RefusedError, StoreError) as error:
            _refuse(lobby, str(error))
            return _end(str(error))
        except Exception as error:  # a bug of ours; its text may hold a number
            at = traceback.extract_tb(error.__traceback__)[-1]
            return _end(f"{type(error).__name__} in {Path(at.filename).name}:{at.lineno}")
    return 0


def _refuse(lobby: socket.socket, fault: str) -> None:
    """Tell those who wait at the lobby, and whoever comes first, where nobody does."""
    poll = select.poll()
    poll.register(lobby, select.POLLIN)
    wait_s = HELLO_WAIT_S
    while poll.poll(wait_s * 1000.0) and (found := next_hello(lobby)) is not None:
        with found[1] as stream:
            stream.settimeout(SAY_S)
            with contextlib.suppress(OSError):  # it is gone
                stream.sendall(told(REFUSED, fault))
        wait_s = 0.0


def _end(reason: str) -> int:
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), reason.encode())
    return 1


if __name__ == "__main__":
    sys.exit(main())
