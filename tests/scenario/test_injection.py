"""Files of `-inf`: their order, their rows, and what is none."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from sipstack.scenario import injection
from sipstack.scenario.injection import Injection, InjectionFile, Order, check_injection, read_injection
from sipstack.scenario.model import ScenarioError, SettingsError
from sipstack.scenario.values import CallFault
from tests.scenario.scenes import scenario, send

NUMBERS = "PRINTF=, PRINTFOFFSET= and PRINTFMULTIPLE= need a number, PRINTF of 1 or more"


def written(folder: Path, text: str) -> InjectionFile:
    path = folder / "rows.csv"
    path.write_bytes(text.encode())
    return read_injection(path)


def test_rows_end_at_an_empty_line_and_comments_are_none(tmp_path: Path) -> None:
    file = written(tmp_path, "SEQUENTIAL\r\n# comment\r\n1;a b;\r\n2;中\r\n\r\n3;c\n")
    assert (file.name, len(file), file.order) == ("rows.csv", 2, Order.SEQUENTIAL)
    assert [file.field(0, number) for number in range(4)] == ["1", "a b", "", ""]
    assert file.field(1, 1).encode("latin-1").decode() == "中"
    assert (file.field(2, 0), file.field(-1, 0)) == ("", "")


def test_calls_get_their_rows_by_the_order_of_the_file(tmp_path: Path) -> None:
    random = Random(1)
    sequential = written(tmp_path, "SEQUENTIAL\n1\n2\n")
    assert [sequential.next_line(random, 0) for _ in range(3)] == [0, 1, 0]
    users = written(tmp_path, "USER\n1\n2\n")
    assert [users.next_line(random, user) for user in (2, 1, 0)] == [1, 0, -1]
    shuffled = written(tmp_path, "RANDOM\n1\n2\n3\n")
    drawn = [shuffled.next_line(random, 0) for _ in range(300)]
    assert all(drawn.count(line) > 50 for line in range(3))


def test_a_printf_file_has_as_many_rows_as_it_says(tmp_path: Path) -> None:
    file = written(tmp_path, "SEQUENTIAL,PRINTF=10,PRINTFOFFSET=100,PRINTFMULTIPLE=0x2\nu%06d;100%%;%-4d|\nv%d;x\n")
    assert len(file) == 10
    assert [file.field(0, number) for number in range(3)] == ["u000100", "100%", "100 |"]
    assert (file.field(3, 0), file.field(9, 0), file.field(10, 0)) == ("v106", "v118", "")
    for change in (lambda: file.insert("x"), lambda: file.replace(0, "x")):
        with pytest.raises(CallFault, match="is a PRINTF file"):
            change()


@pytest.mark.parametrize(
    ("text", "line", "fault"),
    [
        ("", 1, "the first line is SEQUENTIAL, RANDOM or USER"),
        ("1;2\n", 1, "the first line is SEQUENTIAL, RANDOM or USER"),
        ("SEQUENTIAL\n#\n", 1, "there is no row"),
        ("SEQUENTIAL,PRINTF=x\n1\n", 1, NUMBERS),
        ("USER,PRINTF=0\n1\n", 1, NUMBERS),
        ("USER,PRINTFOFFSET=1\n1\n", 1, NUMBERS),
        ("USER,PRINTF=3\n%d\n%s\n", 3, "only %d and %% may stand in a PRINTF file"),
        ("USER,PRINTF=3\n%9999d\n", 2, "only %d and %% may stand in a PRINTF file"),
    ],
)  # fmt: skip
def test_what_is_no_such_file_is_refused(tmp_path: Path, text: str, line: int, fault: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        written(tmp_path, text)
    assert str(raised.value) == f"{tmp_path / 'rows.csv'}:{line}: {fault}"


def test_rows_without_end_are_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(injection, "MAX_FILE_BYTES", 1024 * 1024)
    with pytest.raises(ScenarioError, match="/dev/zero:1: larger than 1 MiB"):
        read_injection(Path("/dev/zero"))


def test_what_a_scenario_names_must_be_there(tmp_path: Path) -> None:
    rows = InjectionFile("a.csv", ["1"])
    named = scenario(tmp_path, send("INFO sip:x SIP/2.0\nX: [field0 file=/tmp/a.csv][field1 file=b.csv]"))
    with pytest.raises(SettingsError, match=r"\[field file=b.csv\]: no such file is given with -inf"):
        check_injection(named, Injection([rows]))
    first = scenario(tmp_path, send("INFO sip:x SIP/2.0\nX: [field2]"))
    with pytest.raises(SettingsError, match=r"\[field2\] needs rows for injection"):
        check_injection(first, Injection())
    check_injection(first, Injection([rows]))
