"""Asking a running node."""

from __future__ import annotations

import json
import socket
from collections.abc import Generator, Mapping
from pathlib import Path

from engine.control.protocol import ANSWER_TIMEOUT_S, MAX_ANSWER_BYTES, socket_path


class ControlError(Exception):
    """The node does not run, or could not answer; the text is one clear line."""


def ask(data_dir: Path, verb: str, more: Mapping[str, object] | None = None) -> dict[str, object]:
    """Sends one verb, with what else it must be told, and returns its answer. Raises ControlError."""
    path = socket_path(data_dir)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_TIMEOUT_S)
            connection.connect(_address(path))
            connection.sendall(json.dumps({**(more or {}), "verb": verb}).encode() + b"\n")
            line = _read_line(connection)
    except (FileNotFoundError, ConnectionRefusedError):
        raise ControlError(f"{path}: no node runs here") from None
    except (OSError, ValueError) as error:
        raise ControlError(f"{path}: {error}") from None
    answer = json.loads(line) if line else None
    if not isinstance(answer, dict):
        raise ControlError(f"{path}: the node went away without an answer")
    if "error" in answer:
        raise ControlError(f"{path}: {answer['error']}")
    return answer


def follow(
    data_dir: Path, verb: str, more: Mapping[str, object], silence_s: float
) -> Generator[dict[str, object], None, None]:
    """Sends one verb and returns what the node says to it, line by line, until the node ends it.

    Raises ControlError: there is no node, it has refused, it has gone, or it has said nothing for `silence_s`.
    """
    path = socket_path(data_dir)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(silence_s)
            connection.connect(_address(path))
            connection.sendall(json.dumps({**more, "verb": verb}).encode() + b"\n")
            with connection.makefile("rb") as lines:
                for line in lines:
                    answer = json.loads(line)
                    if "error" in answer:
                        raise ControlError(f"{path}: {answer['error']}")
                    yield answer
    except (FileNotFoundError, ConnectionRefusedError):
        raise ControlError(f"{path}: no node runs here") from None
    except (OSError, ValueError) as error:
        raise ControlError(f"{path}: {error}") from None


def _address(path: Path) -> str:
    """The path as the kernel takes it: 107 bytes at the most, so a deep folder is reached from where we stand."""
    full = str(path)
    if len(full.encode()) <= 107:
        return full
    raise ValueError("the path of the data folder is too long for a Unix socket (107 bytes)")


def _read_line(connection: socket.socket) -> bytes:
    parts: list[bytes] = []
    size = 0
    while chunk := connection.recv(65536):
        parts.append(chunk)
        size += len(chunk)
        if chunk.endswith(b"\n"):
            break
        if size > MAX_ANSWER_BYTES:
            raise ValueError("the answer is too long")
    return b"".join(parts)
