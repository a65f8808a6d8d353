"""veil700 replay: which requests of a capture it asks about, what it tells, and what of a masked one can be told."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import pytest

from sipstack.pcap import Address, CapturedMessage
from sipstack.pcapng import PcapngWriter
from tests.cli.commands import INVENTORY, A, B, Run, X, bind_words
from tests.cli.test_cli_diff import CONFIG, changed
from tests.sipstack.captures import pcap_of

MOBILE, FIXED, NODE = ("127.0.0.12", 5060), ("127.0.0.13", 5060), ("127.0.0.1", 5060)
LISTEN: Final = '[[listen]]\ntransport = "udp"\naddress = "127.0.0.1:5060"\n\n'
PSEUDONYM: Final = "16912345678"
OUTSIDER: Final = "13700137000"
SDP: Final = "v=0\r\no=- 1 1 IN IP4 127.0.0.12\r\ns=-\r\nc=IN IP4 127.0.0.12\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"

NO_ROUTE: Final = (('called = "^139"', 'called = "^1391"'),)


@pytest.fixture
def bound(run: Run, file: Path) -> Run:
    """A and B are bound to X, and the node listens."""
    file.write_text(LISTEN + CONFIG)
    assert run("inventory", "apply", INVENTORY).status == 0
    assert run(*bind_words()).status == 0
    return run


def request(
    caller: str = A, called: str = X, source: Address = MOBILE, *, method: str = "INVITE", call_id: str = "one",
    cseq: int = 1, tag: str = "", more: tuple[str, ...] = (), body: str = SDP, to: Address = NODE,
) -> CapturedMessage:  # fmt: skip
    host, port = source
    rows = [
        f"{method} sip:{called}@veil.example SIP/2.0", f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{call_id}{cseq}",
        "Max-Forwards: 70", f"From: <sip:{caller}@{host}>;tag=t{call_id}", f"To: <sip:{called}@veil.example>{tag}",
        f"Call-ID: {call_id}", f"CSeq: {cseq} {method}", f"Contact: <sip:{caller}@{host}>", *more,
        f"Content-Type: {'application/sdp' if method == 'INVITE' else 'text/plain'}", f"Content-Length: {len(body)}",
    ]  # fmt: skip
    return CapturedMessage(time.time(), "UDP", source, to, ("\r\n".join(rows) + "\r\n\r\n" + body).encode())


def message(text: str, **changes: Any) -> CapturedMessage:
    return request(method="MESSAGE", body=text, **changes)


def capture(file: Path, *messages: CapturedMessage) -> Path:
    made = file.with_name("trunk.pcap")
    made.write_bytes(pcap_of(messages))
    return made


def masked(file: Path, *messages: CapturedMessage) -> Path:
    """As `veil700 capture` writes it."""
    writer = PcapngWriter()
    data = writer.begin("veil700", "veil700", "real numbers replaced by pseudonyms; more")
    for one in messages:
        data += writer.message(one.at_s, one.transport, one.source, one.destination, one.data, is_sent=False)
    made = file.with_name("masked.pcapng")
    made.write_bytes(data)
    return made


def new(file: Path, *pairs: tuple[str, str]) -> Path:
    made = changed(file, *pairs)
    made.write_text(LISTEN + made.read_text())
    return made


def test_nothing_changes(bound: Run, file: Path) -> None:
    done = bound("replay", capture(file, request()), "--against", new(file))
    assert (done.status, done.err) == (0, "")
    assert done.out == "requests in trunk.pcap: 1 distinct, 1 in all\nnothing changes\n"


def test_what_changes(bound: Run, file: Path) -> None:
    done = bound("replay", capture(file, request()), "--against", new(file, *NO_ROUTE), "--json")
    assert (done.status, done.err) == (1, "")
    (group,) = done.json["groups"]
    assert group["changes"] == {
        "outcome": {
            "old": "sent by route b to fixed sip:127.0.0.13",
            "new": "refused, NO_ROUTE decided by route; the caller sees 404 / Q.850 3",
        }
    }
    assert group["example"] == {
        "caller": "138****8000", "called": X, "peer": "udp:127.0.0.12:5060", "method": "INVITE",
    }  # fmt: skip
    assert A not in done.out
    assert B not in done.out


def test_a_request_counts_once_whatever_is_repeated(bound: Run, file: Path) -> None:
    """A repeat and a second try with a password are the same call; another call of the same two is counted."""
    password = 'Authorization: Digest username="x", realm="r", nonce="n", uri="sip:x", response="y"'
    file_of = capture(
        file, request(), request(), request(cseq=2, more=(password,)), request(call_id="two", more=(password,)),
        request(call_id="in", tag=";tag=in"),
        message("a", call_id="m"), message("a", call_id="m"), message("b", call_id="m", cseq=2),
    )  # fmt: skip
    done = bound("replay", file_of, "--against", new(file, *NO_ROUTE), "--json").json
    assert (done["distinct"], done["calls"], done["changed"]) == (3, 4, 3)
    assert sorted((group["distinct"], group["calls"]) for group in done["groups"]) == [(3, 4)]


def test_the_peer_is_that_of_the_source(bound: Run, file: Path) -> None:
    """Another configuration knows the address as nobody's: what it would do with it is not asked, and told as such."""
    other = new(file, ('match = ["127.0.0.12"]', 'match = ["127.0.0.19"]'))
    done = bound("replay", capture(file, request()), "--against", other, "--json")
    (group,) = done.json["groups"]
    assert group["changes"]["outcome"]["new"] == "not asked, source: it belongs to no peer"
    stranger = capture(file, request(source=("127.0.0.77", 5060)))
    nobody = bound("replay", stranger, "--against", new(file), "--json")
    assert (nobody.status, nobody.json["left_out"]) == (0, {"source: it belongs to no peer": 1})


