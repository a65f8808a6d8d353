"""The Kamailio of docs/peers, started as it stands there: a call through it, veil700, and it again."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from scenarios.rig.node import Node
from scenarios.rig.place import Place
from scenarios.rig.seen import ladder
from tests.docs.pages import DOCS
from tests.e2e.stories import BINDING, A, B, X
from tests.interop.kamailio import Kamailio

PEERS: Final = DOCS / "peers"
CALLING_PORT: Final = 5070

pytestmark = pytest.mark.interop


def placed(text: str, hosts: dict[str, str]) -> str:
    """`text` with addresses of the test for those of the page."""
    return re.sub(r"192\.0\.2\.(10|20|30)\b", lambda found: hosts[found[0]], text)


@pytest.fixture
def hosts(place: Place) -> dict[str, str]:
    return {"192.0.2.10": place.second, "192.0.2.20": place.node, "192.0.2.30": place.callee}


@pytest.fixture
def kamailio(tmp_path: Path, hosts: dict[str, str]) -> Iterator[Kamailio]:
    if shutil.which("kamailio") is None:
        pytest.fail("Kamailio is missing: apt-get install kamailio")
    folder = tmp_path / "kamailio"
    folder.mkdir()
    for name in ("kamailio.cfg", "dispatcher.list"):
        text = placed((PEERS / name).read_text("utf-8"), hosts)
        (folder / name).write_text(text.replace("/etc/kamailio/", f"{folder}/"), "utf-8")
    made = Kamailio(folder / "kamailio.cfg")
    yield made
    made.close()


@pytest.fixture
def node(make_node: Callable[..., Node], hosts: dict[str, str]) -> Node:
    """A node on docs/peers/veil700.toml, with the data folder and the inventory of this test."""
    made = make_node()
    text = placed((PEERS / "veil700.toml").read_text("utf-8"), hosts)
    made.config.write_text(text.replace("/var/lib/veil700", "var"), "utf-8")
    made.bind(BINDING)
    made.start()
    return made


def test_kamailio_finds_nothing_wrong(kamailio: Kamailio) -> None:
    checked = kamailio.check()
    assert checked.returncode == 0, checked.stderr.decode()
    assert b"config file ok" in checked.stderr


def test_a_call_through_kamailio_and_back(kamailio: Kamailio, node: Node, hosts: dict[str, str], sipp: Any) -> None:
    core, switch = hosts["192.0.2.30"], hosts["192.0.2.10"]
    kamailio.start(switch)
    answering = sipp("answered/uas", core)
    calling = sipp("answered/uac", core, port=CALLING_PORT, target=switch, rows=[(X, A)])
    assert calling.wait().is_clean(1)
    assert answering.wait().is_clean(1)
    assert ladder(calling.messages)[-4:] == ["<- 200 INVITE", "-> ACK", "-> BYE", "<- 200 BYE"]
    assert ladder(answering.messages)[-3:] == ["<- ACK", "<- BYE", "-> 200 BYE"]
    invite = answering.messages[0]
    assert invite.start_line == f"INVITE sip:{B}@{switch}:5060 SIP/2.0"
    assert invite.value("P-Asserted-Identity") == f"<sip:{X}@veil.example>"
    assert all(B.encode() not in message.data for message in calling.messages if not message.is_sent)
    assert all(A.encode() not in message.data for message in answering.messages if not message.is_sent)
    [record] = node.records()
    assert (record["release_cause"], record["ingress_peer"], record["egress_peer"]) == ("NORMAL", "switch", "switch")
    assert (record["caller"], record["callee"]) == (A, B)


def test_what_is_no_700_number_and_who_is_not_the_core(
    kamailio: Kamailio,
    node: Node,
    place: Place,
    hosts: dict[str, str],
    sipp: Any,
) -> None:
    core, switch = hosts["192.0.2.30"], hosts["192.0.2.10"]
    kamailio.start(switch)
    for host, called, status in ((core, B, 404), (core, f"{X[:-1]}9", 404), (place.stranger, X, 403)):
        calling = sipp("unbound/uac", host, port=CALLING_PORT, target=switch, rows=[(called, A)])
        assert calling.wait().exit_status == (0 if status == 404 else 1)
        assert [m.status for m in calling.messages if m.status >= 200] == [status]
    assert [record["release_cause"] for record in node.records()] == ["NO_BINDING"]
