"""Files that SIPp reads and no XML parser does."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipstack.scenario.lenient import restored, well_formed
from sipstack.scenario.loader import load_scenario
from sipstack.scenario.model import Fault, ScenarioError
from sipstack.scenario.xmltree import Node, read_tree
from tests.scenario.scenes import document, recv, send


def tree(folder: Path, text: str) -> Node:
    path = folder / "a.xml"
    path.write_bytes(text.encode())
    return read_tree(path)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ('"a \\"b\\" c"', 'a "b" c'),
        ('"\\\\"', "\\"),
        ('"a\\nb\\tc\\r"', "a\nb\tc\r"),
        ('"\\."', "\\."),
        ('"<sip:[^>]*>"', "<sip:[^>]*>"),
        ('"a & b &amp; &lt; &#65; &copy;"', "a & b & < A &copy;"),
        ('"first\n  second"', "first\n  second"),
        ("'it\\'", "it\\"),
        ('""', ""),
    ],
)
def test_attributes_are_read_as_sipp_reads_them(tmp_path: Path, written: str, value: str) -> None:
    assert tree(tmp_path, f"<scenario x={written}/>").attributes == {"x": value}


def test_blanks_between_attributes_may_be_missing_and_the_first_of_two_counts(tmp_path: Path) -> None:
    read = tree(tmp_path, '<scenario a="1"b = "2"\n a="3"><nop/></scenario>')
    assert read.attributes == {"a": "1", "b": "2"}
    assert read.children[0].line == 2


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff<?xml version='1.0'?>\n<scenario>\n<nop/></scenario>",
        "\n\n<?xml version='1.0' encoding='x'?>\n<!DOCTYPE scenario SYSTEM 'sipp.dtd'>\n<scenario><nop/></scenario>",
        "<!-- a -- b ---- <nop> -->\n<scenario>\n<!------- c -----><nop/></scenario>",
        "<scenario>\r\n\r\n<nop/>\r\n</scenario>",
        "<?xml-model href='x'?><scenario>\n<nop/></scenario>",
    ],
)
def test_what_stands_around_the_elements_does_no_harm(tmp_path: Path, text: str) -> None:
    read = tree(tmp_path, text)
    assert [child.name for child in read.children] == ["nop"]
    assert read.children[0].line == 1 + text[: text.index("<nop/>")].count("\n")


def test_what_holds_nothing_need_not_be_closed(tmp_path: Path) -> None:
    inside = '<label id="a"><nop><action><log message="x"><jump value="1"></action></nop>\n<Reference variables="v">'
    read = tree(tmp_path, f"<scenario>\n{inside}\n<!-- end --></scenario>")
    assert [(child.name, child.line) for child in read.children] == [("label", 2), ("nop", 2), ("Reference", 3)]
    assert [child.name for child in read.children[1].children[0].children] == ["log", "jump"]
    whole = tree(
        tmp_path, '<scenario><label id="a"> <!-- here --> </label><Reference variables="v"></Reference></scenario>'
    )
    assert [child.name for child in whole.children] == ["label", "Reference"]


def test_text_is_that_of_the_first_section(tmp_path: Path) -> None:
    read = tree(
        tmp_path, "<scenario>\nstray <a>&</a><![CDATA[x <y> &]]> more <![CDATA[z]]></scenario>".replace("&<", "<")
    )
    assert (read.text, read.text_line) == ("x <y> &", 2)


def test_a_file_as_testers_write_it_is_played(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    text = document(
        recv("INVITE", '<action><ereg regexp="<sip:([^@\\"]*)@" search_in="hdr" header="From:" assign_to="all,user"/>'
                       "</action>"),
        send("200"), '<Reference variables="all,user" />',
    )  # fmt: skip
    path.write_text(f'<?xml version="1.0" encoding="ISO-8859-1" ?>\n<!-- ---- {"-" * 10} -->\n{text}')
    read = load_scenario(path)
    assert [element.shown for element in read.elements] == ["INVITE", "200"]
    assert read.without_effect == ()


@given(st.text(st.sampled_from("<>/=\"'&\\! -[]CDATAnop\n;x"), max_size=60))
def test_lines_stay_where_they_are(text: str) -> None:
    read = well_formed(text)
    assert read.count("\n") == text.count("\n") or "<!--" in text or "\\n" in text


@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_what_is_restored_is_what_was_written(text: str) -> None:
    assert restored(text) == text


SEEDS = [
    document(send("INVITE", retrans="500"), recv("100", optional="true"), recv("200", rrs="true", next="l"),
             '<pause distribution="normal" mean="1" stdev="2"/>', '<label id="l"/>', send("ACK")),
    document(recv("INVITE", '<action><ereg regexp="(a|b)+" search_in="hdr" header="From:" assign_to="x,y"/>'
                            '<log message="[$x] [field0 line=\\"[$y]\\"] [fill variable=y]"/>'
                            '<test assign_to="x" variable="y" compare="equal" value="1"/>'
                            '<exec rtp_stream="a.wav,1,0"/></action>'), send("200")),
    document('<init><nop><action><assign assign_to="g" value="1"/></action></nop></init>', '<Global variables="g"/>',
             "<sendCmd><![CDATA[Call-ID: [call_id]\n[$g]]]></sendCmd>", "<recvCmd/>", '<timewait milliseconds="10"/>'),
]  # fmt: skip


@given(st.data())
def test_a_scenario_that_is_changed_at_random_raises_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    text = data.draw(st.sampled_from(SEEDS))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        end = min(len(text), at + data.draw(st.integers(0, 12)))
        other = data.draw(st.sampled_from(SEEDS))
        begin = data.draw(st.integers(0, len(other) - 1))
        inserted = data.draw(st.one_of(
            st.text(st.characters(max_codepoint=255), max_size=6), st.just(other[begin : begin + 20]),
            st.sampled_from(["[", "]", '"', "<", "<!--", "<![CDATA[", "&", "\\", "\\n", "{9}", "(", "[authentication",
                             "[$", "=9e999"]),
        ))  # fmt: skip
        text = text[:at] + inserted + text[end:]
    path = tmp_path_factory.mktemp("fuzz") / "a.xml"
    path.write_bytes(text.encode("latin-1", "replace"))
    faults: list[Fault] = []
    try:
        read = load_scenario(path)
    except ScenarioError as error:
        faults = error.faults
    assert all(fault.line >= 1 and "\n" not in fault.text for fault in faults)
    assert faults or read.elements
