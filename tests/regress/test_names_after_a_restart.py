"""A call over TLS that an earlier run has answered: whom the far end had proven to be is not stored.

What goes to it opens a connection, and that looked for the address in the certificate, where a domain has its name: the
callee of a target with a name never heard that the caller had hung up.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.core.settings import CoreSettings, TargetSettings
from sipstack.location import Address, Place
from tests.core.corenode import CALLER, B, CoreNode
from tests.core.parties import answer, invite
from tests.core.restart import restarted
from tests.core.test_sips import ONE_HOP, THERE, talking, to

CORE = Place("core.example", 0, "TLS")
BY_NAME = TargetSettings("sip:core.example;transport=tls", "core.example", 0, "TLS", place=CORE)
BY_ADDRESS = TargetSettings("sip:127.0.0.13;transport=tls", "127.0.0.13", 5061, "TLS")


def proving(settings: CoreSettings, *names: str) -> CoreSettings:
    """The callee's trunk is known by its certificate, too."""
    changed = [replace(peer, tls_names=names) if peer.name == "callee-side" else peer for peer in settings.peers]
    return replace(settings, peers=tuple(changed))


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (to(BY_NAME), ("core.example",)),
        (to(BY_ADDRESS), ("127.0.0.13",)),
        (to(BY_NAME, BY_ADDRESS), ("core.example", "127.0.0.13")),
        (to(BY_NAME, ONE_HOP), ("core.example",)),
        (proving(to(BY_ADDRESS), "b.example"), ("b.example", "127.0.0.13")),
    ],
)
def test_the_callee_hears_that_the_caller_hangs_up(settings: CoreSettings, names: tuple[str, ...]) -> None:
    first = CoreNode(settings)
    first.service.trunks.resolved(CORE, (Address("TLS", "127.0.0.13", 5061, 0, 1.0),))
    talk, _ = talking(first, invite(), CALLER, f"<sip:{B}@127.0.0.13:5061;transport=tls>")
    talk.node = restarted(first, settings, after_s=40.0)
    talk.from_caller("BYE")
    bye = talk.node.book.wire_out("BYE ", THERE)
    assert talk.node.book.log[-1].flow.identities == names
    talk.node.book.wire_in(answer(bye, 200), THERE)
    talk.node.book.wire_out("SIP/2.0 200", CALLER)
