"""A look at one binding that leaves no trace in the data folder, as `veil700 explain` needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Final, final

from engine.core.binding import Binding, Miss
from engine.store.binding_reader import BindingReader
from engine.store.crypto import NumberCipher
from engine.store.day_calls import DayCalls
from engine.store.errors import StoreError
from engine.store.group_calls import GroupCalls

_State = tuple[int, int, int, bool]
_OPEN: Final[_State] = (0, 0, 0, True)  # read as the node reads: right whatever becomes of it


@final
class Glance:
    """Answers as `BindingReader` does; makes no file, and takes no lock on a store that nobody has open.

    Such a store is read as one that does not change. When it has changed meanwhile, or somebody has opened it, it is
    read again as the node reads it.
    """

    def __init__(self, path: Path, cipher: NumberCipher) -> None:
        """Opens bindings.db; StoreError when it cannot be read."""
        self._path = path
        self._cipher = cipher
        self._before = _state(path)
        self._told: dict[str, str] = {}
        self._reader = self._read(at_rest=not self._before[3])

    def find(self, x: str, caller: str, wall_s: float) -> Binding | Miss:
        """As `BindingReader.find`."""
        try:
            found = self._reader.find(x, caller, wall_s)
        except StoreError:
            if self._holds():
                raise
        else:
            if self._holds():
                return found
        self._look_again()
        return self._reader.find(x, caller, wall_s)

    def glimpse(self, x: str, caller: str, wall_s: float) -> Binding | Miss:
        """The same at half the price for many lookups: whether it was right says `held` behind the last of them."""
        return self._reader.find(x, caller, wall_s)

    def held(self) -> bool:
        """True when all that was glimpsed since this was asked last was right; else it is to be done again."""
        if self._holds():
            return True
        self._look_again()
        return False

    def _look_again(self) -> None:
        """As the node reads: somebody has changed the store, or has it open."""
        self.close()
        self._before = _OPEN
        self._reader = self._read(at_rest=False)

    def last_called(self, subs_id: str, remembered: str) -> None:
        """Which member of its group has called through a binding last, as a running node remembers it
        (`GroupCalls.remembered`): records.db need not know it yet."""
        self._told[subs_id] = remembered
        self._look_again()

    def _read(self, *, at_rest: bool) -> BindingReader:
        callers = self._callers()
        if callers is not None:
            for subs_id, remembered in self._told.items():
                callers.told(subs_id, remembered)
        return BindingReader(self._path, self._cipher, at_rest=at_rest, callers=callers, days=self._days())

    def _callers(self) -> GroupCalls | None:
        """Who has called last in a group, where a node has run."""
        records = self._path.with_name("records.db")
        is_open = _state(records)[3]
        return GroupCalls(records, self._cipher, at_rest=not is_open) if records.is_file() else None

    def _days(self) -> DayCalls | None:
        """Who has called today, where a node has run."""
        records = self._path.with_name("records.db")
        is_open = _state(records)[3]
        return DayCalls(records, self._cipher, at_rest=not is_open) if records.is_file() else None

    def _holds(self) -> bool:
        """True when what was read is right: read as the node reads, or from a store that has not changed."""
        return self._before[3] or _state(self._path) == self._before

    def close(self) -> None:
        self._reader.close()


def _state(path: Path) -> _State:
    """What a writer changes: the file itself, or whether its log is there (last)."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return (0, 0, 0, False)
    return (status.st_ino, status.st_size, status.st_mtime_ns, path.with_name(f"{path.name}-wal").exists())
