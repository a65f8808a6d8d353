"""The data folder of the tests of the store, for what has gone wrong there."""

from __future__ import annotations

from tests.store.conftest import cipher, data_dir, make_record, now, records_db, rows

__all__ = ["cipher", "data_dir", "make_record", "now", "records_db", "rows"]
