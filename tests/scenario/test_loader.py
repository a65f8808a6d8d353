"""Files are read whole or not at all: every fault with its line, and what has no effect is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.rig.story import STORIES
from sipstack.scenario.loader import clean_message, load_scenario
from sipstack.scenario.model import MAX_FILE_BYTES, Fault, Pause, Recv, ScenarioError, Send
from tests.scenario.scenes import document, recv, scenario, send

PLAYED = sorted([*STORIES.glob("*/*.xml"), *(Path(__file__).parent.parent / "e2e" / "sipp").glob("*.xml")])
EREG = '<action><ereg regexp="a" search_in="msg" assign_to="x"/></action>'


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
    assert read.is_server is path.stem.startswith("uas")
    assert read.fields == (0 if read.is_server else 3 if "[field2]" in path.read_text() else 2)
    assert read.without_effect == ()


@pytest.mark.parametrize(
    ("element", "text"),
    [
        ("<sendCmd/>", "<sendCmd> is not supported"),
        ("<recv/>", "<recv> needs either request or response"),
        ('<recv request="INVITE" response="200"/>', "<recv> needs either request or response"),
        ('<recv response="2xx"/>', "response='2xx' is no status from 100 to 699"),
        ('<recv response="700"/>', "response='700' is no status from 100 to 699"),
        ('<recv response="٢٠٠"/>', "response='٢٠٠' is no status from 100 to 699"),
        (recv("INVITE", optional="maybe"), "optional='maybe' is none of true, false, global"),
        (recv("ACK", optional="true") + "<pause/>",
         "behind an optional message stands another <recv>, and the last of them is not optional"),
        (recv("INVITE", auth="true"), "auth= of <recv> is not supported"),
        (recv("INVITE", timeout="5s"), "timeout='5s' is no number of milliseconds from 0 to 86400000"),
        (recv("INVITE", rrs="1"), "rrs='1' is neither true nor false"),
        (recv("200", response_txn="t"), "response_txn='t': needs response=, and start_txn= of that name before it"),
        (recv("(", regexp_match="true"), "request='(': missing ), unterminated subpattern at position 0"),
        (recv("200", regexp_match="true"), "regexp_match= is for requests"),
        (recv("INVITE", next="nowhere"), "next='nowhere': there is no such label"),
        (recv("INVITE", ontimeout="nowhere"), "ontimeout='nowhere': there is no such label"),
        (recv("INVITE", "text"), "<recv> holds no text"),
        (recv("INVITE", "<nop/>"), "<nop> does not stand in <recv>"),
        ('<pause milliseconds="-1"/>', "milliseconds='-1' is no number of milliseconds from 0 to 86400000"),
        ('<pause distribution="normal"/>', "distribution= of <pause> is not supported"),
        (f"<pause>{EREG}</pause>", "<action> of <pause> is not supported"),
        ("<label/>", "<label> needs id"),
        ('<label id="a"/><label id="a"/>', "label 'a' stands twice"),
        ("<action/>", "<action> does not stand here"),
        ("<nop><action><exec/></action></nop>", "<exec> is not supported in <action>"),
        ("<nop><action><log/></action></nop>", "<log> needs message"),
        ('<nop><action><log message="[nope" /></action></nop>',
         "a bracket is not closed; \\x5B is a bracket that opens no keyword"),
        ('<nop><action><assignstr value="1"/></action></nop>', "<assignstr> needs assign_to"),
        ('<nop test="x"/>', "test= is about next=, which is not there"),
        (recv("A", EREG), "variable 'x' stands nowhere else: <Reference variables='x'/> says that this is meant"),
        (recv("A", EREG.replace('"msg"', '"var"')), "search_in='var' is not supported: msg, hdr or body"),
        (recv("A", EREG.replace('"msg"', '"hdr"')), 'header="..." stands with search_in="hdr", and only there'),
        (recv("A", EREG.replace('"a"', '"[[:nope:]]"')), "regexp '[[:nope:]]': no such class: [:nope:]"),
        (recv("A", EREG.replace('"x"', '"x,y"')), "assign_to has 2 names, the expression 0 sub-expressions"),
        (recv("A", EREG.replace('"x"', '""')), "<ereg> needs regexp and assign_to"),
        (recv("A", EREG.replace("search_in", 'occurrence="0" search_in')), "occurrence='0' is no number from 1 to 256"),
        (recv("A", EREG.replace("search_in", 'check_it="true" check_it_inverse="true" search_in')),
         "check_it and check_it_inverse exclude each other"),
        (recv("A", EREG.replace("search_in", 'variable="v" search_in')), "variable= of <ereg> is not supported"),
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
        ("INVITE x SIP/2.0\nX: [authentication username=a]", 4, "[authentication username=a]: not supported"),
        ("INVITE x SIP/2.0\nX: [field0 file=a.csv]", 4, "[field0 file=a.csv]: not supported"),
        ("INVITE x SIP/2.0\nX: 1\nY: [branch", 5, "a bracket is not closed; \\x5B is a bracket that opens no keyword"),
        ("INVITE x SIP/2.0\nX: [media_port]", 4, "[media_port] needs audio or video before it in its line"),
        ("INVITE x SIP/2.0\nX: [fill text=X]", 4, "[fill text=X]: not supported"),
    ],
)  # fmt: skip
def test_a_fault_in_a_message_is_named_with_its_own_line(tmp_path: Path, message: str, line: int, text: str) -> None:
    assert faults(tmp_path, document(f"<send><![CDATA[\n{message}\n]]></send>")) == [(line, text)]


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({"start_txn": "t"}, "start_txn= is for a request other than ACK"),
        ({"ack_txn": "t"}, "ack_txn='t': no start_txn= before it has that name"),
        ({"retrans": "0"}, "retrans='0' is no number of milliseconds from 1 to 86400000"),
        ({"lost": "10"}, "lost= of <send> is not supported"),
        ({"condexec": "x"}, "condexec= of <send> is not supported"),
    ],
)
def test_a_fault_in_send_is_named(tmp_path: Path, attributes: dict[str, str], text: str) -> None:
    assert faults(tmp_path, document(send("ACK x SIP/2.0", **attributes))) == [(2, text)]


def test_all_faults_come_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    told = faults(tmp_path, document(recv("INVITE", next="a", bad="1"), "<sendCmd/>", '<pause milliseconds="x"/>'))
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
        ('<scenario bad="1"><nop/></scenario>', 1, "bad= of <scenario> is not supported"),
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
    read = scenario(tmp_path, recv("INVITE", rtd="1", crlf="true"), '<ResponseTimeRepartition value="1"/>')
    assert set(read.without_effect) == {
        Fault(2, "rtd= is accepted without effect"),
        Fault(2, "crlf= is accepted without effect"),
        Fault(3, "<ResponseTimeRepartition> is accepted without effect"),
    }


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
    assert isinstance(pause, Pause) and pause.duration_s == 0.02
    assert isinstance(talk, Pause) and talk.duration_s is None
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
