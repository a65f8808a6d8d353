"""Who may bind what: the gates that a binding passes, each a function that raises the Problem of its rule or returns.

They judge facts, which the store reads; times are seconds since the epoch (UTC), days those of China.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from engine.core.numbers import mask
from engine.domain.days import end_of_day
from engine.domain.problems import Problem, ProblemCode

MIN_TTL_S: Final = 60.0  # a binding must outlive the moment in which it is made (invariant I4)
COOL_S: Final = 86_400  # so long X keeps away from its old parties where no pool says otherwise (I5)
BLOCK_DIGITS: Final = 11  # of the 15 of X
REAL_NAME_FROM: Final = 3  # of the four classes of risk: who calls is known by his real name
ALL_FROM: Final = 4  # ... and who is called, the order is verified, and the calls of a day are limited


@final
@dataclass(frozen=True, slots=True)
class Tenant:
    """A business user, and what stands over it."""

    business_user: str
    app_platform: str
    platform_state: str
    user_state: str
    is_consent_required: bool
    contract_to_day: str  # the last day of the contracts that are in force today; "" without one
    killed: str  # which of everything, app_platform and business_user is killed; "" for none
    scenarios: tuple[str, ...] = ()  # codes of those that it may use; none: all


@final
@dataclass(frozen=True, slots=True)
class Scenario:
    """What numbers are used for, and what that allows."""

    code: str
    state: str
    modes: tuple[str, ...]
    max_ttl_s: int
    has_hours: bool
    sms: bool
    real_name: str  # off | a | both
    order_check: str  # off | bind | call
    max_call_s: int  # 0: no limit of its own
    calls_per_day: int  # 0: no limit


@final
@dataclass(frozen=True, slots=True)
class Block:
    """Ten thousand numbers, and who has them."""

    prefix: str
    state: str
    business_user: str
    is_killed: bool


@final
@dataclass(frozen=True, slots=True)
class Pool:
    """Blocks of one business user that numbers are taken from."""

    key: str
    business_user: str
    state: str
    choice: str  # random | sticky | least_recently_used
    callback: str  # last_caller | default_a | sequential
    cool_s: int
    prefixes: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class Order:
    """What is known of an order."""

    state: str  # unverified | verified | closed | forged
    until_s: float | None  # so long its proof holds


@final
@dataclass(frozen=True, slots=True)
class Person:
    """What the platform has reported of the person behind a number."""

    number: str
    is_verified: bool
    has_consented: bool


def platform_is_active(tenant: Tenant) -> None:
    """A platform that winds down or is suspended gets no new binding, and none is renewed (I13)."""
    if tenant.platform_state != "active":
        raise Problem(
            ProblemCode.PARTNER_IS_CLOSED,
            "business_user",
            f"its app platform {tenant.app_platform} is {tenant.platform_state}, not active",
        )


def user_is_registered(tenant: Tenant) -> None:
    if tenant.user_state not in ("active", "registered"):
        raise Problem(
            ProblemCode.USER_NOT_REGISTERED,
            "business_user",
            f"{tenant.business_user} is {tenant.user_state}, not registered or active",
        )


def nothing_is_killed(tenant: Tenant) -> None:
    if tenant.killed:
        what = "everything" if tenant.killed == "everything" else f"its {tenant.killed.replace('_', ' ')}"
        raise Problem(ProblemCode.PARTNER_IS_CLOSED, "business_user", f"{what} is shut off by the kill switch")


def contract_is_in_force(tenant: Tenant) -> None:
    if not tenant.contract_to_day:
        raise Problem(
            ProblemCode.CONTRACT_NOT_IN_FORCE,
            "business_user",
            f"{tenant.business_user} has no contract in force today with {tenant.app_platform}",
        )


def scenario_admits(scenario: Scenario, mode: str) -> None:
    if scenario.state != "approved":
        raise Problem(ProblemCode.SCENARIO_FORBIDS, "scenario", f"{scenario.code} is {scenario.state}, not approved")
    if mode not in scenario.modes:
        allowed = ", ".join(scenario.modes)
        raise Problem(ProblemCode.SCENARIO_FORBIDS, "mode", f"scenario {scenario.code} allows {allowed}, not {mode}")


def scenario_is_the_users(tenant: Tenant, scenario: Scenario) -> None:
    """What a business user has numbers for is agreed with it, where it is said."""
    if tenant.scenarios and scenario.code not in tenant.scenarios:
        allowed = ", ".join(tenant.scenarios)
        why = f"{tenant.business_user} has numbers for {allowed}, not for {scenario.code}"
        raise Problem(ProblemCode.SCENARIO_FORBIDS, "scenario", why)


def risk_is_met(risk_class: int, real_name: str, order_check: str, calls_per_day: int) -> None:
    """The riskier a scenario, the more must be asked before it is approved (A9): of class 3 a real name, of 4 all."""
    wanted = []
    if risk_class >= REAL_NAME_FROM and real_name == "off":
        wanted.append("real_name")
    if risk_class >= ALL_FROM:
        wanted += ["real_name both"] if real_name == "a" else []
        wanted += ["order_check"] if order_check == "off" else []
        wanted += [] if calls_per_day else ["calls_per_day"]
    if wanted:
        why = f"class {risk_class} is approved only with {', '.join(wanted)}"
        raise Problem(ProblemCode.ILLEGAL_STATE, "risk_class", why)


def latest_end(tenant: Tenant, scenario: Scenario, wall_s: float) -> float:
    """Until when a binding that is made now may be in force (I4); the contract is in force."""
    return min(wall_s + scenario.max_ttl_s, end_of_day(tenant.contract_to_day))


def expiration_is_legal(text: str, expires_at: float, tenant: Tenant, scenario: Scenario, wall_s: float) -> None:
    """`text` is the expiration as it was written."""
    ends_too_soon(text, expires_at, wall_s)
    if expires_at > wall_s + scenario.max_ttl_s:
        why = f"is more than {scenario.max_ttl_s} s from now, the longest life that scenario {scenario.code} allows"
        raise Problem(ProblemCode.EXPIRE_DATE_ILLEGAL, "expiration", f"{text} {why}")
    if expires_at > end_of_day(tenant.contract_to_day):
        why = f"lies behind the end of the contract of {tenant.business_user}, {tenant.contract_to_day}"
        raise Problem(ProblemCode.EXPIRE_DATE_ILLEGAL, "expiration", f"{text} {why}")


def ends_too_soon(text: str, expires_at: float, wall_s: float) -> None:
    if expires_at <= wall_s + MIN_TTL_S:
        raise Problem(
            ProblemCode.EXPIRE_DATE_ILLEGAL, "expiration", f"{text} is not more than {MIN_TTL_S:.0f} s from now"
        )


def block_is_assigned(field: str, number: str, block: Block | None, business_user: str) -> None:
    """The block of a 700 number belongs to this business user alone (I3)."""
    prefix = number[:BLOCK_DIGITS]
    where = f"{number} lies in block {prefix}, which"
    if block is None:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, field, f"{where} is not in the inventory")
    if block.state != "assigned":
        raise Problem(ProblemCode.ILLEGAL_STATE, field, f"{where} is {block.state}, not assigned")
    if block.business_user != business_user:
        raise Problem(ProblemCode.NO_USED_BY_OTHERS, field, f"{where} is assigned to another business user")
    if block.is_killed:
        raise Problem(ProblemCode.NUMBER_FROZEN, field, f"{where} is shut off by the kill switch")


def number_is_free(field: str, number: str, state: str) -> None:
    """`state`: of the number's own restriction, "" without one."""
    if state:
        code = ProblemCode.NUMBER_LOCKED if state == "locked" else ProblemCode.NUMBER_FROZEN
        raise Problem(code, field, f"{number} is {state}")


