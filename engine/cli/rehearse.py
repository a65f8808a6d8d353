"""`reload --dry-run`: what a reload would change, in the file and for the calls of the last hour."""

from __future__ import annotations

import time
from typing import Any, Final, cast

from engine.cli.common import DONE, FAILED, UsageFault, say, say_json, tell
from engine.cli.diff import answered, as_document, differences, on_record, say_differences
from engine.cli.node import other_file
from engine.config import Config, load_text
from engine.control.client import ask

HOUR_S: Final = 3600.0


def rehearse(config: Config, as_json: bool) -> int:
    """`config` is what the file says now. UsageFault when no node runs with it; the exit status."""
    with answered():
        if fault := other_file(config):
            raise UsageFault(fault)
        answer = cast(dict[str, Any], ask(config.data_dir, "rehearse_reload"))
    in_force = load_text(config.path, answer["text"], config.data_dir)
    now = time.time()
    corpus = on_record(config, now - HOUR_S)
    found = differences(in_force, config, corpus, now)
    changed, faults = answer["changed"], answer["faults"]
    if as_json:
        effects = as_document(in_force, config, corpus, found)
        say_json({"file": str(config.path), "changed": changed, "faults": faults, "effects": effects})
    else:
        for fault in faults:
            tell(str(fault))
        say("nothing would be taken" if faults else "would be taken; inventory and certificates would be read again")
        for what in changed or ["nothing in the file"]:
            say(f"would change: {what}")
        say("")
        say_differences(in_force, config, corpus, found)
    return FAILED if found.groups or faults else DONE
