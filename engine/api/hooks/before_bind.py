"""Where a scenario wants orders proved at bind: the platform is asked before the transaction, so nobody waits in it."""

from __future__ import annotations

from fastapi import Request

from engine.api.desk import caller, desk, is_repeated, must_own
from engine.api.hooks.broker import hooks_of
from engine.store.binding_list import named_by


async def prove_order(
    request: Request, business_user: str, order_id: str, scenario: str, req_id: str, owned: str = "business_user"
) -> None:  # fmt: skip
    """Asks where that must be. Problem, StoreError; `owned` names what is not the asker's when it is not.

    A request that was answered before is not held up: it gets that answer. The platform of others is not asked.
    """
    hooks = hooks_of(request)
    platform = hooks.whom_to_ask(business_user, order_id, scenario)
    if platform and not is_repeated(request, req_id):
        must_own(caller(request), platform, owned)
        await hooks.prove_order(platform, business_user, order_id)


async def prove_new_order(request: Request, subs_id: str, order_id: str | None) -> None:
    """The same for a binding that is to be about another order; None: it is not."""
    if order_id is None:
        return
    named = desk(request).read(lambda connection: named_by(connection, subs_id))
    if named is not None:
        await prove_order(request, named[0], order_id, named[1], "", "subs_id")
