"""Attacks A12, A15, A17, A21 to A23, A26 and A28: what is said correctly, and meant badly."""

from __future__ import annotations

import csv
import io
import json
import socket
from contextlib import ExitStack
from typing import Final

import pytest

from engine.control.protocol import socket_path
from scenarios.rig.binding import BLOCK
from tests.attacks.after import ARRIVED, outcome, serves, told
from tests.conformance.conftest import RigFactory
from tests.conformance.hidden import rows_of
from tests.conformance.message import text_for_x
from tests.conformance.rig import UNBOUND, Rig, options
from tests.conformance.talk import Call
from tests.e2e.datagrams import ANSWER_S, drain, udp_socket

INJECTED: Final = "X-Evil: 1"
ENDS: Final = ("%0d%0a", "\r\n ", "\n", "\r", "\\\r\n", "\0", "\x85", "\u2028", "%00", "\\\n")


def test_attack_a12_injected_lines(rig: Rig) -> None:
    """CWE-93: nothing that a party writes, nor what a binding is given, becomes a header line of what leaves.

    Checked: ten ends of lines in display name, user part and Content-Type, of an INVITE and of a MESSAGE: the callee
    gets the same lines as without, or nothing; a binding whose order and user have line ends is refused or crosses
    nowhere.
    """
    plain = Call(rig)
    usual = [row.partition(":")[0] for row in plain.start().head]
    plain.drop()
    for end in ENDS:
        for old, new in (
            ('From: "', f'From: "{end}{INJECTED}'), (f"sip:{rig.x}@", f"sip:{rig.x}{end}{INJECTED}@"),
            ("application/sdp", f"application/sdp{end}{INJECTED}"),
            ("application/sdp", f"application/sdp;x=y{end}{INJECTED}"),
        ):  # fmt: skip
            call = Call(rig)
            status = outcome(rig, call, call.invite().decode().replace(old, new, 1).encode())
            assert status in (ARRIVED, 400, 403, 404, 415, 484), (end, status)
        for kind in (f"text/plain{end}{INJECTED}", f"text/plain;x=y{end}{INJECTED}"):
            texted(rig, text_for_x(rig, b"hello").decode().replace("text/plain", kind))
    invites = [seen for seen in rig.callee.received if seen.shown == "INVITE"]
    assert invites and all([row.partition(":")[0] for row in seen.head] == usual for seen in invites)
    assert not any(b"evil" in seen.data.lower() for seen in rig.callee.received)
    x = f"{BLOCK}0077"
    file = rig.node.folder / "injected.csv"
    order = f'"o\r\n{INJECTED}"'
    file.write_text(
        "mode,tel_x,tel_y,tel_a,tel_b,group_id,business_user,order_id,scenario,expiration\n"
        f"AXB,{x},,{rig.caller.number},{rig.callee.number},,bu-test,{order},express,3600\n"
    )
    if rig.node.command("bindings", "import", file).returncode == 0:
        call = Call(rig, x)
        assert INJECTED not in call.start().data.decode()
        call.drop()
    serves(rig)


def texted(rig: Rig, data: str) -> None:
    """A MESSAGE is sent, and delivered or refused."""
    rig.caller.send(data)
    assert rig.until(lambda: any(seen.status >= 200 for seen in rig.caller.fresh) or rig.callee.fresh != [])
    if rig.callee.fresh:
        rig.callee.send(rig.callee.answer(rig.hear(rig.callee, "MESSAGE"), 200))
        rig.hear(rig.caller, "200 MESSAGE")
    rig.caller.fresh.clear()


