"""The proofs find nothing wrong in what the binder does: its random life, judged by code that shares none of it."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import invariant

from engine.store.invariants import BindingInvariants
from tests.store.test_binder_model import Life


class ProvenLife(Life):
    """Each step is proved as well."""

    def __init__(self) -> None:
        super().__init__()
        self.shop.connection.execute("UPDATE meta SET value = '0' WHERE name = 'gates_since'")
        self.shop.connection.execute("UPDATE assignment SET from_at = 0")  # its clock is not that of the machine

    @invariant()
    def all_invariants_hold(self) -> None:
        proof = BindingInvariants(self.shop.connection, self.shop.cipher, self.shop.now)
        assert list(proof.findings()) == []


TestProvenLife = ProvenLife.TestCase
TestProvenLife.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
