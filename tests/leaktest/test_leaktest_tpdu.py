"""The short messages of the rig are those of the specifications: vectors out of their text, put together by hand."""

from __future__ import annotations

from engine.leaktest import tpdu


def test_digits_stand_low_half_first() -> None:
    assert tpdu.semi_octets("13800138000").hex() == "3108108300f0"


def test_hello_is_packed_as_everybody_packs_it() -> None:
    assert tpdu.packed("hellohello").hex() == "e8329bfd4697d9ec37"


def test_a_submit_in_an_rp_data() -> None:
    data = tpdu.rp_data_up(tpdu.submit("700123456780001", "hi"), centre="8613800100500", reference=1)
    rp = "00 01 00 08 91 68 31 08 10 00 05 f0 11"
    tp = "01 07 0f a1 07 10 32 54 76 08 00 f1 00 00 02 e8 34"
    assert data == bytes.fromhex(f"{rp} {tp}")
