"""What passes between a SIP process and the one that writes records, over a stream of theirs.

    frame = kind (1) | flags (1) | 0 (2) | count (4) | length of the content (4) | content

Integers are little endian. To the writer goes STEPS: `count` encoded steps behind each other, once a turn of the loop.
Back comes DONE, once a group: the outcome of the next `count` steps, with figures. A process that begins is first
asked what of the rows it has been handed cannot be served on. It has a stream by its hello: a datagram on the lobby,
which all processes of a node share, with the stream's other end.
"""

from __future__ import annotations

import json
import marshal
import socket
import struct
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, final

# To the writer.
STEPS: Final = 1
UNREADABLE: Final = 2  # record ids: they and all that has no answer are to be closed, and the run begins
# From it.
DONE: Final = 3
FAULTS: Final = 4  # why what cannot be written (`GroupWriter.faults`)
LOADING: Final = 5  # which segment of the journal of how many
NOTES: Final = 6  # what was damaged or missing in it
ROWS: Final = 7  # some of what was left open; an empty one is the last
BEGUN: Final = 8  # the number of the run, and recent attempts; {} where a run goes on: steps are taken from now on
REFUSED: Final = 9  # why there are no records to be written: one line

MORE_KEPT: Final = 1  # of STEPS: ends are kept that are not sent yet
LAST: Final = 2  # of STEPS: nothing follows, the journal is to be tried also where it was out of order
DURABLE: Final = 1  # of DONE

_HEAD: Final = struct.Struct("<BBHII")
HEAD_BYTES: Final = _HEAD.size
_FIGURES: Final = struct.Struct("<QQQ")  # bytes not loaded, ends lost, damaged places
READ_BYTES: Final = 256 * 1024
ROWS_AT_ONCE: Final = 100
HELLO_BYTES: Final = 1024


class Figures(NamedTuple):
    """What goes with each DONE."""

    unloaded_bytes: int
    lost: int
    damaged: int


class Hello(NamedTuple):
    """Who asks for a stream. `begins`: it takes over what earlier runs have left open; else it goes on with its run."""

    worker: int
    workers: int
    begins: bool


class Frame(NamedTuple):
    """One frame as it was read."""

    kind: int
    flags: int
    steps: int  # how many
    content: bytes


def frame(kind: int, content: bytes, count: int = 0, flags: int = 0) -> bytes:
    """The bytes of one."""
    return _HEAD.pack(kind, flags, 0, count, len(content)) + content


def frame_of(head: bytes) -> tuple[Frame, int]:
    """A frame without its content, and how long that is; `head` is HEAD_BYTES long."""
    kind, flags, _, count, length = _HEAD.unpack(head)
    return Frame(kind, flags, count, b""), length


def told(kind: int, what: Any) -> bytes:
    """A frame with numbers, texts, octets, lists and tuples of them."""
    return frame(kind, marshal.dumps(what))


def content_of(read: Frame) -> Any:
    """What `told` was given."""
    return marshal.loads(read.content)  # noqa: S302 - from a process of this node


def done(count: int, is_durable: bool, figures: Figures) -> bytes:
    """The outcome of `count` steps, 0 for the figures alone."""
    return frame(DONE, _FIGURES.pack(*figures), count, DURABLE if is_durable else 0)


def figures_of(read: Frame) -> Figures:
    """What `done` was given."""
    return Figures(*_FIGURES.unpack(read.content))


@final
class Reader:
    """Puts frames together from what a stream brings."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = b""

    def frames(self, data: bytes) -> Iterator[Frame]:
        """Those that are whole with `data`."""
        if self._left:
            data = self._left + data
        at, size = 0, len(data)
        while size - at >= HEAD_BYTES:
            kind, flags, _, count, length = _HEAD.unpack_from(data, at)
            end = at + HEAD_BYTES + length
            if end > size:
                break
            yield Frame(kind, flags, count, data[at + HEAD_BYTES : end])
            at = end
        self._left = data[at:]


def say_hello(lobby: socket.socket, hello: Hello) -> socket.socket:
    """Ask for a stream; this end of it, which can be used at once. OSError when the lobby is full or closed."""
    mine, others = socket.socketpair()
    try:
        with others:
            socket.send_fds(lobby, [json.dumps(hello).encode()], [others.fileno()])
    except BaseException:
        mine.close()
        raise
    mine.setblocking(False)
    return mine


def next_hello(lobby: socket.socket) -> tuple[Hello, socket.socket] | None:
    """The next one and its stream; None when nobody is left who could send one. BlockingIOError when none waits."""
    data, descriptors, _, _ = socket.recv_fds(lobby, HELLO_BYTES, 1)
    if not data:
        return None
    stream = socket.socket(fileno=descriptors[0])
    stream.setblocking(False)
    return Hello(*json.loads(data)), stream
