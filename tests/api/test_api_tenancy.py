"""Every operation of the published document, asked by everybody: whose it is, another platform, an auditor, nobody.

An operation that is new fails here until it has a row in `tests.api.world`.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from engine.api.app import Api, make_app
from engine.config import Config, load
from engine.logging import set_up_logging
from engine.store.api_keys import Role
from engine.store.crypto import open_key
from engine.store.database import RECORDS, open_database, open_read_only
from engine.store.inventory import apply_inventory, read_inventory
from tests.api.asking import Answer, Client
from tests.api.conftest import INVENTORY, key_of
from tests.api.world import ROWS, SECRET_OF, SHARED, World, make_world

DOCUMENT = make_app().openapi()
METHODS = {
    one["operationId"]: (method.upper(), set(one["x-roles"]), path)
    for path, operations in DOCUMENT["paths"].items()
    for method, one in operations.items()
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, World]]:
    """A data folder with both worlds in it, made once."""
    folder = tmp_path_factory.mktemp("worlds")
    (folder / "veil.toml").write_text('[node]\ndata_dir = "var"\n[api]\n')
    config = load(folder / "veil.toml")
    cipher = open_key(config.data_dir)
    apply_inventory(config.data_dir / "bindings.db", cipher, read_inventory(INVENTORY))
    open_database(config.data_dir / "records.db", RECORDS, cipher).close()

    async def make() -> dict[str, World]:
        api = Api(config, set_up_logging("warning", "console"))
        operator = Client(api, token=key_of(config, Role.OPERATOR).secret)
        worlds = {which: await make_world(operator, which) for which in ("one", "two")}
        await api.close()
        return worlds

    return folder, asyncio.run(make())


@pytest.fixture
def config(template: tuple[Path, dict[str, World]], tmp_path: Path) -> Config:
    folder, _ = template
    shutil.copytree(folder, tmp_path / "world")
    return load(tmp_path / "world" / "veil.toml")


@pytest.fixture
def worlds(template: tuple[Path, dict[str, World]]) -> dict[str, World]:
    return template[1]


def test_every_operation_has_its_row() -> None:
    assert set(METHODS) == set(ROWS)


def test_every_operation_says_who_may() -> None:
    known = {role.value for role in Role}
    for name, (_, roles, _) in METHODS.items():
        assert roles and roles <= known
        assert "operator" in roles
        assert ("platform" in roles) is ROWS[name][2], name


def test_auditors_only_read() -> None:
    assert {method for method, roles, _ in METHODS.values() if "auditor" in roles} == {"GET"}
    assert [name for name, (method, roles, _) in METHODS.items() if method == "GET" and "auditor" not in roles] == []


@pytest.mark.parametrize("name", sorted(ROWS))
async def test_everybody_asks(
    name: str,
    worlds: dict[str, World],
    config: Config,
    operator: Client,
    auditor: Client,
    platform: Client,
    stranger: Client,
) -> None:
    target, content, is_for_platforms = ROWS[name]
    method, roles, _ = METHODS[name]

    async def ask(client: Client, which: str = "one") -> Answer:
        world = worlds[which]
        return await client.ask(method, f"/v1{world.filled(target)}", world.filled(content), Idempotency_Key=name)

    assert (await ask(Client(operator.api))).status == 401
    seen = await ask(auditor)
    assert (seen.status // 100 == 2) if "auditor" in roles else (seen.status == 403), seen.body
    assert SECRET_OF["one"] not in seen.body.decode()
    foreign = await ask(stranger)
    if not is_for_platforms:
        assert foreign.status == 403
    elif name in SHARED:
        assert foreign.status == 200
    elif name.startswith("list_") and foreign.status == 200:
        told = [word for word in words_of(worlds["one"]) if word in foreign.body.decode()]
        assert told == []
    else:
        assert (foreign.status, foreign.code) == (404, "NOT_FOUND"), foreign.body
    own = await ask(platform)
    assert (own.status // 100 == 2) if is_for_platforms else (own.status == 403), own.body
    done = await ask(operator, "two" if name not in SHARED else "one")
    assert done.status // 100 == 2 or (name.startswith("create_") and done.status == 400), done.body
    assert SECRET_OF["two"] not in done.body.decode()
    with closing(open_read_only(config.data_dir / "bindings.db", None)) as connection:
        kept = str(connection.execute("SELECT answer FROM api_request").fetchall())
        told = str(connection.execute("SELECT actor, detail, reason FROM audit").fetchall())
    assert not re.search(r"(?<![0-9a-f])1[3-9][0-9]{9}(?![0-9a-f])|vt_", kept + told)
    assert platform.secret not in kept + told
    if own.status // 100 == 2 and method != "GET":
        assert f"key {platform.key_id}" in told


def words_of(world: World) -> list[str]:
    """What only an answer about this world would say."""
    names = ("platform", "user", "block", "contract", "subs_id", "group", "person", "barred", "draft", "pool")
    return [*(str(world.names[name]) for name in names), SECRET_OF["one"], "secret-of-one"]
