"""What a configuration means: every key, the defaults, which file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import BaseModel

from engine.config import Config, ConfigError, load, values
from engine.config.api import Api
from engine.core.number_rules import NumberRule, NumberRules
from engine.core.settings import (
    AccountSettings,
    CallerSource,
    CoreSettings,
    ListenerSettings,
    MessageText,
    NumberFormat,
    PeerSettings,
    PolicySettings,
    Profile,
    RouteSettings,
    ServedSide,
    SessionTimer,
    TargetSettings,
)
from engine.listening import stream_limits
from sipstack.aio.stream import StreamLimits
from sipstack.digest import MD5, SHA_256, hashed_secret
from sipstack.location import DnsSettings, Place
from tests.config.full import FULL

ROOT: Final = Path(__file__).resolve().parent.parent.parent

PEER: Final = '[[peer]]\nname = "core"\nmatch = ["10.0.0.1"]\ntargets = ["sip:10.0.0.1"]\n'


def account(user: str, number: str, password: str) -> AccountSettings:
    hashes = [hashed_secret(algorithm, user, "pbx.example.cn", password) for algorithm in (SHA_256, MD5)]
    return AccountSettings(user, "pbx.example.cn", "phones", (number,), *hashes)


def test_every_key_arrives(file: Path) -> None:
    file.write_text(FULL)
    (file.parent / "secret").write_text("other\n")
    config = load(file)
    assert config.core_settings() == CoreSettings(
        node="n-2",
        domain="pbx.example.cn",
        listeners=(
            ListenerSettings("UDP", "::1", 5062, "edge.example.cn:5060"),
            ListenerSettings("TLS", "::1", 5062, "[::1]:5062"),
        ),
        peers=(
            PeerSettings(
                name="core",
                match=("127.0.0.0/8", "198.51.100.4:5080", "[2001:db8::1]:5060", "2001:db8::2"),
                targets=(
                    TargetSettings("sip:[::2]:5080;transport=udp", "::2", 5080),
                    TargetSettings("sip:[::3]", "::3", 5060),
                    TargetSettings("sip:Core.Example", "core.example", 0, "", 1, 10, Place("core.example")),
                ),
                number_format=NumberFormat.TEL,
                rules_in=NumberRules(
                    "core-in",
                    (
                        NumberRule("0", 12, None, 1),
                        NumberRule(expression=re.compile("^[2-8][0-9]{7}$", re.ASCII), add="21"),
                    ),
                ),
                rules_out=NumberRules("core-out", (NumberRule("21", strip=2),)),
                trusted=True,
                caller=CallerSource.PAI,
                serves_700=("70012345678",),
                uniform_refusals=True,
                pass_headers=("X-Order",),
                sms_centres=("13800100500", "1065500"),
                profile=Profile.ISC,
                served_side=ServedSide.TERM,
                follow_redirect=True,
                allow_transfer=True,
                overload_control=True,
                max_calls=5000,
                max_rate=200,
                tls_names=("trunk.example.cn",),
                digest_algorithms=("MD5", "SHA-256"),
                username="veil",
                password="trunk secret",
                realm="core.example.cn",
                options_interval_s=10,
                options_up_after=3,
                options_down_after=4,
            ),
            PeerSettings(
                name="edge",
                match=("203.0.113.9",),
                targets=(),
                trusted=False,
                caller=CallerSource.FROM,
                uniform_refusals=True,  # the default of an untrusted peer
            ),
            PeerSettings(name="phones", match=("203.0.113.10",), targets=(), caller=CallerSource.DIGEST),
        ),
        routes=(RouteSettings("mobiles", "^1[3-9][0-9]{9}$", ("core",), transit=True),),
        policy=PolicySettings(0.5, 100, 3.0, 60.0, MessageText.RELAY, 120, 300, SessionTimer.RELAY, 3, 20),
        t1_ms=20,
        accounts=(
            account("alice", "13800138000", "secret"),
            account("bob", "13800138001", "other"),
            AccountSettings("carol", "pbx.example.cn", "phones", ("13800138002",), "5" * 64, "6" * 32),
        ),
    )
    assert config.dns.settings() == DnsSettings((("10.0.0.53", 53), ("2001:db8::53", 5353)), 0.5, 1, 60, 0)
    assert stream_limits(config.transport) == StreamLimits(
        max_connections=900,
        max_per_host=90,
        max_handshakes_per_host_s=9,
        max_handshakes_s=19,
        message_s=2.5,
        handshake_s=3.5,
        idle_s=600.0,
        max_unsent_bytes=131_072,
    )
    assert (config.path, config.data_dir) == (file, file.parent / "data")
    assert config.inventory_file == file.parent / "inv.toml"
    assert (config.cdr.commit_window_ms, config.cdr.retention_days) == (0, 1000)
    assert (config.cdr.utc_offset, config.cdr.settlement_rounding) == ("-03:30", "6s")
    assert config.archive_dir == config.path.parent / "shelf"
    assert config.api == Api(
        address="127.0.0.1:8701", alibaba_address="127.0.0.1:8702", alibaba_scenario="express",
        alibaba_scenarios={"FC1": "ride", "FC 2": "express"}, certificate="secret", private_key="secret",
        rate_per_s=50, events_days=30, webhook_hosts=["hooks.example", "10.1.0.0/16", "::1/128"],
    )  # fmt: skip
    assert (config.api.url, config.api.is_bare, config.api.is_alibaba_bare) == ("https://127.0.0.1:8701", False, False)
    assert (config.log.level, config.log.format, config.store.url) == ("warning", "json", "sqlite")


def test_the_defaults_are_those_of_the_stack() -> None:
    assert stream_limits(Config().transport) == StreamLimits()


def test_the_keys_of_this_test_are_all_keys() -> None:
    """So that `test_every_key_arrives` cannot fall behind the models."""
    written = {f"{table}.{key}" for table, content in tomllib.loads(FULL).items() for key in keys_in(content)}
    assert written == set(all_keys()) - {"peer.password_file"}


def keys_in(content: Any) -> set[str]:
    return set().union(*content) if isinstance(content, list) else set(content)


def all_keys() -> dict[str, Any]:
    """Every `table.key` of the models with its default, None for none, ... for required."""
    found: dict[str, Any] = {}
    for table, root_field in Config.model_fields.items():
        model = model_of(root_field.annotation)
        for key, field in model.model_fields.items():
            found[f"{table}.{key}"] = ... if field.is_required() else field.default
    return found


def model_of(annotation: Any) -> type[BaseModel]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(model_of(part) for part in annotation.__args__ if part is not type(None))


def test_an_empty_file_is_the_defaults_of_the_contract(file: Path) -> None:
    file.write_text("")
    config = load(file)
    assert config.core_settings() == CoreSettings(
        node="veil-1",
        domain="veil.example",
        listeners=(ListenerSettings("UDP", "127.0.0.1", 5060, "127.0.0.1:5060"),),
        peers=(),
        routes=(),
        policy=PolicySettings(60.0, 4000, 20.0, 14400.0, MessageText.MASK, 90, 1800, SessionTimer.INSIST),
    )
    assert config.data_dir == file.parent / "var"
    assert config.inventory_file is None
    assert (config.cdr.retention_days, config.cdr.commit_window_ms) == (730, 2)
    assert (config.cdr.utc_offset_s, config.cdr.settlement_rounding) == (8 * 3600, "minute")
    assert config.archive_dir is None
    assert (config.log.level, config.log.format) == ("info", "console")


def test_peer_defaults(file: Path) -> None:
    file.write_text(PEER)
    (peer,) = load(file).core_settings().peers
    target = TargetSettings("sip:10.0.0.1", "10.0.0.1", 5060)
    assert peer == PeerSettings("core", ("10.0.0.1",), (target,))
    assert (peer.trusted, peer.caller, peer.uniform_refusals) == (True, CallerSource.PAI_OR_FROM, False)


def test_an_untrusted_peer_may_ask_for_open_refusals(file: Path) -> None:
    file.write_text(PEER + 'trusted = false\ncaller = "pai"\nuniform_refusals = false\n')
    assert load(file).core_settings().peers[0].uniform_refusals is False


def test_the_shipped_configuration_is_sound() -> None:
    config = load(ROOT / "configs" / "embedded.toml")
    assert config.data_dir == ROOT / "var"
    assert config.inventory_file == ROOT / "configs" / "inventory.toml"


def test_the_example_of_an_application_server_is_valid() -> None:
    settings = load(ROOT / "configs" / "ims.toml").core_settings()
    assert [(peer.profile, peer.served_side) for peer in settings.peers] == [(Profile.ISC, ServedSide.ORIG)]


def test_the_file_that_is_named_wins(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = file.with_name("other.toml")
    other.write_text('[node]\nname = "by-variable"')
    file.write_text('[node]\nname = "by-option"')
    monkeypatch.setenv("VEIL700_CONFIG", str(other))
    assert load(file).node.name == "by-option"
    assert load().node.name == "by-variable"


def test_then_the_one_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEIL700_CONFIG", "")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "embedded.toml").write_text('[node]\ndata_dir = "../var"')
    config = load()
    assert config.path == tmp_path / "configs" / "embedded.toml"
    assert config.data_dir == tmp_path / "var"


@pytest.mark.parametrize(("state", "data"), [("/x/state", "/x/state/veil700"), ("relative", "/h/.local/state/veil700")])
def test_then_our_own_with_its_data_in_the_users_folder(
    state: str, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VEIL700_CONFIG", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", state)
    monkeypatch.setenv("HOME", "/h")
    monkeypatch.chdir(tmp_path)
    config = load()
    assert config.path.name == "embedded.toml"
    assert config.data_dir == Path(data)
    assert config.inventory_file is not None
    assert config.inventory_file.is_file()


def test_a_file_that_is_named_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEIL700_CONFIG", str(tmp_path / "absent.toml"))
    with pytest.raises(ConfigError, match=r"^\S*absent.toml: No such file or directory$"):
        load()
    with pytest.raises(ConfigError, match=r"^\S*: Is a directory$"):
        load(tmp_path)
    with pytest.raises(ConfigError, match=r"no such file"):
        load(Path("a\0b"))


def test_a_file_without_end_is_no_configuration() -> None:
    with pytest.raises(ConfigError, match=r"^/dev/zero: larger than 4 MiB$"):
        load(Path("/dev/zero"))


@pytest.mark.parametrize(("text", "seconds"), [("+08:00", 28800), ("-03:30", -12600), ("+14:00", 50400), ("+00:00", 0)])
def test_an_offset_is_so_many_seconds(text: str, seconds: int) -> None:
    assert values.offset_s(values.utc_offset(text)) == seconds
