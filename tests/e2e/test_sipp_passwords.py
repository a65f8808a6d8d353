"""Real SIPp shows the node a password: `[authentication]`, over UDP."""

from __future__ import annotations

from typing import Any

import pytest

from scenarios.rig.node import Node
from scenarios.rig.place import Place
from scenarios.rig.sipp import Sipp
from sipstack.digest import MD5, hashed_secret
from sipstack.parser import parse
from tests.e2e.stories import BINDING, A, B, X

USER = "alice"
ACCOUNT = f'[[account]]\nuser = "{USER}"\npeer = "caller-side"\nnumbers = ["{A}"]\n'
MD5_HASH = f'ha1_md5 = "{hashed_secret(MD5, USER, "veil.example", "secret")}"'
CENTRE = 'sms_centres = ["13800100500"]'  # of the caller's side: it has none where a password is asked for


def asking(node: Node, *keys: str) -> None:
    """The caller's side must show a password."""
    text = node.config.read_text()
    assert CENTRE in text
    node.config.write_text(text.replace(CENTRE, "\n".join(('caller = "digest"', "trusted = false", *keys))))
    node.bind(BINDING)
    node.start()


def words(password: str, called: str = X) -> list[tuple[str, str]]:
    return [(called, f"[authentication username={USER} password={password}]")]


# SIPp 3.6 reads the first challenge only, and knows MD5.
@pytest.mark.parametrize(
    ("secret", "keys"),
    [('password = "secret"', ('digest_algorithms = ["MD5", "SHA-256"]',)), (MD5_HASH, ())],
    ids=["password", "hash"],
)
def test_a_call_with_a_password(make_node: Any, sipp: Any, place: Place, secret: str, keys: tuple[str, ...]) -> None:
    node = make_node(extra=ACCOUNT + secret)
    asking(node, *keys)
    callee: Sipp = sipp("answered/uas", place.callee)
    caller: Sipp = sipp("uac_with_password", place.caller, target=place.node, rows=words("secret"))
    for run in (caller, callee):
        counted = run.wait()
        assert (counted.successful, counted.failed) == (1, 0), counted.errors
    challenge, *_ = [parse(seen.data) for seen in caller.messages if not seen.is_sent]
    assert challenge.status == 401
    assert len(challenge.named("WWW-Authenticate")) == len(keys) + 1
    heard = b"".join(seen.data for seen in callee.messages if not seen.is_sent)
    assert USER.encode() not in heard and b"Authorization" not in heard
    node.stop()
    (record,) = node.records()
    assert (record["caller"], record["callee"], record["release_cause"]) == (A, B, "NORMAL")


def test_a_wrong_password_is_no_message(make_node: Any, sipp: Any, place: Place) -> None:
    node = make_node(extra=ACCOUNT + MD5_HASH)
    asking(node)
    counted = sipp("uac_message_refused", place.caller, target=place.node, rows=words("Secret")).wait()
    assert (counted.successful, counted.failed) == (1, 0)
    assert node.status()["counters"]["credentials_refused"] == 1
    node.stop()
    assert node.records() == []


TRUNK = 'username = "veil"\npassword = "trunk secret"\nrealm = "carrier.example"'


def test_the_node_shows_its_password_to_a_trunk_that_asks(make_node: Any, sipp: Any, place: Place) -> None:
    """To its INVITE and to its BYE; SIPp itself says whether the answers are right."""
    node = make_node()
    text = node.config.read_text()
    node.config.write_text(text.replace('name = "callee-side"', f'name = "callee-side"\n{TRUNK}'))
    node.bind(BINDING)
    node.start()
    callee: Sipp = sipp("uas_asking", place.callee)
    caller: Sipp = sipp("answered/uac", place.caller, target=place.node, rows=[(X, A)])
    for run in (caller, callee):
        counted = run.wait()
        assert (counted.successful, counted.failed) == (1, 0), counted.errors
    heard = [parse(data) for data in dict.fromkeys(seen.data for seen in callee.messages if not seen.is_sent)]
    assert [message.method for message in heard] == ["INVITE", "ACK", "INVITE", "ACK", "BYE", "BYE"]
    shown = [bool(message.named("Authorization")) for message in heard]
    assert shown == [False, False, True, True, False, True]
    assert {name: count for name, count in node.status()["counters"].items() if name.startswith("login")} == {
        "logins_sent": 2
    }
    node.stop()
    (record,) = node.records()
    assert (record["release_cause"], [one["status"] for one in record["attempts"]]) == ("NORMAL", [200])
