"""Operations that take nothing from path and query are called without the framework, whose way to them costs as much as
the rest of a request together: it looks for the route in turn and works out parameters that are not there.
"""

from __future__ import annotations

from typing import Any, Final, final

from fastapi import FastAPI, Request

from engine.api import problem_documents
from engine.api.gate import Receive, Scope, Send
from engine.api.operations import Handler, direct_operations
from engine.domain.problems import Problem
from engine.store.errors import StoreError


@final
class Direct:
    """The application as the gate gets it: what it does not know, and what fails otherwise, is the framework's."""

    def __init__(self, app: FastAPI, prefix: str) -> None:
        """`prefix` stands before the paths of all operations."""
        self._app = app
        self._handlers: Final[dict[tuple[Any, Any], Handler]] = {
            (method, prefix + path): handler for (method, path), handler in direct_operations.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self._handlers.get((scope["method"], scope["path"]))
        if handler is None:
            await self._app(scope, receive, send)
            return
        scope["app"] = self._app
        try:
            response = await handler(Request(scope, receive, send))
        except Problem as problem:
            response = problem_documents.answer(problem)
        except StoreError as fault:
            response = problem_documents.of_store(self._app.state.log, fault)
        except Exception:
            await problem_documents.of_fault()(scope, receive, send)
            raise
        await response(scope, receive, send)
