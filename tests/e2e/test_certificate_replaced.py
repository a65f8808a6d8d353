"""A certificate is replaced while calls go on over TLS: none fails, and who connects after that sees the new one."""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.control.client import ask
from scenarios.rig.binding import BLOCK, Bound
from scenarios.rig.node import Node, unsound
from scenarios.rig.place import Place
from tests.e2e.ends import Party, StreamEnd, UdpEnd, call
from tests.e2e.stories import A
from tests.sipstack.certificates import Authority

LINES = 4  # callers beside each other, each with a callee of its own
CALLS_EACH = 5  # between two reloads, at the least
RELOADS = 8
LISTEN = '[[listen]]\ntransport = "tls"\naddress = "{node}:5061"\ncertificate = "now.crt"\nprivate_key = "now.key"\n'
TRUNK = """
[[peer]]
name = "line-{line}"
match = ["{host}"]
targets = ["sip:{host}:5060"]
[[route]]
name = "to-line-{line}"
called = "^134{line}"
peers = ["line-{line}"]
"""


class Line:
    """Calls over TLS, one after the other in a thread; `shown` are the certificates, one for each call."""

    def __init__(self, place: Place, line: int, client: ssl.SSLContext, is_steady: bool) -> None:
        """A steady one keeps its connection; another one opens one for each third call."""
        self.bound = Bound(f"{BLOCK}{line + 91:04}", A, f"134{line}0013900")
        self._caller = StreamEnd(place.caller, place.node, 5070 + line, 5061, client)
        self._callee = UdpEnd(place.host(20 + line), place.node)
        self.is_steady = is_steady
        self._is_over = threading.Event()
        self.shown: list[bytes] = []
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        caller, callee = Party(A, self._caller), Party(self.bound.b, self._callee)
        try:
            while not self._is_over.is_set():
                if not self.is_steady and len(self.shown) % 3 == 0:
                    self._caller.drop()
                call(caller, callee, self.bound.x, f"line-{self.bound.x}-{len(self.shown)}")
                assert isinstance(self._caller.connection, ssl.SSLSocket)
                self.shown.append(self._caller.connection.getpeercert(binary_form=True) or b"")
        except Exception as failure:  # the test's to raise
            self.failure = failure

    def has_had(self, calls: int) -> None:
        """Waits until it has had so many more."""
        wanted, deadline = len(self.shown) + calls, time.monotonic() + 120.0
        while len(self.shown) < wanted:
            if self.failure is not None:
                raise self.failure
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def end(self) -> None:
        """Its last call has ended, or it raises what went wrong."""
        self._is_over.set()
        self._thread.join(120.0)
        self._caller.close()
        self._callee.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def replace(authority: Authority, node: Node, name: str, files: tuple[str, ...] = ("now.crt", "now.key")) -> bytes:
    """A new certificate of the node takes the place of the one in its files; its DER."""
    for made, used in zip(authority.issue(name, f"ip:{node.place.node}"), files, strict=False):
        os.replace(made, node.folder / used)
    return ssl.PEM_cert_to_DER_cert((node.folder / "now.crt").read_text())


@pytest.fixture
def node(make_node: Callable[..., Node], place: Place, authority: Authority) -> Node:
    trunks = [TRUNK.format(line=line, host=place.host(20 + line)) for line in range(LINES)]
    return make_node(extra=place.filled(LISTEN) + "".join(trunks))


@pytest.fixture
def lines(node: Node, place: Place, authority: Authority) -> Iterator[list[Line]]:
    """Every second one keeps its connection."""
    client = ssl.create_default_context(cafile=authority.file)
    made = [Line(place, line, client, line % 2 == 0) for line in range(LINES)]
    yield made
    for line in made:
        line.end()


def test_no_call_fails_when_certificates_are_replaced(node: Node, lines: list[Line], authority: Authority) -> None:
    certificates = [replace(authority, node, "first")]
    node.bind(*(line.bound for line in lines))
    node.start()
    for line in lines:
        line.start()
    calls_at_reload = []
    for number in range(RELOADS):
        for line in lines:
            line.has_had(CALLS_EACH)
        certificates.append(replace(authority, node, f"next-{number}"))
        assert ask(node.data_dir, "reload")["reloaded"] is True
        calls_at_reload.append([len(line.shown) for line in lines])
    replace(authority, node, "unlike", ("now.crt",))
    done = node.command("reload")
    assert done.returncode == 1
    assert "not the key of the certificate" in done.stderr
    for line in lines:
        line.has_had(CALLS_EACH)
    for line in lines:
        line.end()
        assert line.failure is None
    check_shown(lines, certificates, calls_at_reload)
    calls = sum(len(line.shown) for line in lines)
    records = node.records()
    print(f"{calls} calls, {[len(line.shown) for line in lines]}; load {os.getloadavg()[0]:.1f}")
    assert [record["release_cause"] for record in records] == ["NORMAL"] * calls
    counters = node.status()["counters"]
    assert unsound(counters) == {}
    counted = {name for name, count in counters.items() if count and name.startswith("tls_")}
    assert counted <= {"tls_connections"}  # which may not have been noticed to be closed


def check_shown(lines: list[Line], certificates: list[bytes], calls_at_reload: list[list[int]]) -> None:
    """Old connections show the old one for good; those opened after a reload the one that it has taken."""
    for number, line in enumerate(lines):
        if line.is_steady:
            assert set(line.shown) == {certificates[0]}
            continue
        for calls, new in zip((at[number] for at in calls_at_reload), certificates[1:], strict=True):
            opened_next = calls + 3 - calls % 3  # the call that was under way may be one on a connection of before
            assert line.shown[opened_next] == new
        assert line.shown[-1] == certificates[-1]  # not the one that has been refused
