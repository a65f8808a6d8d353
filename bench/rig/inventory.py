"""The inventory that is measured on: one platform, one business user, one scenario, and blocks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_HEAD: Final = """
[[app_platform]]
id = "{platform}"
name = "Bench"
licence_no = "L1"
approval_no = "A1"
state = "active"

[[business_user]]
id = "{user}"
app_platform = "{platform}"
name = "Bench"
uscc = "91110000000000000X"
state = "active"

[[contract]]
id = "c1"
app_platform = "{platform}"
business_user = "{user}"
from = "2026-01-01"
to = "2036-12-31"

[[scenario]]
code = "express"
risk_class = 1
modes = ["AXB"]
max_ttl_s = 315360000
"""
_BLOCK: Final = """
[[number_block]]
prefix = "{prefix}"
operator = "1"
app_platform = "{platform}"
business_user = "{user}"
certificate_no = "CERT-1"
state = "assigned"
"""


def inventory(platform: str, user: str, prefixes: Iterable[str]) -> str:
    """All of it as TOML; prefixes are of 11 digits."""
    return _HEAD.format(platform=platform, user=user) + number_blocks(platform, user, prefixes)


def number_blocks(platform: str, user: str, prefixes: Iterable[str]) -> str:
    """TOML of the blocks alone, for an inventory that has the others."""
    return "".join(_BLOCK.format(prefix=prefix, platform=platform, user=user) for prefix in prefixes)
