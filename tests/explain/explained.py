"""A configuration file, a store of bindings beside it, and questions about both."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from engine.config import Config, load
from engine.core.binding import Binding
from engine.explain import Explanation, Question, arrival_of, explain
from engine.store.crypto import NumberCipher, open_key
from engine.store.database import BINDINGS, open_database
from engine.store.glance import Glance

A = "13800138000"
B = "13900139000"
X = "700123456780001"
AT = 1_790_000_000.0

A_SOURCE = "127.0.0.12:5060"
TOML = """
[node]
name = "veil-test"
data_dir = "data"

[[listen]]
address = "127.0.0.11:5060"

[[peer]]
name = "a-side"
match = ["127.0.0.12"]
targets = ["sip:127.0.0.12:5060"]
{a}

[[peer]]
name = "b-side"
match = ["127.0.0.13", "127.0.0.14"]
targets = ["sip:127.0.0.13:5060", "sip:127.0.0.14:5060"]
{b}

[[route]]
name = "a"
called = "^13800138000$"
peers = ["a-side"]

[[route]]
name = "mobiles"
called = "^1[3-9][0-9]{{9}}$"
peers = ["b-side", "a-side"]
{rest}
"""


class Office:
    """A data folder with bindings.db, whose configuration and bindings a test may change."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "veil.toml"
        self.data_dir = folder / "data"
        self.database = self.data_dir / "bindings.db"
        self.cipher: NumberCipher = open_key(self.data_dir)
        open_database(self.database, BINDINGS, self.cipher).close()
        self.configure()

    def configure(self, a: str = "", b: str = "", rest: str = "", text: str = "") -> Config:
        """`a`, `b` and `rest` are further lines of the two peers and behind the last table; `text` is a whole file."""
        self.file.write_text(text or TOML.format(a=a, b=b, rest=rest))
        return load(self.file)

    def bind(self, bindings: Iterable[Binding]) -> None:
        """These and no others are in the store."""
        encrypt = self.cipher.encrypt
        with closing(sqlite3.connect(self.database, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            connection.execute("DELETE FROM target")
            connection.executemany(
                "INSERT INTO target VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, '')",
                [
                    (b.tel_x, encrypt(b.caller, "target.caller"), encrypt(b.callee, "target.callee"), b.presented,
                     b.subs_id, b.version, b.mode, b.tel_y, b.app_platform, b.business_user, b.order_id, b.scenario,
                     b.expires_at, self.cipher.key_id)
                    for b in bindings
                ],
            )  # fmt: skip
            connection.execute("COMMIT")

    def ask(self, question: Question, at: float = AT, *, reveal: bool = False) -> Explanation:
        """What the node would do, by the configuration and the bindings as they stand."""
        config = load(self.file)
        arrival = arrival_of(config.core_settings(), question)
        with closing(Glance(self.database, self.cipher)) as glance:
            return explain(config, arrival, glance, at, {}, reveal=reveal)


@contextmanager
def office() -> Iterator[Office]:
    with tempfile.TemporaryDirectory() as folder:
        yield Office(Path(folder))
