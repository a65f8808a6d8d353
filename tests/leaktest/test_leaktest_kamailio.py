"""The same rig on a Kamailio that hides topology with topoh: it reports what that lets through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from engine.leaktest.judge import HOST
from engine.leaktest.rig import Table, Verdict
from scenarios.rig.place import PORT, Place
from tests.interop.kamailio import Kamailio
from tests.leaktest.elements import pair_at, table_of

CONFIGURATION: Final = Path(__file__).with_name("kamailio_topoh.cfg")

pytestmark = pytest.mark.interop


@pytest.fixture
def kamailio(place: Place, tmp_path: Path) -> Iterator[None]:
    """A Kamailio on the node's address of the place, which sends to the callee's."""
    text = CONFIGURATION.read_text("utf-8")
    file = tmp_path / "kamailio.cfg"
    file.write_text(text.replace("ELEMENT", f"{place.node}:{PORT}").replace("CALLEE", f"{place.callee}:{PORT}"))
    running = Kamailio(file)
    try:
        running.start(place.node)
        yield
    finally:
        running.close()


async def test_topoh_hides_hosts_and_call_ids_and_nothing_that_names_a_person(kamailio: None, place: Place) -> None:
    pair = pair_at(place)
    headers = await table_of(pair, "[ahi]*/[CDFHPRSTU]*")
    assert not headers.is_clean
    for name in (
        "identity/P-Asserted-Identity", "identity/Remote-Party-ID", "identity/To display name", "history/Diversion",
        "about/Subject", "about/User-to-User in hex", "about/P-Charging-Vector", "topology/User-Agent",
    ):  # fmt: skip
        assert verdicts(headers, name) == {"caller": Verdict.LEAK, "callee": Verdict.LEAK}, name
    for name in ("identity/From user", "identity/From display name", "sdp/o= user name", "topology/CSeq"):
        assert verdicts(headers, name)["caller"] is Verdict.LEAK, name
    assert verdicts(headers, "message/302 to INVITE")["callee"] is Verdict.LEAK
    # What it is there for: the rig does not call everything a leak.
    seen = {leak.seen_in for leak in headers.row(pair.name, HOST, "caller").leaks}
    assert "INVITE: From" in seen
    assert seen.isdisjoint(("INVITE: Via", "INVITE: Record-Route", "INVITE: Contact"))


async def test_topoh_hides_no_number_in_bodies(kamailio: None, place: Place) -> None:
    table = await table_of(pair_at(place), "[st][de]*/[pi]*")
    assert verdicts(table, "sdp/p=") == {"caller": Verdict.LEAK, "callee": Verdict.LEAK}
    assert verdicts(table, "text/plain")["caller"] is Verdict.LEAK


def verdicts(table: Table, place: str) -> dict[str, Verdict]:
    return {row.by: row.verdict for row in table.rows.values() if row.place == place}
