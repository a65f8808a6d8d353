"""The process of the API beside the node: it comes with it, comes back when it dies, and goes with it."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scenarios.rig.node import Node
from tests.e2e.stories import BINDING, tell
from tests.e2e.waiting import is_there
from tests.sipstack.certificates import Authority

PORT = 8700
WITHIN_S = 60.0


@pytest.fixture
def node(make_node: Callable[..., Node]) -> Node:
    node = make_node()
    text = node.config.read_text()
    node.config.write_text(f'{text}\n[api]\naddress = "{node.place.node}:{PORT}"\n')
    return node


def url(node: Node, scheme: str = "http") -> str:
    return f"{scheme}://{node.place.node}:{PORT}"


def get(node: Node, path: str, token: str = "") -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    asked = urllib.request.Request(f"{url(node)}{path}", headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=WITHIN_S) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_is_ready_with_the_node_and_ends_with_it(node: Node) -> None:
    node.start()
    assert node.stdout == f"veil700 ready sip=udp:{node.place.node}:5060 api={url(node)}\n"
    assert get(node, "/v1/api_keys")[0] == 401
    made = json.loads(node.command("api-key", "create", "--role", "operator", "--json").stdout)
    status, listed = get(node, "/v1/api_keys", made["secret"])
    assert (status, [row["key_id"] for row in listed["items"]]) == (200, [made["key_id"]])
    api = node.status()["api"]
    assert (api["state"], api["url"], api["restarts"]) == ("running", url(node), 0)
    assert node.stop() == 0
    assert not is_there(api["pid"])
    assert node.stderr == ""


def test_when_it_dies_it_comes_back_and_calls_go_on(node: Node) -> None:
    node.start()
    node.bind(BINDING)
    pid = node.status()["api"]["pid"]
    for number in (signal.SIGINT, signal.SIGHUP):
        os.kill(pid, number)
    assert get(node, "/v1/api_keys")[0] == 401
    os.kill(pid, signal.SIGKILL)
    tell(node)
    wait_until(lambda: node.status()["api"]["state"] == "running" and node.status()["api"]["pid"] != pid)
    assert get(node, "/v1/api_keys")[0] == 401
    assert node.status()["api"]["restarts"] == 1
    assert node.stop() == 0


def test_a_node_that_is_killed_takes_it_along(node: Node) -> None:
    node.start()
    pid = node.status()["api"]["pid"]
    node.kill()
    wait_until(lambda: not is_there(pid))
    node.start()
    assert get(node, "/v1/api_keys")[0] == 401


def test_a_stop_of_all_processes_at_once_is_a_stop(node: Node) -> None:
    """As a service manager ends a service: the same signal to each of them."""
    node.start()
    os.kill(node.status()["api"]["pid"], signal.SIGTERM)
    assert node.stop() == 0


def assert_refused(node: Node, status: int, *words: str) -> None:
    assert node.launch() == "ended"
    assert node.wait() == status
    said = node.stderr_of(node.starts)
    assert node.stdout == "" and said.count("\n") == 1
    assert [word for word in words if word not in said] == [], said


def test_an_address_that_is_taken_is_one_line(node: Node) -> None:
    with socket.socket() as holder:
        holder.bind((node.place.node, PORT))
        holder.listen()
        assert_refused(node, 1, f"cannot listen on api {node.place.node}:{PORT}", "Address already in use")
    node.start()
    assert node.stop() == 0


def test_https(node: Node, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("api", f"ip:{node.place.node}")
    node.config.write_text(f'{node.config.read_text()}certificate = "{certificate}"\nprivate_key = "{key}"\n')
    node.start()
    assert f" api={url(node, 'https')}\n" in node.stdout
    assert node.stop() == 0
    Path(key).write_text("no key")
    assert_refused(node, 1, "api.certificate", "cannot be used")
