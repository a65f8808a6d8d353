"""The process of the API on a data folder of two platforms, and their SDKs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.config import Config, load
from engine.keeper import READY
from engine.store.api_keys import NewKey, Role, create_key
from engine.store.crypto import open_key
from engine.store.database import BINDINGS, open_database
from scenarios.rig.place import Place
from tests.alibaba.sdk import Sdk
from tests.e2e.conftest import module_place, place, places
from tests.store.stocks import stock

__all__ = ["module_place", "place", "places"]

INVENTORY = Path(__file__).with_name("two_platforms.toml")
PORT = 8701


def make_data(folder: Path, host: str, scenarios: str = 'alibaba_scenario = "express"') -> Config:
    """A configuration with both listeners, and the inventory of the two platforms. `scenarios` is TOML."""
    file = folder / "veil.toml"
    file.write_text(
        f'[node]\ndata_dir = "var"\n[api]\naddress = "{host}:8700"\nalibaba_address = "{host}:{PORT}"\n{scenarios}\n'
    )
    config = load(file)
    stock(config.data_dir, INVENTORY.read_text())
    return config


def make_key(config: Config, app_platform: str = "ap-test", rate_per_s: int = 0, *ip_allow: str) -> NewKey:
    path, cipher = config.data_dir / "bindings.db", open_key(config.data_dir)
    role = Role.PLATFORM if app_platform else Role.OPERATOR
    with closing(open_database(path, BINDINGS, cipher)) as connection:
        return create_key(connection, cipher, role, app_platform, rate_per_s, time.time(), ip_allow)


@dataclass
class Served:
    """The process, by the configuration that it runs on."""

    config: Config
    host: str  # host:port of the listener

    def key(self, app_platform: str = "ap-test", rate_per_s: int = 0, *ip_allow: str) -> NewKey:
        return make_key(self.config, app_platform, rate_per_s, *ip_allow)

    def sdk(self, app_platform: str = "ap-test", signed: str = "") -> Sdk:
        return Sdk(self.host, self.key(app_platform), signed)

    def command(self, *words: str) -> str:
        """What a verb of `veil700` prints."""
        line = [sys.executable, "-m", "engine.main", "--config", self.config.path, *words]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout


@pytest.fixture(scope="module")
def served(module_place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(make_data(tmp_path_factory.mktemp("alibaba"), module_place.node), module_place.node) as served:
        yield served


@contextmanager
def serve(config: Config, host: str) -> Iterator[Served]:
    """The process runs inside."""
    words = [sys.executable, "-m", "engine.api", "--config", str(config.path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        word = process.stdout.readline().decode().strip()
        assert word.startswith(READY), word
        assert word.endswith(f" http://{host}:{PORT}"), word
        yield Served(config, f"{host}:{PORT}")
        process.stdin.close()
        assert process.wait(60) == 0


@pytest.fixture(scope="module")
def sdk(served: Served) -> Sdk:
    return served.sdk()


MakeSdk = Callable[..., Sdk]
