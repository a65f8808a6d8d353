"""Makes, changes and ends bindings in every mode, inside a transaction of the caller: the one way to do so.

A method that raises may have written: the caller rolls back, to a savepoint where more happens in its transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any, Final, NamedTuple, final

from engine.domain import gates
from engine.domain.gates import Pool, Scenario, Tenant
from engine.domain.pool_choice import Draw
from engine.domain.problems import Problem, ProblemCode
from engine.domain.targets import WITH_GROUP, WITH_Y, Parties, Wiring, targets_of
from engine.store.binding_rows import (
    BINDING_COLUMNS,
    HOLDER,
    INSERT_BINDING,
    INSERT_TARGET,
    VERSION,
    new_subs_id,
    whole_ms,
)
from engine.store.binding_rules import BindRequest, Form, read_form, shown
from engine.store.choosing import Chooser, Wish, taken
from engine.store.crypto import NumberCipher
from engine.store.members import members_of
from engine.store.number_memory import NumberMemory, RecentCallers
from engine.store.outbox import announce
from engine.store.rows import utc_text
from engine.store.standing import Standing

_NEWEST: Final = (
    f"SELECT id, valid_to, {', '.join(BINDING_COLUMNS)} FROM binding WHERE subs_id = ? ORDER BY version DESC LIMIT 1"
)
_END: Final = "UPDATE binding SET valid_to = ?, ended_because = ? WHERE id = ?"
_DROP_TARGETS: Final = "DELETE FROM target WHERE x = ? AND subs_id = ?"
_OF_GROUP: Final = "SELECT subs_id FROM binding WHERE group_id = ? AND valid_to IS NULL AND expires_at > ? ORDER BY id"
_all_of: Final = attrgetter(*[field.name for field in fields(BindRequest)])
_ENCRYPTED: Final = ("tel_a", "tel_b", "default_a")
_PARTIES: Final = frozenset(("tel_a", "tel_b", "group_id", "default_a"))


class Bound(NamedTuple):
    """A binding that is in force, and its numbers; `expires_at` in seconds since the epoch (UTC)."""

    subs_id: str
    version: int
    tel_x: str
    tel_y: str  # "" without
    expires_at: float


@final
@dataclass(frozen=True, slots=True)
class Ended:
    """A binding that has ended. Seconds since the epoch (UTC)."""

    subs_id: str
    released_at: float
    cool_until: float  # until then X goes to no other pair with one of its parties


@final
@dataclass(frozen=True, slots=True)
class Change:
    """What a new version says otherwise, as in BindRequest; None: as before."""

    tel_a: str | None = None
    tel_b: str | None = None
    group_id: str | None = None
    default_a: str | None = None
    expiration: str | None = None
    order_id: str | None = None
    out_order_id: str | None = None
    out_id: str | None = None
    industrial_id: str | None = None
    consent_ref: str | None = None
    call_restrict: str | None = None
    max_call_s: int | None = None
    ring_timeout_s: int | None = None
    sms: bool | None = None
    callback: str | None = None
    decision: str | None = None

    def said(self) -> dict[str, Any]:
        """The fields that it names."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in values if value is not None}


@dataclass(slots=True)
class _Case:
    """One binding on its way: what was asked for, and what it is held against."""

    request: BindRequest
    form: Form
    tenant: Tenant
    scenario: Scenario
    parties: Parties
    pool: Pool
    subs_id: str
    version: int
    wall_s: float


@dataclass(frozen=True, slots=True)
class _Stored:
    """The newest version of a binding."""

    row_id: int
    version: int
    app_platform: str
    valid_from: float
    expires_at: float
    request: BindRequest


