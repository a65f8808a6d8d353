"""Queries to DNS servers: over UDP, again over TCP what is cut short, one server after the other. Nothing blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, final

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rcode
import dns.rdata
import dns.resolver
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV

from sipstack.location import LookupFailed, Naptr, Query, Records, Srv

# Each server is asked so often before a query is given up: a datagram may be lost.
_ROUNDS: Final = 2


class Answer(NamedTuple):
    """What a server has said. No records: there are none of this kind, or there is no such name."""

    records: Records
    ttl_s: int  # of the shortest-lived part; for a negative answer as RFC 2308 §5 has it


@final
class DnsClient:
    """Asks the given servers in order, or those of /etc/resolv.conf."""

    def __init__(self, servers: Sequence[tuple[str, int]], timeout_s: float) -> None:
        """`servers` are (address, port). LookupFailed when none is given and the system names none."""
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=not servers)
        except (dns.exception.DNSException, OSError) as error:
            raise LookupFailed(f"/etc/resolv.conf names no server: {_one_line(error)}") from None
        if servers:
            self._resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in servers]
        self._resolver.timeout = timeout_s
        self._lifetime_s = timeout_s * len(self._resolver.nameservers) * _ROUNDS
        self._backend = dns.asyncbackend.get_backend("asyncio")

    async def ask(self, query: Query) -> Answer:
        """The answer to a query; LookupFailed when no server gives one."""
        try:
            name = dns.name.from_text(query.name)
            answer = await self._resolver.resolve(
                name,
                query.kind,
                raise_on_no_answer=False,
                search=False,
                lifetime=self._lifetime_s,
                backend=self._backend,
            )
        except dns.resolver.NXDOMAIN as error:
            return Answer([], _negative_ttl_s(error, name))
        except dns.exception.Timeout:
            raise LookupFailed(f"{query.kind} {query.name}: no answer in {self._lifetime_s:g} s") from None
        except dns.resolver.NoNameservers as error:
            raise LookupFailed(f"{query.kind} {query.name}: {_refusals(error)}") from None
        except Exception as error:  # whatever octets of others do to the parser: the next look is another chance
            raise LookupFailed(f"{query.kind} {query.name}: {type(error).__name__} {_one_line(error)}") from None
        found = [] if answer.rrset is None else list(answer.rrset)
        return Answer(_records(query.kind, found), answer.chaining_result.minimum_ttl)


def _records(kind: str, found: Sequence[dns.rdata.Rdata]) -> Records:
    """The records of one kind, in our own words."""
    if kind == "NAPTR":
        return [
            Naptr(r.order, r.preference, _ascii(r.flags), _ascii(r.service), _text(r.replacement))
            for r in found
            if isinstance(r, NAPTR)
        ]
    if kind == "SRV":
        return [Srv(r.priority, r.weight, r.port, _text(r.target)) for r in found if isinstance(r, SRV)]
    return [str(r.address) for r in found if isinstance(r, A | AAAA)]


def _text(name: dns.name.Name) -> str:
    """A name as queries have it; "" for the root."""
    return "" if name == dns.name.root else name.to_text(omit_final_dot=True).lower()


def _ascii(octets: bytes) -> str:
    return octets.decode("ascii", "replace")


def _negative_ttl_s(error: dns.resolver.NXDOMAIN, name: dns.name.Name) -> int:
    response: dns.message.QueryMessage = error.response(name)  # type: ignore[no-untyped-call]
    return response.resolve_chaining().minimum_ttl


def _refusals(error: dns.resolver.NoNameservers) -> str:
    """What the servers said instead of an answer."""
    said = []
    for _, _, _, fault, response in error.kwargs["errors"]:
        said.append(str(fault) if response is None else dns.rcode.to_text(response.rcode()))
    return _one_line(", ".join(dict.fromkeys(said))) or "no server answers"


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
