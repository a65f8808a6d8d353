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
from collections.abc import Callable
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
_FIGURES_BYTES: Final = _FIGURES.size
_DONE: Final = struct.Struct("<BBHIIQQQ")  # both
READ_BYTES: Final = 256 * 1024
ROWS_AT_ONCE: Final = 100
HELLO_BYTES: Final = 1024

# Methods that are bound once: to find one at each call costs as much as what it does.
_head: Final[Callable[[int, int, int, int, int], bytes]] = _HEAD.pack
_read_head: Final[Callable[[bytes, int], tuple[int, int, int, int, int]]] = _HEAD.unpack_from
_read_figures: Final[Callable[[bytes], tuple[int, int, int]]] = _FIGURES.unpack
_done: Final[Callable[[int, int, int, int, int, int, int, int], bytes]] = _DONE.pack


class Hello(NamedTuple):
    """Who asks for a stream. `begins`: it takes over what earlier runs have left open; else it goes on with its run."""

    worker: int
    workers: int
    begins: bool


def steps_frame(encoded: list[bytes], flags: int) -> bytes:
    """The bytes of STEPS."""
    size = 0
    for step in encoded:
        size += len(step)
    return b"".join([_head(STEPS, flags, 0, len(encoded), size), *encoded])


def kind_and_length(head: bytes) -> tuple[int, int]:
    """What a frame is, and how long its content; `head` is HEAD_BYTES long."""
    kind, _, _, _, length = _read_head(head, 0)
    return kind, length


def told(kind: int, what: Any) -> bytes:
    """A frame with numbers, texts, octets, lists and tuples of them."""
    content = marshal.dumps(what)
    return _head(kind, 0, 0, 0, len(content)) + content


def content_of(content: bytes) -> Any:
    """What `told` was given."""
    return marshal.loads(content)  # noqa: S302 - from a process of this node


def done(count: int, is_durable: bool, unloaded_bytes: int, lost: int, damaged: int) -> bytes:
    """The outcome of `count` steps, 0 for the figures alone."""
    return _done(DONE, DURABLE if is_durable else 0, 0, count, _FIGURES_BYTES, unloaded_bytes, lost, damaged)


def figures_of(content: bytes) -> tuple[int, int, int]:
    """The figures of DONE: bytes not loaded, ends lost, damaged places."""
    return _read_figures(content)


@final
class Reader:
    """Puts frames together from what a stream brings: `add` it, then `next` until there is none.

    What a frame says stands in the reader itself: an object for each costs more than the rest.
    """

    __slots__ = ("_at", "_data", "content", "flags", "kind", "steps")

    def __init__(self) -> None:
        self._data = b""
        self._at = 0  # what stands before it has been read
        self.kind = 0
        self.flags = 0
        self.steps = 0  # how many
        self.content = b""

    def add(self, data: bytes) -> None:
        """What has come."""
        self._data = self._data[self._at :] + data if self._at < len(self._data) else data
        self._at = 0

    def next(self) -> bool:
        """The next frame; False when the rest of it has not come yet."""
        data = self._data
        begin = self._at + HEAD_BYTES
        if len(data) < begin:
            if self._at == len(data):
                self._data, self._at = b"", 0
            return False
        kind, flags, _, steps, length = _read_head(data, self._at)
        end = begin + length
        if len(data) < end:
            return False
        self.kind, self.flags, self.steps, self.content = kind, flags, steps, data[begin:end]
        self._at = end
        return True


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
