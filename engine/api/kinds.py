"""What requests and answers say of app platforms, business users, contracts, scenarios, number blocks and pools.

What may stand in a member is checked by `engine.domain.fields`, the same for the inventory file; here stands its type.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from engine.api.operations import Given, Taken

MAX: Final = 128

Day = str
Mode = Literal["AXB", "AXYB", "GXB", "GXYB"]


class Review(Taken):
    """Who has seen a document, and when."""

    day: Day = Field(max_length=10)
    reviewer: str = Field(max_length=MAX)


class Reviewed(Taken):
    """The documents that must have been seen before a platform becomes active."""

    business_licence: Review | None = None
    technical_scheme: Review | None = None
    number_plan: Review | None = None
    anti_fraud_plan: Review | None = None
    security_plan: Review | None = None


class NewAppPlatform(Taken):
    """An app platform; it begins as a draft."""

    id: str = Field(max_length=MAX)
    name: str = Field(max_length=MAX)
    licence_no: str = Field(max_length=MAX)
    approval_no: str = Field(max_length=MAX)
    exit_day: Day | None = Field(None, description="2026-01-31, or empty")
    reviewed: Reviewed | None = None


class AppPlatformChange(Taken):
    """What is to be otherwise."""

    name: str | None = None
    licence_no: str | None = None
    approval_no: str | None = None
    exit_day: Day | None = None
    reviewed: Reviewed | None = None


class AppPlatform(Given):
    """An app platform."""

    id: str
    name: str
    licence_no: str
    approval_no: str
    state: str
    exit_day: Day
    reviewed: dict[str, Review]


class NewBusinessUser(Taken):
    """A business user; it begins as a draft."""

    id: str = Field(max_length=MAX)
    app_platform: str = Field("", max_length=MAX, description="A platform's own may be left out")
    name: str = Field(max_length=MAX)
    uscc: str = Field(max_length=MAX, description="Unified social credit code")
    credit_score: int | None = None
    consent: Literal["off", "required"] | None = None
    scenarios: list[str] | None = Field(None, description="Codes that it may use; none: all")


class BusinessUserChange(Taken):
    """What is to be otherwise."""

    name: str | None = None
    uscc: str | None = None
    credit_score: int | None = None
    consent: Literal["off", "required"] | None = None
    scenarios: list[str] | None = Field(None, description="Codes that it may use; none: all")


class BusinessUser(Given):
    """A business user."""

    id: str
    app_platform: str
    name: str
    uscc: str
    state: str
    credit_score: int
    consent: str
    scenarios: list[str]


class NewContract(Taken):
    """A contract between a platform and a business user; it begins as a draft."""

    id: str = Field(max_length=MAX)
    app_platform: str = Field("", max_length=MAX, description="A platform's own may be left out")
    business_user: str = Field(max_length=MAX)
    from_day: Day = Field(max_length=10)
    to_day: Day = Field(max_length=10)
    doc_hash: str | None = Field(None, description="SHA-256 of what was signed: 64 hexadecimal digits")
    exit_plan: str | None = Field(None, description="What it says of the end of the service")


class ContractChange(Taken):
    """What is to be otherwise in a draft."""

    from_day: Day | None = None
    to_day: Day | None = None
    doc_hash: str | None = Field(None, description="SHA-256 of what was signed: 64 hexadecimal digits")
    exit_plan: str | None = Field(None, description="What it says of the end of the service")


class Contract(Given):
    """A contract."""

    id: str
    app_platform: str
    business_user: str
    from_day: Day
    to_day: Day
    state: str
    doc_hash: str
    exit_plan: str


class ScenarioChange(Taken):
    """What is to be otherwise."""

    risk_class: int | None = None
    modes: list[Mode] | None = None
    max_ttl_s: int | None = None
    name: str | None = None
    hours: str | None = Field(None, description="08:00-22:00, China time; empty: always")
    sms: bool | None = None
    real_name: Literal["off", "a", "both"] | None = None
    order_check: Literal["off", "bind", "call"] | None = None
    max_call_s: int | None = None
    calls_per_day: int | None = None


class NewScenario(ScenarioChange):
    """What numbers are used for; it begins as a draft."""

    code: str = Field(max_length=MAX)
    risk_class: int
    modes: list[Mode]
    max_ttl_s: int


class Scenario(Given):
    """What numbers are used for."""

    code: str
    risk_class: int
    modes: list[str]
    max_ttl_s: int
    state: str
    name: str
    hours: str
    sms: bool
    real_name: str
    order_check: str
    max_call_s: int
    calls_per_day: int


class NewNumberBlock(Taken):
    """10,000 numbers, as they were granted."""

    prefix: str = Field(max_length=11, description="11 digits")
    operator: str = Field(max_length=MAX)
    app_platform: str = Field(max_length=MAX)
    business_user: str = Field(max_length=MAX)
    certificate_no: str = Field(max_length=MAX)


class NumberBlockChange(Taken):
    """What is to be otherwise."""

    operator: str | None = None
    certificate_no: str | None = None
    reported_day: Day | None = Field(None, description="When its opening was reported")


class NumberBlock(Given):
    """10,000 numbers."""

    prefix: str
    operator: str
    app_platform: str
    business_user: str
    certificate_no: str
    state: str
    opened_day: Day
    reported_day: Day


class NumberPoolChange(Taken):
    """What is to be otherwise."""

    blocks: list[str] | None = None
    choice: Literal["random", "sticky", "least_recently_used"] | None = None
    callback: Literal["last_caller", "default_a", "sequential"] | None = None
    cool_s: int | None = None


class NewNumberPool(NumberPoolChange):
    """Blocks that bindings take their numbers from when they name none."""

    key: str = Field(max_length=MAX)
    app_platform: str = Field("", max_length=MAX, description="A platform's own may be left out")
    business_user: str = Field(max_length=MAX)
    blocks: list[str]


class NumberPool(Given):
    """Blocks that bindings take their numbers from when they name none."""

    key: str
    app_platform: str
    business_user: str
    blocks: list[str]
    state: str
    choice: str
    callback: str
    cool_s: int
