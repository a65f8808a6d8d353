"""docs/configuration.md says of each key what the models say."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import AfterValidator, BeforeValidator

from docs.generate import END, PAGE, WORD_OF_TYPE, all_texts, tables, unit, with_reference
from engine.domain.fields import DOCUMENTS, FIELDS, MODES
from engine.domain.states import states_of
from tests.docs.pages import rows, section

# Validators that refuse a value because what it asks for is not built.
NOT_BUILT = ("only.<locals>.check", "store_url")

KEYS = [(table, name, field) for table, model in tables().items() for name, field in model.model_fields.items()]


def test_the_page_is_what_the_models_give() -> None:
    page = PAGE.read_text("utf-8")
    assert page == with_reference(page), "run: make docs"


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="needs both marks"):
        with_reference(PAGE.read_text("utf-8").replace(END, ""))


RULES = ("number_rules", "number_rules.rules")  # besides the others that are arrays of tables


def test_every_key_has_its_row() -> None:
    for table, model in tables().items():
        head = f"[[{table}]]" if table in ("listen", "peer", "account", "route", "expect", *RULES) else f"[{table}]"
        shown = [row[0].strip("`") for row in rows(section(PAGE, head), "key")]
        assert shown == list(model.model_fields)


def test_numbers_have_a_unit_and_nothing_else_has() -> None:
    wrong = [
        f"{table}.{name}"
        for table, name, field in KEYS
        if bool(unit(f"{table}.{name}")) != bool(re.search(r"\bint\b|\bfloat\b", str(field.annotation)))
    ]
    assert wrong == []


def test_what_is_not_built_says_so() -> None:
    texts = all_texts()
    wrong = []
    for table, name, field in KEYS:
        is_refused = bool({function.__qualname__ for function in _validators(field)} & set(NOT_BUILT))
        says_so = "Not yet" in texts[tables()[table].__name__, name]
        if is_refused != says_so:
            wrong.append(f"{table}.{name}")
    assert wrong == []


def _validators(field: Any) -> list[Any]:
    """The functions that check the value of a key, or the items of a list."""
    metadata = [*field.metadata]
    for part in getattr(field.annotation, "__args__", ()):
        metadata += getattr(part, "__metadata__", ())
    return [entry.func for entry in metadata if isinstance(entry, AfterValidator | BeforeValidator)]


def test_every_type_has_a_word() -> None:
    assert set(WORD_OF_TYPE) == {str, int, float, bool}


def test_every_key_of_the_inventory_is_there() -> None:
    found: dict[str, list[str]] = {}
    for table, key, _ in rows(section(PAGE, "The inventory file"), "table"):
        name = table.strip("`") or next(reversed(found))
        found.setdefault(name, []).append(key.strip("`"))
    assert found == {table: list(fields) for table, fields in FIELDS.items()}


@pytest.mark.parametrize("kind", FIELDS)
def test_states_are_there(kind: str) -> None:
    *others, last = [f"`{state}`" for state in states_of(kind)]
    assert f"{', '.join(others)} or {last}" in section(PAGE, "The inventory file")


def test_modes_and_documents_are_there() -> None:
    for words in (MODES, DOCUMENTS):
        assert ", ".join(f"`{word}`" for word in words) in section(PAGE, "The inventory file")
