"""Playing a story over a running node."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from scenarios.rig.bystander import Bystander
from scenarios.rig.engine import EngineName, Run
from scenarios.rig.node import Node
from scenarios.rig.place import INBOX_PORT, PORT
from scenarios.rig.players import PlayerRun
from scenarios.rig.sipp import Sipp
from scenarios.rig.story import Story
from scenarios.rig.told import Told

SETTLES_S: Final = 30.0  # for the last steps of a call, on a machine that is busy with other stories
_LOOK_S: Final = 0.005


def play(
    node: Node, story: Story, uac: EngineName = "player", uas: EngineName = "player", *, caller_writes: str = ""
) -> Told:
    """Plays one story over a node that runs and has its bindings; what is wrong with it says `check.wrong`.

    `caller_writes` is how the caller writes its own number, where that is not the canonical form. Nothing else may
    use the node at the same time. Raises RigError when an engine does not start.
    """
    place = node.place
    node.status()  # where no node runs that is told at once: its callers would try for long
    known = len(node.records())
    folder = Path(mkdtemp(prefix=f"{story.name}-", dir=node.folder))
    row = (story.call.dialled, caller_writes or story.call.caller, place.host_of(story.call.callee))
    with ExitStack() as stack:
        second: Run | Bystander
        if story.second is None:
            second = _bystander(stack, place.second)
        else:
            second = _start(uas, folder, story.second, place.second)
            stack.callback(second.close)
        answering: Run | None = None
        unheard: list[Bystander] = []
        if story.uas is None:
            unheard = [_bystander(stack, place.callee), _bystander(stack, place.callee, INBOX_PORT)]
        else:
            answering = _start(
                uas,
                folder,
                story.uas,
                place.host_of(story.call.callee),
                calls=story.call.dialogs,
                transport=story.call.callee_transport,
            )
            stack.callback(answering.close)
        calling = _start(
            uac, folder, story.uac, place.host_of(story.call.caller), place.node, row, transport=story.call.transport,
            aside=story.aside,
        )  # fmt: skip
        stack.callback(calling.close)
        faults = _ended("caller", uac, calling)
        if answering is not None:
            faults += _ended("callee", uas, answering, story.call.dialogs)
        if story.second is not None and not isinstance(second, Bystander):
            faults += _ended("second", uas, second)
        faults += _settled(node)
        return Told(
            calling.messages,
            answering.messages if answering is not None else [seen for each in unheard for seen in each.heard()],
            second.heard() if isinstance(second, Bystander) else second.messages, node.records()[known:], faults,
        )  # fmt: skip


def _bystander(stack: ExitStack, host: str, port: int = PORT) -> Bystander:
    bystander = Bystander(host, port)
    stack.callback(bystander.close)
    return bystander


def _start(
    engine: EngineName,
    folder: Path,
    file: Path,
    host: str,
    target: str = "",
    *rows: tuple[str, ...],
    calls: int = 1,
    transport: str = "udp",
    aside: Path | None = None,
) -> Run:
    if engine == "sipp":
        return Sipp(folder, file, host, target=target, rows=rows, calls=calls, transport=transport).start()
    pki = folder.parent if transport == "tls" else None
    return PlayerRun(
        file, host, target=target, rows=rows, calls=calls, transport=transport, pki=pki, aside=aside
    ).start()


def _ended(side: str, engine: EngineName, run: Run, calls: int = 1) -> list[str]:
    """Waits for an engine, and says what it found wrong."""
    counted = run.wait()
    if counted.is_clean(calls):
        return []
    reasons = [line for line in counted.errors.splitlines() if "nexpected" in line or "timed out" in line]
    figures = f"{counted.successful} calls well, {counted.failed} failed, {counted.unexpected} unexpected messages"
    reason = "".join(reasons[:1] or counted.errors.splitlines()[:1])
    return [f"{side}'s {engine}: exit status {counted.exit_status}, {figures}: {reason}"]


def _settled(node: Node) -> list[str]:
    """Waits until nothing is in progress any more."""
    deadline = time.monotonic() + SETTLES_S
    while calls := node.status()["calls"]:
        if time.monotonic() > deadline:
            return [f"node: {calls} calls still in progress"]
        time.sleep(_LOOK_S)  # the node does not tell by itself when a call is over
    return []
