"""The owner of a message, by hand: usual spellings, allowed ones, and octets that are no SIP."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.core.login import second_branch
from engine.core.ownership import (
    MAX_WORKERS,
    letter_of_call_id,
    letter_of_record,
    owner_letter,
    owner_of,
    owner_of_record,
    owner_of_sent,
)
from engine.core.tokens import TokenSource
from engine.core.try_ids import KEY_BYTES, TryIds, ids_of_try
from sipstack.parser import parse

WORKERS = 8
MINE = 5  # whose identifiers these are
X = "700123456780002"  # of worker 2 of 8
OF_X = 2
KEY = bytes(KEY_BYTES)
TOKENS = TokenSource(random.Random(9).randbytes, owner_letter(MINE))
OTHERS = TokenSource(random.Random(9).randbytes)  # those of a run with one worker


def request(uri: str = f"sip:{X}@veil.example", to: str = f"To: <sip:{X}@veil.example>", method: str = "INVITE",
            more: str = "") -> bytes:  # fmt: skip
    return (
        f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKfoo\r\nMax-Forwards: 70\r\n"
        f"From: <sip:a@192.0.2.1>;tag=a-tag\r\n{to}\r\nCall-ID: 1@192.0.2.1\r\nCSeq: 1 {method}\r\n{more}"
        "Content-Length: 0\r\n\r\n"
    ).encode("latin-1")


def response(via: str, start: str = "SIP/2.0 200 OK", before: str = "") -> bytes:
    return (
        f"{start}\r\n{before}{via}\r\nFrom: <sip:a@192.0.2.1>;tag=a-tag\r\nTo: <sip:b@192.0.2.1>;tag=b\r\n"
        "Call-ID: 1@192.0.2.1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    ).encode("latin-1")


def via_of(branch: str) -> str:
    return f"Via: SIP/2.0/UDP 192.0.2.9:5060;branch={branch};rport=5060"


@pytest.mark.parametrize("uri", [
    f"sip:{X}@veil.example", f"sip:{X}@veil.example;user=phone", f"sip:+86{X}@veil.example", f"sip:86{X}@h",
    f"sips:{X}@veil.example", f"SIP:{X}@veil.example", f"tel:+86{X}", f"tel:{X};phone-context=+86", f"TEL:{X}",
    "sip:700-1234-5678-0002@veil.example", "tel:(700)1234.5678-0002", "sip:70012345678%30002@veil.example",
    "sip:%37001234567800%302@veil.example", "sip:%2B86700123456780002@h", f"sip:{X};phone-context=+8612@h",
    f"sip:{X}:password1237@h", f"sip:{X}:pass@h:5061", f"sip:{X}@[2001:db8::1234]:5060",
])  # fmt: skip
def test_every_spelling_of_a_number_has_one_owner(uri: str) -> None:
    for method in ("INVITE", "CANCEL", "ACK", "MESSAGE", "OPTIONS"):
        assert owner_of(request(uri, method=method), WORKERS) == OF_X
    assert parse(request(uri)).method == "INVITE"


@pytest.mark.parametrize("uri", [
    "sip:veil.example", "sip:veil1234.example", "sip:192.0.2.1:5060", "sip:operator@veil.example",
    "sip:119@veil.example", "tel:119", "mailto:1234@example.com1234", "sip:+123@h", "sip:@h", "urn:service:sos",
])  # fmt: skip
def test_who_calls_fewer_than_four_digits_calls_the_first_worker(uri: str) -> None:
    at = 0 if not uri.startswith("mailto:") else 1234 % WORKERS  # refused there as anywhere
    assert owner_of(request(uri), WORKERS) == at


@pytest.mark.parametrize("to", [
    "To: <sip:x@h>;tag={}", "To:<sip:x@h>;tag={}", "to: <sip:x@h>;tag={}", "T: <sip:x@h>;tag={}", "t:sip:x@h;tag={}",
    "To: sip:x@h;tag={}", 'To: "a;tag=b>" <sip:x@h;tag=c>;tag={}', "To : <sip:x@h> ; tag = {} ", "To: <sip:x@h>;TAG={}",
    "To: <sip:x@h>;x=y;tag={}", "To: <sip:x@h>;tag={};x=y", "To: <sip:x@h>\r\n ;tag={}", "To:\r\n\t<sip:x@h>;tag={}",
    "To: <sip:x@h>;tag={} ", "To: <tel:+86123>;tag={}", "To: <sip:x@h>;tag=\r\n {}",
])  # fmt: skip
def test_a_request_in_a_dialog_belongs_to_who_made_the_tag(to: str) -> None:
    for method in ("BYE", "ACK", "INVITE", "CANCEL", "UPDATE", "MESSAGE"):
        tag = TOKENS.tag()
        assert owner_of(request(to=to.format(tag), method=method), WORKERS) == MINE
        assert parse(request(to=to.format(tag), method=method)).to_tag == tag


def test_the_order_of_fields_does_not_matter() -> None:
    first, *rows = request(to=f"To: <sip:x@h>;tag={TOKENS.tag()}").removesuffix(b"\r\n\r\n").split(b"\r\n")
    draw = random.Random(3)
    for _ in range(50):
        draw.shuffle(rows)
        assert owner_of(b"\r\n".join([first, *rows, b"", b""]), WORKERS) == MINE


def test_empty_lines_in_front_and_a_body_that_looks_like_a_head_do_not_matter() -> None:
    body = f"\r\nTo: <sip:x@h>;tag={TOKENS.tag()}\r\n\r\n".encode()
    for to in ("To: <sip:x@h>", "t: <sip:x@h>", "t: <sip:x@h>;tag=theirs"):
        assert owner_of(b"\r\n\r\n" + request(to=to) + body, WORKERS) == OF_X
    assert owner_of(b"\r\n" + response(via_of(TOKENS.branch())), WORKERS) == MINE


@pytest.mark.parametrize("tag", [
    OTHERS.tag(), "theirs", "abcdefghijklmnop", "1bcdefghijklmn", "abcdefghijklm1", "Gbcdefghijklmn", '"bcdefghijklm"',
    "\xe9bcdefghijklmn", "",
])  # fmt: skip
def test_a_tag_that_no_worker_has_made_says_nothing(tag: str) -> None:
    """Then the digits decide, for the INVITE and for the ACK of its refusal alike: both have that tag."""
    for method in ("INVITE", "ACK", "CANCEL"):
        assert owner_of(request(to=f"To: <sip:x@h>;tag={tag}", method=method), WORKERS) == OF_X


def test_a_quoted_string_that_looks_like_a_tag_is_none() -> None:
    looks = f'To: <sip:x@h>;x=";tag={TOKENS.tag()};"'
    assert parse(request(to=looks)).to_tag == ""
    assert owner_of(request(to=looks), WORKERS) == OF_X


@pytest.mark.parametrize("before", ["", "Server: x\r\n", "X: Via: y\r\n"])
@pytest.mark.parametrize("start", ["SIP/2.0 200 OK", "SIP/2.0 100 ", "sip/2.0 503 Via: SIP/2.0/UDP h;branch=z9hG4bKx"])
@pytest.mark.parametrize("via", [
    "Via: SIP/2.0/UDP 192.0.2.9:5060;branch={}", "Via: SIP/2.0/TCP veil.example;branch={};received=192.0.2.1",
    "v: SIP/2.0/UDP h;branch={}", "VIA:SIP/2.0/UDP h;rport=1;branch={}", "Via: SIP / 2.0 / TLS h ; branch = {} ",
    "Via: SIP/2.0/UDP h;BRANCH={}", "Via: SIP/2.0/UDP h\r\n ;branch={}", "v:\r\n\tSIP/2.0/UDP h;branch={};x",
    "Via: SIP/2.0/UDP [2001:db8::1]:5060;branch={}", "Via: SIP/2.0/UDP h;branch={}, SIP/2.0/UDP i;branch=z9hG4bKother",
    "Via: SIP/2.0/UDP h;branch={}\r\nVia: SIP/2.0/UDP i;branch=z9hG4bKother",
])  # fmt: skip
def test_a_response_belongs_to_who_made_the_branch(via: str, start: str, before: str) -> None:
    branch = TOKENS.branch()
    found = response(via.format(branch), start, before)
    assert owner_of(found, WORKERS) == MINE
    top = parse(found).top_via
    assert top is not None and top.branch == branch


@pytest.mark.parametrize("branch", [
    OTHERS.branch(), "z9hG4bK", "z9hG4bKf", "f" * 24, "z9hG4bK1bcdefghijklmnopq", "z9hG4bKGbcdefghijklmnopq", "",
])  # fmt: skip
def test_a_branch_that_no_worker_has_made_is_the_first_ones(branch: str) -> None:
    assert owner_of(response(via_of(branch)), WORKERS) == 0


def test_a_request_that_is_sent_again_with_a_password_keeps_its_owner() -> None:
    branch = second_branch(TOKENS.branch())
    assert owner_of(response(via_of(branch)), WORKERS) == MINE


def test_a_report_belongs_to_who_sent_the_short_message() -> None:
    for row in ("In-Reply-To: {}", "in-reply-to:{}", "IN-REPLY-TO : {}", "In-Reply-To:\r\n {}"):
        assert owner_of(request(method="MESSAGE", more=row.format(TOKENS.call_id()) + "\r\n"), WORKERS) == MINE
        assert owner_of(request(method="MESSAGE", more=row.format(OTHERS.call_id()) + "\r\n"), WORKERS) == OF_X
        assert owner_of(request(method="MESSAGE", more=row.format("z@h") + "\r\n"), WORKERS) == OF_X


@pytest.mark.parametrize("workers", [2, 3, 7, MAX_WORKERS])
def test_every_worker_owns_what_it_makes(workers: int) -> None:
    for worker in range(MAX_WORKERS):
        tokens = TokenSource(random.Random(worker).randbytes, owner_letter(worker))
        owner = worker % workers  # what a worker has left behind that is no more
        assert owner_of(request(to=f"To: <sip:x@h>;tag={tokens.tag()}"), workers) == owner
        assert owner_of(response(via_of(tokens.branch())), workers) == owner
        record_id = f"019b0c6a5c00-{tokens.owner}{tokens.letters(12)}"
        assert letter_of_record(record_id) == owner_letter(worker)
        assert owner_of_record(record_id, X, workers) == owner_of_record(record_id, "", workers) == owner
        ids = ids_of_try(KEY, record_id, 0, "hop")
        assert letter_of_call_id(ids.call_id) == owner_letter(worker)
        assert owner_of(request(to=f"To: <sip:x@h>;tag={ids.tag}"), workers) == owner
        assert owner_of_sent(request().replace(b"z9hG4bKfoo", ids.branch.encode()), workers) == owner
        assert TryIds(KEY, ids.call_id).tag == ids.tag


def test_with_one_worker_every_identifier_is_as_it_was() -> None:
    """To the octet: what a run of an earlier version has sent is told by them."""
    ids = ids_of_try(KEY, "019b0c6a5c00-abcdefghijkl", 0, "hop")
    assert (ids.call_id, ids.tag, ids.branch, ids.cseq) == (
        "dxxbhddCnnkhxtpFizlo", "kytCwigmqcABa", "z9hG4bKgprgCmtocwBABqpz", 207_620_573,
    )  # fmt: skip


def test_a_record_without_owner_goes_where_its_requests_go() -> None:
    record_id = f"019b0c6a5c00-{OTHERS.letters(12)}"
    assert letter_of_record(record_id) == ""
    assert owner_of_record(record_id, X, WORKERS) == owner_of(request(), WORKERS) == OF_X
    assert owner_of_record(record_id, "", WORKERS) == 0


TO_PARTS = st.sampled_from(
    ["<sip:x@h>", "sip:x@h", '"a"', ">", "<", ";", "tag", "=", '"', ";tag=", TOKENS.tag(), " ", "\r\n ", "y"]
)


@given(
    st.sampled_from(["To: ", "t:", "TO : "]), st.lists(TO_PARTS, max_size=8).map("".join), st.integers(2, MAX_WORKERS)
)
@example("To: ", f'<sip:x@h>;x=">;tag={TOKENS.tag()}"', 8)
@example("To: ", f'<sip:x@h>;x=";tag={TOKENS.tag()};"', 8)
def test_an_invite_its_cancel_and_the_ack_of_its_failure_have_one_owner(name: str, to: str, workers: int) -> None:
    """Whatever stands in To: the answer adds a tag of the worker that gave it, or one without owner, or none."""
    owner = owner_of(request(to=name + to), workers)
    assert owner_of(request(to=name + to, method="CANCEL"), workers) == owner
    tokens = TokenSource(random.Random(1).randbytes, owner_letter(owner))
    for tag in ("", f";tag={tokens.tag()}", f";tag={OTHERS.tag()}", ";tag=abcdefghijkl"):
        assert owner_of(request(to=name + to + tag, method="ACK"), workers) == owner


@given(st.binary(max_size=300), st.integers(2, MAX_WORKERS))
@example(b"", 2)
@example(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK", 2)
@example(b"INVITE sip:1234@", 2)
@example(b"INVITE sip:%@h SIP/2.0\r\nTo: >;tag=\r\n\r\n", 2)
def test_octets_that_are_no_message_have_an_owner(data: bytes, workers: int) -> None:
    for start in (b"", b"INVITE sip:7001@h SIP/2.0\r\nTo: ", b"SIP/2.0 200 OK\r\nVia: ", b"MESSAGE x\r\nIn-Reply-To"):
        assert 0 <= owner_of(start + data, workers) < workers
        assert 0 <= owner_of_sent(start + data, workers) < workers


@given(st.data())
def test_a_message_that_is_cut_short_has_an_owner(data: st.DataObject) -> None:
    whole = data.draw(
        st.sampled_from([request(to=f"To: <sip:x@h>;tag={TOKENS.tag()}"), response(via_of(TOKENS.branch()))])
    )
    cut = data.draw(st.integers(0, len(whole)))
    assert 0 <= owner_of(whole[:cut], WORKERS) < WORKERS
