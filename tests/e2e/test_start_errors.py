"""Starting and stopping a node: what goes wrong is one clear line, and leaves nothing half-done for the next start."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scenarios.rig.node import Node
from scenarios.rig.place import PORT, Place
from tests.e2e.datagrams import answer_to_options, request, udp_socket
from tests.e2e.kill_books import Call, misfits
from tests.e2e.stories import BINDING, A, X
from tests.e2e.waiting import wait_for
from tests.sipstack.certificates import Authority

TALK_MS = 15_000  # far more than a busy machine needs to start a node anew
READY = "veil700 ready sip=udp:{0}:5060\n"


def assert_refused(node: Node, status: int, *words: str) -> None:
    """It does not start: this exit status, nothing on stdout, one line on stderr with these words in it."""
    assert node.launch() == "ended"
    assert node.wait() == status
    assert node.stdout == ""
    said = node.stderr_of(node.starts)
    assert said.count("\n") == 1 and said.endswith("\n"), said
    assert [word for word in words if word not in said] == [], said


def assert_starts(node: Node) -> None:
    """It starts, serves, and stops as it should."""
    node.start()
    assert_serves(node)
    assert node.stop() == 0
    assert node.stdout == READY.format(node.place.node)
    assert sorted(path.name for path in node.data_dir.iterdir() if path.suffix == ".sock") == []


def assert_serves(node: Node) -> None:
    with udp_socket(node.place.caller, 5090) as probe:
        assert answer_to_options(probe, node.place.node, f"serves-{node.starts}").startswith(b"SIP/2.0 200 ")


@pytest.fixture
def node(make_node: Callable[..., Node]) -> Node:
    return make_node()


@pytest.fixture(scope="module")
def left_behind(module_place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a node that has started, served and stopped."""
    node = Node(module_place, tmp_path_factory.mktemp("left-behind"))
    try:
        assert_starts(node)
    finally:
        node.close()
    return node.data_dir


@pytest.fixture
def stopped(node: Node, left_behind: Path) -> Node:
    """It has run on its folder before: it is one start for all that take it, for each the folder is a copy."""
    shutil.copytree(left_behind, node.data_dir)
    return node


def rewrite(node: Node, old: str, new: str) -> None:
    """Changes the configuration."""
    text = node.config.read_text()
    assert old in text
    node.config.write_text(text.replace(old, new))


# -- what keeps a node from starting ---------------------------------------------------------------------------------


def test_port_is_busy(node: Node) -> None:
    with udp_socket(node.place.node):
        assert_refused(node, 1, f"cannot listen on udp:{node.place.node}:5060", "in use")
    assert not (node.data_dir / "key").exists(), "a start that fails makes no key"
    assert_starts(node)


def test_port_of_a_further_listener_is_busy(node: Node) -> None:
    with node.config.open("a") as config:
        config.write(f'[[listen]]\ntransport = "tcp"\naddress = "{node.place.node}:5060"\n')
    with socket.create_server((node.place.node, PORT)):
        assert_refused(node, 1, f"cannot listen on tcp:{node.place.node}:5060", "in use")
    assert not (node.data_dir / "key").exists(), "a start that fails makes no key"
    node.start()
    assert node.stdout == f"veil700 ready sip=udp:{node.place.node}:5060,tcp:{node.place.node}:5060\n"
    assert node.stop() == 0


def test_certificate_that_is_none(node: Node, tmp_path: Path) -> None:
    """`check` says it, and the start says it: in one line, which names the file."""
    files = Authority(tmp_path).issue("node", f"ip:{node.place.node}")
    with node.config.open("a") as config:
        config.write(
            f'[[listen]]\ntransport = "tls"\naddress = "{node.place.node}:5061"\n'
            f'certificate = "{files[1]}"\nprivate_key = "{files[1]}"\n'
        )
    text = node.config.read_text()
    line = text.count("\n", 0, text.index("certificate = ")) + 1
    said = f"{node.config}:{line}: listen.certificate: {files[1]}: not a certificate in PEM (listener tls:"
    checked = node.command("check")
    assert (checked.returncode, said in checked.stderr, checked.stderr.count("\n")) == (2, True, 1)
    assert_refused(node, 2, said)
    assert not (node.data_dir / "key").exists(), "a start that fails makes no key"
    rewrite(node, f'certificate = "{files[1]}"', f'certificate = "{files[0]}"')
    assert node.command("check").returncode == 0


def test_address_is_not_ours(node: Node) -> None:
    rewrite(node, f'address = "{node.place.node}:5060"', 'address = "192.0.2.1:5060"')
    assert_refused(node, 1, "cannot listen on udp:192.0.2.1:5060", "assign")


