"""Peers, bindings and questions as Hypothesis draws them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hypothesis import strategies as st

from engine.core.binding import Binding
from tests.core.corenode import axb
from tests.explain.explained import A_SOURCE, AT, A, B, X

X2: Final = "700123456780002"
LANDLINE: Final = "2088888888"
SERVICE: Final = "95588"
SOURCES: Final = {"a-side": A_SOURCE, "b-side": "127.0.0.13:5060"}

FORMATS: Final = {"national": "{}", "plus": "+86{}", "prefix86": "86{}", "tel": "+86{}"}
CALLERS: Final = (A, B, LANDLINE, SERVICE, X, X2, "anonymous", f"86{A}", "+8613800138000", "020-8888-8888")
MEANT: Final = {"+8613800138000": A, "020-8888-8888": LANDLINE}
CALLED: Final = (
    X, X2, f"+86{X}", f"86{X}", f"0086{X}", "700-1234-5678-0001", "70012345678000", "7001234567800011", f"sip:{X}@host",
    f"sip:+86{X}@host;user=phone", f"tel:{X};phone-context=+86", f"tel:+86{X}", "sip:%37%30%30123456780001@host", A, B,
    f"+86{B}", "10086", "0", "tel:+1700123456780001", "mailto:a@b", "sip:a@host:99999", "tel:1;a=1;a=1", "sip:host",
)  # fmt: skip
TEXTS: Final = ("hello", f"call {A}", "my number is 138 0013 8000", "一三八零零一三八零零零", f"86{B}", "20 8888 8888")
HEADERS: Final = ((), (f"X-Order: {A}",), ("X-Order: 4711", "X-Other: 139-0013-9000"), ("Subject: %31%33800138000",))
PEER: Final = (
    st.sampled_from(tuple(FORMATS)),
    st.sampled_from(('caller = "pai-or-from"', 'caller = "pai-or-from"', 'caller = "from"', 'caller = "pai"')),
    st.sampled_from(("trusted = true", "trusted = true", "trusted = false")),
    st.sampled_from(("uniform_refusals = true", "uniform_refusals = false")),
    st.sampled_from(("", 'serves_700 = ["70012345678"]')),
    st.sampled_from(("", 'pass_headers = ["X-Order", "X-Other", "Subject"]')),
)


@dataclass(frozen=True)
class Trunk:
    """One peer of the configuration: its number format, and its other lines."""

    number_format: str
    lines: tuple[str, ...]

    @property
    def toml(self) -> str:
        return "\n".join((f'number_format = "{self.number_format}"', *self.lines))

    @property
    def is_trusted(self) -> bool:
        return "trusted = true" in self.lines


@st.composite
def trunks(draw: st.DrawFn) -> Trunk:
    number_format, *lines = (draw(part) for part in PEER)
    return Trunk(number_format, tuple(lines))


@st.composite
def stores(draw: st.DrawFn) -> dict[tuple[str, str], Binding]:
    """Bindings by (X, caller), some of which end early."""
    kept: dict[tuple[str, str], Binding] = {}
    for x in (X, X2):
        for caller in draw(st.sets(st.sampled_from((A, B, LANDLINE, SERVICE, X2)), min_size=2)):
            callee = draw(st.sampled_from((A, B, B, "13700137000", "13700137000", LANDLINE, x)))
            kept[(x, caller)] = axb(caller, callee, x, AT + draw(st.sampled_from((86400.0, 86400.0, 0.0, 1.0))))
    return kept
