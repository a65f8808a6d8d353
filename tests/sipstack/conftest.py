"""What tests of connections share: an address of their own, and a stream over TLS with an authority for both ends."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sipstack.aio.tls import TlsContexts, TlsFiles
from tests.sipstack.certificates import Authority
from tests.sipstack.endpoint_rig import own_address
from tests.sipstack.stream_rig import StreamRig


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