def pool_is_open(pool: Pool | None, key: str, business_user: str) -> None:
    if pool is None or pool.business_user != business_user:
        raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "pool_key", f"{key!r} is no number pool of {business_user}")
    if pool.state != "active":
        raise Problem(ProblemCode.ILLEGAL_STATE, "pool_key", f"{key} is {pool.state}, not active")


def order_is_good(order_id: str, order: Order | None, check: str, wall_s: float) -> None:
    """A forged order is refused always, one that is not verified where the scenario checks at bind."""
    if order is not None and order.state == "forged":
        raise Problem(ProblemCode.ORDER_UNVERIFIED, "order_id", "this order was found to be forged")
    if check != "bind":
        return
    state = "not known" if order is None else order.state
    if order is not None and order.until_s is not None and order.until_s <= wall_s and state == "verified":
        state = "verified no more: its proof has run out"
    if state != "verified":
        raise Problem(
            ProblemCode.ORDER_UNVERIFIED, "order_id", f"the order is {state}, and the scenario asks for proof"
        )


def real_name_is_verified(field: str, person: Person) -> None:
    if not person.is_verified:
        raise Problem(
            ProblemCode.REALNAME_MISSING,
            field,
            f"the real name behind {mask(person.number)} is not verified, and the scenario asks for it",
        )


def consent_is_given(field: str, person: Person, consent_ref: str) -> None:
    """By the reference that the binding names, or by what was reported of the person."""
    if not consent_ref and not person.has_consented:
        raise Problem(
            ProblemCode.CONSENT_MISSING,
            field,
            f"no consent of the person behind {mask(person.number)} is named, and the business user must have it",
        )
