"""Asking a process of the node from a loop: what the supervisor asks its workers."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from struct import Struct
from typing import Final

from engine.control.client import ControlError
from engine.control.protocol import ANSWER_TIMEOUT_S, MAX_ANSWER_BYTES

_CREDENTIALS: Final = Struct("3i")  # of who listens: process, user, group (unix(7))


async def ask_at(
    path: Path, pid: int, verb: str, more: Mapping[str, object] | None = None, within_s: float = ANSWER_TIMEOUT_S
) -> dict[str, object]:
    """Sends one verb to the process that listens at `path`, with what else it must be told. Raises ControlError."""
    try:
        async with asyncio.timeout(within_s):
            reader, writer = await _connected(path, pid)
            try:
                writer.write(json.dumps({**(more or {}), "verb": verb}).encode() + b"\n")
                line = await reader.readline()
            finally:
                writer.close()
        answer = json.loads(line) if line else None
    except (OSError, ValueError, TimeoutError) as error:
        raise ControlError(f"{path}: {str(error) or 'no answer'}") from None
    if not isinstance(answer, dict):
        raise ControlError(f"{path}: the process went away without an answer")
    if "error" in answer:
        raise ControlError(str(answer["error"]))
    return answer


async def follow_at(
    path: Path, pid: int, verb: str, more: Mapping[str, object]
) -> AsyncGenerator[dict[str, object], None]:
    """Sends one verb to the process that listens at `path` and returns what it says, line by line, until it ends that.

    Raises ControlError when there is nobody, or when it is refused.
    """
    try:
        reader, writer = await _connected(path, pid)
        try:
            writer.write(json.dumps({**more, "verb": verb}).encode() + b"\n")
            while (line := await reader.readline()).endswith(b"\n"):
                answer = json.loads(line)
                if "error" in answer:
                    raise ControlError(str(answer["error"]))
                yield answer
        finally:
            writer.close()
    except (OSError, ValueError) as error:
        raise ControlError(f"{path}: {error}") from None


async def _connected(path: Path, pid: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Raises ControlError when another process listens there: what it is told may be a secret."""
    reader, writer = await asyncio.open_unix_connection(path, limit=MAX_ANSWER_BYTES)
    try:
        told = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        if _CREDENTIALS.unpack(told)[0] != pid:
            raise ControlError(f"{path}: another process is in its place")
    except BaseException:
        writer.close()
        raise
    return reader, writer
