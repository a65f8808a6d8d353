"""Where keys stand in a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.config.lines import Places, key_lines


def test_lines_of_keys_in_every_notation() -> None:
    text = '''\
# [node]
title = "[[x]] # = \\" \\\\"   # a.b = 1

["a b"."c"]
x.y = 1
'q"' = """
[no]
key = 1 \\""" ""\"""
z = \'\'\'
]\'\'\'
[[p]]
m = [ # [
  "a,]", 'b',

  [1, {k = 2, l.m = 3}], 1979-05-27T07:32:00Z
]
n = {}
[p.sub]
k = 1
[[p.q]]
[[p]]
[[p.q]]
[[p.q]]
r = 1
'''
    assert tomllib.loads(text)
    lines = key_lines(text)
    assert {key: line for key, line in lines.items() if not isinstance(key[-1], int)} == {
        ("title",): 2,
        ("a b",): 4,
        ("a b", "c"): 4,
        ("a b", "c", "x"): 5,
        ("a b", "c", "x", "y"): 5,
        ("a b", "c", 'q"'): 6,
        ("a b", "c", "z"): 9,
        ("p",): 11,
        ("p", 0, "m"): 12,
        ("p", 0, "m", 2, 1, "k"): 15,
        ("p", 0, "m", 2, 1, "l"): 15,
        ("p", 0, "m", 2, 1, "l", "m"): 15,
        ("p", 0, "n"): 17,
        ("p", 0, "sub"): 18,
        ("p", 0, "sub", "k"): 19,
        ("p", 0, "q"): 20,
        ("p", 1, "q"): 22,
        ("p", 1, "q", 1, "r"): 24,
    }
    assert [lines["p", 0, "m", index] for index in range(4)] == [13, 13, 15, 15]
    assert (lines["p", 1], lines["p", 1, "q", 0], lines["p", 1, "q", 1]) == (21, 22, 23)


names = st.sampled_from(["a", "b-1", '"c d"', "'e.f'", '"\\u0041\\""'])
strings = st.sampled_from(['"x#]"', "'y\\'", '"""1\n"2\\\\"""', "'''\n'3'''", '""', '"\\""'])
atoms = st.sampled_from(["1", "-2.5e3", "true", "2026-11-24 01:02:03", "0x1f"]) | strings
arrays = st.recursive(
    atoms, lambda inner: st.lists(inner, max_size=3).map(lambda items: "[\n" + ", #,]\n".join(items) + "\n]")
)


def paths(value: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every key and array position in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, content in inner:
        yield (*above, part)
        yield from paths(content, (*above, part))


@given(st.lists(st.tuples(names, arrays), max_size=4, unique_by=lambda pair: pair[0]), st.booleans())
def test_every_key_of_any_document_has_a_line(pairs: list[tuple[str, str]], in_array: bool) -> None:
    body = "".join(f"{name} = {value} # {name}\n" for name, value in pairs)
    header = "[[t.u]]\n" if in_array else "[t.u]\n"
    text = f"{body}{header}{body}{header if in_array else ''}"
    data = tomllib.loads(text)
    lines = key_lines(text)
    assert set(paths(data)) - lines.keys() == set()
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())


def test_the_place_of_a_key_is_told_as_an_error_would_tell_it() -> None:
    places = Places("veil.toml", '[[peer]]\nname = "a"\n\n[[peer]]\nmatch = [\n  "b",\n  "c",\n]\n')
    assert places.of("peer", 0, "name") == "veil.toml:2 peer.name"
    assert places.of("peer", 1, "match", 1) == "veil.toml:7 peer.match"
    assert places.of("peer", 1, "caller") == "veil.toml:4 peer.caller by default"
    assert places.of("peer", 2, "match", 0) == "veil.toml:1 peer.match by default"
    assert places.of("node", "domain", value="a") == "node.domain = a by default"
