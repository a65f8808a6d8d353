"""Captures as input of the verbs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from engine.cli.common import UsageFault, tell
from sipstack.pcap import PcapError, SipCapture, read_sip

MAX_BYTES: Final = 256 * 1024 * 1024


def read_capture(path: Path) -> SipCapture:
    """The SIP messages of a file. UsageFault."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageFault(f"{path}: {error.strerror or error}") from None
    if len(data) > MAX_BYTES:
        raise UsageFault(f"{path}: larger than {MAX_BYTES // 1024 // 1024} MiB: cut out what is wanted first")
    try:
        return read_sip(data)
    except PcapError as error:
        raise UsageFault(f"{path}: {error}") from None


def tell_what_is_missing(path: Path, capture: SipCapture) -> None:
    """On stderr, what of the traffic is not in the file."""
    if capture.gaps:
        tell(f"veil700: {path}: {capture.gaps} gaps in TCP connections: messages in them are missing")
    if capture.fragments:
        tell(f"veil700: {path}: {capture.fragments} packets whose fragments are not all there, or overlap")
