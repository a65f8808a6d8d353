"""The calls that a scenario admits in a day are those of a day, whatever happens to the node in it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scenarios.rig.node import Node
from scenarios.rig.place import Place
from tests.e2e.ends import ask
from tests.e2e.test_api_calls import acknowledge
from tests.e2e.test_domain_calls import BOUND, A, Phones, X
from tests.e2e.waiting import stay_within_a_day


@pytest.mark.parametrize("is_killed", [False, True], ids=["stopped", "killed"])
def test_a_restart_goes_on_counting(make_node: Callable[..., Node], place: Place, is_killed: bool) -> None:
    stay_within_a_day(120.0)
    node = make_node()
    node.inventory.write_text(node.inventory.read_text().replace("max_ttl_s", "calls_per_day = 2\nmax_ttl_s", 1))
    node.bind(BOUND)
    phones = Phones(node, place)
    for number in range(2):
        node.start()
        ask(phones.caller, X, f"call-{number}")
        phones.callee.answer(phones.callee.take("INVITE "), 486)
        acknowledge(phones.caller, phones.caller.take("SIP/2.0 486"))
        if is_killed:
            node.kill()
        else:
            assert node.stop() == 0
        phones.forget()
    node.start()
    ask(phones.caller, X, "call-3")
    acknowledge(phones.caller, phones.caller.take("SIP/2.0 403"))
    phones.hears_nothing()
    assert (phones.record()["release_cause"], phones.record()["decided_by"]) == ("RATE_LIMITED", "day_limit")
    ask(phones.callee, X, "call-4")  # the other direction has a count of its own
    phones.caller.take(f"INVITE sip:{A}@")
    phones.caller.end.close()
    phones.callee.end.close()
