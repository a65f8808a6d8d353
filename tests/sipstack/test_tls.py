"""TLS: contexts out of files, whom a certificate names, who is let in, new certificates."""

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
from sipstack.events import Disconnect, Flow, SendMessage
from tests.sipstack.certificates import Authority
from tests.sipstack.endpoint_rig import later
from tests.sipstack.stream_rig import OPTIONS, StreamRig, connected, ended


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
        "key of another": (
            replace(files, private_key=other[1]),
            f"{other[1]}: not the key of the certificate {files.certificate}",
        ),
        "text for a certificate": (replace(files, certificate=text), f"{text}: not a certificate in PEM"),
        "text for a key": (replace(files, private_key=text), f"{text}: not a key in PEM without a password"),
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
    assert getattr(bad, refused.value.part) != getattr(node, refused.value.part)
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
    with pytest.raises(TlsError, match=r"locked\.key: .* without a password"):
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
    assert mutual.transport.counters == {"handshakes_failed": 1}


def said_at_the_end(address: tuple[str, int], authority: Authority, says: bytes) -> bytes | str:
    """What a client hears last that tells an end that was said from one that was cut: b"", or the alert."""
    context = ssl.create_default_context(cafile=str(authority.file))
    with (
        socket.create_connection(address) as plain,
        context.wrap_socket(plain, server_hostname="node.example", suppress_ragged_eofs=False) as wrapped,
    ):
        wrapped.sendall(says)
        try:
            return wrapped.recv(1)
        except ssl.SSLError as error:
            return str(error.reason)


async def test_why_a_client_is_turned_away_is_said(mutual: StreamRig, authority: Authority) -> None:
    said = await asyncio.to_thread(said_at_the_end, mutual.address, authority, OPTIONS(1))
    assert said == "TLSV13_ALERT_CERTIFICATE_REQUIRED"


async def test_end_is_said(rig: StreamRig, authority: Authority) -> None:
    rig.core.answer = lambda data, flow: [Disconnect(flow)]
    assert await asyncio.to_thread(said_at_the_end, rig.address, authority, OPTIONS(1)) == b""


async def test_old_versions_are_refused(rig: StreamRig, authority: Authority) -> None:
    context = ssl.create_default_context(cafile=str(authority.file))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection(*rig.address, ssl=context, server_hostname="node.example")
    await rig.until_connections(0)
    assert rig.transport.counters == {"handshakes_failed": 1}


@pytest.mark.parametrize("said", [OPTIONS(1), b"\x16\x03\x01\xff\xff" + b"x" * 70_000, b"\x00" * 100])
async def test_what_is_no_tls_is_closed(rig: StreamRig, host: str, said: bytes) -> None:
    with await connected(rig, host) as peer:
        peer.send(said)
        await ended(peer)
    assert rig.core.calls == []
    assert rig.transport.counters == {"handshakes_failed": 1}


async def test_handshake_that_does_not_end(host: str, node: TlsFiles) -> None:
    rig = StreamRig(host, StreamLimits(handshake_s=60.0), TlsContexts(node))
    with await connected(rig, host) as peer:
        peer.send(b"\x16\x03\x01")
        await later(61.0, rig.transport)
        await ended(peer)
    assert rig.transport.counters == {"timed_out": 1}
    await rig.close()


def hold_the_clock(rig: StreamRig, later_s: float = 0.0) -> None:
    """By which handshakes are counted: on a busy machine a second is soon over."""
    now_s = rig.transport.now() + later_s
    rig.transport.now = lambda: now_s


async def test_one_host_begins_so_many_handshakes_in_a_second(host: str, node: TlsFiles, authority: Authority) -> None:
    limits = StreamLimits(max_handshakes_per_host_s=2)
    rig = StreamRig(host, limits, TlsContexts(dataclasses.replace(node, client_ca=None)))
    hold_the_clock(rig)
    writers = [(await client(rig, authority))[1] for _ in range(2)]
    with await connected(rig, "127.0.0.1", waits=False) as third:
        assert await ended(third) == b""
    assert rig.transport.counters == {"connections_refused": 1}
    with await connected(rig, host):
        pass  # another host
    hold_the_clock(rig, 1.5)  # and a second later this one again
    writers.append((await client(rig, authority))[1])
    for writer in writers:
        await over(writer)
    await rig.close()


async def test_all_that_nobody_knows_begin_so_many_and_keep_no_trusted_host_out(
    host: str, node: TlsFiles, authority: Authority
) -> None:
    contexts = TlsContexts(dataclasses.replace(node, client_ca=None))
    trusted = {"127.0.0.1": None}
    rig = StreamRig(host, StreamLimits(max_handshakes_s=2), contexts, pool_of=lambda one: trusted.get(one, ""))
    hold_the_clock(rig)
    limits = [socket.create_connection(rig.address, source_address=(stranger(host, n), 0)) for n in range(3)]
    for one in limits:
        one.setblocking(False)
    assert await ended(limits[2]) == b""
    writers = [(await client(rig, authority))[1] for _ in range(5)]
    assert rig.transport.counters == {"connections_refused": 1}
    for writer in writers:
        await over(writer)
    for one in limits:
        one.close()
    await rig.close()


def stranger(host: str, number: int) -> str:
    """Another address of this machine."""
    return f"{host.rpartition('.')[0]}.{200 + number}"


async def test_who_has_shown_a_certificate_waits_for_no_stranger(
    host: str, node: TlsFiles, authority: Authority
) -> None:
    rig = StreamRig(host, StreamLimits(max_handshakes_s=1), TlsContexts(node))
    hold_the_clock(rig)
    peer = authority.issue("peer", "dns:peer.example")
    first = (await client(rig, authority, peer))[1]
    await rig.until_messages_find(1)
    writers = [first]
    for number in range(2, 5):
        writers.append((await client(rig, authority, peer))[1])
        writers[-1].write(OPTIONS(number))
        await rig.core.until(number - 1)
    assert rig.transport.counters == {}
    for writer in writers:
        await over(writer)
    await rig.close()


async def test_ping_over_tls(rig: StreamRig, authority: Authority) -> None:
    reader, writer = await client(rig, authority)
    writer.write(b"\r\n\r\n")
    assert await reader.readexactly(2) == b"\r\n"
    await over(writer)


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


def test_other_files_are_kept_for_the_next_time(node: TlsFiles, authority: Authority) -> None:
    contexts = TlsContexts(node)
    other = dataclasses.replace(node, client_ca=None)
    contexts.reload(other)
    contexts.reload()
    assert contexts.server.verify_mode is ssl.CERT_NONE
