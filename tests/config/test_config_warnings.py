"""What `check` warns of: routes that nothing comes to, certificates that nobody will believe, or soon nobody."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from engine.config import load
from engine.config.warnings import warnings
from tests.sipstack.certificates import Authority

PEER: Final = '[[peer]]\nname = "core"\ntargets = ["sip:10.0.0.1"]\n'
NOW: Final = datetime.now(UTC)


def warned(file: Path, text: str, now: datetime = NOW) -> list[str]:
    file.write_text(text)
    return [line.removeprefix(f"{file}:") for line in warnings(load(file), now)]


def routes(*entries: str) -> str:
    """Of `called`, and with `*` in front in transit."""
    return PEER + "".join(
        f'[[route]]\nname = "r{number}"\npeers = ["core"]\ncalled = "{entry.lstrip("*")}"\n'
        f"transit = {str(entry.startswith('*')).lower()}\n"
        for number, entry in enumerate(entries)
    )


@pytest.mark.parametrize(
    ("entries", "line", "above"),
    [
        (("^1", "^139"), 12, '"r0" above takes'),
        (("^2", "", "^139"), 17, '"r1" above takes'),
        (("*^1", "^139"), 12, '"r0" above (with transit, and used for 700 numbers all the same) takes'),
        (("*^1", "*^139"), 12, '"r0" above (with transit, and used for 700 numbers all the same) takes'),
    ],
)
def test_a_route_that_nothing_comes_to(file: Path, entries: tuple[str, ...], line: int, above: str) -> None:
    [warning] = warned(file, routes(*entries))
    assert warning == f"{line}: route.called: warning: nothing comes here: route {above} every number of this one"


@pytest.mark.parametrize(
    "entries",
    [("^139", "^1"), ("^1", "^2"), ("^1", "*^139"), ("^1[3-9][0-9]{9}$", "^1"), ("(?=1)", "^1"), ("^1", "(?=1)")],
)
def test_routes_that_are_reached(file: Path, entries: tuple[str, ...]) -> None:
    """Transit asks only the routes with transit, so that a plain one before them takes nothing from it."""
    assert warned(file, routes(*entries)) == []


def test_an_expression_that_is_in_no_number(file: Path) -> None:
    [warning] = warned(file, routes("^[+]86139"))
    assert warning.startswith('7: route.called: warning: "^[+]86139" is in no number: they are digits alone')


def test_a_thousand_routes_are_no_matter(file: Path) -> None:
    found = warned(file, routes(*(f"^1[3-9][0-9]{{5}}{number:04}$" for number in range(1000)), "^1350"))
    assert found == []


@contextmanager
def nobody() -> Iterator[None]:
    """Whoever runs the tests, without what root may do."""
    user = os.geteuid()
    if not user:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize(("data_dir", "what"), [("shut", "written into"), ("shut/a/b", "made in {folder}/shut")])
def test_a_data_folder_that_cannot_be_had(data_dir: str, what: str) -> None:
    with TemporaryDirectory() as name:  # that of a test is open to its owner alone
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "shut").mkdir(0o555)
        file = folder / "veil.toml"
        file.write_text(f'[node]\ndata_dir = "{data_dir}"\n')
        config = load(file)
        with nobody():
            found = warnings(config, NOW)
        why = f"{folder}/{data_dir} cannot be {what.format(folder=folder)} by this user"
        assert found == [f"{file}:2: node.data_dir: warning: {why}"]
        (folder / "shut").chmod(0o777)
        with nobody():
            assert warnings(config, NOW) == []


def tls(folder: Path, *subjects: str, days: int = 365) -> str:
    authority = Authority(folder)
    certificate, key = authority.issue("node", *subjects, days=days)
    files = f"certificate = '{certificate.name}'\nprivate_key = '{key.name}'\nserver_ca = '{authority.file.name}'\n"
    return f"[[listen]]\ntransport = 'tls'\n{files}"


def test_a_certificate_without_a_name(file: Path) -> None:
    soon = NOW - timedelta(days=1)  # the authority is good for 30 days
    assert warned(file, tls(file.parent, "dns:node.example"), soon) == []
    reason = "has no subjectAltName, and peers look at no other name (RFC 5922 §7.1)"
    assert warned(file, tls(file.parent), soon) == [f'3: listen.certificate: warning: "node.crt" {reason}']


@pytest.mark.usefixtures("same_day")
@pytest.mark.parametrize(("days", "says"), [(31, ""), (29, "expires on"), (-1, "has expired on")])
def test_a_certificate_that_does_not_last(file: Path, days: int, says: str) -> None:
    now = datetime.now(UTC)
    end = f"{now + timedelta(days=days):%Y-%m-%d}"
    found = warned(file, tls(file.parent, "dns:node.example", days=days), now - timedelta(minutes=1))
    of_node = [line for line in found if "listen.certificate" in line]
    assert of_node == ([f'3: listen.certificate: warning: "node.crt" {says} {end}'] if says else [])


@pytest.mark.usefixtures("same_day")
def test_an_authority_that_does_not_last(file: Path) -> None:
    now = datetime.now(UTC)
    found = warned(file, tls(file.parent, "dns:node.example"), now + timedelta(days=3))
    assert found == [f'5: listen.server_ca: warning: "authority.pem" expires on {now + timedelta(days=30):%Y-%m-%d}']


def test_a_chain_is_as_good_as_the_worst_of_it_and_authorities_as_the_best(file: Path) -> None:
    text = tls(file.parent, "dns:node.example")
    expired = Authority(file.parent, "other").issue("expired", days=-1)[0].read_text()
    for name in ("node.crt", "authority.pem"):
        with (file.parent / name).open("a") as pem:
            pem.write(expired)
    [warning] = warned(file, text, NOW - timedelta(hours=12))
    assert warning.startswith('3: listen.certificate: warning: "node.crt" has expired on')


@pytest.mark.parametrize(("address", "is_bare"), [("127.0.0.2:1", False), ("[::1]:1", False), ("0.0.0.0:1", True)])
def test_an_api_that_others_may_listen_in_on(file: Path, address: str, is_bare: bool) -> None:
    reason = f"{address} is reached from outside, and without a certificate nothing is encrypted"
    expected = [f"2: api.address: warning: {reason}"] if is_bare else []
    assert warned(file, f"[api]\naddress = '{address}'\n") == expected
    expected = [line.replace("2: api.address", "3: api.alibaba_address") for line in expected]
    more = f"[api]\naddress = '127.0.0.1:1'\nalibaba_address = '{address}'\nalibaba_scenario = 'express'\n"
    assert warned(file, more) == expected