def test_attack_a15_learning_and_moving_calls(rig: Rig) -> None:
    """CVE-2021-41157: who subscribes, notifies, refers or publishes learns and moves nothing, and nobody takes over a
    call by Replaces, Join or Target-Dialog.

    Checked: the four methods for dialog, presence, reg and message-summary, outside a call and within one, with the
    identifiers of the call; an INVITE that replaces it; the call stays, no other one begins.
    """
    call = Call(rig).talk()
    tags = [side.partition("tag=")[2] for side in (call.caller.local, call.caller.remote)]
    named = f"{call.caller.call_id};to-tag={tags[1]};from-tag={tags[0]}"
    rows = f"Refer-To: <sip:{rig.x}@{rig.place.node}?Replaces={named.replace(';', '%3B').replace('=', '%3D')}>"
    before = rig.counter("attempts_voice")
    for method in ("SUBSCRIBE", "NOTIFY", "REFER", "PUBLISH"):
        for event in ("dialog", "presence", "reg", "message-summary", "refer"):
            target = named.replace("to-", "local-").replace("from-", "remote-")
            more = f"Event: {event}\r\n{rows}\r\nTarget-Dialog: {target}"
            asking = options(rig.caller, rig.place.node, rig.caller.word()).replace("OPTIONS", method)
            assert told(rig, asking.replace("Max-Forwards", f"{more}\r\nMax-Forwards", 1)) == [405]
            assert told(rig, call.caller.request(method, *more.split("\r\n"))) == [405]
    assert rig.counter("attempts_voice") == before and len(rig.node.calls()) == 1
    for field in ("Replaces", "Join"):
        thief = Call(rig)
        assert outcome(rig, thief, thief.invite(f"{field}: {named}")) in (ARRIVED, 481, 420)
        strict = Call(rig)
        assert outcome(rig, strict, strict.invite(f"{field}: {named}", f"Require: {field.lower()}")) == 420
    call.hang_up()
    serves(rig)


SCRIPTS: Final = (
    "<script>alert(1)</script>", "=cmd|'/C calc'!A0", "+1+1", "@SUM(1)", "-2+3", "\x1b[31m\x1b]0;owned\x07", "%s%n%x",
    "'; DROP TABLE records; --", "${jndi:ldap://x/}", "{0.__class__}",
)  # fmt: skip


def test_attack_a17_scripts_and_formulas(rig: Rig) -> None:
    """CVE-2021-1000004: what somebody writes into User-Agent, From, Call-ID or a text reaches no log, record or export
    in a form that a program would run.

    Checked: ten texts in five fields of a call that is refused and of one that is not; each cell of both CSV exports,
    each value of the records, and the log.
    """
    for script in SCRIPTS:
        for called in (rig.x, UNBOUND):
            call = Call(rig, called)
            data = call.invite(f"Subject: {script}", f"X-Script: {script}").decode()
            data = data.replace("User-Agent: ", f"User-Agent: {script}").replace('From: "', f'From: "{script} ')
            data = data.replace(
                f"Call-ID: {call.caller.call_id}", f"Call-ID: {script.replace(' ', '')}-{rig.caller.word()}"
            )
            assert outcome(rig, Call(rig, called), data.encode()) in (ARRIVED, 400, 404)
    for form in ("csv", "asterisk-csv", "jsonl"):
        done = rig.node.command("cdr", "export", "--format", form)
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        if form == "jsonl":
            assert all(json.loads(line) for line in done.stdout.splitlines())
            continue
        for row in csv.reader(io.StringIO(done.stdout)):
            assert not any(cell.startswith(("=", "+", "@", "\t")) or cell.startswith("-2+3") for cell in row), row
    assert rig.node.stderr.replace("\n", "").isprintable()
    serves(rig)


def test_attack_a21_storm_of_forks(rig: Rig) -> None:
    """CVE-2022-23608: of many answers to one INVITE one is the call; each other one is acknowledged and ended, and
    there is one record.

    Checked: twenty provisionals and ten 200 of tags of their own, and copies of the first 200; the caller gets one 200.
    """
    call = Call(rig)
    call.start()
    for _ in range(20):
        call.answer(180, tag=rig.callee.word())
    call.pick_up()
    call.ack()
    late = [rig.callee.word() for _ in range(10)]
    for tag in late:
        call.answer(200, tag=tag, body=rig.callee.description())
        call.answer(200, body=rig.callee.description())
        ended = {rig.hear(rig.callee, method).value("To").partition("tag=")[2] for method in ("BYE",)}
        assert ended == {tag}
        bye = next(seen for seen in rig.callee.received[::-1] if seen.shown == "BYE")
        rig.callee.send(rig.callee.answer(bye, 200))
    rig.barrier()
    acked = {seen.value("To").partition("tag=")[2] for seen in rig.callee.received if seen.shown == "ACK"}
    assert acked == {call.tag, *late}
    assert len({seen.data for seen in rig.caller.received if seen.shown == "200 INVITE"}) == 1
    call.hang_up()
    assert call.record()["release_cause"] == "NORMAL"
    serves(rig)


LOOPS: Final = ("255.255.255.255", "127.0.0.1", "224.0.1.75", "0.0.0.0", "{node}", "{stranger}")


