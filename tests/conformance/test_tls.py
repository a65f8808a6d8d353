"""Requirements that are about TLS."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from scenarios.rig.place import Place
from scenarios.rig.seen import Seen
from tests.conformance.conftest import RigFactory
from tests.conformance.parties import PATIENCE_S
from tests.conformance.rig import Rig, options
from tests.conformance.streams import TCP, TLS_PORT, Contexts, over_stream
from tests.conformance.talk import Call
from tests.sipstack.certificates import Authority

CLIENTS_SHOWN: Final = 'client_ca = "{authority}"\n'


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def tls(authority: Authority, more: str = "") -> Callable[[Place], str]:
    """A listener for TLS, and a trunk to the callee over it for the numbers 134; and TCP for the numbers 133."""

    def settings(place: Place) -> str:
        certificate, key = authority.issue("node", f"ip:{place.node}")
        return TCP.replace("^134", "^133") + (
            f'[[listen]]\ntransport = "tls"\naddress = "{place.node}:5061"\ncertificate = "{certificate}"\n'
            f'private_key = "{key}"\nserver_ca = "{authority.file}"\n{more}'
            f'[[peer]]\nname = "by-tls"\ntargets = ["sips:{place.callee}:5061"]\n'
            '[[route]]\nname = "to-by-tls"\ncalled = "^134"\npeers = ["by-tls"]\n'
        )

    return settings


def contexts(authority: Authority, name: str, *subjects: str, days: int = 30, shows: bool = False) -> Contexts:
    """What a party connects with and answers with."""
    client = ssl.create_default_context(cafile=authority.file)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = authority.issue(name, *subjects, days=days)
    server.load_cert_chain(*certificate)
    if shows:
        client.load_cert_chain(*certificate)
    return client, server


def said(answer: Seen) -> list[str]:
    """An answer without what names its request."""
    own = ("Via:", "From:", "To:", "Call-ID:")
    return [answer.start_line, *(row for row in answer.head if not row.startswith(own))]


def test_req_001_one_answer_over_every_transport(make_rig: RigFactory, authority: Authority) -> None:
    """RFC 3261 §18.2.1; §26.3.1: the same message is taken over UDP, TCP and TLS, and answered alike.

    Checked: an OPTIONS over each, but for what is of the request; and a call whose caller speaks TLS.
    """
    rig = make_rig(tls(authority))
    answers = []
    for which in (None, (None, None), contexts(authority, "caller", f"ip:{rig.caller.host}")):
        if which is not None:
            over_stream(rig, rig.caller, which)
        rig.caller.send(options(rig.caller, rig.place.node, rig.caller.word()))
        answers.append(said(rig.hear(rig.caller, "200 OPTIONS")))
    assert answers[0] == answers[1] == answers[2]
    assert rig.caller.transport == "TLS"
    call = Call(rig).talk()
    assert call.ok.value("Contact").endswith(";transport=tls>")
    call.hang_up()


def test_req_012_certificates(make_rig: RigFactory, authority: Authority, tmp_path: Path) -> None:
    """RFC 3261 §26.2; §26.2.2; RFC 5922 §7.2: a target over TLS must prove by a valid certificate that it is who is
    meant, and what a `sips:` URI asks for never leaves in clear; with mutual TLS a client must show one, too.

    Checked: a callee whose certificate is right; has another name, is of an authority nobody knows, or has expired: no
    INVITE; a client without a certificate where one is asked for.
    """
    stranger = Authority(tmp_path, "stranger")
    rig = make_rig(tls(authority), "134")
    host = f"ip:{rig.callee.host}"
    plain = rig.callee
    for number, (signer, subject, days, is_right) in enumerate((
        (authority, "dns:other.example", 30, False), (stranger, host, 30, False), (authority, host, -1, False),
        (authority, host, 30, True),
    )):  # fmt: skip
        callee = over_stream(rig, rig.callee, contexts(signer, f"callee{number}", subject, days=days))
        call = Call(rig)
        rig.caller.send(call.invite())
        if is_right:
            call.at, call.sent, call.tag = callee, rig.hear(callee, "INVITE"), callee.word()
            assert call.sent.value("Via").startswith("SIP/2.0/TLS ")
            call.drop()
        else:
            assert call.refused().status == 480
            assert callee.texts == []
    assert plain.texts == []


def test_req_012_clients_without_a_certificate(make_rig: RigFactory, authority: Authority) -> None:
    """RFC 3261 §26.2.1; §26.3.1: where clients must show a certificate, one that does not is not served.

    Checked: an OPTIONS over TLS without one, and with one.
    """
    rig = make_rig(tls(authority, CLIENTS_SHOWN.replace("{authority}", str(authority.file))))
    assert not is_served(rig, contexts(authority, "nobody"))
    caller = over_stream(rig, rig.caller, contexts(authority, "somebody", f"ip:{rig.caller.host}", shows=True))
    caller.send(options(caller, rig.place.node, caller.word()))
    assert rig.hear(caller, "200 OPTIONS").status == 200


def is_served(rig: Rig, shown: Contexts) -> bool:
    """True when an OPTIONS over TLS is answered, and not with the end of the connection."""
    client = shown[0]
    assert client is not None
    opened = socket.create_connection((rig.place.node, TLS_PORT), PATIENCE_S, (rig.caller.host, 0))
    try:
        with client.wrap_socket(opened, server_hostname=rig.place.node) as secured:
            secured.sendall(options(rig.caller, rig.place.node, "served").encode())
            return secured.recv(100) != b""
    except (ssl.SSLError, ConnectionError):
        return False


def test_req_082_handshakes_do_not_hold_up_others(make_rig: RigFactory, authority: Authority) -> None:
    """Product: who begins a TLS handshake and does not end it takes nothing from others.

    Checked: 50 connections that say nothing, and an OPTIONS over TLS and one over UDP beside them.
    """
    rig = make_rig(tls(authority))
    idle = [
        socket.create_connection((rig.place.node, TLS_PORT), PATIENCE_S, (rig.place.host(22), 0)) for _ in range(50)
    ]
    try:
        rig.caller.send(options(rig.caller, rig.place.node, rig.caller.word()))
        rig.hear(rig.caller, "200 OPTIONS", 8.0)
        over_stream(rig, rig.caller, contexts(authority, "caller", f"ip:{rig.caller.host}"))
        rig.caller.send(options(rig.caller, rig.place.node, rig.caller.word()))
        rig.hear(rig.caller, "200 OPTIONS", 8.0)
    finally:
        for connection in idle:
            connection.close()
