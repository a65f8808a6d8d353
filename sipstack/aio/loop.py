"""The loop of a process that serves calls: asyncio's, but that readers and some timers are called without a turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from functools import partial
from time import monotonic
from typing import Any, Final, TypeVarTuple, final

from sipstack.aio.wakes import Wakes

Ts = TypeVarTuple("Ts")


@final
class NodeLoop(asyncio.SelectorEventLoop):
    """For `asyncio.Runner`. What `add_reader` names is read from within the selector (`Wakes`)."""

    time = staticmethod(monotonic)  # asyncio's asks the same clock, but is a function of Python around it

    def __init__(self) -> None:
        self.wakes: Final = Wakes(self._failed)
        # As `call_soon`, but without a turn of the loop: once all has been read that is there.
        self.before_waiting: Final = self.wakes.before_waiting
        super().__init__(self.wakes)  # type: ignore[arg-type]  # it is one by what it does

    def add_reader(self, fd: Any, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """As asyncio's. It must not be a descriptor of a transport or of a call such as `sock_recv`."""
        self.wakes.read_by(_number(fd), partial(callback, *args) if args else callback)

    def remove_reader(self, fd: Any) -> bool:
        """As asyncio's, which itself calls it for what `sock_recv` and the like have added."""
        return self.wakes.forget(_number(fd)) or super().remove_reader(fd)

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """As asyncio's."""
        self.wakes.is_asked = True
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As asyncio's; `call_later` comes here, too."""
        self.wakes.is_asked = True
        return super().call_at(when, callback, *args, context=context)

    def _failed(self, fault: Exception) -> None:
        self.call_exception_handler({"message": "a reader has failed", "exception": fault})


def _number(fd: Any) -> int:
    return fd if isinstance(fd, int) else int(fd.fileno())
