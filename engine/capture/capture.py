"""One capture: what has waited becomes lines for whoever reads. Made for a thread beside the loop."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from base64 import b64encode
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final, NamedTuple, final

from engine.capture.backlog import Captured
from engine.capture.masker import Masker, without_credentials
from engine.capture.selection import Selection
from engine.capture.tapped import Parties
from engine.capture.wanted import Wanted
from engine.core.settings import ListenerSettings

_KEY_BYTES: Final = 32


class Batch(NamedTuple):
    """Messages, and what the node knows of its calls, if asked."""

    messages: list[Captured]
    parties: list[Parties]


@final
class Capture:
    """Keeps what it has learned of numbers; `work` is called by one thread at a time."""

    __slots__ = ("_listeners", "_masker", "_selection", "shown", "withheld", "worked_s")

    def __init__(self, wanted: Wanted, listeners: Sequence[ListenerSettings]) -> None:
        self._listeners: Final = listeners
        self._selection: Final = Selection(wanted)
        self._masker: Final = Masker(secrets.token_bytes(_KEY_BYTES)) if wanted.asker is None else None
        self.shown = 0
        self.withheld = 0
        self.worked_s = 0.0  # of CPU, on the last batch

    @property
    def has_all(self) -> bool:
        """As many calls as were asked for have ended."""
        return self._selection.has_all

    def work(self, batch: Batch) -> bytes:
        """The messages that are wanted, as a line of JSON; b"" for none."""
        began_s = time.thread_time()
        if self._masker is not None:
            for x, *numbers in batch.parties:
                for number in filter(None, numbers):
                    self._masker.known.add_beside(x, number)
        rows = [row for message in batch.messages if (row := self._row(message)) is not None]
        self.shown += len(rows)
        line = json.dumps({"messages": rows}).encode() + b"\n" if rows else b""
        self.worked_s = time.thread_time() - began_s
        return line

    def _row(self, message: Captured) -> dict[str, object] | None:
        data = message.data
        head = data.partition(b"\r\n\r\n")[0].decode("latin-1")
        if not self._selection.takes(data, head, message.is_sent, message.peer):
            if self._masker is not None:
                self._masker.known.read(head)
            return None
        try:
            shown = without_credentials(data) if self._masker is None else self._masker.mask(data)
        except Exception:  # a fault of ours: what it was about may hold a number
            shown = None
        if shown is None:
            self.withheld += 1
            return None
        flow = message.flow
        return {
            "at": message.at_s,
            "sent": message.is_sent,
            "transport": flow.transport,
            "local": self._local(flow.local),
            "remote": (flow.host, flow.port),
            "peer": message.peer,
            "data": b64encode(shown).decode("ascii"),
        }

    def _local(self, index: int) -> tuple[str, int]:
        """Where the node listens; at all addresses: where it says that it does."""
        listener = self._listeners[index]
        host = ip_address(listener.host)
        if host.is_unspecified:
            with contextlib.suppress(ValueError):  # it may be a name
                told = ip_address(listener.advertise.rpartition(":")[0].strip("[]"))
                host = told if told.version == host.version else host
        return str(host), listener.port
