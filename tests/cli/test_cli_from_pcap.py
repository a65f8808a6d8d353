"""veil700 scenario from-pcap: which call it takes, what it writes, what it shows, and how it fails."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from sipstack.pcap import CapturedMessage
from sipstack.pcapng import PcapngWriter
from tests.cli.commands import A, Run, X
from tests.scenario.talks import NODE, Talk, answered, message
from tests.sipstack.captures import pcap_of


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """One call."""
    file = tmp_path / "one.pcap"
    file.write_bytes(pcap_of(answered().said))
    return file


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Two calls, of which one has a number in its Call-ID."""
    talk = answered(answered(), f"{A}x", (("192.0.2.7", 5060), NODE))
    file = tmp_path / "two.pcap"
    file.write_bytes(pcap_of(talk.said))
    return file


def test_a_pair_and_its_rows(run: Run, capture: Path, tmp_path: Path) -> None:
    out = tmp_path / "made" / "story"
    done = run("scenario", "from-pcap", capture, "--out", out)
    assert (done.status, done.told) == (0, ["veil700: the capture has one leg of the call: both files are of it"])
    assert done.out.split() == [str(out / name) for name in ("uac.xml", "uas.xml", "rows.csv")]
    assert (out / "rows.csv").read_text() == f"SEQUENTIAL\n{X};{A}\n"
    assert {stat.S_IMODE(file.stat().st_mode) for file in out.iterdir()} == {0o600}
    assert run("scenario", "check", out / "uac.xml", out / "uas.xml").status == 0


def test_what_json_says(run: Run, capture: Path, tmp_path: Path) -> None:
    done = run("scenario", "from-pcap", capture, "--out", tmp_path / "s", "--json")
    document = done.json
    assert document["chosen"] == "one"
    assert document["fields"] == [X, "138****8000"]
    assert document["written"] == [str(tmp_path / "s" / name) for name in ("uac.xml", "uas.xml", "rows.csv")]
    (call,) = document["calls"]
    assert (call["method"], call["status"], call["began"]) == ("INVITE", 200, "1970-01-01T00:16:40.100Z")
    assert call["legs"] == [
        {"call_id": "one", "transport": "udp", "from": "192.0.2.1:5060", "to": "192.0.2.9:5060", "status": 200,
         "messages": 6, "part": "caller"}
    ]  # fmt: skip


def test_pseudonyms_are_told(run: Run, tmp_path: Path) -> None:
    writer = PcapngWriter()
    data = writer.begin("veil700", "veil700", "real numbers replaced by pseudonyms; more")
    for one in answered().said:
        data += writer.message(one.at_s, "UDP", one.source, one.destination, one.data, is_sent=False)
    file = tmp_path / "masked.pcapng"
    file.write_bytes(data)
    done = run("scenario", "from-pcap", file, "--out", tmp_path / "s", "--json")
    told = "its numbers are pseudonyms: put those to be played into rows.csv"
    assert (done.json["notes"][-1], done.told[-1]) == (told, f"veil700: {told}")


def test_a_report_in_a_message_of_its_own_is_told(run: Run, tmp_path: Path) -> None:
    talk, here = Talk(), ("192.0.2.1", 5060)
    sent = message("MESSAGE sip:13800100500@veil.example SIP/2.0", "1 MESSAGE", "sent", ("a", ""))
    report = message("MESSAGE sip:x@192.0.2.1 SIP/2.0", "1 MESSAGE", f"{A}r", ("a", ""), "In-Reply-To: sent")
    talk(here, NODE, sent)(NODE, here, message("SIP/2.0 202 Accepted", "1 MESSAGE", "sent", ("a", "b")))
    talk(NODE, here, report)(here, NODE, message("SIP/2.0 200 OK", "1 MESSAGE", f"{A}r", ("a", "b")))
    file = tmp_path / "sms.pcap"
    file.write_bytes(pcap_of(talk.said))
    done = run("scenario", "from-pcap", file, "--call-id", "sent", "--out", tmp_path / "s", "--json")
    note = "what answers it (In-Reply-To) is a call of its own, and not in the pair: 138****8000r"
    assert (done.status, done.told[-1], done.json["notes"][-1]) == (0, f"veil700: {note}", note)
    alone = run("scenario", "from-pcap", file, "--call-id", f"{A}r", "--out", tmp_path / "r")
    assert "In-Reply-To" not in alone.err


