"""The resolver against DNS servers on loopback: what it finds, what it does without an answer, when it asks again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import dns.resolver
import pytest

from sipstack.aio.dns_client import DnsClient
from sipstack.aio.resolver import MAX_QUERIES, Found, Resolver, look_up_once
from sipstack.location import DnsSettings, LookupFailed, Naptr, Place, Query, Reach, Srv
from tests.sipstack.dns_stub import DnsStub
from tests.sipstack.endpoint_rig import WAIT_S, own_address

REACH: Reach = frozenset({("UDP", 4), ("TCP", 4)})
CORE = Place("core.example")
QUICK = DnsSettings((), timeout_s=20.0, min_ttl_s=0.05, max_ttl_s=30, stale_s=30)
IMPATIENT = QUICK._replace(timeout_s=0.15)  # where a server is silent: else a machine that is busy looks like one
ZONE = {
    "NAPTR core.example": ['10 10 "s" "SIP+D2U" "" _sip._udp.core.example'],
    "SRV _sip._udp.core.example": ["10 3 5070 one.example", "10 1 5071 two.example", "20 0 5072 one.example"],
    "A one.example": ["10.0.0.1"],
    "A two.example": ["10.0.0.2"],
}
FOUND = ["UDP 10.0.0.1 5070 0 3", "UDP 10.0.0.2 5071 0 1", "UDP 10.0.0.1 5072 1 0"]


def shown(found: Found) -> list[str]:
    return [f"{a.transport} {a.host} {a.port} {a.priority} {a.weight:g}" for a in found.addresses]


@pytest.fixture
def stub(request: pytest.FixtureRequest) -> Iterator[DnsStub]:
    made = DnsStub(own_address(request))
    made.zone |= ZONE
    yield made
    made.close()


class Watched:
    """A resolver, and all that it has told."""

    def __init__(self, settings: DnsSettings) -> None:
        self.told: list[tuple[Place, Found]] = []
        self.changed = asyncio.Event()
        self.raising = 0  # so often whoever is told fails
        self.faults: list[Exception] = []
        self.resolver = Resolver(REACH, settings, self._hear, self.faults.append)

    def _hear(self, place: Place, found: Found) -> None:
        if self.raising:
            self.raising -= 1
            raise RuntimeError("a bug")
        self.told.append((place, found))
        self.changed.set()

    async def until(self, holds: Callable[[Found], bool]) -> Found:
        """The next that it tells of which this holds."""
        async with asyncio.timeout(WAIT_S):
            while not (self.told and holds(self.told[-1][1])):
                self.changed.clear()
                await self.changed.wait()
        return self.told[-1][1]


Watch = Callable[..., Watched]


@pytest.fixture
async def watch(stub: DnsStub) -> AsyncIterator[Watch]:
    made: list[Watched] = []

    def start(*places: Place, settings: DnsSettings = QUICK, servers: tuple[tuple[str, int], ...] = ()) -> Watched:
        made.append(Watched(settings._replace(servers=servers or (stub.address,))))
        made[-1].resolver.watch(places)
        return made[-1]

    yield start
    for one in made:
        await one.resolver.stop()


# -- the client --------------------------------------------------------------------------------------------------------


async def test_records_are_read(stub: DnsStub) -> None:
    client = DnsClient((stub.address,), 5.0)
    stub.zone |= {
        "NAPTR a.example": ['10 20 "S" "SIP+D2T" "" _sip._tcp.A.example', '1 2 "u" "E2U+sip" "!^.*$!sip:x@y!" .'],
        "SRV a.example": ["1 2 5060 H.example", "0 0 0 ."],
        "AAAA a.example": ["2001:db8::1", "2001:DB8:0::2"],
    }
    stub.ttl_s = 77
    naptr, ttl_s = await client.ask(Query("NAPTR", "a.example"))
    expected = [Naptr(1, 2, "u", "E2U+sip", ""), Naptr(10, 20, "S", "SIP+D2T", "_sip._tcp.a.example")]
    assert (sorted(map(repr, naptr)), ttl_s) == (sorted(map(repr, expected)), 77)
    srv, _ = await client.ask(Query("SRV", "a.example"))
    assert sorted(map(repr, srv)) == sorted(map(repr, [Srv(1, 2, 5060, "h.example"), Srv(0, 0, 0, "")]))
    assert sorted(map(str, (await client.ask(Query("AAAA", "a.example"))).records)) == ["2001:db8::1", "2001:db8::2"]


@pytest.mark.parametrize("query", [Query("A", "nobody.example"), Query("AAAA", "one.example")])
async def test_negative_answers_have_their_time(stub: DnsStub, query: Query) -> None:
    """No such name, and no record of this kind."""
    stub.negative_ttl_s = 33
    assert await DnsClient((stub.address,), 5.0).ask(query) == ([], 33)


async def test_an_alias_is_followed_and_the_shortest_time_counts(stub: DnsStub) -> None:
    stub.zone["CNAME alias.example"] = ["one.example"]
    assert await DnsClient((stub.address,), 5.0).ask(Query("A", "alias.example")) == (["10.0.0.1"], 60)


async def test_what_is_cut_short_is_asked_again_over_tcp(stub: DnsStub) -> None:
    stub.faults["A one.example"] = "truncated"
    assert (await DnsClient((stub.address,), 5.0).ask(Query("A", "one.example"))).records == ["10.0.0.1"]
    assert stub.asked["A one.example"] == 2


@pytest.mark.parametrize(
    ("fault", "why", "timeout_s"),
    [
        ("silent", "no answer in 0.2 s", 0.1),
        ("servfail", "SERVFAIL", WAIT_S),
        ("refused", "REFUSED", WAIT_S),
    ],
)
async def test_no_answer_says_why_on_one_line(stub: DnsStub, fault: str, why: str, timeout_s: float) -> None:
    stub.faults["A one.example"] = fault
    with pytest.raises(LookupFailed, match=f"^A one.example: .*{why}") as raised:
        await DnsClient((stub.address,), timeout_s).ask(Query("A", "one.example"))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", [f"{'x' * 64}.example", "a..example", ".".join(["y" * 60] * 5)])
async def test_a_name_that_is_none_is_a_failure(stub: DnsStub, name: str) -> None:
    with pytest.raises(LookupFailed):
        await DnsClient((stub.address,), 0.1).ask(Query("A", name))


async def test_garbage_is_no_answer(stub: DnsStub) -> None:
    stub.faults["A one.example"] = "garbage"
    with pytest.raises(LookupFailed):
        await DnsClient((stub.address,), 0.2).ask(Query("A", "one.example"))


async def test_whatever_comes_is_an_answer_or_none(stub: DnsStub) -> None:
    """Whoever can put octets before us must not end the task of a name."""
    stub.faults[""] = "mangled"
    client = DnsClient((stub.address,), 0.02)
    seen: set[str] = set()
    number = 0
    while number < 90 or not {"failed", "1 records", "3 records"} <= seen:  # a busy machine answers some too late
        number += 1
        query = (Query("NAPTR", "core.example"), Query("SRV", "_sip._udp.core.example"), Query("A", "one.example"))[
            number % 3
        ]
        try:
            seen.add(f"{len((await client.ask(query)).records)} records")
        except LookupFailed:
            seen.add("failed")


@pytest.mark.parametrize("fault", ["silent", "servfail"])
async def test_the_next_server_is_asked(stub: DnsStub, request: pytest.FixtureRequest, fault: str) -> None:
    broken = DnsStub(own_address(request))
    broken.faults[""] = fault
    try:
        client = DnsClient((broken.address, stub.address), 3.0 if fault == "silent" else WAIT_S)
        assert (await client.ask(Query("A", "one.example"))).records == ["10.0.0.1"]
        assert broken.asked["A one.example"] >= 1
    finally:
        broken.close()


# -- the resolver ------------------------------------------------------------------------------------------------------


async def test_a_name_is_found_at_the_start(watch: Watch, stub: DnsStub) -> None:
    watched = watch(CORE, Place("one.example", 5080))
    assert await watched.resolver.first_looks(WAIT_S)
    told = {place: shown(found) for place, found in watched.told}
    assert told == {CORE: FOUND, Place("one.example", 5080): ["UDP 10.0.0.1 5080 0 0"]}
    assert stub.asked["NAPTR core.example"] == 1


async def test_a_bug_is_told_and_ends_no_task(watch: Watch, stub: DnsStub) -> None:
    watched = watch(CORE)
    watched.raising = 2
    assert await watched.resolver.first_looks(WAIT_S)
    assert shown(await watched.until(bool)) == FOUND
    assert [str(fault) for fault in watched.faults] == ["a bug"] * 2


async def test_a_start_does_not_wait_for_a_server_that_is_silent(watch: Watch, stub: DnsStub) -> None:
    stub.faults[""] = "silent"
    watched = watch(CORE, settings=QUICK._replace(timeout_s=2 * WAIT_S))
    began = asyncio.get_running_loop().time()
    assert not await watched.resolver.first_looks(0.1)
    assert asyncio.get_running_loop().time() - began < WAIT_S
    assert watched.told == []


async def test_without_names_there_is_nothing_to_wait_for(watch: Watch) -> None:
    assert await watch().resolver.first_looks(10.0)


async def test_it_asks_again_before_the_time_is_over(watch: Watch, stub: DnsStub) -> None:
    stub.ttl_s = 0  # counts as min_ttl_s
    watched = watch(CORE)
    await watched.until(lambda found: shown(found) == FOUND)
    stub.zone["A one.example"] = ["10.0.0.7"]
    changed = await watched.until(lambda found: "UDP 10.0.0.7 5070 0 3" in shown(found))
    assert changed.fault == ""


async def test_what_lives_long_is_not_asked_again(watch: Watch, stub: DnsStub) -> None:
    """The address is short-lived, what leads to it is not."""
    stub.ttls_s["A one.example"] = 0
    watched = watch(CORE)
    await asyncio.to_thread(stub.until_asked, "A one.example", 4)
    await watched.until(lambda found: shown(found) == FOUND)
    assert (stub.asked["NAPTR core.example"], stub.asked["SRV _sip._udp.core.example"]) == (1, 1)
    assert stub.asked["A two.example"] == 1


async def test_a_long_time_has_a_ceiling(watch: Watch, stub: DnsStub) -> None:
    stub.ttl_s = 1_000_000
    watch(CORE, settings=QUICK._replace(max_ttl_s=0.1))
    await asyncio.to_thread(stub.until_asked, "A one.example", 3)


@pytest.mark.parametrize("fault", ["silent", "servfail"])
async def test_old_answers_count_on_while_no_server_answers(watch: Watch, stub: DnsStub, fault: str) -> None:
    stub.ttl_s = 0
    watched = watch(CORE, settings=IMPATIENT)
    await watched.until(lambda found: shown(found) == FOUND)
    stub.faults[""] = fault
    old = await watched.until(lambda found: found.fault != "")
    assert shown(old) == FOUND
    stub.faults.clear()
    assert shown(await watched.until(lambda found: found.fault == "")) == FOUND


async def test_old_answers_have_an_end(watch: Watch, stub: DnsStub) -> None:
    stub.ttl_s = 0
    watched = watch(CORE, settings=QUICK._replace(stale_s=0.3))
    await watched.until(lambda found: bool(found.addresses))
    stub.faults[""] = "servfail"
    gone = await watched.until(lambda found: not found.addresses)
    assert gone.fault.endswith(": SERVFAIL")
    stub.faults.clear()
    assert shown(await watched.until(lambda found: bool(found.addresses))) == FOUND


async def test_an_answer_that_there_is_nothing_counts_at_once(watch: Watch, stub: DnsStub) -> None:
    stub.ttl_s = 0
    watched = watch(CORE)
    await watched.until(lambda found: bool(found.addresses))
    stub.zone = {}
    gone = await watched.until(lambda found: not found.addresses)
    assert gone.fault == "the name has no address"


async def test_a_name_that_is_made_later_is_found(watch: Watch, stub: DnsStub) -> None:
    stub.zone = {}
    stub.negative_ttl_s = 0
    watched = watch(CORE)
    await watched.until(lambda found: not found.addresses)
    stub.zone |= ZONE
    assert shown(await watched.until(lambda found: bool(found.addresses))) == FOUND


async def test_names_are_taken_up_and_let_go(watch: Watch, stub: DnsStub) -> None:
    stub.ttl_s = 0
    watched = watch(CORE)
    await watched.until(lambda found: bool(found.addresses))
    other = Place("two.example", 5080)
    watched.resolver.watch([other])
    assert await watched.resolver.first_looks(WAIT_S)
    watched.told.clear()
    asked = stub.asked["NAPTR core.example"]
    await asyncio.to_thread(stub.until_asked, "A two.example", stub.asked["A two.example"] + 3)
    assert {place for place, _ in watched.told} == {other}
    assert stub.asked["NAPTR core.example"] <= asked + 1  # one may have been under way


async def test_one_look_for_who_does_not_stay(stub: DnsStub) -> None:
    settings = QUICK._replace(servers=(stub.address,))
    found = await look_up_once([CORE, Place("nobody.example", 5060)], REACH, settings, WAIT_S)
    assert shown(found[CORE]) == FOUND
    assert found[Place("nobody.example", 5060)] == Found((), "the name has no address")
    stub.faults[""] = "silent"
    assert await look_up_once([CORE], REACH, settings, 0.05) == {}


async def test_not_all_names_are_asked_for_at_once(watch: Watch, stub: DnsStub) -> None:
    stub.faults[""] = "silent"
    watched = watch(
        *[Place(f"h{number}.example", 5060) for number in range(200)], settings=QUICK._replace(timeout_s=100)
    )
    async with asyncio.timeout(WAIT_S):
        while stub.asked.total() < MAX_QUERIES:
            await watched.resolver.first_looks(0.05)
    assert not await watched.resolver.first_looks(0.1)
    assert stub.asked.total() == MAX_QUERIES


async def test_no_server_at_all_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def unconfigured(*_: object) -> None:
        raise dns.resolver.NoResolverConfiguration("cannot open /etc/resolv.conf")

    monkeypatch.setattr(dns.resolver.BaseResolver, "read_resolv_conf", unconfigured)
    with pytest.raises(LookupFailed, match=r"^/etc/resolv\.conf names no server: "):
        Resolver(REACH, DnsSettings(), lambda place, found: None)


async def test_the_loop_goes_on_while_servers_are_silent(watch: Watch, stub: DnsStub) -> None:
    """Requirement 78: nothing in the loop waits for the DNS."""
    stub.faults[""] = "silent"
    watch(*[Place(f"h{number}.example") for number in range(20)], settings=QUICK._replace(timeout_s=100))
    loop = asyncio.get_running_loop()
    longest_s = 0.0
    for _ in range(100):
        began = loop.time()
        await asyncio.sleep(0.005)
        longest_s = max(longest_s, loop.time() - began)
    assert longest_s < WAIT_S  # of the 100 that a server has
