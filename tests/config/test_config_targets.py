"""What a target says: an address or a name, a transport, its place among others."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import load
from engine.config.targets import target, target_text
from engine.config.written import toml_text
from engine.core.settings import TargetSettings
from sipstack.location import Place


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:192.0.2.1", TargetSettings("sip:192.0.2.1", "192.0.2.1", 5060)),
        ("SIP:192.0.2.1:5070", TargetSettings("SIP:192.0.2.1:5070", "192.0.2.1", 5070)),
        ("sip:192.0.2.1;transport=TCP", TargetSettings("sip:192.0.2.1;transport=TCP", "192.0.2.1", 5060, "TCP")),
        ("sip:192.0.2.1;transport=tls", TargetSettings("sip:192.0.2.1;transport=tls", "192.0.2.1", 5061, "TLS")),
        ("sips:192.0.2.1", TargetSettings("sips:192.0.2.1", "192.0.2.1", 5061, "TLS", is_secure=True)),
        (
            "sips:192.0.2.1;transport=tcp",
            TargetSettings("sips:192.0.2.1;transport=tcp", "192.0.2.1", 5061, "TLS", is_secure=True),
        ),
        ("sip:[2001:DB8::1]:5070", TargetSettings("sip:[2001:DB8::1]:5070", "2001:db8::1", 5070)),
        ("sip:Core.Example.", TargetSettings("sip:Core.Example.", "core.example", 0, "", place=Place("core.example"))),
        (
            "sip:localhost:5070",
            TargetSettings("sip:localhost:5070", "localhost", 5070, "", place=Place("localhost", 5070)),
        ),
        (
            "sip:core.example;transport=tcp",
            TargetSettings(
                "sip:core.example;transport=tcp", "core.example", 0, "TCP", place=Place("core.example", 0, "TCP")
            ),
        ),
        (
            "sips:core.example",
            TargetSettings(
                "sips:core.example", "core.example", 0, "", place=Place("core.example", 0, "", True), is_secure=True
            ),
        ),
        (
            "sips:core.example;transport=tcp",
            TargetSettings(
                "sips:core.example;transport=tcp",
                "core.example",
                0,
                "TLS",
                place=Place("core.example", 0, "TLS", True),
                is_secure=True,
            ),
        ),
        ("sip:192.0.2.1;Priority=2;weight=0", TargetSettings("sip:192.0.2.1", "192.0.2.1", 5060, "UDP", 2, 0)),
        (
            "sip:192.0.2.1;weight=65535;transport=udp",
            TargetSettings("sip:192.0.2.1;transport=udp", "192.0.2.1", 5060, "UDP", 0, 65535),
        ),
    ],
)
def test_a_target_says(uri: str, expected: TargetSettings) -> None:
    assert target(uri).core_settings() == expected


def test_a_table_is_the_same_as_parameters() -> None:
    assert target_text({"uri": "sip:a.example", "weight": 3, "priority": 1}) == "sip:a.example;priority=1;weight=3"
    assert target_text({"uri": "sip:a.example"}) == "sip:a.example"
    assert target_text("sip:a.example;weight=3") == "sip:a.example;weight=3"


def test_what_is_shown_of_a_configuration_is_one_again(tmp_path: Path) -> None:
    file = tmp_path / "one.toml"
    file.write_text(
        '[[peer]]\nname = "a"\ntargets = [{ uri = "sip:core.example", priority = 1, weight = 2 }, "sip:192.0.2.1"]\n'
        '[dns]\nservers = ["192.0.2.53"]\n'
    )
    config = load(file)
    again = tmp_path / "again.toml"
    again.write_text(toml_text(config.model_dump(exclude_none=True)))
    assert load(again).core_settings() == config.core_settings()
    assert load(again).dns == config.dns
