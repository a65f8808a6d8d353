"""What the tests of the store and of the stack begin with, for what has gone wrong there."""

from __future__ import annotations

from tests.sipstack.conftest import ends
from tests.store.conftest import cipher, data_dir, make_record, now, records_db, rows

__all__ = ["cipher", "data_dir", "ends", "make_record", "now", "records_db", "rows"]
