"""Parquet files of records: their columns, and how they are written and read. The only code that knows pyarrow.

pyarrow is an extra, and it is loaded when the first file is opened: neither the node nor another command pays for it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, Final, final

from engine.core.records import FIELDS
from engine.store.errors import StoreError
from engine.store.rows import NUMBER_COLUMNS, Row

SCHEMA_VERSION: Final = 1
COLUMNS: Final = (*FIELDS, "key_id")  # as in `cdr`: what is hashed, and which key reads the numbers
INTEGER_COLUMNS: Final = (
    "seq", "binding_version", "ring_ms", "duration_ms", "bill_seconds", "sip_status", "q850", "parts", "octets",
)  # fmt: skip
_ALWAYS_THERE: Final = frozenset(COLUMNS) - {
    "caller", "callee", "group_member", "call_out_time", "ring_time", "answer_time", "release_time",
}  # fmt: skip
BATCH_ROWS: Final = 16384  # rows that are in memory at a time; a row group has as many

_NOT_INSTALLED: Final = (
    f"the archive needs pyarrow, which is not installed: {sys.executable} -m pip install 'veil700[archive]'"
)


def need_parquet() -> None:
    """StoreError where pyarrow is not installed."""
    _pyarrow()


@final
class RecordFile:
    """Writes one file; its footer, without which nobody reads it, comes when the context is left."""

    def __init__(self, file: BinaryIO, facts: Mapping[str, str]) -> None:
        """`facts` stand in the metadata of the file as `veil700.NAME`, beside `veil700.schema`."""
        self._arrow = _pyarrow()
        metadata = {"veil700.schema": str(SCHEMA_VERSION)} | {f"veil700.{name}": text for name, text in facts.items()}
        self._schema = _schema(self._arrow).with_metadata(metadata)
        self._writer = self._arrow.parquet.ParquetWriter(file, self._schema, compression="zstd")

    def __enter__(self) -> RecordFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, rows: Sequence[Row]) -> None:
        """A row group; values in the order of COLUMNS, as they are stored. TypeError for one of another type."""
        try:
            pairs = zip(zip(*rows, strict=True), self._schema, strict=True)
            columns = [self._arrow.array(values, field.type) for values, field in pairs]
        except self._arrow.ArrowException as error:
            raise TypeError(str(error)) from None
        self._writer.write_table(self._arrow.Table.from_arrays(columns, schema=self._schema))


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of a file as they were written, a row group in memory at a time; StoreError."""
    arrow = _pyarrow()
    with _errors(arrow, path), arrow.parquet.ParquetFile(path) as file:
        version = (file.schema_arrow.metadata or {}).get(b"veil700.schema", b"none").decode("utf-8", "replace")
        if version != str(SCHEMA_VERSION):
            raise StoreError(f"{path}: schema version {version}, this program knows {SCHEMA_VERSION}")
        if not file.schema_arrow.equals(_schema(arrow)):
            raise StoreError(f"{path}: its columns are not those of schema version {version}")
        for group in range(file.num_row_groups):  # `iter_batches` keeps more in memory the longer the file is
            table = file.read_row_group(group, columns=list(columns), use_threads=False)
            for name in _ALWAYS_THERE.intersection(columns):
                if table.column(name).null_count:
                    raise StoreError(f"{path}: damaged: a record without {name}")
            yield from zip(*[table.column(name).to_pylist() for name in columns], strict=True)


def _schema(arrow: ModuleType) -> Any:
    return arrow.schema([(name, _type(arrow, name)) for name in COLUMNS])


def _type(arrow: ModuleType, name: str) -> Any:
    if name in NUMBER_COLUMNS:
        return arrow.binary()
    return arrow.int64() if name in INTEGER_COLUMNS else arrow.string()


@contextmanager
def _errors(arrow: ModuleType, path: Path) -> Iterator[None]:
    try:
        yield
    except (arrow.ArrowException, OSError, KeyError) as error:
        text = " ".join(str(error).split())
        raise StoreError(f"{path}: damaged, or no Parquet file of records ({text})") from None


def _pyarrow() -> ModuleType:
    try:
        import pyarrow  # type: ignore[import-untyped]
        import pyarrow.parquet  # type: ignore[import-untyped]
    except ImportError:
        raise StoreError(_NOT_INSTALLED) from None
    return pyarrow  # type: ignore[no-any-return]
