"""Questions with what the store knows: which hook a platform has, what was said of an order before."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Final, cast, final

from fastapi import Request

from engine.api.desk import Desk
from engine.api.hooks.answers import Word
from engine.api.hooks.asking import Asking, Log, Question, Reply
from engine.api.outbound import Places
from engine.core.asking import ORDER
from engine.domain.problems import Problem, ProblemCode
from engine.store.audit import Asker
from engine.store.errors import StoreError
from engine.store.hooks import find_target, must_ask_first
from engine.store.named_callees import why_not
from engine.store.orders import Verdict, create_order, judge_order

_ORDER: Final = "SELECT 1 FROM service_order WHERE business_user = ? AND order_id = ?"


@final
class Hooks:
    """One for the process; for the loop's thread."""

    def __init__(self, desk: Desk, log: Log) -> None:
        assert desk.config.api is not None
        self._desk = desk
        self._log = log
        self.places: Final = Places(desk.config.api.webhook_hosts)
        self._asking = Asking(self.places, log, desk.now)
        self._noting: set[asyncio.Task[None]] = set()

    async def ask(self, question: Question) -> Reply:
        """For a call: what an order's hook says is kept behind the answer, which does not wait for that."""
        reply = await self._ask(question)
        if question.kind == ORDER and reply.word is not None and reply.word.is_yes and not question.is_test:
            task = asyncio.get_running_loop().create_task(self._note_later(question, reply.word))
            self._noting.add(task)
            task.add_done_callback(self._noting.discard)
        return reply

    def whom_to_ask(self, business_user: str, order_id: str, scenario: str) -> str:
        """The platform that must be asked before a bind; "" when nobody must be. StoreError."""
        now = self._desk.now()
        return self._desk.read(lambda one: must_ask_first(one, business_user, order_id, scenario, now))

    async def prove_order(self, app_platform: str, business_user: str, order_id: str) -> None:
        """Before a bind: asks, and what was said is durable then.

        Problem VERIFY_TIMEOUT or ORDER_UNVERIFIED; StoreError.
        """
        question = Question(ORDER, app_platform, business_user, order_id=order_id)
        reply = await self._ask(question)
        if reply.word is None:
            raise Problem(ProblemCode.VERIFY_TIMEOUT, "order_id", f"the order hook has not answered: {reply.reason}")
        if not reply.word.is_yes:
            raise Problem(ProblemCode.ORDER_UNVERIFIED, "order_id", "the order hook does not call it true")
        await self._desk.write(self._noted(question, reply.word))

    def trouble(self, app_platform: str, kind: str) -> str:
        """Why a hook's last question got no answer; "" when it did, or none was put."""
        return self._asking.trouble(app_platform, kind)

    async def close(self) -> None:
        """Keeps what was said, hangs up."""
        if self._noting:
            await asyncio.wait(self._noting)
        await self._asking.close()

    async def _ask(self, question: Question) -> Reply:
        platform, kind = question.app_platform, question.kind
        try:
            target = self._desk.read(lambda connection: find_target(connection, self._desk.cipher, platform, kind))
        except StoreError as error:
            self._log("the store does not tell where a platform is asked", reason=str(error))
            return Reply(None, "the store does not answer")
        if target is None:
            return Reply(None, "there is no such hook")
        reply = await self._asking.ask(question, target)
        if reply.word is not None and reply.word.callee and not question.is_test:
            return self._with_allowed_callee(question, reply, reply.word.callee)
        return reply

    def _with_allowed_callee(self, question: Question, reply: Reply, callee: str) -> Reply:
        """A no where the answer names somebody whom a bind could not."""
        platform, user, now = question.app_platform, question.business_user, self._desk.now()
        try:
            fault = self._desk.read(lambda one: why_not(one, self._desk.cipher, platform, user, callee, now))
        except StoreError as error:
            fault = "the store does not answer"
            self._log("the store does not tell who may be named", reason=str(error))
        if not fault:
            return reply
        self._log("a hook names whom it may not", app_platform=platform, reason=fault)
        return Reply(Word(False), fault, reply.took_ms)

    async def _note_later(self, question: Question, word: Word) -> None:
        try:
            await self._desk.write(self._noted(question, word))
        except (Problem, StoreError) as error:  # then it is asked again
            self._log("what a hook said of an order was not kept", reason=str(error))

    def _noted(self, question: Question, word: Word) -> Callable[[sqlite3.Connection], None]:
        asker = Asker(f"hook {question.app_platform}", "the order hook calls it true")
        verdict = Verdict("verified", word.proof, word.until_at)

        def work(connection: sqlite3.Connection) -> None:
            user, order_id, now = question.business_user, question.order_id, self._desk.now()
            if connection.execute(_ORDER, (user, order_id)).fetchone() is None:
                create_order(connection, user, order_id, "", asker, now)
            judge_order(connection, user, order_id, verdict, asker, now)

        return work


def hooks_of(request: Request) -> Hooks:
    """Those of the application."""
    return cast(Hooks, request.app.state.hooks)
