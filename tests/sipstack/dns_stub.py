"""A DNS server with a zone of its own, over UDP and TCP on one address; it can be slow, silent or broken on purpose."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
from collections import Counter
from random import Random

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

SOA = "ns.example. admin.example. 1 3600 600 86400 {ttl_s}"
_LOOK_S = 0.05


class DnsStub:
    """Answers from `zone`: "KIND name" -> the records as a zone file has them, without dots at the end of names.

    A name of which the zone has nothing does not exist. `faults` by "KIND name", or "" for all: "silent", "servfail",
    "refused", "truncated" (over UDP only), "garbage", "mangled" (some octets are others). `asked` counts what has come.
    """

    def __init__(self, host: str, port: int = 0) -> None:
        self.zone: dict[str, list[str]] = {}
        self.ttl_s = 60  # of answers
        self.ttls_s: dict[str, int] = {}  # of some of them, by "KIND name"
        self.negative_ttl_s = 60
        self.faults: dict[str, str] = {}
        self.asked: Counter[str] = Counter()
        self._random = Random(1)
        self._udp, self._tcp = _both(host, port)
        self.address: tuple[str, int] = self._udp.getsockname()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._serve_udp, self._serve_tcp)]
        for end in (self._udp, self._tcp):
            end.settimeout(_LOOK_S)
        for thread in self._threads:
            thread.start()

    @property
    def shown(self) -> str:
        """address:port"""
        return "{}:{}".format(*self.address)

    def close(self) -> None:
        """Ends it; nothing answers any more."""
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()

    def until_asked(self, key: str, times: int, within_s: float = 20.0) -> None:
        """Waits until a query has come so often."""
        deadline = time.monotonic() + within_s
        while self.asked[key] < times:
            assert time.monotonic() < deadline, (key, self.asked)
            time.sleep(0.005)

    def _serve_udp(self) -> None:
        while not self._ended.is_set():
            try:
                data, source = self._udp.recvfrom(65_535)
            except TimeoutError:
                continue
            answer = self._answer(data, is_udp=True)
            if answer:
                with contextlib.suppress(OSError):
                    self._udp.sendto(answer, source)

    def _serve_tcp(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._tcp.accept()
            except TimeoutError:
                continue
            with connection, contextlib.suppress(OSError):
                connection.settimeout(1.0)
                size = int.from_bytes(_read(connection, 2), "big")
                answer = self._answer(_read(connection, size), is_udp=False)
                if answer:
                    connection.sendall(len(answer).to_bytes(2, "big") + answer)

    def _answer(self, data: bytes, *, is_udp: bool) -> bytes:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        key = f"{kind} {name}"
        self.asked[key] += 1
        fault = self.faults.get(key) or self.faults.get("")
        zone = dict(self.zone)  # a test may change it meanwhile
        response = dns.message.make_response(query)
        if fault == "silent":
            return b""
        if fault == "garbage":
            return data[:2] + b"\xff" * 20
        if fault in ("servfail", "refused"):
            response.set_rcode(dns.rcode.SERVFAIL if fault == "servfail" else dns.rcode.REFUSED)
        elif fault == "truncated" and is_udp:
            response.flags |= dns.flags.TC
        elif key in zone or f"CNAME {name}" in zone:
            self._fill(response, name, kind, zone)
        else:
            if not any(known.partition(" ")[2] == name for known in zone):
                response.set_rcode(dns.rcode.NXDOMAIN)
            soa = SOA.format(ttl_s=self.negative_ttl_s)
            response.authority.append(dns.rrset.from_text("example.", self.negative_ttl_s, "IN", "SOA", soa))
        answer = bytearray(response.to_wire(max_size=65_535))
        if fault == "mangled":
            for _ in range(self._random.choice((1, 1, 2, 8))):
                answer[self._random.randrange(2, len(answer))] = self._random.choice((0, 1, 0xC0, 0xFF, 0x40, 0x2B))
        return bytes(answer)

    def _fill(self, response: dns.message.Message, name: str, kind: str, zone: dict[str, list[str]]) -> None:
        """The records, behind those of an alias."""
        for _ in range(8):
            if f"{kind} {name}" in zone:
                break
            alias = zone[f"CNAME {name}"][0]
            response.answer.append(dns.rrset.from_text(f"{name}.", self.ttl_s, "IN", "CNAME", f"{alias}."))
            name = alias
        rows = [
            dns.rdata.from_text(
                dns.rdataclass.IN, dns.rdatatype.from_text(kind), text, origin=dns.name.root, relativize=False
            )
            for text in zone.get(f"{kind} {name}", [])
        ]
        ttl_s = self.ttls_s.get(f"{kind} {name}", self.ttl_s)
        response.answer.append(dns.rrset.from_rdata_list(f"{name}.", ttl_s, rows))


def _both(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """UDP and TCP on one port; of those that the kernel chooses for UDP, some are taken for TCP."""
    while True:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind((host, port))
            return udp, socket.create_server(udp.getsockname())
        except OSError as error:
            udp.close()
            if port or error.errno != errno.EADDRINUSE:
                raise


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            raise OSError("closed")
        data += chunk
    return data
