"""`check` decides what a configuration expects of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.cli.commands import Run

EXPECT: Final = """[[peer]]
name = "a"
match = ["10.0.0.1"]
[[expect]]
caller = "13800138000"
called = "700123456780001"
outcome = "{outcome}"
"""


def test_check_decides_what_is_expected(run: Run, file: Path) -> None:
    file.write_text(EXPECT.format(outcome="refused"))
    assert run("check").out.startswith(f"{file}: ok, 1 expect holds, data in ")
    file.write_text(EXPECT.format(outcome="sent"))
    done, told = (
        run("check"),
        f'{file}:7: expect.outcome: expected "sent", got "refused" (NO_BINDING, decided by bound)',
    )
    assert (done.status, done.out, done.told) == (1, "", [told])
    facts = run("check", "--json").json
    assert (facts["ok"], facts["expects"], facts["failing"]) == (False, 1, [told])