def test_trust_is_that_of_the_source(bound: Run, file: Path) -> None:
    """An outsider whom P-Asserted-Identity says to be A reaches B where that counts."""
    said = capture(file, request(caller=OUTSIDER, more=(f"P-Asserted-Identity: <sip:{A}@veil.example>",)))
    trusting = new(file, ('match = ["127.0.0.12"]', 'match = ["127.0.0.12"]\ntrusted = false\ncaller = "from"'))
    done = bound("replay", said, "--against", trusting, "--json")
    (group,) = done.json["groups"]
    assert group["changes"]["outcome"]["new"].startswith("refused, NOT_IN_CALLER_SET decided by bound")


def test_what_the_node_has_sent_and_what_is_no_sip(bound: Run, file: Path) -> None:
    """What left the node is in its capture as well, and would be taken for a call from a peer of that network."""
    ours = request(source=NODE, to=FIXED, call_id="out")
    bad = request(call_id="bad")
    broken = CapturedMessage(bad.at_s, "UDP", MOBILE, NODE, bad.data.replace(b"CSeq: 1 INVITE", b"CSeq: x"))
    done = bound("replay", capture(file, ours, broken, request()), "--against", new(file), "--json")
    assert (done.status, done.json["distinct"]) == (0, 1)
    assert done.json["left_out"] == {
        "request: nothing that the node can read": 1, "source: the node itself": 1,
    }  # fmt: skip


def test_connections_come_from_any_port(bound: Run, file: Path) -> None:
    """Two of one host are one question; what the node has sent over one is told by where it went."""
    writer = PcapngWriter()
    data = writer.begin("x", "x", "real numbers in clear")
    ours = request(source=("127.0.0.1", 40_000), to=FIXED, call_id="out")
    for one in (request(source=("127.0.0.12", 50_001)), request(source=("127.0.0.12", 50_002), call_id="two"), ours):
        data += writer.message(one.at_s, "TCP", one.source, one.destination, one.data, is_sent=False)
    made = file.with_name("tcp.pcapng")
    made.write_bytes(data)
    done = bound("replay", made, "--against", new(file), "--json").json
    assert (done["distinct"], done["calls"], done["left_out"]) == (1, 2, {"source: the node itself": 1})


