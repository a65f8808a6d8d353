"""An API process' parts on a data folder of the test's own, and platforms that it may ask on loopback."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine.api.app import Api
from engine.config import Config, load
from engine.logging import set_up_logging
from engine.store.api_keys import Role, create_key
from engine.store.crypto import open_key
from engine.store.database import BINDINGS, open_database
from engine.store.hooks import MAX_TIMEOUT_MS, Hook, put_hook
from tests.api.asking import Client
from tests.api.conftest import INVENTORY
from tests.hooks.platforms import HOST, Behaviour, Platform, context_for, trust
from tests.sipstack.certificates import Authority
from tests.store.stocks import stock

StartPlatform = Callable[..., Awaitable[Platform]]


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    return trust(tmp_path, monkeypatch)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    file = tmp_path / "veil.toml"
    file.write_text('[node]\ndata_dir = "var"\n[api]\nwebhook_hosts = ["127.0.0.0/8"]\n')
    config = load(file)
    stock(config.data_dir, INVENTORY.read_text())
    return config


@pytest.fixture
async def start_platform(authority: Authority) -> AsyncIterator[StartPlatform]:
    """How it behaves; with `plain` without TLS; `context` with another certificate."""
    started: list[Platform] = []

    async def start(behaviour: Behaviour, plain: bool = False, context: object = None) -> Platform:
        own = None if plain else context or context_for(authority, "platform", f"ip:{HOST}")
        started.append(await Platform(behaviour).start(own))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for platform in started:
        await platform.stop()


@pytest.fixture
async def api(config: Config, authority: Authority) -> AsyncIterator[Api]:
    api = Api(config, set_up_logging("warning", "console"))
    await api.begin()
    yield api
    await api.close()


@pytest.fixture
def operator(api: Api, config: Config) -> Client:
    return Client(api, token=_key(config, Role.OPERATOR, "")[1])


@pytest.fixture
def platform(api: Api, config: Config) -> Client:
    key_id, secret = _key(config, Role.PLATFORM, "ap-one")
    return Client(api, key_id=key_id, secret=secret)


def _key(config: Config, role: Role, app_platform: str) -> tuple[str, str]:
    cipher = open_key(config.data_dir)
    with closing(open_database(config.data_dir / "bindings.db", BINDINGS, cipher)) as connection:
        key = create_key(connection, cipher, role, app_platform, 0, time.time())
    return key.key_id, key.secret


def set_hook(config: Config, kind: str, url: str, timeout_ms: int = 0, app_platform: str = "ap-one") -> str:
    """Its secret. Without a time it is a minute, more than a hook may have: a busy machine needs a second for TLS."""
    cipher = open_key(config.data_dir)
    with closing(open_database(config.data_dir / "bindings.db", BINDINGS, cipher)) as connection:
        hook = Hook(app_platform, kind, url, timeout_ms or MAX_TIMEOUT_MS)
        secret = put_hook(connection, cipher, hook, renews=True)
        if not timeout_ms:
            connection.execute(
                "UPDATE hook SET timeout_ms = 60000 WHERE app_platform = ? AND kind = ?", (app_platform, kind)
            )
    return secret
