"""The protocol of a connection: a request that does not come whole in time is not waited for, and at the limit of
connections the answer has the form that is that of the listener.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, final

from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from engine.api import problem_documents
from engine.api.alibaba import listener
from engine.api.gate import Application, Receive, Scope, Send
from engine.domain.problems import Problem, ProblemCode

REQUEST_S: Final = 10.0  # from its first octet, or the connection's beginning, to its last


async def too_many(scope: Scope, receive: Receive, send: Send) -> None:
    """The application at the limit of connections."""
    problem = Problem(ProblemCode.OVERLOAD, "", "there are too many connections")
    await problem_documents.answer(problem, headers={"Connection": "close"})(scope, receive, send)


class Connection(HttpToolsProtocol):
    """One for each; the server makes them."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The first request is waited for."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for."""
        self._waited()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Something, perhaps a part of a request: the parser knows of one only from its first line on."""
        cycle = self._newest()
        if self._deadline is None and (cycle is None or cycle.response_complete):
            self._wait()
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A request, which may stand behind another."""
        super().on_message_begin()
        if self._deadline is None:
            self._wait()

    def on_message_complete(self) -> None:
        """A whole one."""
        self._waited()
        super().on_message_complete()

    def at_the_limit(self) -> Application:
        """What answers one connection too many."""
        return too_many

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        application: Any = self.at_the_limit() if app is service_unavailable else app
        super()._start_asgi_task(cycle, application)

    def _newest(self) -> RequestResponseCycle | None:
        """The last request whose header is whole."""
        return self.cycle

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(REQUEST_S, self._end)

    def _waited(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self) -> None:
        """While an answer is owed nothing more is read, so what stands behind it has its time after it."""
        self._deadline = None
        cycle = self._newest()
        is_owed = cycle is not None and not cycle.response_complete and not cycle.more_body
        if self.pipeline or is_owed:
            self._wait()
        else:
            self.transport.close()


@final
class AlibabaConnection(Connection):
    """The same on the listener for Alibaba's SDKs."""

    def at_the_limit(self) -> Application:
        """As those SDKs know it."""
        return listener.too_many