def test_what_a_node_behind_an_address_of_others_has_sent(run: Run, file: Path) -> None:
    file.write_text(LISTEN.replace('5060"', '5060"\nadvertise = "203.0.113.7:5060"') + CONFIG)
    assert run("inventory", "apply", INVENTORY).status == 0
    seen = capture(file, request(source=("203.0.113.7", 5060), to=FIXED))
    done = run("replay", seen, "--against", file, "--json").json
    assert done["left_out"] == {"source: the node itself": 1}


def test_a_peer_that_asks_for_passwords(bound: Run, file: Path) -> None:
    """A phone of it is taken to show the password of its account."""
    digest = ('match = ["127.0.0.12"]', 'match = ["127.0.0.12"]\ncaller = "digest"')
    account = '[[account]]\npeer = "mobile"\nuser = "a"\npassword = "secret"\nnumbers = ["{}"]\n\n[[route]]\nname = "b"'
    stale = 'Authorization: Digest username="a", realm="r", nonce="n", uri="sip:x", response="y"'
    seen = capture(file, request(more=(stale,)))
    same = new(file, digest, ('[[route]]\nname = "b"', account.format(A)))
    assert bound("replay", seen, "--against", same).status == 0
    other = new(file, digest, ('[[route]]\nname = "b"', account.format(OUTSIDER)))
    done = bound("replay", seen, "--against", other, "--json")
    assert done.json["groups"][0]["changes"]["outcome"]["new"].startswith("refused, ")


# -- masked ------------------------------------------------------------------------------------------------------------


def test_a_masked_capture_is_decided_for_those_that_are_bound(bound: Run, file: Path) -> None:
    seen = masked(file, request(caller=PSEUDONYM), request(caller=PSEUDONYM, called="16987654321", call_id="two"))
    done = bound("replay", seen, "--against", new(file, *NO_ROUTE), "--json")
    assert done.status == 1
    assert done.json["notes"][0].startswith(
        "the numbers of the capture are masked: each call to a 700 number is decided"
    )
    assert (done.json["distinct"], done.json["changed"]) == (2, 1)  # A reaches B, and B reaches A
    assert done.json["groups"][0]["changes"]["outcome"]["old"] == "sent by route b to fixed sip:127.0.0.13"
    assert done.json["left_out"] == {"capture: masked, and nobody is bound to what was called": 1}
    assert PSEUDONYM not in done.out
    told = bound("replay", seen, "--against", new(file, *NO_ROUTE))
    assert told.told[0].startswith("veil700: the numbers of the capture are masked")


def test_a_700_number_that_calls_is_no_pseudonym(bound: Run, file: Path) -> None:
    done = bound("replay", masked(file, request(caller=X, called="700123456780002")), "--against", new(file), "--json")
    assert (done.status, done.json["distinct"]) == (0, 1)


# -- wrong use ---------------------------------------------------------------------------------------------------------


def test_files_that_are_none(bound: Run, file: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pcap"
    bad.write_bytes(b"GIF89a")
    done = bound("replay", bad, "--against", new(file))
    assert (done.status, done.out, done.told) == (2, "", [f"veil700: {bad}: neither pcap nor pcapng"])
    missing = bound("replay", tmp_path / "none", "--against", new(file))
    assert (missing.status, missing.told) == (2, [f"veil700: {tmp_path / 'none'}: No such file or directory"])
    assert bound("replay", capture(file), "--against", tmp_path / "none.toml").status == 2
    assert bound("replay", capture(file)).status == 2


def test_without_a_store_nothing_is_said_to_change(run: Run, file: Path) -> None:
    done = run("replay", capture(file), "--against", new(file))
    assert (done.status, done.out, len(done.told)) == (2, "", 1)
    assert "bindings.db: no such file" in done.err


def test_a_damaged_store_is_not_said_to_change_anything(bound: Run, file: Path) -> None:
    (file.parent / "data" / "bindings.db").write_bytes(b"no database" * 1000)
    done = bound("replay", capture(file, request()), "--against", new(file))
    assert (done.status, done.out, len(done.told)) == (2, "", 1)
    assert "data/bindings.db: " in done.err


def test_a_capture_without_requests(bound: Run, file: Path) -> None:
    done = bound("replay", capture(file), "--against", new(file))
    assert (done.status, done.out) == (0, "requests in trunk.pcap: 0 distinct, 0 in all\nnothing changes\n")