def test_attack_a22_loops_and_broadcast(rig: Rig) -> None:
    """RFC 4475 §3.3.4; RFC 5393 §4: nothing is sent to a broadcast, multicast or loopback address because somebody
    named it, and what leads back to the node does not go round.

    Checked: six hosts in Via (sent-by, maddr and received), Route, Contact and Request-URI of an INVITE and an
    OPTIONS; the callee gets one INVITE or none, and sockets on hosts of nobody get nothing; X that calls X.
    """
    hosts = [text.replace("{stranger}", rig.place.stranger) for text in map(rig.place.filled, LOOPS)]
    with ExitStack() as opened:
        nobody = opened.enter_context(udp_socket(rig.place.stranger))
        for host in hosts:
            text = options(rig.caller, rig.place.node, rig.caller.word())
            for changed in (text.replace(f"UDP {rig.caller.sent_by}", f"UDP {host}:5060", 1),
                            text.replace(";branch", f";maddr={host};branch", 1),
                            text.replace(";branch", f";received={host};rport=5060;branch", 1),
                            text.replace("Max-Forwards", f"Route: <sip:{host};lr>\r\nMax-Forwards", 1)):  # fmt: skip
                rig.caller.send(changed.replace("z9hG4bK", f"z9hG4bK{rig.caller.word()}", 1))
                rig.barrier()
                rig.caller.fresh.clear()
            for row in (f"Route: <sip:{host};lr>", f"Contact: <sip:a@{host}>", f"Path: <sip:{host};lr>"):
                call = Call(rig)
                assert outcome(rig, call, call.invite(row)) in (ARRIVED, 400, 403, 404, 480)
            call = Call(rig)
            data = call.invite().replace(f"{rig.x}@{rig.place.node}".encode(), f"{rig.x}@{host}".encode(), 1)
            assert outcome(rig, call, data) in (ARRIVED, 400, 403, 404)
        rig.barrier()
        assert drain(nobody) == []
    rig.caller.fresh.clear()
    itself = Call(rig)
    data = itself.invite().replace(f"<sip:{rig.caller.number}@".encode(), f"<sip:{rig.x}@".encode())
    assert outcome(rig, itself, data) == 482
    assert not any(seen.status == 0 and seen.shown != "OPTIONS" for seen in rig.caller.received)
    serves(rig)


FAR: Final = """
[[peer]]
name = "far"
targets = ["sip:{callee}:5060"]
trusted = false
caller = "from"
[[route]]
name = "to-far"
called = "^134"
peers = ["far"]
"""


@pytest.mark.parametrize("port", [5060, 8080])
def test_attack_a23_relay_to_a_host_of_choice(make_rig: RigFactory, port: int) -> None:
    """CVE-2020-26262: where a call or message goes says the configuration, and where requests within a call go the
    Contact and Record-Route of peers that are trusted; nobody else has the node send to a host that he names.

    Checked: the Request-URI, Route, Contact and Record-Route of an INVITE, the Contact of a 302, and of the 200 and a
    re-INVITE of a callee whose peer is not trusted, with ACK, INFO and BYE behind them: a host of nobody, a private
    address and one of a cloud's metadata; a socket on the first gets nothing.
    """
    rig = make_rig(FAR, "134")
    inside = (rig.place.host(18), "10.0.0.1", "169.254.169.254", "[::1]")
    with ExitStack() as opened:
        victim = opened.enter_context(udp_socket(inside[0], port))
        for host in inside:
            there = f"<sip:a@{host}:{port}>"
            call = Call(rig)
            data = call.invite().replace(f"@{rig.place.node} ".encode(), f"@{host}:{port} ".encode(), 1)
            assert outcome(rig, call, data) in (ARRIVED, 400, 403, 404)
            for number in (rig.callee.number, "13700137000", "10086"):
                call = Call(rig)
                data = call.invite().replace(
                    f"INVITE sip:{rig.x}@{rig.place.node}".encode(), f"INVITE sip:{number}@{host}:{port}".encode()
                )
                assert outcome(rig, call, data) in (400, 403, 404, 484)
            call = Call(rig)
            call.start()
            call.answer(302, f"Contact: <sip:{rig.callee.number}@{host}:{port}>")
            rig.hear(rig.callee, "ACK")
            assert call.refused().status == 480
            call = Call(rig)
            assert outcome(rig, call, call.invite(f"Contact: {there}", f"Record-Route: <sip:{host}:{port};lr>")) in (
                ARRIVED, 400, 403,
            )  # fmt: skip
            moves_within_a_call(rig, there)
        rig.barrier()
        assert drain(victim) == []
    serves(rig)


