"""Files are read whole or not at all: every fault with its line, and what has no effect is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.rig.story import STORIES
from sipstack.scenario.distributions import Distribution
from sipstack.scenario.elements import clean_message
from sipstack.scenario.loader import load_scenario
from sipstack.scenario.model import MAX_FILE_BYTES, Fault, Pause, Recv, ScenarioError, Send
from tests.scenario.scenes import document, recv, scenario, send

PLAYED = sorted([*STORIES.glob("*/*.xml"), *(Path(__file__).parent.parent / "e2e" / "sipp").glob("*.xml")])
EREG = '<action><ereg regexp="a" search_in="msg" assign_to="x"/></action>'

ODD = EREG.replace("regexp", 'odd="1" regexp')


def faults(folder: Path, text: str | bytes) -> list[tuple[int, str]]:
    path = folder / "bad.xml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ScenarioError) as raised:
        load_scenario(path)
    told = [(fault.line, fault.text) for fault in raised.value.faults]
    assert str(raised.value).splitlines() == [f"{path}:{line}: {fault}" for line, fault in told]
    return told


@pytest.mark.parametrize("path", PLAYED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_files_of_the_calls_through_a_node_are_read(path: Path) -> None:
    read = load_scenario(path)
    assert read.name and read.elements
    assert read.is_server is path.stem.startswith(("uas", "second", "aside"))
    assert read.fields == (0 if read.is_server else 3 if "[field2]" in path.read_text() else 2)
    assert read.without_effect == ()


@pytest.mark.parametrize(
    ("element", "text"),
    [
        ("<sendcmd/>", "<sendcmd> is not supported"),
        ("<sendCmd/>", "<sendCmd> holds no text"),
        ("<recv/>", "<recv> needs either request or response"),
        ('<recv request="INVITE" response="200"/>', "<recv> needs either request or response"),
        ('<recv response="2xx"/>', "response='2xx' is no status from 100 to 699"),
        ('<recv response="700"/>', "response='700' is no status from 100 to 699"),
        ('<recv response="٢٠٠"/>', "response='٢٠٠' is no status from 100 to 699"),
        (recv("INVITE", optional="maybe"), "optional='maybe' is none of true, false, global"),
        (recv("ACK", optional="true") + "<pause/>",
         "behind an optional message stands another <recv>, and the last of them is not optional"),
        (recv("INVITE", advance_state="false"), "advance_state='false' is for optional messages"),
        (recv("INVITE", timeout="5s"), "timeout='5s' is no number of milliseconds from 0 to 86400000"),
        (recv("INVITE", rrs="yes"), "rrs='yes' is neither true nor false"),
        (recv("200", response_txn="t"), "transaction 't': no start_txn= has that name"),
        (recv("INFO", response_txn="t"), "response_txn= is for received responses"),
        (recv("(", regexp_match="true"), "request='(': missing ), unterminated subpattern at position 0"),
        (recv("INVITE", next="nowhere"), "next='nowhere': there is no such label"),
        (recv("INVITE", ontimeout="nowhere"), "ontimeout='nowhere': there is no such label"),
        ('<pause milliseconds="long"/>', "milliseconds='long' is no number"),
        ('<pause distribution="normal"/>', "<pause> needs mean"),
        ('<pause distribution="odd"/>', "distribution='odd' is none of fixed, uniform, normal, lognormal, exponential, "
                                        "weibull, pareto, gpareto, gamma, negbin, poisson"),
        ('<pause distribution="lognormal" mean="20" stdev="3"/>',
         "one pause in a hundred is longer than 24 days: other parameters, or sanity_check='false'"),
        ('<timewait next="x"/>', "next= does not stand in <timewait>"),
        ('<timewait/><pause/>', "nothing stands behind <timewait>"),
        ('<nop lost="101"/>', "lost='101' is no number from 0 to 100"),
        ('<nop condexec="a,b"/>', "condexec='a,b' is no name of a variable"),
        ('<nop repeat_rtd="true"/>', "repeat_rtd= is about rtd=, which is not there"),
        ("<init><pause/></init>", "<pause> does not stand in <init>"),
        ("<Global/>", "<Global> needs variables"),
        ('<DefaultMessage id="x"/>', "id='x' is none of 200, 3pcc_abort, ack, ack2, bye, cancel"),
        ("<label/>", "<label> needs id"),
        ('<label id="a"/><label id="a"/>', "label 'a' stands twice"),
        ("<action/>", "<action> is not supported"),
        ("<nop><action><exec/></action></nop>",
         "<exec> needs one of command, int_cmd, play_pcap_audio, play_pcap_image, play_pcap_video, play_dtmf, "
         "rtp_stream, rtp_echo"),
        ("<nop><action><nope/></action></nop>", "<nope> is not supported in <action>"),
        ("<nop><action><log/></action></nop>", "<log> needs message"),
        ('<nop><action><add assign_to="a"/></action></nop>', "<add> needs value or variable"),
        ('<nop><action><add assign_to="a" value="1" variable="b"/></action></nop>',
         "value and variable exclude each other"),
        ('<nop><action><divide assign_to="a" value="0"/></action></nop>', "nothing can be divided by 0"),
        ('<nop><action><test variable="a" value="1" compare="like"/></action></nop>',
         "compare='like' is none of equal, greater_than, greater_than_equal, less_than, less_than_equal, not_equal"),
        ('<nop><action><strcmp assign_to="b" variable="a"/></action></nop>',
         "<strcmp> needs either value or variable2"),
        ('<nop><action><gettimeofday assign_to="a"/></action></nop>',
         "<gettimeofday> assigns to two variables: seconds,microseconds"),
        ('<nop><action><exec rtp_stream="a.wav,x"/></action></nop>',
         "rtp_stream='a.wav,x': loops is no number from -1 to 2147483647: 'x'"),
        ('<nop><action><exec rtp_echo="on"/></action></nop>',
         "rtp_echo='on': none of startaudio, updateaudio, stopaudio, startvideo, updatevideo, stopvideo"),
        ('<nop><action><log message="[nope" /></action></nop>',
         "a bracket is not closed; \\x5B is a bracket that opens no keyword"),
        ('<nop><action><assignstr value="1"/></action></nop>', "<assignstr> needs assign_to"),
        (recv("A", EREG), "variable 'x' stands nowhere else: <Reference variables='x'/> says that this is meant"),
        (recv("A", EREG.replace('"msg"', '"var"')), "<ereg> needs variable"),
        (recv("A", EREG.replace('"msg"', '"sdp"')), "search_in='sdp' is none of msg, hdr, body, var"),
        (recv("A", EREG.replace('"msg"', '"hdr"')), "<ereg> needs header"),
        (recv("A", EREG.replace('"a"', '"[[:nope:]]"')), "regexp '[[:nope:]]': no such class: [:nope:]"),
        (recv("A", EREG.replace('"x"', '"x,y"')), "assign_to has 2 names, the expression 0 sub-expressions"),
        (recv("A", EREG.replace('assign_to="x"', "")), "<ereg> needs assign_to"),
        (recv("A", EREG.replace("search_in", 'occurrence="0" search_in')), "occurrence='0' is no number from 1 to 256"),
        (recv("A", EREG.replace("search_in", 'check_it="true" check_it_inverse="true" search_in')),
         "check_it and check_it_inverse exclude each other"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_line(tmp_path: Path, element: str, text: str) -> None:
    assert (3, text) in faults(tmp_path, document("<nop/>", element))


@pytest.mark.parametrize(
    ("message", "line", "text"),
    [
        ("[service] sip:x SIP/2.0", 3, "a message begins with METHOD URI, or SIP/2.0 and a status from 100 to 699, "
                                       "without keyword"),
        ("SIP/2.0 99 No", 3, "a message begins with METHOD URI, or SIP/2.0 and a status from 100 to 699, without "
                             "keyword"),
        ("", 2, "<send> holds no message"),
        ("INVITE x SIP/2.0\nX: [authentication aka_K=a]", 4,
         "[authentication aka_K=a]: AKA is not supported, only passwords"),
        ("INVITE x SIP/2.0\nX: [field0 row=1]", 4, "[field0 row=1]: row= is not supported"),
        ("INVITE x SIP/2.0\nX: 1\nY: [branch", 5, "a bracket is not closed; \\x5B is a bracket that opens no keyword"),
        ("INVITE x SIP/2.0\nX: [fieldA]", 4, "[fieldA]: not supported"),
        ("INVITE x SIP/2.0\nX: [fill text=X]", 4, "[fill text=X]: needs variable="),
    ],
)  # fmt: skip
def test_a_fault_in_a_message_is_named_with_its_own_line(tmp_path: Path, message: str, line: int, text: str) -> None:
    assert faults(tmp_path, document(f"<send><![CDATA[\n{message}\n]]></send>")) == [(line, text)]


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({"start_txn": "t"}, "start_txn= is for a request other than ACK"),
        ({"ack_txn": "t"}, "transaction 't': no start_txn= has that name"),
        ({"retrans": "-1"}, "retrans='-1' is no number of milliseconds from 0 to 86400000"),
        ({"response_txn": "t"}, "response_txn= is for received responses"),
        ({"chance": "2", "next": "l"}, "chance='2' is no number from 0 to 1"),
        ({"condexec": "x"}, "variable 'x' stands nowhere else: <Reference variables='x'/> says that this is meant"),
    ],
)
def test_a_fault_in_send_is_named(tmp_path: Path, attributes: dict[str, str], text: str) -> None:
    assert faults(tmp_path, document(send("ACK x SIP/2.0", **attributes), '<label id="l"/>')) == [(2, text)]


def test_all_faults_come_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    told = faults(tmp_path, document(recv("INVITE", next="a", rrs="2x"), "<bad/>", '<pause milliseconds="x"/>'))
    assert [line for line, _ in told] == [2, 2, 3, 4]


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        ("", 1, "no XML: no element found"),
        ("<scenario>\n<nop>\n</scenario>", 3, "no XML: mismatched tag"),
        ("hello", 1, "no XML: syntax error"),
        ("<html/>", 1, "<html> is no <scenario>"),
        ("<scenario/>", 1, "there is nothing to play"),
        ('<!DOCTYPE s [\n<!ENTITY a "b">]><scenario>&a;</scenario>', 2, "entities are not supported"),
        ('<!DOCTYPE s [\n<!ENTITY % a SYSTEM "file:///etc/passwd">%a;]><scenario/>', 2, "entities are not supported"),
        ("<scenario>&nope;</scenario>", 1, "no XML: undefined entity"),
        ("<a>" * 17, 1, "elements stand too deep in each other"),
    ],
)
def test_what_is_no_scenario_is_refused(tmp_path: Path, text: str, line: int, fault: str) -> None:
    assert faults(tmp_path, text) == [(line, fault)]


def test_an_entity_bomb_costs_nothing(tmp_path: Path) -> None:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 100}">' for n in range(1, 20))
    text = f'<!DOCTYPE s [<!ENTITY e0 "ha">{entities}]><scenario>&e19;</scenario>'
    assert faults(tmp_path, text) == [(1, "entities are not supported")]


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    assert faults(tmp_path, b" " * (MAX_FILE_BYTES + 1)) == [(1, "larger than 1024 KiB")]


def test_a_doctype_is_never_fetched(tmp_path: Path) -> None:
    (tmp_path / "bad.dtd").write_text("no DTD at all <<<")
    path = tmp_path / "a.xml"
    path.write_text(f'<!DOCTYPE scenario SYSTEM "bad.dtd">\n{document("<nop/>")}')
    assert load_scenario(path).elements[0].line == 3


def test_what_has_no_effect_is_said(tmp_path: Path) -> None:
    read = scenario(
        tmp_path, recv("INVITE", "text<nop/><action/>", retrans="1"), '<ResponseTimeRepartition value="1, x"/>',
        '<pause request="A"/>', f"<recv request='A'>{EREG}{EREG}</recv>", '<nop test="x"/>',
        f"<nop>{ODD}</nop>",
    )  # fmt: skip
    assert set(read.without_effect) == {
        Fault(2, "retrans= of <recv> is accepted without effect"),
        Fault(2, "<recv> holds no text: it is accepted without effect"),
        Fault(2, "<nop> does not stand here: it is accepted without effect"),
        Fault(2, "<action> does not stand here: it is accepted without effect"),
        Fault(3, "value= of <ResponseTimeRepartition> is no list of milliseconds: it is accepted without effect"),
        Fault(4, "request= of <pause> is accepted without effect"),
        Fault(5, "<action> does not stand here: it is accepted without effect"),
        Fault(6, "test= is about next=, which is not there"),
        Fault(7, "odd= of <ereg> is accepted without effect"),
    }


def test_figures_are_kept_for_who_shows_them(tmp_path: Path) -> None:
    read = scenario(
        tmp_path, send("INVITE", start_rtd="true", counter="c", hide="true"), recv("200", rtd="1", repeat_rtd="true"),
        '<nop hiderest="1" display="text" crlf="true"/>', "<nop/>", '<ResponseTimeRepartition value="10, 20"/>',
        '<CallLengthRepartition value="5"/>',
    )  # fmt: skip
    invite, final, shown, hidden = read.elements
    assert (invite.start_rtd, invite.counter, invite.is_hidden, invite.shown) == ("1", "c", True, "INVITE")
    assert (final.rtd, final.repeat_rtd, final.is_hidden) == ("1", True, False)
    assert (shown.shown, shown.ends_block, shown.is_hidden, hidden.is_hidden) == ("text", True, True, True)
    assert (read.response_bounds_ms, read.length_bounds_ms, read.without_effect) == ((10, 20), (5,), ())


def test_labels_and_times_and_methods_are_read(tmp_path: Path) -> None:
    read = scenario(
        tmp_path, send("INVITE", retrans="500"), '<label id="on"/>', recv("180", optional="true", next="end"),
        recv("200"), send("BYE", start_txn="bye"), recv("200", next="on", timeout="1500"), '<pause milliseconds="20"/>',
        "<pause/>", '<label id="end"/>',
    )  # fmt: skip
    invite, ringing, _, bye, final, pause, talk = read.elements
    assert isinstance(invite, Send) and (invite.method, invite.retrans_s) == ("INVITE", 0.5)
    assert isinstance(ringing, Recv) and (ringing.next, ringing.methods) == (7, {"INVITE"})
    assert isinstance(bye, Send) and bye.start_txn == "bye"
    assert isinstance(final, Recv) and (final.next, final.timeout_s, final.methods) == (1, 1.5, {"INVITE"})
    assert isinstance(pause, Pause) and pause.length == Distribution("fixed", (20.0,))
    assert isinstance(talk, Pause) and talk.length is None
    assert not read.is_server


def test_bytes_of_any_encoding_reach_the_message(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    text = document(send("MESSAGE x SIP/2.0\nX: é中"))
    path.write_bytes(b'<?xml version="1.0" encoding="GB2312"?>' + text.encode())
    element = load_scenario(path).elements[0]
    assert isinstance(element, Send)
    assert "X: é中\r\n" in "".join(map(str, element.text.parts)).encode("latin-1").decode()


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("\n\n  A x\n\t B: 1 \n\n", "A x\nB: 1\n\n"),
        ("A x\n\nbody", "A x\n\nbody"),
        ("A x\n\nbody\n\n\n", "A x\n\nbody\n"),
        ("A x\n\n  body  text \n", "A x\n\nbody  text\n"),
    ],
)
def test_blanks_are_taken_as_sipp_takes_them(written: str, sent: str) -> None:
    assert clean_message(written) == sent


@given(st.binary(max_size=300) | st.lists(st.sampled_from(
    ["<scenario>", "</scenario>", "<send>", "<![CDATA[", "]]>", "INVITE x", "[", "]", "<recv ", 'request="A"', "/>",
     "<action>", "<ereg ", 'regexp="(a|b"', "\x00", "é", 'next="l"', '<label id="l"/>', "\n"])).map(
    lambda parts: "".join(parts).encode()))  # fmt: skip
def test_no_bytes_raise_anything_else(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "a.xml"
    path.write_bytes(data)
    try:
        read = load_scenario(path)
    except ScenarioError as error:
        told = error.faults
    else:
        told = [Fault(1, "none")] if read.elements else []
    assert told
