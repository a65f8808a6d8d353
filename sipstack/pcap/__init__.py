"""What a capture file holds: UDP datagrams, and SIP messages over UDP and TCP. No I/O.

The formats are pcap and pcapng (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng). Time and memory are in proportion
to the file, whatever stands in it, and nothing but PcapError comes out of it.
"""

from __future__ import annotations

from sipstack.pcap.files import Comments, PcapError
from sipstack.pcap.packets import Address, Datagram, read_datagrams
from sipstack.pcap.sip import CapturedMessage, SipCapture, read_sip

__all__ = [
    "Address", "CapturedMessage", "Comments", "Datagram", "PcapError", "SipCapture", "read_datagrams", "read_sip",
]  # fmt: skip