def moves_within_a_call(rig: Rig, there: str) -> None:
    """The callee names another host in its 200 and in a re-INVITE; what follows comes to itself."""
    call = Call(rig)
    call.start()
    call.pick_up(f"Record-Route: {there[:-1]};lr>", contact=there)
    call.ack()
    rig.callee.send(call.callee.request("INVITE", f"Contact: {there}", body=rig.callee.description()))
    asked = rig.hear(rig.caller, "INVITE")
    rig.caller.send(rig.caller.answer(asked, 200, body=rig.caller.description()))
    rig.final("INVITE", rig.callee)
    rig.callee.send(call.callee.request("ACK", cseq=call.callee.cseq))
    rig.hear(rig.caller, "ACK")
    rig.caller.send(call.caller.request("INFO"))
    rig.callee.send(rig.callee.answer(rig.hear(rig.callee, "INFO"), 200))
    rig.final("INFO")
    call.hang_up()
    rig.callee.fresh.clear()


def test_attack_a26_numbers_by_the_way_of_errors(rig: Rig) -> None:
    """Product: no answer, whatever its class, and no request within a call shows a party the other's number.

    Checked: the callee's number, host and words in 35 fields, the phrase and the body of 25 answers to INVITE and of
    six to MESSAGE, and in INFO, UPDATE and BYE; all that the caller got is searched in every spelling.
    """
    rows = rows_of(rig.callee)
    contact = f"Contact: <sip:{rig.callee.number}@{rig.callee.host}>"
    for status in (
        300, 301, 302, 305, 380, 400, 403, 404, 407, 410, 415, 420, 421, 422, 433, 480, 484, 486, 488, 500, 503, 580,
        600, 603, 606,
    ):  # fmt: skip
        call = Call(rig)
        call.start()
        data = rig.callee.answer(call.sent, status, *rows, contact, tag=call.tag, body=rig.callee.number.encode())
        rig.callee.send(data.replace(f" {status} ".encode(), f" {status} {rig.callee.number} ".encode(), 1))
        rig.hear(rig.callee, "ACK")
        call.refused()
    for status in (302, 403, 404, 480, 500, 200):
        rig.caller.send(text_for_x(rig, b"hello"))
        asked = rig.hear(rig.callee, "MESSAGE")
        rig.callee.send(rig.callee.answer(asked, status, *rows, contact, body=rig.callee.number.encode()))
        assert rig.final("MESSAGE").body == b""
    call = Call(rig)
    call.start()
    call.ring(183, *rows)
    call.pick_up(*rows)
    call.ack()
    for method in ("INFO", "UPDATE"):
        rig.callee.send(call.callee.request(method, *rows, body=b"" if method == "INFO" else rig.callee.description()))
        asked = rig.hear(rig.caller, method)
        rig.caller.send(rig.caller.answer(asked, 488))
        rig.final(method, rig.callee)
    rig.callee.send(call.callee.request("BYE", *rows))
    rig.caller.send(rig.caller.answer(rig.hear(rig.caller, "BYE"), 200))
    rig.hear(rig.callee, "200 BYE")
    serves(rig)


@pytest.mark.parametrize(
    "said", [b"[" * 60_000, b'{"verb":' * 8000, b"x" * 1_000_000, b'{"verb": "' + b"\\u0000" * 9000 + b'"}', b"\xff\n",
             b"9" * 50_000, b'{"verb": 1e999}', b"null", b""],
)  # fmt: skip
def test_attack_a28_the_control_socket(rig: Rig, said: bytes) -> None:
    """CVE-2026-45538: what comes by the control socket has a limit, and whatever it is, calls are served beside it;
    only who owns the node can reach it.

    Checked: nine lines that are no request, nested, long and empty; the mode of the socket; what the log has of it.
    """
    path = socket_path(rig.node.data_dir)
    assert path.stat().st_mode & 0o777 == 0o600
    before = rig.node.stderr
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(ANSWER_S)
        client.connect(str(path))
        try:
            client.sendall(said + b"\n")
            answer = client.recv(65_536)
        except ConnectionError:
            answer = b""
        assert answer == b"" or "error" in json.loads(answer)
    serves(rig)
    assert rig.node.stderr == before
