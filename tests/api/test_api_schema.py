"""The published document against the process that answers: Schemathesis makes the requests up.

No answer is a fault of ours, and none is of a status, a type or a shape that the document does not have.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.api.events import LONGEST_WAIT_S
from engine.config import load
from engine.store.api_keys import Role
from engine.store.crypto import open_key
from engine.store.database import RECORDS, open_database
from engine.store.inventory import apply_inventory, read_inventory
from scenarios.rig.place import Place
from tests.api.conftest import INVENTORY, key_of
from tests.api.process import Served, serve

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance",
)  # fmt: skip


@pytest.fixture
def served(tmp_path: Path, place: Place) -> Iterator[Served]:
    with serve(tmp_path, place.node) as served:
        yield served


def play(served: Served, *how: str) -> None:
    config = load(served.file)
    cipher = open_key(config.data_dir)
    apply_inventory(config.data_dir / "bindings.db", cipher, read_inventory(INVENTORY))
    open_database(config.data_dir / "records.db", RECORDS, cipher).close()
    token = key_of(config, Role.OPERATOR).secret
    words = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{served.url}/v1/openapi.json", "--seed", "1",
        "-H", f"Authorization: Bearer {token}", "--checks", ",".join(CHECKS), "--warnings", "off", "--no-color", *how,
    ]  # fmt: skip
    done = subprocess.run(
        words, cwd=served.file.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-5000:]


@pytest.mark.timeout(300)  # hundreds of requests, on a machine that is busy with other tests
def test_no_answer_is_a_surprise(served: Served) -> None:
    play(served, "--phases", "fuzzing", "--max-examples", "3", "--generation-deterministic")


@pytest.mark.long
def test_no_answer_is_a_surprise_in_a_long_time(served: Served) -> None:
    wait_s = str(LONGEST_WAIT_S + 10)  # who asks for events may wait for them
    play(served, "--phases", "coverage,fuzzing,stateful", "--max-examples", "60", "--request-timeout", wait_s)
