"""Whatever octets a capture has, the files load, and say what was said."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipstack.scenario.captured import pair_of
from sipstack.scenario.captured.marks import Marks
from sipstack.scenario.captured.numbers import Numbers
from sipstack.scenario.loader import load_scenario
from sipstack.scenario.model import ScenarioError, Send
from tests.scenario.talks import INVITE, NODE, A, Talk, answered, message


def played(text: str, folder: Path) -> str:
    """The message that our player would send for the body of a scenario."""
    file = folder / "any.xml"
    sent = f"<send><![CDATA[\nOPTIONS sip:x SIP/2.0\nContent-Length: 0\n\n{text}]]></send>"
    file.write_text(f'<scenario name="x">\n{sent}\n</scenario>\n', "ascii")
    (element,) = load_scenario(file).elements
    assert isinstance(element, Send)
    assert all(isinstance(part, str) for part in element.text.parts)
    return "".join(part for part in element.text.parts if isinstance(part, str))


@given(st.text(st.characters(max_codepoint=255), max_size=80))
def test_any_body_leaves_as_it_came(tmp_path_factory: pytest.TempPathFactory, body: str) -> None:
    text = played(Marks().body(body), tmp_path_factory.getbasetemp())
    assert text.partition("\r\n\r\n")[2] == body


@pytest.mark.parametrize(
    "body",
    [
        "]]>",
        "[field0]",
        "[[x]",
        "\\x41",
        "a\nb\rc\r\n\r\nd\r\n\r\n",
        " x ",
        "\0\xff",
        "<&>",
        "\r\n",
        "\t",
        "x\r\n y\r\n",
    ],
)
def test_odd_bodies(tmp_path: Path, body: str) -> None:
    text = played(Marks().body(body), tmp_path)
    assert text.partition("\r\n\r\n")[2] == body


@given(st.lists(st.binary(max_size=60), max_size=4), st.binary(max_size=60))
def test_whatever_a_peer_writes_the_files_load(
    tmp_path_factory: pytest.TempPathFactory, values: list[bytes], body: bytes
) -> None:
    rows = [b"X-%d: %b" % (place, value.replace(b"\r\n\r\n", b"")) for place, value in enumerate(values)]
    head, _, _ = message(INVITE, "1 INVITE").partition(b"\r\n\r\n")
    pair = Talk()(A, NODE, b"\r\n".join([head, *rows]) + b"\r\n\r\n" + body).pair
    for text in (pair.uac, pair.uas):
        file = tmp_path_factory.getbasetemp() / "whatever.xml"
        file.write_text(text, "ascii")
        load_scenario(file)


@given(st.integers(0, 5), st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=6)), min_size=1, max_size=6))
def test_whatever_is_broken_in_a_call_the_files_load(
    tmp_path_factory: pytest.TempPathFactory, which: int, changes: list[tuple[int, bytes]]
) -> None:
    talk = answered()
    data = bytearray(talk.said[which].data)
    for at, new in changes:
        data[at % len(data) : at % len(data) + len(new)] = new
    talk.said[which] = replace(talk.said[which], data=bytes(data))
    for call in talk.calls:
        pair = pair_of(call)
        assert pair is not None
        for text in (pair.uac, pair.uas):
            file = tmp_path_factory.getbasetemp() / "broken.xml"
            file.write_text(text, "ascii")
            load_scenario(file)


def test_a_file_that_does_not_load_would_be_seen(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError):
        played("[nothing known", tmp_path)


def test_numbers_that_are_part_of_others() -> None:
    marks = Marks()
    numbers = Numbers("sip:7654321@x", "sip:17654321@x", [])
    assert (
        marks.line(numbers.marked("sip:17654321@x 7654321 9917654321", marks)) == "sip:[field1]@x [field0] 99[field1]"
    )


@pytest.mark.parametrize(
    "value", ["sip:" * 15_000, "<" * 60_000, "sip:" + "1" * 60_000, ";tag" * 15_000, "13800138000" * 5000, "[" * 60_000]
)
def test_long_fields_take_no_time(value: str) -> None:
    talk = Talk()(
        A, NODE, message(INVITE, "1 INVITE", "one", ("a", ""), f"X: {value}", f"Contact: {value}", body=value)
    )
    began = time.process_time()
    assert talk.pair.uac
    assert time.process_time() - began < 5
