"""baresip and linphonec call and are called through X: by SIPp, by each other, over each transport."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scenarios.rig.binding import BLOCK, Bound
from scenarios.rig.check import ended_wrong
from scenarios.rig.node import Node
from scenarios.rig.place import Place
from scenarios.rig.privacy import CALLEE_CANARY, CALLER_CANARY, Side
from scenarios.rig.seen import ladder
from tests.e2e.stories import BINDING, A, B, X, assert_private
from tests.interop.conftest import Ring
from tests.interop.phones import Baresip, Linphone, Phone
from tests.sipstack.certificates import Authority

pytestmark = pytest.mark.interop

PHONES: list[type[Phone]] = [Baresip, Linphone]
STREAMS = {"tcp": Bound(f"{BLOCK}0071", A, "13100131000"), "tls": Bound(f"{BLOCK}0072", A, "13200132000")}
PORTS = {"tcp": 5060, "tls": 5061}


@pytest.fixture
def node(make_node: Callable[..., Node]) -> Node:
    """A running node on which A and B are bound through X."""
    made = make_node()
    made.bind(BINDING)
    made.start()
    return made


def side(phone: Phone) -> Side:
    return Side(phone.messages, phone.host, phone.number, phone.canary)


def check(node: Node, caller: Side, callee: Side, release_direction: str = "caller") -> None:
    """Nothing crossed, X is what each side was told of the other, the record is that of the call, the node is sound."""
    records = node.records()
    assert ended_wrong(node) == []
    assert_private(caller, callee)
    [record] = records
    told = [record[name] for name in ("release_cause", "caller", "callee", "release_direction")]
    assert told == ["NORMAL", caller.number, callee.number, release_direction]
    invite = next(message for message in callee.messages if message.shown == "INVITE")
    assert invite.start_line.startswith(f"INVITE sip:{callee.number}@{callee.host}:")
    assert f"<sip:{record['tel_x']}@" in invite.value("From")


@pytest.mark.parametrize("kind", PHONES)
def test_sipp_calls_a_phone(node: Node, place: Place, sipp: Any, ring: Ring, tmp_path: Path, kind: type[Phone]) -> None:
    phone = ring(kind(tmp_path / "b", place.callee, B))
    calling = sipp("answered/uac", place.caller, target=place.node, rows=[(X, A)])
    assert calling.wait().is_clean(1)
    phone.await_step("-> 200 BYE")
    check(node, Side(calling.messages, place.caller, A, CALLER_CANARY), side(phone))


@pytest.mark.parametrize("kind", PHONES)
def test_a_phone_calls_sipp(node: Node, place: Place, sipp: Any, ring: Ring, tmp_path: Path, kind: type[Phone]) -> None:
    answering = sipp("answered/uas", place.callee)
    phone = ring(kind(tmp_path / "a", place.caller, A))
    phone.call(f"sip:{X}@{place.node}")
    phone.await_step("-> ACK")
    phone.hang_up()
    phone.await_step("<- 200 BYE")
    assert answering.wait().is_clean(1)
    check(node, side(phone), Side(answering.messages, place.callee, B, CALLEE_CANARY))


@pytest.mark.parametrize(("calling", "answering"), [(Baresip, Linphone), (Linphone, Baresip)])
@pytest.mark.parametrize("ended_by", ["caller", "callee"])
def test_phones_call_each_other(
    node: Node, place: Place, ring: Ring, tmp_path: Path, calling: type[Phone], answering: type[Phone], ended_by: str
) -> None:
    a, b = ring(calling(tmp_path / "a", place.caller, A)), ring(answering(tmp_path / "b", place.callee, B))
    a.call(f"sip:{X}@{place.node}")
    b.await_step("<- ACK")
    ends, other = (a, b) if ended_by == "caller" else (b, a)
    ends.hang_up()
    other.await_step("-> 200 BYE")
    ends.await_step("<- 200 BYE")
    check(node, side(a), side(b), ended_by)


def test_linphone_writes_to_linphone(node: Node, place: Place, ring: Ring, tmp_path: Path) -> None:
    a, b = Linphone(tmp_path / "a", place.caller, A), Linphone(tmp_path / "b", place.callee, B)
    ring(a)
    ring(b)
    a.write(f"sip:{X}@{place.node}", "parcel at the door")
    a.await_step("<- 200 MESSAGE")
    [record] = node.records()
    assert ended_wrong(node) == []
    assert (record["caller"], record["callee"], record["release_cause"]) == (A, B, "NORMAL")
    got = [message for message in b.messages if not message.is_sent]
    assert [message.shown for message in got] == ["MESSAGE"], ladder(b.messages)
    assert got[0].body == b"parcel at the door"
    assert_private(side(a), side(b))


@pytest.mark.parametrize(("caller_by", "callee_by"), [("tcp", "tls"), ("tls", "tcp"), ("tls", "tls")])
def test_baresip_calls_baresip_over_streams(
    make_node: Callable[..., Node], place: Place, ring: Ring, tmp_path: Path, caller_by: str, callee_by: str
) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("node", f"ip:{place.node}")
    node = make_node(
        extra=f'[[listen]]\ntransport = "tcp"\naddress = "{place.node}:5060"\n'
        f'[[listen]]\ntransport = "tls"\naddress = "{place.node}:5061"\ncertificate = "{certificate}"\n'
        f'private_key = "{key}"\nserver_ca = "{authority.file}"\n'
        '[[peer]]\nname = "phones"\nmatch = ["127.0.0.1"]\n'  # where baresip's own connections come from
        f'[[peer]]\nname = "stream"\ntargets = ["sip:{place.callee}:{PORTS[callee_by]};transport={callee_by}"]\n'
        '[[route]]\nname = "to-stream"\ncalled = "^13[12]"\npeers = ["stream"]\n'
    )
    bound = STREAMS[callee_by]
    node.bind(bound)
    node.start()
    a, b = (
        ring(secure(tmp_path / name, host, number, authority))
        for name, host, number in (("a", place.caller, A), ("b", place.callee, bound.b))
    )
    a.call(f"sip:{bound.x}@{place.node}:{PORTS[caller_by]};transport={caller_by}")
    b.await_step("<- ACK")
    a.hang_up()
    b.await_step("-> 200 BYE")
    a.await_step("<- 200 BYE")
    check(node, side(a), side(b))
    for phone, by in ((a, caller_by), (b, callee_by)):
        assert f"\n{by.upper()} ".encode() in phone.log and b"\nUDP " not in phone.log


def secure(folder: Path, host: str, number: str, authority: Authority) -> Baresip:
    """A baresip that has a certificate for its host."""
    certificate, key = authority.issue(f"phone-{host}", f"ip:{host}")
    both = certificate.with_suffix(".both")
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return Baresip(folder, host, number, f"sip_certificate {both}\nsip_cafile {authority.file}\n")
