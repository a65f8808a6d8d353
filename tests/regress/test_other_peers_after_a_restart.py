"""After a restart a peer that guessed the identifiers of a call of another peer was told that there was one."""

from __future__ import annotations

from dataclasses import replace

from engine.core.settings import PeerSettings
from tests.core.corenode import CALL_ID, CALLER, SETTINGS, CoreNode
from tests.core.parties import invite, refused, talking
from tests.core.restart import restarted

THIRD = "127.0.0.15:5060"
WITH_THIRD = replace(SETTINGS, peers=(*SETTINGS.peers, PeerSettings("third", ("127.0.0.15",), ())))


def test_bye_with_the_call_id_of_another() -> None:
    talk = talking(CoreNode(WITH_THIRD))
    talk.hang_up()
    talk.node = restarted(talk.node, WITH_THIRD)
    talk.node.service.last_run.ended = {CALL_ID: {"caller-side"}}
    talk.from_caller("BYE", source=THIRD)
    talk.node.book.wire_out("SIP/2.0 481", THIRD)
    talk.from_caller("BYE")
    talk.node.book.wire_out("SIP/2.0 200", CALLER)


def test_invite_with_the_identifiers_of_another() -> None:
    node = CoreNode(WITH_THIRD, bindings=())
    node.service.last_run.repeats["caller-side", "voice", CALL_ID, 1, "z9hG4bK-a1"] = (486, 17)
    node.book.wire_in(invite(), CALLER)
    refused(node, 486, 17)
    other = CoreNode(WITH_THIRD, bindings=())
    other.service.last_run.repeats["caller-side", "voice", CALL_ID, 1, "z9hG4bK-a1"] = (486, 17)
    other.book.wire_in(invite(), THIRD)
    other.book.wire_out("SIP/2.0 100", THIRD)
    other.book.wire_out("SIP/2.0 404", THIRD)  # a call of its own, with a record of its own
    other.assert_recorded(release_cause="NO_BINDING", ingress_peer="third")
