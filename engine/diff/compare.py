"""Decides each question of a corpus under two configurations, on all processors where there are many."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Final, final

from engine.core.binding import Binding, Miss
from engine.core.settings import CoreSettings
from engine.deciding import Decider, Finder, Outcome, Question, QuestionFault, Verdict
from engine.deciding.assumed import assumed
from engine.diff.changes import Differences
from engine.diff.corpus import Corpus
from engine.store.crypto import NumberCipher
from engine.store.glance import Glance

Progress = Callable[[int, int], None]  # decided, of how many
Bar = Callable[[], AbstractContextManager[Progress | None]]

PART: Final = 1000  # questions decided in one piece
MANY: Final = 5000  # from so many on it is worth to start processes


def compare(
    old: CoreSettings, new: CoreSettings, store: tuple[Path, NumberCipher], corpus: Corpus, wall_s: float, bar: Bar
) -> Differences:  # fmt: skip
    """What `new` changes for a corpus at `wall_s` (seconds since the epoch), with the bindings of one store.

    `store` is bindings.db with its key. Names are not looked up: each is taken to have an address. StoreError.
    """
    total = len(corpus.asked)
    found = Differences(left_out=corpus.left_out.copy())
    parts = range(0, total, PART)
    work = (old, new, store, corpus, wall_s)
    if total < MANY:
        with closing(_Table(*work)) as table, bar() as progress:
            for start in parts:
                found.add(table.part(start))
                _tell(progress, start + PART, total)
        return found
    with ProcessPoolExecutor(
        len(os.sched_getaffinity(0)), multiprocessing.get_context("fork"), _begin, work
    ) as pool:  # fmt: skip
        waiting = [pool.submit(_part, start) for start in parts]  # the processes begin before the bar has its thread
        try:
            with bar() as progress:
                for done, future in enumerate(waiting, 1):
                    found.add(future.result())
                    _tell(progress, done * PART, total)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(min(done, total), total)


@final
class _Once:
    """Both configurations are told the same of one pair, and it is looked up once."""

    def __init__(self, glance: Glance) -> None:
        self._glance = glance
        self._asked = ("", "")
        self._found: Binding | Miss = Miss.UNBOUND

    def find(self, x: str, caller: str, wall_s: float) -> Binding | Miss:
        """As `Glance.glimpse`."""
        if self._asked != (x, caller):
            self._asked = ("", "")
            self._found = self._glance.glimpse(x, caller, wall_s)
            self._asked = (x, caller)
        return self._found


@final
class _Table:
    """Two configurations beside each other, and the store between them."""

    def __init__(
        self, old: CoreSettings, new: CoreSettings, store: tuple[Path, NumberCipher], corpus: Corpus, wall_s: float
    ) -> None:
        self._old = Decider(old, assumed(old))
        self._new = Decider(new, assumed(new), self._old)
        self._glance = Glance(*store)
        self._asked = corpus.asked
        self._wall_s = wall_s

    def part(self, start: int) -> Differences:
        """The PART questions from `start` on; again when the store was changed under it."""
        while True:
            found = Differences()
            finder = _Once(self._glance)
            for question, count in self._asked[start : start + PART]:
                old = self._decided(self._old, question, finder)
                found.note(question, count, old, self._decided(self._new, question, finder))
            if self._glance.held():
                return found

    def _decided(self, decider: Decider, question: Question, finder: Finder) -> Verdict:
        try:
            return decider.decide(question, finder, self._wall_s)
        except QuestionFault as fault:
            return Verdict(Outcome.UNASKED, decided_by=str(fault))

    def close(self) -> None:
        """Lets go of the store."""
        self._glance.close()


_tables: Final[list[_Table]] = []  # of a process that decides parts: one


def _begin(
    old: CoreSettings, new: CoreSettings, store: tuple[Path, NumberCipher], corpus: Corpus, wall_s: float
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever has started it ends it
    _tables.append(_Table(old, new, store, corpus, wall_s))
    gc.freeze()


def _part(start: int) -> Differences:
    return _tables[0].part(start)