def test_of_several_calls_one_must_be_chosen(run: Run, two: Path, tmp_path: Path) -> None:
    out = tmp_path / "s"
    done = run("scenario", "from-pcap", two, "--out", out)
    assert (done.status, done.told) == (2, [f"veil700: {two}: 2 calls begin in it: choose one with --call-id"])
    assert done.out.count("INVITE") == 2
    assert A not in done.out
    assert not out.exists()
    listed = run("scenario", "from-pcap", two, "--out", out, "--json")
    assert (listed.status, listed.json["chosen"], listed.json["written"]) == (2, None, [])
    assert [call["call_id"] for call in listed.json["calls"]] == ["one", "138****8000x"]
    for call_id in (f"{A}x", "138****8000x"):  # as it is, or as it is shown
        chosen = run("scenario", "from-pcap", two, "--call-id", call_id, "--out", out / call_id[:4], "--json")
        assert (chosen.status, chosen.json["chosen"]) == (0, "138****8000x")
        assert A not in chosen.out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--call-id", "none"), "none of the 1 calls that begin in it has that Call-ID"),
        (("--call-id", ""), "none of the 1 calls that begin in it has that Call-ID"),
    ],
)
def test_no_such_call(run: Run, capture: Path, tmp_path: Path, words: tuple[str, ...], text: str) -> None:
    done = run("scenario", "from-pcap", capture, *words, "--out", tmp_path / "s")
    assert (done.status, done.told) == (2, [f"veil700: {capture}: {text}"])


def test_nothing_is_overwritten_and_nothing_half_done(run: Run, capture: Path, tmp_path: Path) -> None:
    out = tmp_path / "s"
    out.mkdir()
    (out / "rows.csv").write_text("mine")
    done = run("scenario", "from-pcap", capture, "--out", out)
    assert done.status == 2
    assert done.told[-1] == f"veil700: {out / 'rows.csv'}: is there already: name another folder with --out"
    assert [file.name for file in out.iterdir()] == ["rows.csv"]
    assert (out / "rows.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"GIF89a", "neither pcap nor pcapng"),
        (pcap_of([]), "no call begins in it"),
        (pcap_of([CapturedMessage(1.0, "UDP", NODE, NODE, b"OPTIONS sip:x SIP/2.0\r\n\r\n")]), "no call begins in it"),
    ],
)
def test_files_without_a_call(run: Run, tmp_path: Path, data: bytes, text: str) -> None:
    file = tmp_path / "x.pcap"
    file.write_bytes(data)
    done = run("scenario", "from-pcap", file, "--out", tmp_path / "s")
    assert (done.status, done.out, done.told) == (2, "", [f"veil700: {file}: {text}"])


def test_a_file_that_is_not_there(run: Run, tmp_path: Path) -> None:
    done = run("scenario", "from-pcap", tmp_path / "none")
    assert (done.status, done.told) == (2, [f"veil700: {tmp_path / 'none'}: No such file or directory"])


def test_a_call_that_is_too_long(run: Run, tmp_path: Path) -> None:
    talk = Talk()
    for number, one in enumerate(answered().said[:1] * 40):
        data = one.data.replace(b"one", b"one").replace(b"7 INVITE", b"%d INVITE" % (7 + number))
        talk(one.source, one.destination, data + b"\xff" * 8000)
    file = tmp_path / "long.pcap"
    file.write_bytes(pcap_of(talk.said))
    done = run("scenario", "from-pcap", file, "--out", tmp_path / "s")
    assert (done.status, done.told) == (2, ["veil700: the call is too long: a scenario has at most 1024 KiB"])
    assert not (tmp_path / "s").exists()