def test_file_where_the_data_folder_should_be(node: Node) -> None:
    node.data_dir.write_text("mine")
    assert_refused(node, 2, "data_dir", '"var" is a file')
    assert node.data_dir.read_text() == "mine"
    node.data_dir.unlink()
    assert_starts(node)


def test_data_folder_that_cannot_be_made(node: Node) -> None:
    rewrite(node, 'data_dir = "var"', 'data_dir = "/proc/veil700"')
    assert_refused(node, 1, "/proc/veil700")


def test_data_folder_that_cannot_be_written(node: Node) -> None:
    """Root may write anywhere but where nobody can: a folder of the kernel."""
    rewrite(node, 'data_dir = "var"', 'data_dir = "/proc/self"')
    assert_refused(node, 1, "/proc/")


def test_second_node_on_one_folder(node: Node, make_node: Callable[..., Node]) -> None:
    node.start()
    second = make_node("second")
    second.config.write_text(
        second.config.read_text()
        .replace('data_dir = "var"', f'data_dir = "{node.data_dir}"')
        .replace(f"{node.place.node}:5060", f"{node.place.stranger}:5060")
    )
    assert_refused(second, 1, str(node.data_dir), "another node")
    assert_serves(node)
    assert node.status()["state"] == "running", "its control socket is still its own"
    assert node.stop() == 0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[sip]", "[spi]", ("node.toml:", "spi", "sip")),
        ("t1_ms = 500", "t1_m = 500", ("node.toml:", "t1_m", "t1_ms")),
        ("t1_ms = 500", "t1_ms = 0", ("node.toml:", "t1_ms")),
        ("t1_ms = 500", "t1_ms = ", ("node.toml:",)),
        ('transport = "udp"', 'transport = "sctp"', ("node.toml:", "listen.transport")),
        ('peers = ["inbox"]', 'peers = ["imbox"]', ("node.toml:", "imbox")),
        ('called = "^139"', 'called = "^(139"', ("node.toml:", "called")),
    ],
    ids=["table", "key", "value", "syntax", "transport", "peer", "expression"],
)
def test_broken_configuration(make_node: Callable[..., Node], old: str, new: str, words: tuple[str, ...]) -> None:
    node = make_node(extra="[sip]\nt1_ms = 500\n")
    rewrite(node, old, new)
    assert_refused(node, 2, *words)
    assert not node.data_dir.exists(), "a configuration that is wrong touches nothing"


def test_configuration_is_missing(node: Node) -> None:
    node.config.unlink()
    assert_refused(node, 2, str(node.config))


def test_inventory_is_missing(node: Node) -> None:
    (node.folder / "inventory.toml").rename(node.folder / "elsewhere.toml")
    assert_refused(node, 2, "node.toml:", "inventory.toml", "no such file")
    (node.folder / "elsewhere.toml").rename(node.folder / "inventory.toml")
    assert_starts(node)


def test_broken_inventory(node: Node) -> None:
    file = node.folder / "inventory.toml"
    sound = file.read_text()
    file.write_text(sound.replace("[[scenario]]", "[[scenario]]\nmode = 1", 1))
    assert_refused(node, 1, "inventory.toml:", "scenario.mode", "modes")
    file.write_text(sound)
    assert_starts(node)


@pytest.mark.parametrize("name", ["bindings.db", "records.db"])
@pytest.mark.parametrize("content", [b"text" * 5000, b"SQLite format 3\0" + bytes(5000)], ids=["text", "zeros"])
def test_damaged_database(stopped: Node, name: str, content: bytes) -> None:
    file = stopped.data_dir / name
    sound = file.read_bytes()
    file.write_bytes(content)
    assert_refused(stopped, 1, f"{file}: damaged, or not a database")
    assert file.read_bytes() == content, "what is damaged is left for whoever repairs it"
    file.write_bytes(sound)
    assert_starts(stopped)


def test_database_of_a_newer_version(stopped: Node) -> None:
    with sqlite3.connect(stopped.data_dir / "records.db") as connection:
        [known] = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {known + 1}")
    connection.close()
    assert_refused(stopped, 1, "records", f"version {known + 1}")


def test_key_that_others_can_read(stopped: Node) -> None:
    key = stopped.data_dir / "key"
    key.chmod(0o640)
    assert_refused(stopped, 1, str(key), "0640", "0600")
    key.chmod(0o600)
    assert_starts(stopped)