@final
class Binder:
    """On one connection to bindings.db. Raises Problem for what breaks a rule, StoreError and sqlite3.Error."""

    def __init__(
        self, connection: sqlite3.Connection, cipher: NumberCipher, recent: RecentCallers | None, draw: Draw,
        announces: bool = True,
    ) -> None:  # fmt: skip
        """`recent`: strangers that have called; `announces`: whether the platforms' feeds are told."""
        self._connection = connection
        self._cipher = cipher
        self._recent = recent
        self._draw = draw
        self._announces = announces

    def bind(self, request: BindRequest, wall_s: float, subs_id: str = "") -> Bound:
        """Write one binding, in force from `wall_s` on; `subs_id`: one that is its alone, "" to draw one."""
        wall_s = whole_ms(wall_s)
        request = BindRequest(*_all_of(request))  # it is completed below
        form = read_form(request)
        standing = Standing(self._connection, self._cipher, wall_s)
        tenant, scenario = _known(request, standing)
        _may_begin(request, form, tenant, scenario, wall_s)
        parties = self._parties(request, form)
        chooser = self._chooser(standing, wall_s)
        wish = Wish(request.business_user, parties, request.group_id, request.pool_key)
        pool = chooser.pool(wish)
        named = [field for field in ("tel_x", "tel_y") if getattr(request, field)]
        for field in named:
            chooser.may_be_used(field, getattr(request, field), request.business_user, pool)
        _order(request, standing, scenario, wall_s)
        _persons(request, parties, standing, tenant, scenario)
        for field in named:
            chooser.suits(field, getattr(request, field), parties, pool.cool_s)
        if not request.tel_x:
            request.tel_x = chooser.choose("tel_x", wish, pool, request.tel_y)
        if not request.tel_y and request.mode in WITH_Y:
            request.tel_y = chooser.choose("tel_y", wish, pool, request.tel_x)
        if request.mode in WITH_GROUP:
            request.callback = request.callback or pool.callback
        subs_id = subs_id or new_subs_id(wall_s)
        case = _Case(request, form, tenant, scenario, parties, pool, subs_id, VERSION, wall_s)
        return self._write(case, wall_s, "binding.created")

    def update(self, subs_id: str, change: Change, wall_s: float) -> Bound:
        """End the version in force and write the next one: calls in progress go on as they began."""
        wall_s = whole_ms(wall_s)
        stored = self._stored(subs_id)
        if stored.expires_at <= wall_s:
            raise Problem(ProblemCode.ILLEGAL_STATE, "subs_id", f"{subs_id} has expired")
        changes = change.said()
        request = stored.request
        for name, value in changes.items():
            setattr(request, name, value)
        form = read_form(request)
        if "expiration" not in changes:
            form = replace(form, expires_at=stored.expires_at)  # to the last digit, which its text has not
        standing = Standing(self._connection, self._cipher, wall_s)
        tenant, scenario = _known(request, standing)
        if form.expires_at > stored.expires_at:
            _may_begin(request, form, tenant, scenario, wall_s)
        elif "expiration" in changes:
            gates.ends_too_soon(request.expiration, form.expires_at, wall_s)
        parties = self._parties(request, form)
        chooser = self._chooser(standing, wall_s)
        pool = standing.pool(request.pool_key) or chooser.pool(Wish(request.business_user, parties, "", ""))
        if form.expires_at > stored.expires_at or changes.keys() & _PARTIES:
            gates.nothing_is_killed(tenant)
            for field in _numbers(request):
                chooser.may_be_used(field, getattr(request, field), request.business_user, pool)
                chooser.suits(field, getattr(request, field), parties, pool.cool_s, subs_id)
            _persons(request, parties, standing, tenant, scenario)
        if "order_id" in changes:
            _order(request, standing, scenario, wall_s)
        # A clock that was set back lets nothing begin before what it follows.
        begins = max(wall_s, stored.valid_from)
        self._connection.execute(_END, (begins, "replaced", stored.row_id))
        self._drop_targets(subs_id, request)
        case = _Case(request, form, tenant, scenario, parties, pool, subs_id, stored.version + 1, wall_s)
        return self._write(case, begins, "binding.updated")

    def unbind(self, subs_id: str, wall_s: float, because: str = "unbound") -> Ended:
        """End a binding: calls in progress go on, new ones find nothing."""
        stored = self._stored(subs_id)
        # A clock that was set back ends nothing before it began.
        end = max(whole_ms(wall_s), stored.valid_from)
        self._connection.execute(_END, (end, because, stored.row_id))
        request = stored.request
        self._drop_targets(subs_id, request)
        pool = Standing(self._connection, self._cipher, wall_s).pool(request.pool_key) if request.pool_key else None
        cool_s = gates.COOL_S if pool is None else pool.cool_s
        if self._announces:
            what = {"because": because, "version": stored.version}
            announce(self._connection, stored.app_platform, "binding.unbound", end, subs_id, request, what)
        return Ended(subs_id, end, min(end, stored.expires_at) + cool_s)

    def rewire_group(self, group_id: str, added: Sequence[str], wall_s: float) -> None:
        """Give the bindings of a group that are in force the targets of its members now; `added` are new in it."""
        for (subs_id,) in self._connection.execute(_OF_GROUP, (group_id, wall_s)).fetchall():
            stored = self._stored(subs_id)
            request = stored.request
            form = read_form(request)
            standing = Standing(self._connection, self._cipher, wall_s)
            tenant, scenario = _known(request, standing)
            parties = self._parties(request, form)
            chooser = self._chooser(standing, wall_s)
            pool = standing.pool(request.pool_key) or chooser.pool(Wish(request.business_user, parties, "", ""))
            if added:  # as `update` has it where a party changes
                gates.nothing_is_killed(tenant)
                for field in _numbers(request):
                    chooser.may_be_used(field, getattr(request, field), request.business_user, pool)
                _persons(request, Parties(tuple(added), parties.tel_b), standing, tenant, scenario, skips_b=True)
                for field in _numbers(request):
                    chooser.suits(field, getattr(request, field), parties, pool.cool_s, subs_id)
            self._drop_targets(subs_id, request)
            self._write_targets(_Case(request, form, tenant, scenario, parties, pool, subs_id, stored.version, wall_s))

    def _write(self, case: _Case, begins: float, kind: str) -> Bound:
        """The row of a version and its targets."""
        request, form = case.request, case.form
        self._write_targets(case)
        values = {name: getattr(request, name, None) for name in BINDING_COLUMNS} | {
            "subs_id": case.subs_id, "version": case.version, "app_platform": case.tenant.app_platform,
            "call_restrict": form.call_restrict, "expires_at": form.expires_at, "valid_from": begins,
            "key_id": self._cipher.key_id, "sms": int(request.sms), "legacy_until": form.legacy_until,
        }  # fmt: skip
        for name in _ENCRYPTED:
            number = getattr(form, name)
            values[name] = self._cipher.encrypt(number, f"binding.{name}") if number else None
        self._connection.execute(INSERT_BINDING, tuple(values.values()))
        if self._announces:
            what = {"version": case.version, "expiration": utc_text(form.expires_at)}
            announce(self._connection, case.tenant.app_platform, kind, begins, case.subs_id, request, what)
        return Bound(case.subs_id, case.version, request.tel_x, request.tel_y, form.expires_at)

    def _write_targets(self, case: _Case) -> None:
        request, form, encrypt = case.request, case.form, self._cipher.encrypt
        wiring = Wiring(
            request.mode, request.tel_x, request.tel_y, form.default_a, form.call_restrict,
            request.callback or "last_caller", request.sms, request.decision, request.legacy_x,
        )  # fmt: skip
        max_call_s = min(filter(None, (request.max_call_s, case.scenario.max_call_s)), default=0)
        legacy_until = form.legacy_until
        legacy_end = form.expires_at if legacy_until is None else min(form.expires_at, legacy_until)
        for target in targets_of(wiring, case.parties, case.scenario):
            x, caller, callee, presented, flags = target
            end = legacy_end if x == request.legacy_x else form.expires_at
            row = (
                x, encrypt(caller, "target.caller"), encrypt(callee, "target.callee"), presented, case.subs_id,
                case.version, request.mode, request.tel_y, case.tenant.app_platform, request.business_user,
                request.order_id, request.scenario, end, self._cipher.key_id, flags, max_call_s,
                request.ring_timeout_s, request.group_id, case.wall_s,
            )  # fmt: skip
            if self._connection.execute(INSERT_TARGET, row).rowcount != 1:
                holder, user = self._connection.execute(HOLDER, row[:2]).fetchone()
                if user != request.business_user:  # only of a legacy number, which is in nobody's block
                    holder = "another business user"
                field = {request.tel_y: "tel_y", request.legacy_x: "legacy_x"}.get(x, "tel_x")
                raise taken(field if x != request.tel_x else "tel_x", x, caller, holder)

    def _drop_targets(self, subs_id: str, request: BindRequest) -> None:
        for number in filter(None, (request.tel_x, request.tel_y, request.legacy_x)):
            self._connection.execute(_DROP_TARGETS, (number, subs_id))

    def _parties(self, request: BindRequest, form: Form) -> Parties:
        """Who is on either side; the members of a group in its order."""
        if request.mode in WITH_GROUP:
            members = members_of(self._connection, self._cipher, request.group_id, request.business_user)
        else:
            members = (form.tel_a,)
        if form.tel_b in members:
            raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "tel_b", "is a member of the group: the two sides must differ")
        if request.legacy_x in (*members, form.tel_b):
            raise Problem(ProblemCode.ILLEGAL_ARGUMENT, "legacy_x", "is the number of a party")
        return Parties(members, form.tel_b)

    def _chooser(self, standing: Standing, wall_s: float) -> Chooser:
        memory = NumberMemory(self._connection, self._cipher, self._recent, wall_s)
        return Chooser(self._connection, self._cipher, standing, memory, self._draw, wall_s)

    def _stored(self, subs_id: str) -> _Stored:
        """The newest version, which nobody has ended."""
        row = self._connection.execute(_NEWEST, (subs_id,)).fetchone()
        if row is None:
            raise Problem(ProblemCode.NOT_FOUND, "subs_id", f"{quoted(subs_id)} is no binding")
        row_id, valid_to, *columns = row
        if valid_to is not None:
            raise Problem(ProblemCode.ILLEGAL_STATE, "subs_id", f"{quoted(subs_id)} has ended already")
        values: dict[str, Any] = dict(zip(BINDING_COLUMNS, columns, strict=True))
        for name in _ENCRYPTED:
            blob = values[name]
            values[name] = "" if blob is None else self._cipher.decrypt(blob, f"binding.{name}")
        expires_at, legacy_until = values["expires_at"], values["legacy_until"]
        values |= {
            "sms": bool(values["sms"]),
            "expiration": utc_text(expires_at),
            "legacy_until": "" if legacy_until is None else utc_text(legacy_until),
            "req_id": "",
        }
        request = BindRequest(*[values[field.name] for field in fields(BindRequest)])
        return _Stored(row_id, values["version"], values["app_platform"], values["valid_from"], expires_at, request)


