"""TLS outward, on loopback: nothing is sent to who does not prove to be whom we mean."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from sipstack.aio.tls import names_of
from sipstack.events import Flow, SendMessage
from tests.sipstack.certificates import Authority
from tests.sipstack.endpoint_rig import WAIT_S
from tests.sipstack.stream_rig import OPTIONS, StreamRig

# ---------------------------------------------------------------------- whom we reach


class Server:
    """A TLS server of others on loopback: what it was sent."""

    def __init__(self, host: str, certificate: tuple[Path, Path], client_ca: Path | None = None) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificate)
        if client_ca is not None:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(client_ca)
        self.context.sni_callback = lambda _, name, __: self.asked_for.append(name)
        self.asked_for: list[str | None] = []
        self.clients: list[dict[str, object]] = []
        self.data = b""
        self.heard = asyncio.Event()
        self._host = host

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._serve, self._host, 0, ssl=self.context)
        self.flow = Flow("TLS", *self._server.sockets[0].getsockname()[:2])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.clients.append(writer.get_extra_info("peercert"))
        try:
            while data := await reader.read(65536):
                self.data += data
                self.heard.set()
        except (ssl.SSLError, OSError):
            pass
        finally:
            writer.close()

    def named(self, *names: str) -> Flow:
        return Flow("TLS", self.flow.host, self.flow.port, 0, names)


@pytest.mark.parametrize(
    ("subjects", "wanted"),
    [
        (("dns:proxy.example",), "proxy.example"),
        (("dns:other.example", "dns:proxy.example"), "proxy.example"),
        (("dns:Proxy.Example",), "proxy.example"),
        (("uri:sip:proxy.example", "dns:host7.example"), "proxy.example"),
        (("ip:{host}",), ""),
    ],
)
async def test_message_goes_to_who_proves_the_name(
    rig: StreamRig, host: str, authority: Authority, subjects: tuple[str, ...], wanted: str
) -> None:
    certificate = authority.issue("proxy", *(subject.format(host=host) for subject in subjects))
    async with Server(host, certificate) as server:
        flow = server.named(wanted) if wanted else server.flow
        rig.endpoint.perform([SendMessage(OPTIONS(number), flow) for number in range(2)])
        async with asyncio.timeout(WAIT_S):
            while len(server.data) < 2 * len(OPTIONS(0)):
                server.heard.clear()
                await server.heard.wait()
        assert server.data == OPTIONS(0) + OPTIONS(1)
        assert server.asked_for == [wanted or None]  # SNI; an IP address is none (RFC 6066 §3)
        assert rig.transport.connections == 1
        await rig.close()


@pytest.mark.parametrize(
    ("subjects", "days", "wanted", "counted", "reason"),
    [
        (("dns:other.example",), 30, "proxy.example", "wrong_names", "its certificate is not for proxy.example"),
        (("dns:proxy.example",), 30, "", "wrong_names", "its certificate is not for 127."),
        (("dns:*.example",), 30, "proxy.example", "wrong_names", "its certificate is not for proxy.example"),
        (("uri:sip:other.example", "dns:proxy.example"), 30, "proxy.example", "wrong_names", "is not for proxy.ex"),
        ((), 30, "proxy", "wrong_names", "is not for proxy"),  # its common name counts for nothing
        (("dns:proxy.example",), -2, "proxy.example", "handshakes_failed", "certificate has expired"),
    ],
)
async def test_nothing_is_sent_to_who_does_not_prove_the_name(
    rig: StreamRig,
    host: str,
    authority: Authority,
    subjects: tuple[str, ...],
    days: int,
    wanted: str,
    counted: str,
    reason: str,
) -> None:
    async with Server(host, authority.issue("proxy", *subjects, days=days)) as server:
        flow = server.named(wanted) if wanted else server.flow
        rig.endpoint.perform([SendMessage(b"a number", flow)])
        await rig.core.until(1)
        assert rig.core.calls == [f"failed {flow!r} a number"]
        await rig.until_connections(0)
        assert server.data == b""
        assert rig.transport.counters == {counted: 1, "connects_failed": 1}
        assert len(rig.troubles) == 1
        assert reason in rig.troubles[0]


async def test_nothing_is_sent_to_who_signs_for_himself(rig: StreamRig, host: str, tmp_path: Path) -> None:
    async with Server(host, Authority(tmp_path, "stranger").issue("proxy", "dns:proxy.example")) as server:
        flow = server.named("proxy.example")
        rig.endpoint.perform([SendMessage(b"a number", flow)])
        await rig.core.until(1)
        assert rig.core.calls == [f"failed {flow!r} a number"]
        assert server.data == b""


async def test_connection_serves_only_the_name_that_it_was_opened_for(
    rig: StreamRig, host: str, authority: Authority
) -> None:
    async with Server(host, authority.issue("proxy", "dns:one.example")) as server:
        one, two = server.named("one.example"), server.named("two.example")
        rig.endpoint.perform([SendMessage(b"early", one), SendMessage(b"for two", two)])
        await server.heard.wait()
        rig.endpoint.perform([SendMessage(b"for two", two), SendMessage(b" late", one)])
        await rig.core.until(2)
        assert rig.core.calls == [f"failed {two!r} for two"] * 2
        while server.data != b"early late":
            await asyncio.sleep(0.002)
        await rig.close()


async def test_node_shows_its_certificate(rig: StreamRig, host: str, authority: Authority) -> None:
    certificate = authority.issue("proxy", "dns:proxy.example")
    async with Server(host, certificate, authority.file) as server:
        rig.endpoint.perform([SendMessage(OPTIONS(1), server.named("proxy.example"))])
        await server.heard.wait()
        assert names_of(server.clients[0]) == ("node.example",)
        await rig.close()


async def test_server_without_tls(rig: StreamRig, host: str) -> None:
    with socket.create_server((host, 0)) as server:
        server.setblocking(False)
        flow = Flow("TLS", *server.getsockname())
        rig.endpoint.perform([SendMessage(b"a number", flow)])
        accepted, _ = await asyncio.get_running_loop().sock_accept(server)
        with accepted:
            accepted.send(b"SIP/2.0 400 Bad Request\r\n\r\n")
            await rig.core.until(1)
    assert rig.core.calls == [f"failed {flow!r} a number"]
