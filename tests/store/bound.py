"""A binding as tests ask for it, and who is in it."""

from __future__ import annotations

from engine.store.binding_rules import BindRequest

X = "700123456780001"
A, B, C = "13800138000", "13900139000", "13700137000"
REQUEST = BindRequest(
    mode="AXB",
    tel_x=X,
    tel_y="",
    tel_a=A,
    tel_b=B,
    group_id="",
    business_user="bu-express",
    order_id="order-1",
    scenario="express",
    expiration="2026-12-01T08:00:00+08:00",
)
EXPIRES_AT = 1_796_083_200.0
