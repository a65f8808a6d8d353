"""What tests share: an address of their own, two ends of datagrams, a stream over TLS and an authority for it."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sipstack.aio.tls import TlsContexts, TlsFiles
from tests.sipstack.certificates import Authority
from tests.sipstack.endpoint_rig import own_address
from tests.sipstack.stream_rig import StreamRig
from tests.sipstack.timed_rig import Ends


@pytest.fixture
def host(request: pytest.FixtureRequest) -> str:
    return own_address(request)


@pytest.fixture
def ends() -> Iterator[Ends]:
    """They are read without waiting."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.setblocking(False)
    far.setblocking(False)
    with near, far:
        yield near, far


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
