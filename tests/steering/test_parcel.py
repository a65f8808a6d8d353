"""What workers tell each other arrives as it was told; what a worker is handed is said in one word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.steering.parcel import CAME, MAX_PARCEL_BYTES, SEND, packed, unpacked
from engine.steering.passed import Passed, read_passed
from sipstack.events import Flow

PORTS = st.integers(0, 65_535)
NAMES = st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=("Cs",)), min_size=1)).map(tuple)
FLOWS = st.builds(
    Flow, st.sampled_from(("UDP", "TCP", "TLS")), st.sampled_from(("192.0.2.1", "2001:db8::1", "")), PORTS,
    st.integers(0, 255), NAMES, PORTS,
)  # fmt: skip


@given(st.integers(0, 5), st.integers(0, 31), FLOWS, st.binary(max_size=2000))
def test_a_parcel_arrives_as_it_was_packed(kind: int, sender: int, flow: Flow, data: bytes) -> None:
    found = unpacked(packed(kind, sender, flow, data))
    assert found == (kind, sender, flow, data)
    assert (found.flow.identities, found.flow.reply_port) == (flow.identities, flow.reply_port)


def test_what_is_longer_than_any_message_is_not_packed() -> None:
    flow = Flow("TCP", "192.0.2.1", 5060)
    assert len(packed(CAME, 0, flow, bytes(16 * 1024 + 64 * 1024))) <= MAX_PARCEL_BYTES  # the longest of a stream
    assert packed(CAME, 0, flow, bytes(MAX_PARCEL_BYTES)) == b""
    assert packed(SEND, 0, Flow("TCP", "h" * 256, 5060), b"") == b""


def test_what_a_worker_is_handed_is_one_word() -> None:
    passed = Passed(1, 3, (5, 6), 9, (10, None, 11))
    assert passed.told() == "1/3:5,6:9:10,-,11"
    assert read_passed(passed.told()) == passed
    assert passed.descriptors == (5, 6, 9, 10, 11)


@pytest.mark.parametrize(
    "told", ["", "1/3", "1/3:5:9:10,-", "3/3:5:9:1,2,-", "0/3:5:9:10,-,11", "x/3:5:9:10,-,11", "0/1::9:-"]
)
def test_any_other_word_is_none(told: str) -> None:
    with pytest.raises(ValueError, match="not what a worker is handed"):
        read_passed(told)