def quoted(subs_id: str) -> str:
    """A subs_id as an error may quote it; one of our form is whole, also where it has a long run of digits."""
    is_ours = len(subs_id) == 32 and all(char in "0123456789abcdef" for char in subs_id)
    return repr(subs_id) if is_ours else shown(subs_id)


def _known(request: BindRequest, standing: Standing) -> tuple[Tenant, Scenario]:
    tenant = standing.tenant(request.business_user)
    if tenant is None:
        raise Problem(
            ProblemCode.USER_NOT_REGISTERED, "business_user",
            f"{shown(request.business_user)} is not in the inventory, which veil700 inventory apply FILE.toml fills",
        )  # fmt: skip
    scenario = standing.scenario(request.scenario)
    if scenario is None:
        raise Problem(
            ProblemCode.SCENARIO_FORBIDS, "scenario",
            f"{shown(request.scenario)} is not in the inventory, which veil700 inventory apply FILE.toml fills",
        )  # fmt: skip
    return tenant, scenario


def _may_begin(request: BindRequest, form: Form, tenant: Tenant, scenario: Scenario, wall_s: float) -> None:
    """What a binding must pass to begin, or to last longer than it did."""
    gates.platform_is_active(tenant)
    gates.user_is_registered(tenant)
    gates.nothing_is_killed(tenant)
    gates.contract_is_in_force(tenant)
    gates.scenario_admits(scenario, request.mode)
    gates.scenario_is_the_users(tenant, scenario)
    gates.expiration_is_legal(request.expiration, form.expires_at, tenant, scenario, wall_s)


def _order(request: BindRequest, standing: Standing, scenario: Scenario, wall_s: float) -> None:
    order = standing.order(request.business_user, request.order_id)
    gates.order_is_good(request.order_id, order, scenario.order_check, wall_s)


def _persons(
    request: BindRequest, parties: Parties, standing: Standing, tenant: Tenant, scenario: Scenario,
    skips_b: bool = False,
) -> None:  # fmt: skip
    """Real names and consent of those that the scenario and the business user name."""
    needs_a = scenario.real_name != "off"
    needs_b = scenario.real_name == "both" and not skips_b
    if not (needs_a or tenant.is_consent_required):
        return
    for number in parties.all()[: -1 if skips_b else None]:
        is_b = number == parties.tel_b
        field = "tel_b" if is_b else "group_id" if request.group_id else "tel_a"
        person = standing.person(tenant.app_platform, number)
        if needs_b if is_b else needs_a:
            gates.real_name_is_verified(field, person)
        if tenant.is_consent_required:
            gates.consent_is_given(field, person, request.consent_ref)


def _numbers(request: BindRequest) -> list[str]:
    """The fields of the 700 numbers that a binding has."""
    return [field for field in ("tel_x", "tel_y") if getattr(request, field)]
