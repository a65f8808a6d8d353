"""Requirements 1 to 13: transport."""

from __future__ import annotations

from contextlib import closing

from scenarios.rig.place import PORT
from scenarios.rig.seen import Seen
from tests.conformance.conftest import RigFactory
from tests.conformance.message import text_for_x
from tests.conformance.rig import Rig, options
from tests.conformance.talk import Call
from tests.e2e.datagrams import udp_socket
from tests.e2e.stopwatch import stopwatch


def test_req_002_received_when_the_host_differs(rig: Rig) -> None:
    """RFC 3261 §18.2.1: where the host of the top Via is not the address that a request came from, the answer's Via
    says that address in `received`.

    Checked: a Via of `x.invalid`, one of another address, and one that is right.
    """
    for host in ("x.invalid", "192.0.2.1", rig.caller.host):
        data = options(rig.caller, rig.place.node, rig.caller.word()).replace(
            f"UDP {rig.caller.sent_by}", f"UDP {host}"
        )
        rig.caller.send(data)
        via = rig.hear(rig.caller, "200 OPTIONS").value("Via")
        assert via.startswith(f"SIP/2.0/UDP {host};")
        assert host == rig.caller.host or f";received={rig.caller.host}" in via


def test_req_003_rport_is_filled_and_used(rig: Rig) -> None:
    """RFC 3581 §4: `rport` without a value asks for the source port: it is written there, `received` too, and the
    answer goes from the very address that was asked to that port.

    Checked: from a port of its own with port 9 in Via.
    """
    data = options(rig.caller, rig.place.node, rig.caller.word()).replace(
        f"UDP {rig.caller.sent_by};", f"UDP {rig.caller.host}:9;rport;"
    )
    with closing(udp_socket(rig.caller.host, 0)) as end:
        end.sendto(data.encode(), (rig.place.node, PORT))
        answer, source = end.recvfrom(65_536)
        port = end.getsockname()[1]
    via = Seen(0.0, False, answer).value("Via")
    assert f";rport={port}" in via and f";received={rig.caller.host}" in via
    assert source == (rig.place.node, PORT)


def test_req_004_without_rport_to_the_port_of_via(rig: Rig) -> None:
    """RFC 3261 §18.2.2: over UDP and without `rport` the answer goes to the address that the request came from and the
    port of its Via, 5060 where there is none.

    Checked: sent from a port of its own; only the port of Via hears the answer.
    """
    with closing(udp_socket(rig.caller.host, 0)) as sender, closing(udp_socket(rig.caller.host, 0)) as named:
        port = named.getsockname()[1]
        data = options(rig.caller, rig.place.node, rig.caller.word())
        sender.sendto(data.replace(rig.caller.sent_by, f"{rig.caller.host}:{port}").encode(), (rig.place.node, PORT))
        assert named.recv(65_536).startswith(b"SIP/2.0 200 ")
        again = options(rig.caller, rig.place.node, rig.caller.word())
        sender.sendto(again.replace(rig.caller.sent_by, rig.caller.host).encode(), (rig.place.node, PORT))
        rig.hear(rig.caller, "200 OPTIONS")
        sender.setblocking(False)
        try:
            heard = sender.recv(65_536)
        except BlockingIOError:
            heard = b""
        assert heard == b""


def test_req_007_content_length_over_udp(rig: Rig) -> None:
    """RFC 3261 §18.3: in a datagram, octets past Content-Length are no part of the message; a body that is shorter is
    an error: 400 to a request, a response is dropped; without the field the body is the rest.

    Checked: with the body of a MESSAGE as the callee gets it, and with an answer of the callee's that is too short.
    """
    for length, arrives in (("3", b"abc"), (None, b"abcdef"), ("16", b"")):
        data = text_for_x(rig, b"abcdef").decode()
        row = f"Content-Length: {length}\r\n" if length else ""
        rig.caller.send(data.replace("Content-Length: 6\r\n", row))
        if not arrives:
            assert rig.final("MESSAGE").status == 400
            rig.hears_nothing(rig.callee)
            continue
        delivered = rig.hear(rig.callee, "MESSAGE")
        assert delivered.body == arrives
        good = rig.callee.answer(delivered, 200)
        rig.callee.send(good.replace(b"Content-Length: 0", b"Content-Length: 5"))
        rig.hears_nothing(rig.caller)
        rig.callee.send(good)
        assert rig.final("MESSAGE").status == 200


def test_req_011_transport_errors_at_once(make_rig: RigFactory) -> None:
    """RFC 3261 §18.4; §17.1.4; §8.1.3.1: what cannot be sent, or comes back as an ICMP error, has failed at once, as if
    it were answered 503.

    Checked: a target whose port is closed: the next one has its INVITE in less than a second, though T1 is 100 ms;
    where there is no next one, the caller has its answer in that time.
    Deviation: ICMP that does not quote the request as far as its branch counts for nothing: anybody could forge it;
    then `first_response_ms` decides.
    """
    for prefix in ("137", "136"):
        rig = make_rig("", prefix, 100)
        call = Call(rig)
        took = stopwatch(rig.node)
        rig.caller.send(call.invite())
        if prefix == "136":
            call.refused()
            assert took() < 1.0
            continue
        call.sent = rig.hear(rig.callee, "INVITE")
        assert took() < 1.0
        call.tag = rig.callee.word()
        call.drop()
