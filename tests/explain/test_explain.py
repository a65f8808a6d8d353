"""What an explanation tells where the store, the peer or the numbers are out of the ordinary."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Final

import pytest

from engine.config import load
from engine.core.binding import Binding, Miss
from engine.explain import Explanation, Question, QuestionFault, arrival_of, explain
from engine.store.errors import StoreError
from engine.store.glance import Glance
from sipstack.location import Address
from tests.core.corenode import axb
from tests.explain.explained import AT, TOML, A, B, Office, X, office

IPV6 = """
[[listen]]
address = "[::1]:5060"
[[peer]]
name = "six"
match = ["[2001:db8::7]:5070"]
targets = ["sip:[2001:db8::8]"]
number_format = "tel"
[[route]]
name = "all"
called = ""
peers = ["six"]
[node]
data_dir = "data"
"""


@pytest.fixture
def here() -> Iterator[Office]:
    with office() as made:
        made.bind([axb(expires_at=AT + 60)])
        yield made


def results(told: Explanation) -> dict[str, str]:
    return {f"{line.stage} {line.name}": line.result for line in told.lines}


def said(told: Explanation) -> str:
    """All of it but times and the counts that are drawn by chance, any of which may hold five digits of a number."""
    return re.sub(r"[0-9]+\.[0-9]+|[0-9]+ us\b[^']*|\b2[0-9]{8}\b", "", repr(told))


def test_a_store_that_does_not_answer_refuses_as_in_the_node(here: Office) -> None:
    class Broken:
        def find(self, x: str, caller: str, wall_s: float) -> Binding | Miss:
            raise StoreError("bindings.db: disk I/O error")

    config = here.configure()
    told = explain(config, arrival_of(config.core_settings(), Question(A, X)), Broken(), AT, {})
    assert (told.cause, told.decided_by, told.sip_status, told.q850) == ("INTERNAL", "lookup", 500, 41)
    assert (told.seen_status, told.seen_q850) == (500, 41)
    assert results(told)["binding none"] == "the store does not answer: bindings.db: disk I/O error"
    assert results(told)["policy bound"].startswith("not reached")


def test_the_time_asked_for_decides(here: Office) -> None:
    assert here.ask(Question(A, X), AT + 59.9).sent
    late = here.ask(Question(A, X), AT + 60)
    assert (late.cause, late.decided_by) == ("BINDING_EXPIRED", "in_force")
    assert here.ask(Question(B, X, peer="b-side"), AT + 59).cause == "NOT_IN_CALLER_SET"
    assert here.ask(Question(B, X, peer="b-side"), AT + 60).cause == "NO_BINDING"


def test_a_trunk_of_ipv6_and_tel_is_written_as_it_would_be(here: Office) -> None:
    here.configure(text=IPV6)
    told = here.ask(Question(A, "+86" + X), reveal=True)
    assert told.sent
    assert told.next_hop == "udp:[2001:db8::8]:5060"
    arrives, leaves = told.arrives.splitlines(), told.leaves.splitlines()
    assert arrives[0] == f"INVITE tel:+86{X} SIP/2.0"
    assert arrives[1].startswith("Via: SIP/2.0/UDP [2001:db8::7]:5070;branch=")
    assert f"P-Asserted-Identity: <tel:+86{A}>" in arrives
    assert leaves[0] == f"INVITE tel:+86{B} SIP/2.0"
    assert "c=IN IP6 2001:db8::7" in leaves
    assert f"P-Asserted-Identity: <tel:{X};phone-context=+86>" in leaves


def test_a_number_is_masked_wherever_it_stands(here: Office) -> None:
    here.bind([axb(callee="95588", expires_at=AT + 60), axb(callee=B, x="700123456780002", expires_at=AT + 60)])
    here.configure(rest='[[route]]\nname = "service"\ncalled = "^95588$"\npeers = ["b-side"]')
    told = here.ask(Question(A, X, "MESSAGE", text="95588 0086" + B))
    assert told.sent
    assert told.leaves.splitlines()[0] == "MESSAGE sip:9****8@127.0.0.13:5060 SIP/2.0"
    assert "95588" not in said(told).replace("^95588$", "")
    assert told.leaves.splitlines()[-1] == "9****8 0086" + B  # of somebody who has no part in this
    told = here.ask(Question(A, "700123456780002", "MESSAGE", text=f"0086{B} +86{B} {B} 1{B}"))
    assert told.leaves.splitlines()[-1] == f"0086139****9000 +86139****9000 139****9000 1{B}"


def test_a_guess_in_the_text_is_not_told_from_the_number_itself(here: Office) -> None:
    told = here.ask(Question(A, X, "MESSAGE", text=f"13900139000 13911119000 8613922229000 13900139001 {A}"))
    assert told.callee == "139****9000"
    assert told.arrives.splitlines()[-1] == f"139****9000 139****9000 86139****9000 13900139001 {A}"


def test_a_caller_that_is_its_own_target_is_told_apart(here: Office) -> None:
    here.bind([axb(callee=A, expires_at=AT + 60)])
    told = here.ask(Question(A, X))
    assert (told.cause, told.decided_by) == ("LOOP", "not_to_self")
    assert A not in repr(told)


def test_the_peer_is_told_from_the_number_of_the_caller(here: Office) -> None:
    assert here.ask(Question(A, X)).lines[0].name == "a-side"
    with pytest.raises(QuestionFault, match="peer: say which one it comes from: a-side, b-side"):
        here.ask(Question(B, X))  # its route names both
    here.configure(a='serves_700 = ["70012345678"]')
    assert here.ask(Question("700123456780009", X)).lines[0].name == "a-side"


def test_a_source_is_found_beside_more_specific_entries_of_others(here: Office) -> None:
    other = '[[peer]]\nname = "other"\nmatch = ["2001:db8::1", "[2001:db8::2]:5060"]\n'
    here.configure(text=IPV6.replace('"[2001:db8::7]:5070"', '"2001:db8::/126"') + other)
    told = here.ask(Question(A, X, peer="six"))
    assert told.lines[0].result == "as asked; udp:[2001:db8::2]:5062 is in 2001:db8::/126"


def test_a_peer_outside_of_the_trust_domain_asserts_nothing(here: Office) -> None:
    here.configure(a='trusted = false\ncaller = "pai-or-from"')
    told = here.ask(Question(A, X))
    assert told.sent
    assert "P-Asserted-Identity" not in told.arrives
    assert "P-Asserted-Identity" in told.leaves


@pytest.mark.parametrize("method", ["invite", "BYE", ""])
def test_only_calls_and_messages_are_explained(here: Office, method: str) -> None:
    with pytest.raises(QuestionFault, match=r"method: .* is neither INVITE nor MESSAGE"):
        here.ask(Question(A, X, method))


DIGEST = """
[[account]]
user = "bob"
peer = "a-side"
numbers = ["13700137000"]
password = "secret"
[[account]]
user = "alice"
peer = "a-side"
numbers = ["13800138000"]
password = "secret"
"""


def test_who_must_show_a_password_is_told_as_if_it_had(here: Office) -> None:
    here.configure(a='caller = "digest"\ntrusted = false', rest=DIGEST)
    told = here.ask(Question(A, X, peer="a-side"))
    assert told.sent and told.callee
    line = next(line for line in told.lines if line.stage == "account")
    assert (line.name, line.made_by) == ("alice", "veil.toml:38 account.user")
    assert "Authorization" not in told.leaves and "Authorization" in told.arrives
    assert "secret" not in told.arrives


def test_a_number_of_no_account_is_refused_as_in_the_node(here: Office) -> None:
    here.configure(a='caller = "digest"\ntrusted = false', rest=DIGEST)
    told = here.ask(Question(B, X, peer="a-side"))
    assert (told.cause, told.decided_by) == ("NOT_IN_CALLER_SET", "caller_entitled")
    line = next(line for line in told.lines if line.name == "caller")
    assert line.result.endswith("names no number of account bob")
    assert line.made_by == "veil.toml:35 account.numbers"


TLS = """
[[listen]]
transport = "tls"
address = "127.0.0.11:5061"
certificate = "veil.toml"
private_key = "veil.toml"
client_ca = "veil.toml"
"""


def test_who_must_show_a_certificate_is_told_as_if_it_had(here: Office) -> None:
    here.configure(a='tls_names = ["a.example"]', rest=TLS)
    told = here.ask(Question(A, X, peer="a-side"))
    assert told.sent
    assert results(told)["peer a-side"] == "as asked; tls:127.0.0.12:5060 is in 127.0.0.12"


def test_a_peer_without_an_address_is_told_by_its_certificate(here: Office) -> None:
    text = here.configure(rest=TLS) and here.file.read_text()
    here.configure(text=text.replace('match = ["127.0.0.12"]', 'tls_names = ["a.example"]'))
    told = here.ask(Question(A, X, peer="a-side"))
    assert told.sent
    assert results(told)["peer a-side"] == "as asked; over TLS, with a.example in its certificate"
    assert told.lines[0].made_by == "veil.toml:11 peer.tls_names"


TRANSIT = """
[[route]]
name = "through"
called = "^1"
peers = ["b-side"]
transit = true
"""


def test_transit_is_told(here: Office) -> None:
    config = here.configure(rest=TRANSIT)
    told = explain(config, arrival_of(config.core_settings(), Question(A, B, peer="a-side")), Unbound(), AT, {})
    assert (told.sent, told.egress_peer, told.target) == (True, "b-side", "sip:127.0.0.13:5060")
    found = {f"{line.stage} {line.name}": line for line in told.lines}
    assert found["policy transit"].result.startswith("passed") and "transit" in found["policy transit"].made_by
    assert found["route through"].result.startswith("^1 matches")
    assert found["gate disclosure"].result == "passed: in transit nothing is hidden, so nothing is searched"
    assert "policy called_number" not in found and "binding none" not in found


def test_the_called_number_is_not_hidden_in_transit(here: Office) -> None:
    """It is what was asked about."""
    here.configure(rest=TRANSIT)
    told = here.ask(Question(A, B, peer="a-side"))
    assert f"sip:{B}@" in results(told)["number called"]
    assert (told.callee, "****" in repr(told)) == (B, False)


def test_a_real_number_that_no_route_takes_in_transit_is_told_why(here: Office) -> None:
    told = here.ask(Question(A, "95588", peer="a-side"))
    assert results(told)["transit none"] == "no route has transit = true, so that no real number is relayed"
    here.configure(rest=TRANSIT + TRANSIT.replace("through", "other").replace("^1", "^9555"))
    told = here.ask(Question(A, "95588", peer="a-side"))
    found = {line.name: (line.result, line.made_by) for line in told.lines if line.stage == "transit"}
    assert found == {
        "through": ("^1 does not match 95588", "veil.toml:33 route.called"),
        "other": ("^9555 does not match 95588", "veil.toml:39 route.called"),
    }
    assert told.decided_by == "called_number"
    assert not [line for line in here.ask(Question(A, X, peer="a-side")).lines if line.stage == "transit"]


def test_a_700_caller_in_transit_is_told(here: Office) -> None:
    config = here.configure(rest=TRANSIT)
    told = explain(config, arrival_of(config.core_settings(), Question(X, B, peer="a-side")), Unbound(), AT, {})
    assert (told.sent, told.decided_by, told.cause) == (False, "transit_caller", "NOT_IN_CALLER_SET")
    assert results(told)["policy transit"].startswith("refused by transit_caller, NOT_IN_CALLER_SET 403 / Q.850 21")


class Unbound:
    def find(self, x: str, caller: str, wall_s: float) -> Binding | Miss:
        return Miss.UNBOUND


WEIGHTS: Final = [  # of b-side's two targets, and whether a lot decides which is first
    ("", "", False), (";weight=1", ";weight=0", False), (";weight=1", ";priority=1", False),
    (";weight=1", ";weight=3", True), (";weight=0", ";weight=0", True), (";weight=0", "", True),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other", "is_drawn"), WEIGHTS)
def test_what_a_lot_has_decided_is_told(here: Office, one: str, other: str, is_drawn: bool) -> None:
    here.configure(text=with_targets(f'"sip:127.0.0.13:5060{one}", "sip:127.0.0.14:5060{other}"'))
    lines = [line.result for line in here.ask(Question(A, X, peer="a-side")).lines if line.stage == "target"]
    assert ("first by lot;" in lines[0], "first;" in lines[0]) == (is_drawn, not is_drawn)
    assert not any("first" in line for line in lines[1:])


@pytest.mark.parametrize(("hosts", "is_drawn"), [(("127.0.0.13",), False), (("127.0.0.13", "127.0.0.14"), True)])
def test_a_lot_among_the_addresses_of_a_name_is_told(here: Office, hosts: tuple[str, ...], is_drawn: bool) -> None:
    here.configure(text=with_targets('"sip:b.example:5060"'))
    config = load(here.file)
    (name,) = [one.place for peer in config.core_settings().peers for one in peer.targets if one.place is not None]
    found = tuple(Address("UDP", host, 5060, 0, 0.0) for host in hosts)
    arrival = arrival_of(config.core_settings(), Question(A, X, peer="a-side"))
    with closing(Glance(here.database, here.cipher)) as glance:
        told = explain(config, arrival, glance, AT, {name: (found, "")})
    line = next(line.result for line in told.lines if line.stage == "target")
    assert ("first by lot;" in line) is is_drawn


def with_targets(targets: str) -> str:
    """The file with these of b-side."""
    text = TOML.replace('"sip:127.0.0.13:5060", "sip:127.0.0.14:5060"', targets)
    return text.format(a="", b="", rest="")