def test_key_is_lost(stopped: Node) -> None:
    key = stopped.data_dir / "key"
    kept = key.read_bytes()
    key.unlink()
    assert_refused(stopped, 1, str(key), "missing")
    assert not key.exists(), "a new key could not read the data"
    key.touch(0o600)
    key.write_bytes(os.urandom(64))
    assert_refused(stopped, 1, "key", stopped.cipher().key_id)
    key.write_bytes(kept[:-1])
    assert_refused(stopped, 1, str(key), "63 bytes")
    key.write_bytes(kept)
    assert_starts(stopped)


def test_path_too_long_for_a_control_socket(node: Node) -> None:
    deep = "d" * 100
    rewrite(node, 'data_dir = "var"', f'data_dir = "{deep}"')
    assert_refused(node, 1, "control socket", "too long")
    rewrite(node, f'data_dir = "{deep}"', 'data_dir = "var"')
    assert_starts(node)


# -- signals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_idle_node_stops_at_once(node: Node, by: int) -> None:
    node.start()
    assert node.stop(by, within_s=20.0) == 0  # of 30 s for which it would wait for calls
    assert node.stdout == READY.format(node.place.node)
    assert_starts(node)


def test_reload_signal_does_not_end_it(node: Node) -> None:
    node.start()
    assert node.process is not None
    node.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "configuration reloaded" in node.stderr)
    assert_serves(node)
    assert node.stop() == 0


def test_killed_node_leaves_nothing_in_the_way(node: Node) -> None:
    node.start()
    node.kill()
    assert (node.data_dir / "control-0.sock").exists(), "nobody could have tidied up"
    assert_starts(node)


@pytest.fixture
def talking(node: Node, sipp: Callable[..., Any], place: Place) -> Callable[[int], tuple[Any, Any]]:
    """Starts the node and a call that lasts so many milliseconds; returns both SIPp once they talk."""

    def start(talk_ms: int) -> tuple[Any, Any]:
        node.bind(BINDING)
        node.start()
        callee = sipp("answered/uas", place.callee, timeout_s=60)
        caller = sipp("answered/uac", place.caller, target=place.node, rows=[(X, A)], talk_ms=talk_ms, timeout_s=60)
        wait_for(lambda: [call["state"] for call in node.calls()] == ["Talking"])
        return caller, callee

    return start


def test_stop_waits_for_a_call(node: Node, talking: Callable[[int], tuple[Any, Any]]) -> None:
    caller, callee = talking(6_000)
    assert node.process is not None
    node.process.send_signal(signal.SIGTERM)
    wait_for(lambda: node.status()["state"] == "draining")
    with udp_socket(node.place.caller, 5090) as late:
        invite = request("INVITE", f"sip:{X}@{node.place.node}", f"{node.place.caller}:5090", "too-late")
        late.sendto(invite, (node.place.node, PORT))
        refused = late.recv(65_536)  # at once: no 100 comes before it
    assert refused.startswith(b"SIP/2.0 503 ") and b"\r\nRetry-After: " in refused
    assert node.wait() == 0
    assert (caller.wait().successful, callee.wait().successful) == (1, 1)
    assert "still open" not in node.stderr
    assert [record["release_cause"] for record in node.records()] == ["OVERLOAD", "NORMAL"]
    assert node.verify().is_clean


def test_second_signal_does_not_wait(node: Node, talking: Callable[[int], tuple[Any, Any]]) -> None:
    """The call talks on without a node; the next one takes its BYE."""
    caller, callee = talking(TALK_MS)
    assert node.process is not None
    node.process.send_signal(signal.SIGTERM)
    wait_for(lambda: node.status()["state"] == "draining")
    assert node.stop() == 0
    assert re.search(r"calls still open, served on by the next start +count=1\n", node.stderr)
    assert node.records() == []
    node.start()
    assert [(call["state"], call["answered"]) for call in node.calls()] in ([("Answered", True)], [("Talking", True)])
    assert (caller.wait().successful, callee.wait().successful) == (1, 1)
    assert node.stop() == 0
    [record] = node.records()
    assert (record["release_cause"], record["sip_status"], record["caller"]) == ("NORMAL", 200, A)
    assert record["duration_source"] == "monotonic" and record["duration_ms"] >= TALK_MS
    assert misfits(Call(caller.messages, callee.messages), record) == []
    assert node.verify().is_clean


def test_ready_line_cannot_be_written(node: Node) -> None:
    """Whoever waits for the line would wait for ever: better no node than one that nobody knows of."""
    with Path("/dev/full").open("wb") as full:
        node.spawn(full)
    assert node.wait() == 1
    assert node.stderr == "veil700: cannot write to stdout: No space left on device\n"
    assert_starts(node)
