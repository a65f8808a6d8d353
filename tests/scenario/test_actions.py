"""What `<action>` does; the same files played by a real SIPp are in tests/e2e/test_sipp_language.py."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from random import Random

import pytest

from sipstack.scenario.commands import (
    CloseConnection,
    Media,
    PlayDtmf,
    PlayPcap,
    RtpEcho,
    RtpStream,
    RunCommand,
    SetDestination,
    StopKind,
    StopPlaying,
    StreamStep,
)
from sipstack.scenario.injection import Injection, InjectionFile
from sipstack.scenario.tally import Failure
from sipstack.scenario.values import Shared
from tests.scenario.scenes import Clocked, message, recv, request, response, scenario, send

SDP = "v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 4000 RTP/AVP 8\r\nm=video 4002 RTP/AVP 99\r\nc=IN IP4 10.0.0.2\r\n"


def nop(*actions: str, **attributes: str) -> str:
    written = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f"<nop{written}><action>{''.join(actions)}</action></nop>"


def said(folder: Path, *actions: str, message: str, shared: Shared | None = None) -> str:
    """What `<log>` says behind some actions."""
    names = ",".join(f"{letter}" for letter in "abcdef")
    played = scenario(folder, nop(*actions, f'<log message="{message}"/>'), f'<Reference variables="{names}"/>')
    call = Clocked(played, shared=shared)
    assert call.ended == "well"
    return call.logged[-1]


@pytest.mark.parametrize(
    ("actions", "text"),
    [
        ('<assign assign_to="a" value="1.5"/><add assign_to="a" value="2"/>', "3.500000"),
        ('<assign assign_to="a" value="3"/><subtract assign_to="a" value="5"/>', "-2.000000"),
        ('<assign assign_to="a" value="3"/><multiply assign_to="a" variable="a"/>', "9.000000"),
        ('<assign assign_to="a" value="3"/><divide assign_to="a" value="-4"/>', "-0.750000"),
        ('<assign assign_to="a" value="3"/><divide assign_to="a" variable="b"/>', "3.000000"),
        ('<assignstr assign_to="b" value="12.5"/><add assign_to="a" variable="b"/>', ""),
        ('<assignstr assign_to="b" value="12.5"/><todouble assign_to="a" variable="b"/>', "12.500000"),
        ('<assignstr assign_to="b" value="0x10"/><todouble assign_to="a" variable="b"/>', "16.000000"),
        ('<assignstr assign_to="b" value="12x"/><todouble assign_to="a" variable="b"/>', ""),
        ('<assign assign_to="b" value="2"/><test assign_to="a" variable="b" compare="less_than" value="3"/>', "true"),
        ('<test assign_to="a" variable="b" compare="greater_than_equal" value="3"/>', "false"),
        ('<test assign_to="a" variable="b" compare="not_equal" variable2="c"/>', "false"),
        ('<assignstr assign_to="b" value="x"/><test assign_to="a" variable="b" compare="equal" value=""/>', "true"),
        ('<assignstr assign_to="b" value="one"/><strcmp assign_to="a" variable="b" value="one"/>', ""),
        ('<assignstr assign_to="b" value="on"/><strcmp assign_to="a" variable="b" value="one"/>', "-101.000000"),
        ('<assignstr assign_to="b" value="B"/><strcmp assign_to="a" variable="b" variable2="c"/>', "66.000000"),
        ('<assignstr assign_to="a" value=" \\n x y \\t"/><trim assign_to="a"/>', "x y"),
        ('<assignstr assign_to="a" value="a b@c/~"/><urlencode variable="a"/>', "a%20b%40c%2F~"),
        ('<assignstr assign_to="a" value="a+b%40c%C3%A9"/><urldecode variable="a"/>', "a b@cÃ©"),
        ('<index assign_to="a"/>', ""),
        ('<sample assign_to="a" distribution="fixed" value="7"/>', "7.000000"),
        ('<assignstr assign_to="b" value="sip:u@h:5"/><ereg search_in="var" variable="b" regexp="@(.*):" '
         'assign_to="c,a"/>', "h"),
        ('<ereg search_in="var" variable="b" regexp=".+" assign_to="a"/>', ""),
        ('<assign assign_to="b" value="5"/><assignstr assign_to="a" value="[fill variable=b text=ab]"/>', "ababa"),
        ('<assignstr assign_to="a" value="[fill variable=b]|[[service]]"/>', "|[s]"),
    ],
)  # fmt: skip
def test_an_action_assigns(tmp_path: Path, actions: str, text: str) -> None:
    assert said(tmp_path, actions, message="[$a]") == text


def test_the_time_of_day_comes_from_the_player(tmp_path: Path) -> None:
    shared = Shared(unix_s=lambda: 1_700_000_000.25)
    actions = '<gettimeofday assign_to="a,b"/>'
    assert said(tmp_path, actions, message="[$a]|[$b]", shared=shared) == "1700000000.000000|250000.000000"


@pytest.mark.parametrize(
    ("action", "kind", "reason"),
    [
        ('<test variable="a" compare="equal" value="1" check_it="true"/>', Failure.TEST_MISSING,
         "$a is 0: equal 1 is false"),
        ('<test variable="a" compare="equal" value="0" check_it_inverse="true"/>', Failure.TEST_FOUND,
         "$a is 0: equal 0 is true"),
        ('<strcmp variable="a" value="x" check_it="true"/>', Failure.STRCMP_MISSING, "$a is not 'x'"),
        ('<strcmp variable="a" value="" check_it_inverse="true"/>', Failure.STRCMP_FOUND, "$a is ''"),
        ('<ereg regexp="zz" assign_to="a" check_it="true"/>', Failure.REGEXP_MISSING, "/zz/ does not match"),
        ('<ereg regexp="I" assign_to="a" check_it_inverse="true"/>', Failure.REGEXP_FOUND, "/I/ matches"),
        ('<ereg regexp=".*" search_in="hdr" header="X:" assign_to="a" check_it="true"/>', Failure.NO_HEADER,
         "there is no 'X:'"),
    ],
)  # fmt: skip
def test_a_check_that_fails_fails_the_call_at_its_end(tmp_path: Path, action: str, kind: Failure, reason: str) -> None:
    played = scenario(tmp_path, recv("INVITE", f"<action>{action}</action>"), send("200"),
                      '<Reference variables="a"/>')  # fmt: skip
    call = Clocked(played)
    assert call.hears(request("INVITE")) == ["200"]
    assert call.ended == f"1: {reason}"
    assert call.tally.reasons == {kind: 1}


def test_the_first_failed_check_ends_the_list(tmp_path: Path) -> None:
    played = scenario(tmp_path, nop('<test variable="a" compare="equal" value="1" check_it="true"/>',
                                    '<log message="not reached"/>'), '<Reference variables="a"/>')  # fmt: skip
    assert Clocked(played).logged == []


# ---------------------------------------------------------------------- the way through the scenario


def test_a_jump_leads_to_an_element_by_its_number(tmp_path: Path) -> None:
    call = Clocked(scenario(tmp_path, nop('<jump value="2"/>'), send("INFO"), send("BYE")))
    assert call.sent() == ["BYE"]
    back = scenario(tmp_path, recv("INVITE", '<action><assign assign_to="n" value="2"/><jump variable="n"/></action>'),
                    send("180"), send("200"))  # fmt: skip
    assert Clocked(back).hears(request("INVITE")) == ["200"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("7", "<jump> to 7: there are 1 elements"),
        ("0", "<jump> to itself"),
        ("-1", "<jump> to -1: there are 1 elements"),
    ],
)
def test_a_jump_to_nowhere_ends_the_call(tmp_path: Path, value: str, reason: str) -> None:
    assert Clocked(scenario(tmp_path, nop(f'<jump value="{value}"/>'))).ended == f"1: {reason}"


def test_stop_call_ends_the_call_as_failed(tmp_path: Path) -> None:
    call = Clocked(scenario(tmp_path, nop('<exec int_cmd="stop_call"/>'), send("BYE")))
    assert (call.sent(), call.ended) == ([], "1: stop_call")


def test_an_unexpected_message_is_a_subroutine_where_there_is_one(tmp_path: Path) -> None:
    played = scenario(
        tmp_path, recv("INVITE"), '<pause milliseconds="5000"/>', send("200"), recv("ACK"), send("BYE", next="end"),
        '<label id="_unexp.main"/>', recv("INFO"), send("200"),
        nop('<pauserestore variable="_unexp.pausedaddr"/>', '<jump variable="_unexp.retaddr"/>'),
        '<label id="end"/>', recv("200"), '<Reference variables="_unexp.retaddr"/>',
    )  # fmt: skip
    call = Clocked(played)
    call.hears(request("INVITE"))
    assert call.waits(1.0) == []
    assert call.hears(request("INFO", 2)) == ["200"]
    assert call.waits(5.0) == [(4.0, "200")]


def test_an_unexpected_message_that_the_subroutine_does_not_take_is_unexpected(tmp_path: Path) -> None:
    played = scenario(tmp_path, recv("INVITE"), recv("ACK"), '<label id="_unexp.main"/>', recv("INFO"), send("200"))
    call = Clocked(played)
    call.hears(request("INVITE"), request("OPTIONS", 2))
    assert call.ended == "3: unexpected OPTIONS while waiting for INFO"


# ---------------------------------------------------------------------- what the player does


def test_commands_come_between_the_messages(tmp_path: Path) -> None:
    played = scenario(
        tmp_path, recv("INVITE"),
        nop('<setdest host="[service].example" port="5090" protocol="UDP"/>', "<closecon/>"), send("200"),
        nop('<exec command="echo [service]"/>', '<exec int_cmd="stop_gracefully"/>', '<exec int_cmd="stop_now"/>'),
    )  # fmt: skip
    call = Clocked(played)
    call.call.receive(request("INVITE"), call.now)
    kinds = [type(output).__name__ for output in call.call.outputs]
    assert kinds == ["SetDestination", "CloseConnection", "bytes", "RunCommand", "StopPlaying", "StopPlaying"]
    call.sent()
    assert call.commands == [
        SetDestination("s.example", 5090, "udp"), CloseConnection(), RunCommand("echo s"),
        StopPlaying(StopKind.GRACEFULLY), StopPlaying(StopKind.NOW),
    ]  # fmt: skip


@pytest.mark.parametrize(("port", "protocol"), [("0", "udp"), ("sip", "udp"), ("5060", "sctp")])
def test_a_destination_that_is_none_ends_the_call(tmp_path: Path, port: str, protocol: str) -> None:
    call = Clocked(scenario(tmp_path, nop(f'<setdest host="h" port="{port}" protocol="{protocol}"/>')))
    assert call.ended.startswith("1: <setdest>: ") and call.commands == []


def test_media_go_where_the_last_sdp_says(tmp_path: Path) -> None:
    offer = "INVITE sip:b SIP/2.0\nX: 1\n\nm=audio [auto_media_port+2] RTP/AVP 0\nm=image [media_port+8] udptl t38"
    played = scenario(
        tmp_path, send(offer), recv("200"),
        nop('<exec play_pcap_audio="[service].pcap"/>', '<exec play_pcap_video="v.pcap"/>',
            '<exec play_pcap_image="t38.pcap"/>', '<exec play_dtmf="12#"/>'),
        nop('<exec rtp_stream="a.wav,-1,0"/>', '<exec rtp_stream="vpattern,2,1,99,H264/90000"/>',
            '<exec rtp_stream="pause"/>', '<exec rtp_stream="resumevpattern"/>'),
        nop('<rtp_echo value="1"/>', '<exec rtp_echo="stopvideo"/>'),
    )  # fmt: skip
    call = Clocked(played)
    call.hears(message("SIP/2.0 200 OK", body=SDP))
    audio, video = ("10.0.0.1", 4000), ("10.0.0.2", 4002)
    assert call.commands == [
        PlayPcap("s.pcap", Media.AUDIO, 6002, audio), PlayPcap("v.pcap", Media.VIDEO, 6002, video),
        PlayPcap("t38.pcap", Media.IMAGE, 6008, None), PlayDtmf("12#", 6002, audio),
        RtpStream(StreamStep.PLAY, Media.AUDIO, "a.wav", loops=-1, payload_type=0, to=audio),
        RtpStream(StreamStep.PLAY, Media.VIDEO, "", 2, 1, 99, "H264/90000", video),
        RtpStream(StreamStep.PAUSE, Media.AUDIO), RtpStream(StreamStep.RESUME, Media.VIDEO),
        RtpEcho(True, Media.AUDIO), RtpEcho(False, Media.VIDEO),
    ]  # fmt: skip


def test_an_sdp_may_be_ignored(tmp_path: Path) -> None:
    play = nop('<exec play_pcap_audio="a.pcap"/>')
    played = scenario(tmp_path, recv("INVITE"), recv("INVITE", ignoresdp="true"), play)
    other = SDP.replace("10.0.0.1", "10.0.0.9")
    call = Clocked(played)
    call.hears(message("INVITE x SIP/2.0", body=SDP), message("INVITE x SIP/2.0", cseq="2 INVITE", body=other))
    assert call.commands == [PlayPcap("a.pcap", Media.AUDIO, 6000, ("10.0.0.1", 4000))]


def test_error_ends_the_run(tmp_path: Path) -> None:
    call = Clocked(scenario(tmp_path, nop('<error message="no [service]"/>'), send("BYE")))
    assert (call.sent(), call.said, call.commands) == ([], ["no s"], [StopPlaying(StopKind.NOW)])


# ---------------------------------------------------------------------- rows


def test_rows_are_looked_up_inserted_and_replaced(tmp_path: Path) -> None:
    users = InjectionFile("users.csv", ["bob;b1", "eve;e1"])
    users.index(0)
    shared = Shared(Injection([users]), random=Random(1))
    line = '<lookup assign_to="a" file="users.csv" key="{}"/>'
    show = '<assignstr assign_to="b" value="[field1 file=\\"users.csv\\" line=\\"[$a]\\"]"/>'
    assert said(tmp_path, line.format("eve"), show, message="[$a] [$b]", shared=shared) == "1.000000 e1"
    assert said(tmp_path, line.format("nobody"), show, message="[$a] [$b]", shared=shared) == "-1.000000 "
    insert = '<insert file="users.csv" value="ann;[service]"/>'
    assert said(tmp_path, insert, line.format("ann"), show, message="[$a] [$b]", shared=shared) == "2.000000 s"
    replace = '<replace file="users.csv" line="[$a]" value="bill;b2"/>'
    assert said(tmp_path, line.format("bob"), replace, line.format("bill"), show, message="[$a] [$b]",
                shared=shared) == " b2"  # fmt: skip
    assert said(tmp_path, line.format("bob"), message="[$a]", shared=shared) == "-1.000000"


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ('<lookup assign_to="a" file="none.csv" key="x"/>', "no injection file is named 'none.csv'"),
        ('<lookup assign_to="a" file="rows" key="x"/>', "<lookup>: rows has no index (-infindex)"),
        ('<replace file="rows" line="9" value="x"/>', "<replace>: rows has no line 9"),
        ('<replace file="rows" line="x" value="x"/>', "<replace>: 'x' is no number of a line"),
    ],
)
def test_rows_that_are_not_there_end_the_call(tmp_path: Path, action: str, reason: str) -> None:
    call = Clocked(scenario(tmp_path, nop(action), '<Reference variables="a"/>'), row=["1"])
    assert call.ended == f"1: {reason}"


# ---------------------------------------------------------------------- passwords

CHALLENGE = 'WWW-Authenticate: Digest realm="r", nonce="abc", opaque="o", qop="auth", algorithm={}'


def expected(algorithm: str, row: str) -> str:
    """The response by RFC 7616 §3.4, computed here once more."""
    name = algorithm.removesuffix("-sess").replace("-", "").lower()
    cnonce = re.findall(r'cnonce="([^"]*)"', row)[0]

    def hashed(text: str) -> str:
        return hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()

    secret = hashed("bob:r:s")
    if algorithm.endswith("-sess"):
        secret = hashed(f"{secret}:abc:{cnonce}")
    return hashed(f"{secret}:abc:00000001:{cnonce}:auth:{hashed('REGISTER:sip:127.0.0.9:5070')}")


@pytest.mark.parametrize(("user", "password"), [("bob", '"[service]"'), ("[field0]", "[field1]"), ('"[field0]"', "s")])
@pytest.mark.parametrize("algorithm", ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess"])
def test_credentials_answer_a_challenge_and_are_verified(
    tmp_path: Path, algorithm: str, user: str, password: str
) -> None:
    register = send("REGISTER sip:b SIP/2.0\nCall-ID: [call_id]\nCSeq: 2 REGISTER\n"
                    f"[authentication username={user} password={password}]\nContent-Length: [len]\n\nbody")  # fmt: skip
    played = scenario(tmp_path, send("REGISTER"), recv("401", auth="true"), register, name="uac")
    call = Clocked(played, row=["bob", "s"])
    call.sent()
    call.call.receive(response(401, "1 REGISTER", CHALLENGE.format(algorithm)), call.now)
    (sent,) = call.texts()
    row = next(row for row in sent.split("\r\n") if row.startswith("Authorization: "))
    assert ',nc=00000001,qop=auth,uri="sip:127.0.0.9:5070",nonce="abc",response="' in row
    assert row.startswith('Authorization: Digest username="bob",realm="r",cnonce="')
    assert row.endswith(f'",algorithm={algorithm},opaque="o"')
    assert "Content-Length:     6\r\n" in sent
    assert f'response="{expected(algorithm, row)}"' in row
    verify = '<action><verifyauth assign_to="ok" username="{}" password="{}"/><log message="[$ok]"/></action>'
    for claimed, tried, verdict in (("bob", "s", "true"), ("bob", "x", "false"), ("ann", "s", "false")):
        registrar = Clocked(scenario(tmp_path, recv("REGISTER", verify.format(claimed, tried)), send("200")))
        registrar.hears(message("REGISTER sip:b SIP/2.0", row, cseq="2 REGISTER", body="body"))
        assert registrar.logged == [verdict]


def test_a_proxy_is_answered_with_the_credentials_of_the_command_line(tmp_path: Path) -> None:
    invite = send("INVITE sip:b SIP/2.0\nCall-ID: [call_id]\nCSeq: 2 INVITE\n[authentication]")
    played = scenario(tmp_path, send("INVITE"), recv("407", auth="true"), invite)
    shared = Shared(auth_user="ann", auth_password="pw", auth_uri="sip.example")
    call = Clocked(played, shared=shared)
    call.sent()
    call.call.receive(response(407, "1 INVITE", 'Proxy-Authenticate: Digest realm="r",nonce="n"'), call.now)
    assert (
        'Proxy-Authorization: Digest username="ann",realm="r",uri="sip:sip.example",nonce="n",response="'
        in (call.texts()[0])
    )


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "there is no challenge in the message with auth=true"),
        (['WWW-Authenticate: Basic realm="r"'], "the challenge cannot be answered: it is no Digest"),
        (['WWW-Authenticate: Digest realm="r", nonce="n", algorithm=AKAv1-MD5'],
         "the challenge cannot be answered: algorithm AKAv1-MD5 is not supported"),
    ],
)  # fmt: skip
def test_a_challenge_that_cannot_be_answered_fails_the_call(tmp_path: Path, rows: list[str], reason: str) -> None:
    again = send("REGISTER sip:b SIP/2.0\nCSeq: 2 REGISTER\n[authentication]")
    call = Clocked(scenario(tmp_path, send("REGISTER"), recv("401", auth="true"), again))
    call.hears(response(401, "1 REGISTER", *rows))
    assert call.ended == f"3: {reason}"


def test_a_row_may_hold_the_keyword_for_credentials(tmp_path: Path) -> None:
    again = send("REGISTER sip:b SIP/2.0\nCSeq: 2 REGISTER\n[field0]\nX: y")
    played = scenario(tmp_path, send("REGISTER"), recv("401", auth="true"), again)
    call = Clocked(played, row=["[authentication username=carl password=p]"])
    call.sent()
    call.call.receive(response(401, "1 REGISTER", CHALLENGE.format("MD5")), call.now)
    assert '\r\nAuthorization: Digest username="carl"' in call.texts()[0]
