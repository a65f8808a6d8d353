"""What requests and answers say of bindings."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from engine.api.operations import Given, Taken
from engine.api.problem_documents import ProblemDocument

MAX: Final = 128
MAX_NUMBER: Final = 40

Restrict = Literal["", "CONTROL_AX_DISABLE", "CONTROL_BX_DISABLE", "CONTROL_GX_DISABLE", "CONTROL_CLEAR_DISABLE"]


class NewBinding(Taken):
    """A binding that is wanted; its members stand in the order of BindRequest."""

    mode: Literal["AXB", "AXYB", "GXB", "GXYB"]
    tel_x: str = Field("", max_length=MAX_NUMBER, description="15 digits; empty: one of the pool")
    tel_y: str = Field("", max_length=MAX_NUMBER, description="AXYB and GXYB; empty: one of the pool")
    tel_a: str = Field("", max_length=MAX_NUMBER, description="A real number; AXB and AXYB")
    tel_b: str = Field(max_length=MAX_NUMBER, description="A real number")
    group_id: str = Field("", max_length=MAX, description="GXB and GXYB, in the place of A")
    business_user: str = Field(max_length=MAX)
    order_id: str = Field(max_length=MAX)
    scenario: str = Field(max_length=MAX)
    expiration: str = Field(max_length=40, description="RFC 3339 with its offset")
    pool_key: str = Field("", max_length=MAX, description="Empty: all assigned blocks of the business user")
    out_order_id: str = Field("", max_length=MAX)
    out_id: str = Field("", max_length=MAX)
    industrial_id: str = Field("", max_length=MAX)
    consent_ref: str = Field("", max_length=MAX)
    call_restrict: Restrict = ""
    max_call_s: int = Field(0, ge=0, le=86_400, description="0: no limit of its own")
    ring_timeout_s: int = Field(0, ge=0, le=3600, description="0: as the node says")
    sms: bool = True
    default_a: str = Field("", max_length=MAX_NUMBER, description="Whom B reaches in a group before anybody has called")
    callback: Literal["", "last_caller", "default_a", "sequential"] = ""
    decision: Literal["", "closed", "open"] = Field("", description="Asked for each call, and what silence means")
    legacy_x: str = Field("", max_length=MAX_NUMBER, description="The number of before 700, beside X")
    legacy_until: str = Field("", max_length=40)
    req_id: str = Field("", max_length=64, description="As Idempotency-Key, which goes before it")


class BindingChange(Taken):
    """What the next version says otherwise; what is not named stays."""

    tel_a: str | None = Field(None, max_length=MAX_NUMBER)
    tel_b: str | None = Field(None, max_length=MAX_NUMBER)
    group_id: str | None = Field(None, max_length=MAX)
    default_a: str | None = Field(None, max_length=MAX_NUMBER)
    expiration: str | None = Field(None, max_length=40)
    order_id: str | None = Field(None, max_length=MAX)
    out_order_id: str | None = Field(None, max_length=MAX)
    out_id: str | None = Field(None, max_length=MAX)
    industrial_id: str | None = Field(None, max_length=MAX)
    consent_ref: str | None = Field(None, max_length=MAX)
    call_restrict: Restrict | None = None
    max_call_s: int | None = Field(None, ge=0, le=86_400)
    ring_timeout_s: int | None = Field(None, ge=0, le=3600)
    sms: bool | None = None
    callback: Literal["last_caller", "default_a", "sequential"] | None = None
    decision: Literal["", "closed", "open"] | None = None


class BoundNumbers(Given):
    """A binding in force, and its numbers."""

    subs_id: str
    version: int
    tel_x: str
    tel_y: str
    expires_at: str = Field(description="RFC 3339 UTC, as all times of answers")


class EndedBinding(Given):
    """A binding that has ended."""

    subs_id: str
    released_at: str
    cool_until: str = Field(description="Until then X goes to no other pair with one of its parties")


class Binding(Given):
    """A binding as its newest version says."""

    subs_id: str
    version: int
    mode: str
    tel_x: str
    tel_y: str
    tel_a: str = Field(description="Masked, but for the platform that has bound it; as tel_b and default_a")
    tel_b: str
    group_id: str
    default_a: str
    business_user: str
    app_platform: str
    order_id: str
    scenario: str
    pool_key: str
    out_order_id: str
    out_id: str
    industrial_id: str
    consent_ref: str
    call_restrict: str
    max_call_s: int
    ring_timeout_s: int
    sms: bool
    callback: str
    decision: str
    legacy_x: str
    legacy_until: str | None
    expires_at: str
    valid_from: str
    ended_at: str | None
    state: str = Field(description="active | expired | unbound | revoked")


class BulkResult(Given):
    """What became of one binding of many: the one or the other."""

    bound: BoundNumbers | None = None
    problem: ProblemDocument | None = None


class BulkResults(Given):
    """What became of each, in the order in which they were asked for."""

    bound: int
    refused: int
    results: list[BulkResult]
