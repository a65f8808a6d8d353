"""What the journal holds behind a position: from memory where the writer has left it there, else from the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

from engine.store.crypto import NumberCipher
from engine.store.fresh import Fresh
from engine.store.journal import segment_numbers, segment_path
from engine.store.segment import (
    NO_STEPS,
    NOWHERE,
    START,
    UNKNOWN_END,
    Group,
    Position,
    Seal,
    SegmentHead,
    Stretch,
    UnreadableHead,
    read_head,
    stretches,
)

_HEAD_AT_MOST: Final = 4096  # bytes


@final
class JournalReader:
    """Reads one folder. For one thread at a time."""

    def __init__(self, folder: Path, cipher: NumberCipher) -> None:
        self._folder = folder
        self._cipher = cipher
        self._source: _Source | None = None
        self.fresh: Final = Fresh()
        self.spoilt: set[int] = set()  # segments that are kept for a person to look at
        self.notes: list[str] = []  # what was found damaged or missing, one line each

    def groups(self, position: Position, until: Position | None) -> Iterator[Group]:
        """The groups between the two, in order and each once; until None: to the end. OSError when one cannot be read.

        A group in memory is done with when the next one is asked for: whoever stops at it gets it again.
        """
        while (group := self.fresh.first(position)) is not None:
            if group.after == position:
                if until is not None and group.position > until:
                    return
                yield group
                position = group.position
                self.fresh.drop()
                continue
            for read in self._read(position, group.after if until is None else min(group.after, until)):
                yield read
                position = read.position
            if position < group.after:
                if until is not None and until < group.after:
                    return
                number, offset = position = group.after
                self.note(number, f"what stands before offset {offset} is lost", spoilt=True)
        if until is None or position < until:
            yield from self._read(position, until)

    def note(self, number: int, what: str, spoilt: bool = False) -> None:
        """Note once what is wrong with a segment; `spoilt`: keep it, too."""
        if spoilt:
            self.spoilt.add(number)
        note = f"journal segment {number}: {what}"
        if note not in self.notes:  # a batch that failed is read again
            self.notes.append(note)

    def _read(self, position: Position, until: Position | None) -> Iterator[Group]:
        """The same from the files alone; the last group of a segment that is complete leads to the next."""
        first, offset = position
        there = segment_numbers(self._folder)
        if position == START:
            first = there[0] if there else 1
        last = until[0] if until is not None else max(there, default=0)
        if last < first and offset:
            last = first  # it should be there
        for number in range(first, last + 1):
            is_tail = until is None and number == last
            end = until[1] if until is not None and number == last else None if is_tail else self._end_of(number)
            yield from self._segment(number, offset if number == first else 0, end, is_tail)
            if until is None or number < last:
                yield Group(None, NO_STEPS, NOWHERE, (number + 1, 0), 0)

    def _end_of(self, number: int) -> int | None:
        """Where a segment ends by what its successor says; None when that does not know."""
        try:
            with segment_path(self._folder, number + 1).open("rb") as file:
                end = read_head(file.read(_HEAD_AT_MOST), number + 1)[0].previous_end
        except (FileNotFoundError, UnreadableHead):
            return None
        return None if end == UNKNOWN_END else end

    def _segment(self, number: int, offset: int, end: int | None, is_tail: bool) -> Iterator[Group]:
        """The groups of one segment from `offset` on; what is none is noted."""
        try:
            with segment_path(self._folder, number).open("rb") as file:
                beginning = file.read(_HEAD_AT_MOST)
                source = self._open(number, beginning)
                offset = max(offset, source.start)
                file.seek(offset)
                data = file.read(-1 if end is None else max(0, end - offset))
        except FileNotFoundError:
            self.note(number, "is missing: what stood in it is lost")
            return
        except UnreadableHead as error:
            if beginning.strip(b"\0"):  # else it was only just made
                self.note(number, f"cannot be read: {error}", spoilt=True)
            return
        reached = offset
        for stretch in stretches(data, offset, number):
            plain = None if stretch.sealed is None else source.seal.opened(stretch.offset, stretch.sealed)
            reached = stretch.end
            if plain is None:
                self._note_stretch(number, stretch, is_tail and stretch.is_last)
                plain = NO_STEPS
            yield Group(source.head, plain, NOWHERE, (number, reached), reached - stretch.offset)
        if end is not None and reached < end:
            self._note_stretch(number, Stretch(reached, end, None), False)
            yield Group(source.head, NO_STEPS, NOWHERE, (number, end), end - reached)

    def _open(self, number: int, beginning: bytes) -> _Source:
        """What the head of a segment says. Raises UnreadableHead."""
        if self._source is None or self._source.head.number != number:
            self._source = _Source(self._cipher, *read_head(beginning, number))
        return self._source

    def _note_stretch(self, number: int, stretch: Stretch, is_torn: bool) -> None:
        size = stretch.end - stretch.offset
        if is_torn:
            self.note(number, f"the last {size} bytes were not written to their end, and are dropped")
        else:
            self.note(number, f"{size} bytes at offset {stretch.offset} are damaged", spoilt=True)


@final
class _Source:
    """The segment that is being read."""

    __slots__ = ("head", "seal", "start")

    def __init__(self, cipher: NumberCipher, head: SegmentHead, encoded: bytes) -> None:
        self.head = head
        self.seal = Seal(cipher, head, encoded)
        self.start = len(encoded)  # of the first group
