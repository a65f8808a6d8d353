"""A message that would have shown a number: the log of the node says so, and not which number it was."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from contextlib import closing

from scenarios.rig.place import PORT, Place
from tests.e2e.conftest import NodeFactory
from tests.e2e.datagrams import CALLER, request, udp_socket
from tests.e2e.stories import BINDING, X


def test_stopped_message_is_an_error_in_the_log_without_the_number(make_node: NodeFactory, place: Place) -> None:
    node = make_node(extra='[log]\nformat = "json"\n')
    node.bind(BINDING)
    node.start()
    with closing(udp_socket(place.caller)) as end:
        text = b"you know: " + b64encode(CALLER.encode())
        via = f"{place.caller}:{PORT}"
        message = request("MESSAGE", f"sip:{X}@{place.node}", via, "leak", "Content-Type: text/plain\r\n", text)
        end.sendto(message, (place.node, PORT))
        assert end.recv(65_536).startswith(b"SIP/2.0 403 ")
    counters = node.status()["counters"]
    assert counters["leaks_stopped"] == 1 and counters["released_leak_stopped"] == 1
    assert node.stop() == 0
    (record,) = node.records()
    assert record["release_cause"] == "LEAK_STOPPED"
    (line,) = [line for line in node.stderr.splitlines() if "leak" in line]
    said = json.loads(line)
    assert (said["level"], said["event"], said["message"]) == ("error", "leak stopped", "MESSAGE")
    assert said["record_id"] == record["record_id"] and said["peer"]
    rest = line.replace(said["record_id"], "").replace(said["timestamp"], "")
    assert re.search(r"[0-9]", rest) is None
