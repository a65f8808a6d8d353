"""A reload whose certificate cannot be used had applied the inventory before it was refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from scenarios.rig.place import Place
from tests.e2e.conftest import NodeFactory, make_node, place
from tests.sipstack.certificates import Authority

__all__ = ["make_node", "place"]


def test_what_is_refused_has_changed_nothing(make_node: NodeFactory, place: Place, tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path).issue("node", f"ip:{place.node}")
    listen = f'[[listen]]\ntransport = "tls"\naddress = "{place.node}:5061"\n'
    node = make_node(extra=f'{listen}certificate = "{certificate}"\nprivate_key = "{key}"\n')
    node.start()

    def names() -> list[tuple[str]]:
        with sqlite3.connect(node.data_dir / "bindings.db") as database:
            found = database.execute("SELECT name FROM business_user").fetchall()
        database.close()
        return found

    good = Path(certificate).read_text()
    node.inventory.write_text(node.inventory.read_text().replace("Test user", "Other user"))
    Path(certificate).write_text("no certificate")
    refused = node.command("reload")
    line = node.config.read_text().partition("certificate = ")[0].count("\n") + 1
    fault = f"listen.certificate: {certificate}: not a certificate in PEM (listener tls:{place.node}:5061)"
    assert (refused.returncode, refused.stderr) == (1, f"{node.config}:{line}: {fault}\n")
    assert names() == [("Test user",)]
    Path(certificate).write_text(good)
    assert node.command("reload").returncode == 0
    assert names() == [("Other user",)]
