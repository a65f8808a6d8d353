"""TLS: contexts out of files, whom a certificate names, who is let in and who is trusted outward, on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import ssl
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sipstack.aio.stream import StreamLimits
from sipstack.aio.tls import TlsContexts, TlsError, TlsFiles, names_of
from sipstack.events import Flow, SendMessage
from tests.sipstack.certificates import Authority
from tests.sipstack.endpoint_rig import WAIT_S, own_address
from tests.sipstack.stream_rig import OPTIONS, StreamRig, connected, ended


@pytest.fixture
def host(request: pytest.FixtureRequest) -> str:
    return own_address(request)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def node(authority: Authority) -> TlsFiles:
    """Of the node: it trusts the authority, both ways."""
    files = authority.issue("node", "dns:node.example")
    return TlsFiles(*files, client_ca=authority.file, server_ca=authority.file)


@pytest.fixture
async def rig(host: str, node: TlsFiles) -> AsyncIterator[StreamRig]:
    """Asks clients for no certificate."""
    made = StreamRig(host, contexts=TlsContexts(dataclasses.replace(node, client_ca=None)))
    yield made
    await made.close()


@pytest.fixture
async def mutual(host: str, node: TlsFiles) -> AsyncIterator[StreamRig]:
    """Lets in only who shows a certificate of the authority."""
    made = StreamRig(host, contexts=TlsContexts(node))
    yield made
    await made.close()


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def client(rig: StreamRig, authority: Authority, certificate: tuple[Path, Path] | None = None) -> Streams:
    context = ssl.create_default_context(cafile=str(authority.file))
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return await asyncio.open_connection(*rig.address, ssl=context, server_hostname="node.example")


async def over(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ssl.SSLError, OSError):
        await writer.wait_closed()


# ---------------------------------------------------------------------- files


def test_contexts_are_of_tls_1_2_at_least(node: TlsFiles) -> None:
    contexts = TlsContexts(node)
    for context in (contexts.server, contexts.client):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert context.verify_mode is ssl.CERT_REQUIRED
    assert TlsContexts(dataclasses.replace(node, client_ca=None)).server.verify_mode is ssl.CERT_NONE


def faulty(files: TlsFiles, tmp_path: Path, authority: Authority) -> dict[str, tuple[TlsFiles, str]]:
    other = authority.issue("other", "dns:other.example")
    text = tmp_path / "text.pem"
    text.write_text("no certificate\n")
    absent = tmp_path / "absent.pem"
    replace = dataclasses.replace
    return {
        "no certificate": (replace(files, certificate=absent), f"{absent}: No such file or directory"),
        "no key": (replace(files, private_key=absent), f"{absent}: No such file or directory"),
        "folder": (replace(files, client_ca=tmp_path), f"{tmp_path}: Is a directory"),
        "key of another": (replace(files, private_key=other[1]), "the key is not that of the certificate"),
        "text for a certificate": (replace(files, certificate=text), f"{text} and {files.private_key}: not a cert"),
        "text for a key": (replace(files, private_key=text), f"{files.certificate} and {text}: not a certificate and"),
        "text for an authority": (replace(files, client_ca=text), f"{text}: no certificate or crl found"),
        "text for the other authority": (replace(files, server_ca=text), str(text)),
    }


@pytest.mark.parametrize(
    "what",
    ["no certificate", "no key", "folder", "key of another", "text for a certificate", "text for a key",
     "text for an authority", "text for the other authority"],
)  # fmt: skip
def test_bad_file_is_named_and_changes_nothing(node: TlsFiles, tmp_path: Path, authority: Authority, what: str) -> None:
    bad, says = faulty(node, tmp_path, authority)[what]
    with pytest.raises(TlsError) as refused:
        TlsContexts(bad)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
    contexts = TlsContexts(node)
    before = contexts.server, contexts.client
    with pytest.raises(TlsError):
        contexts.reload(bad)
    assert (contexts.server, contexts.client) == before
    contexts.reload()  # the files that it had before, not the bad ones
    assert contexts.server is not before[0]


def test_key_with_a_password_asks_nobody(node: TlsFiles, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as s

    key = s.load_pem_private_key(node.private_key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"secret")))
    with pytest.raises(TlsError, match=r"locked\.key: .* without password"):
        TlsContexts(dataclasses.replace(node, private_key=locked))


# ---------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("subjects", "names"),
    [
        ((("DNS", "A.example"), ("DNS", "b.example")), ("a.example", "b.example")),
        ((("DNS", "a.example"), ("URI", "sip:B.example")), ("b.example",)),  # RFC 5922 §7.1: its URIs, when it has any
        ((("DNS", "a.example"), ("URI", "http://b.example")), ("a.example",)),
        ((("DNS", "a.example"), ("URI", "sip:user@b.example")), ("a.example",)),
        ((("DNS", "*.example"), ("DNS", "c.example")), ("c.example",)),  # §7.2: a wildcard names nobody
        ((("IP Address", "192.0.2.1"),), ("192.0.2.1",)),
        ((("IP Address", "2001:DB8:0:0:0:0:0:1\n"),), ("2001:db8::1",)),
        ((("IP Address", "<invalid>"), ("DirName", (("x",),))), ()),
        ((), ()),
    ],
)
def test_names_of_a_certificate(subjects: tuple[object, ...], names: tuple[str, ...]) -> None:
    assert names_of({"subject": (((("commonName"), "cn.example"),),), "subjectAltName": subjects}) == names


def test_no_certificate_names_nobody() -> None:
    assert names_of(None) == names_of({}) == ()


# ---------------------------------------------------------------------- who comes


async def test_messages_over_tls(rig: StreamRig, authority: Authority) -> None:
    rig.core.answer = lambda data, flow: [SendMessage(data, flow)]
    reader, writer = await client(rig, authority)
    sent = b"".join(OPTIONS(number) for number in range(50))
    writer.write(sent)
    assert await reader.readexactly(len(sent)) == sent
    [flow] = set(rig.core.flows)
    assert flow == Flow("TLS", *writer.get_extra_info("sockname"))
    assert flow.identities == ()
    await over(writer)
    assert (rig.faults, rig.transport.counters) == ([], {})


async def test_large_messages_over_tls(rig: StreamRig, authority: Authority) -> None:
    body = b"x" * 60_000
    data = OPTIONS(1).replace(b"Length: 0", b"Length: 60000") + body
    rig.core.answer = lambda data, flow: [SendMessage(data, flow)]
    reader, writer = await client(rig, authority)
    writer.write(data * 5)
    assert await reader.readexactly(5 * len(data)) == data * 5
    await over(writer)


async def test_client_is_who_its_certificate_names(mutual: StreamRig, authority: Authority) -> None:
    _, writer = await client(mutual, authority, authority.issue("peer", "dns:peer.example", "dns:b.example"))
    writer.write(OPTIONS(1))
    await mutual.core.until(1)
    assert mutual.core.flows[0].identities == ("peer.example", "b.example")
    await over(writer)


@pytest.mark.parametrize("shows", ["nothing", "of another authority", "expired"])
async def test_client_without_a_good_certificate_is_not_heard(
    mutual: StreamRig, authority: Authority, tmp_path: Path, shows: str
) -> None:
    certificate = {
        "nothing": None,
        "of another authority": Authority(tmp_path, "stranger").issue("peer", "dns:peer.example"),
        "expired": authority.issue("late", "dns:peer.example", days=-2),
    }[shows]
    reader, writer = await client(mutual, authority, certificate)  # TLS 1.3: it is let go after its own handshake
    writer.write(OPTIONS(1))
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        assert await reader.read() == b""
    await mutual.until_connections(0)
    await over(writer)
    assert mutual.core.calls == []
    assert mutual.transport.counters == {"tls_failures": 1}


async def test_old_versions_are_refused(rig: StreamRig, authority: Authority) -> None:
    context = ssl.create_default_context(cafile=str(authority.file))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(*rig.address, ssl=context, server_hostname="node.example")
    await rig.until_connections(0)
    assert rig.transport.counters == {"tls_failures": 1}


@pytest.mark.parametrize("said", [OPTIONS(1), b"\x16\x03\x01\xff\xff" + b"x" * 70_000, b"\x00" * 100])
async def test_what_is_no_tls_is_closed(rig: StreamRig, host: str, said: bytes) -> None:
    with await connected(rig, host) as peer:
        peer.send(said)
        await ended(peer)
    assert rig.core.calls == []
    assert rig.transport.counters == {"tls_failures": 1}


async def test_handshake_that_does_not_end(host: str, node: TlsFiles) -> None:
    rig = StreamRig(host, StreamLimits(handshake_s=0.08), TlsContexts(node))
    with await connected(rig, host) as peer:
        peer.send(b"\x16\x03\x01")
        await ended(peer)
    assert rig.transport.counters == {"timed_out": 1}
    await rig.close()


async def test_ping_over_tls(rig: StreamRig, authority: Authority) -> None:
    reader, writer = await client(rig, authority)
    writer.write(b"\r\n\r\n")
    assert await reader.readexactly(2) == b"\r\n"
    await over(writer)


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
        (("dns:other.example",), 30, "proxy.example", "tls_wrong_names", "its certificate is not for proxy.example"),
        (("dns:proxy.example",), 30, "", "tls_wrong_names", "its certificate is not for 127."),
        (("dns:*.example",), 30, "proxy.example", "tls_wrong_names", "its certificate is not for proxy.example"),
        (("uri:sip:other.example", "dns:proxy.example"), 30, "proxy.example", "tls_wrong_names", "is not for proxy.ex"),
        ((), 30, "proxy", "tls_wrong_names", "is not for proxy"),  # its common name counts for nothing
        (("dns:proxy.example",), -2, "proxy.example", "tls_failures", "certificate has expired"),
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


# ---------------------------------------------------------------------- reload


async def test_new_certificate_is_for_new_connections(host: str, node: TlsFiles, authority: Authority) -> None:
    contexts = TlsContexts(dataclasses.replace(node, client_ca=None))
    rig = StreamRig(host, contexts=contexts)
    rig.core.answer = lambda data, flow: [SendMessage(data, flow)]
    old_reader, old = await client(rig, authority)
    serial = old.get_extra_info("peercert")["serialNumber"]
    authority.issue("node", "dns:node.example")  # into the same files
    contexts.reload()
    _, new = await client(rig, authority)
    assert new.get_extra_info("peercert")["serialNumber"] != serial
    old.write(OPTIONS(1))
    assert await old_reader.readexactly(len(OPTIONS(1))) == OPTIONS(1)
    await over(old)
    await over(new)
    await rig.close()
