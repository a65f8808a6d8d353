"""Logs (contract §4, `[log]`): masked, clean, complete, and never in the way."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import structlog

from engine.logging import set_up_logging

ROOT: Final = Path(__file__).resolve().parent.parent


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where logs go; afterwards logging is as it was."""
    yield io.StringIO()
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def keep_handlers() -> Iterator[None]:
    """`set_up_logging` adds a handler to the root logger."""
    before = logging.getLogger().handlers
    kept = before[:]
    yield
    before[:] = kept


def test_json_logs_are_objects_of_the_level_asked_for(stream: io.StringIO) -> None:
    log = set_up_logging("warning", "json", stream)
    log.info("quiet")
    log.warning("told", peer="core", count=3)
    (event,) = map(json.loads, stream.getvalue().splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", event.pop("timestamp"))
    assert event == {"event": "told", "level": "warning", "peer": "core", "count": 3}


@pytest.mark.parametrize("form", ["json", "console"])
def test_logs_hold_no_real_number_and_no_control_character(stream: io.StringIO, form: str) -> None:
    log = set_up_logging("info", form, stream)
    log.info("to 13800138000", a="+8613800138000", b=["02088888888"], c=b"008613800138000", d="\x1b[2Jx\nfake line")
    log.info("kept", x="700123456789012", record_id="01a20b77cc3b319166399044688b3715", port=5060)
    try:
        raise ValueError("sip:13800138000@10.0.0.1")
    except ValueError:
        log.error("fault", exc_info=True)
    text = stream.getvalue()
    assert not re.search("13800138000|2088888888", text)
    assert "138****8000" in text
    assert "700123456789012" in text
    assert "01a20b77cc3b319166399044688b3715" in text
    assert "\x1b" not in text
    assert "Traceback" in text
    assert not re.search("^fake", text, re.MULTILINE)


def test_what_libraries_log_comes_along(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    set_up_logging("debug", "json", io.StringIO())
    set_up_logging("debug", "json", stream)  # the second replaces the first
    library = logging.getLogger("asyncio")
    library.info("chatter")
    library.warning("task %s failed for 13800138000", "x")
    library.warning("%d", "no number")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["event"], first["library"], first["level"]) == ("task x failed for 138****8000", "asyncio", "warning")
    assert second["event"] == "%d"


def test_a_log_that_cannot_be_written_stops_nothing(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        tries = 0

        def write(self, _text: str) -> int:
            self.tries += 1
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    full = Full()
    set_up_logging("info", "json", full).info("lost")
    assert full.tries == 1
    stream.close()
    set_up_logging("info", "console", stream).info("lost too")
    logging.getLogger("library").error("and this")
    assert stream.closed


def test_the_node_stays_light() -> None:
    program = "import sys, engine.config, engine.logging; print(*sorted({'rich', 'typer'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
