"""The application on a data folder of the test's own, with the inventory of two platforms, and its clients."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine.api.app import Api
from engine.config import Config, load
from engine.logging import set_up_logging
from engine.store.api_keys import NewKey, Role, create_key
from engine.store.crypto import open_key
from engine.store.database import BINDINGS, open_database
from tests.api.asking import Client
from tests.e2e.conftest import place, places
from tests.store.stocks import stock

__all__ = ["place", "places"]

INVENTORY = Path(__file__).with_name("two_platforms.toml")

MakeKey = Callable[..., NewKey]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    file = tmp_path / "veil.toml"
    file.write_text('[node]\ndata_dir = "var"\n[api]\naddress = "127.0.0.1:8700"\n')
    config = load(file)
    stock(config.data_dir, INVENTORY.read_text())
    return config


def key_of(config: Config, role: Role, app_platform: str = "", rate_per_s: int = 0, *ip_allow: str) -> NewKey:
    path, cipher = config.data_dir / "bindings.db", open_key(config.data_dir)
    with closing(open_database(path, BINDINGS, cipher)) as connection:
        return create_key(connection, cipher, role, app_platform, rate_per_s, time.time(), ip_allow)


@pytest.fixture
def make_key(config: Config) -> MakeKey:
    """role, then the platform and its limit, then where it may be used."""
    return lambda *what: key_of(config, *what)


@pytest.fixture
async def api(config: Config) -> AsyncIterator[Api]:
    api = Api(config, set_up_logging("warning", "console"))
    yield api
    await api.close()


@pytest.fixture
def operator(api: Api, make_key: MakeKey) -> Client:
    return Client(api, token=make_key(Role.OPERATOR).secret)


@pytest.fixture
def auditor(api: Api, make_key: MakeKey) -> Client:
    return Client(api, token=make_key(Role.AUDITOR).secret)


@pytest.fixture
def platform(api: Api, make_key: MakeKey) -> Client:
    key = make_key(Role.PLATFORM, "ap-one")
    return Client(api, key_id=key.key_id, secret=key.secret)


@pytest.fixture
def stranger(api: Api, make_key: MakeKey) -> Client:
    """Another platform."""
    key = make_key(Role.PLATFORM, "ap-two")
    return Client(api, key_id=key.key_id, secret=key.secret)
