"""`[[expect]]`: calls whose decision is known, so that a configuration is its own test."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, model_validator

from engine.config import values
from engine.config.table import STRICT

Real = Annotated[str, AfterValidator(values.real_number)]
Privacy = Annotated[str, AfterValidator(values.privacy_number)]


class ExpectBinding(BaseModel):
    """`[expect.binding]`: the only binding that there is for this expect. Written in the expect, as
    `binding = { mode = "AXB", ... }`."""

    model_config = STRICT

    mode: Literal["AXB", "AXYB", "GXB", "GXYB"] = "AXB"
    """As in [bindings.md](bindings.md)."""
    tel_x: Privacy
    """X, 15 digits."""
    tel_y: Privacy | None = None
    """Y, where the mode has one."""
    tel_a: Real | None = None
    """Real number of A, where the mode has no group."""
    group: list[Real] = []
    """Real numbers of the members, where it has one. B reaches the first."""
    tel_b: Real
    """Real number of B."""
    sms: bool = True
    """Whether messages are let through."""

    @model_validator(mode="after")
    def _fits(self) -> ExpectBinding:
        with_y, with_group = self.mode.endswith("YB"), self.mode.startswith("G")
        for key, given, wanted in (
            ("tel_y", self.tel_y is not None, with_y),
            ("tel_a", self.tel_a is not None, not with_group),
            ("group", bool(self.group), with_group),
        ):
            if given is not wanted:
                raise ValueError(f"mode {self.mode} {'wants' if wanted else 'has no'} {key}")
        return self


class Expect(BaseModel):
    """`[[expect]]`: a call or message, and what is to become of it. `veil700 check` decides it with the code that
    decides calls, and a [reload](reload.md) is refused when one comes out otherwise. The store is not asked: there is
    no binding but that of the expect. What it does not say may come out as it likes."""

    model_config = STRICT

    caller: Annotated[str, Field(min_length=1)]
    """Number of the caller, real or 700, in any spelling."""
    called: Annotated[str, Field(min_length=1)]
    """What is dialled: a number, or a whole URI."""
    method: Literal["INVITE", "MESSAGE"] = "INVITE"
    """A call or a message."""
    peer: str | None = None
    """The peer that it comes from. Without: told from the caller's number, as by [explain](explain.md)."""
    at: Annotated[str, AfterValidator(values.instant)] | None = None
    """When, RFC 3339 with an offset; without: now."""
    binding: ExpectBinding | None = None
    """The binding that is there, a [table](#expectbinding); without: none."""
    outcome: Literal["sent", "refused", "answered"]
    """`sent` to a target, `refused` by a decision on record, or `answered` by a rule of SIP without a record."""
    route: str | None = None
    """Name of the route that it takes."""
    target: str | None = None
    """The target that is tried first, as its peer says it."""
    targets: list[str] | None = None
    """All of them, in the order in which they are likely to be tried: by peer, priority and weight."""
    request_uri: str | None = None
    """The Request-URI for the first target."""
    presented: str | None = None
    """The 700 number that the other party sees; `""` in transit."""
    cause: str | None = None
    """The release cause of a refusal, such as `NO_ROUTE`: [records.md](records.md)."""
    decided_by: str | None = None
    """What refuses it, such as `caller_number`."""
    status: Annotated[int, Field(ge=300, le=699)] | None = None
    """The SIP status that the caller gets."""
