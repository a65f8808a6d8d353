"""The binder: what each mode makes, who may bind what, and what a change changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core import binding as bits
from engine.domain.problems import Problem, ProblemCode
from engine.store.binder import Change
from engine.store.rows import utc_text
from tests.store.bound import A, B, C, X
from tests.store.conftest import INVENTORY
from tests.store.shop import DAY_S, Shop, open_shop

Y = "700123456780002"
KILL = "INSERT INTO restriction VALUES ({}, 'killed', 0, '', '')"
ORDER = "INSERT INTO service_order VALUES ('bu-express', 'order-1', '', 'forged', 1, NULL, '')"
D, E, F = "13600136000", "13500135000", "13400134000"


@pytest.fixture
def shop(data_dir: Path, now: float) -> Iterator[Shop]:
    with open_shop(data_dir, INVENTORY, now) as shop:
        yield shop


def test_axb(shop: Shop) -> None:
    bound = shop.bind()
    assert (bound.version, bound.tel_x, bound.tel_y, bound.expires_at) == (1, X, "", shop.now + 7 * DAY_S)
    assert shop.targets(bound.subs_id) == {(X, A, B, X, 0), (X, B, A, X, 0)}


def test_axyb(shop: Shop) -> None:
    """A dials Y, and B sees X; B dials X, and A sees Y."""
    bound = shop.bind(mode="AXYB", tel_y=Y)
    assert shop.targets(bound.subs_id) == {(Y, A, B, X, 0), (X, B, A, Y, 0)}
    assert {row[0] for row in shop.run("SELECT tel_y FROM target")} == {Y}


@pytest.mark.parametrize(
    ("callback", "default_a", "reached", "flag"),
    [("", "", A, bits.LAST_CALLER), ("sequential", "", A, bits.SEQUENTIAL), ("default_a", C, C, 0)],
)
def test_gxb(shop: Shop, callback: str, default_a: str, reached: str, flag: int) -> None:
    shop.group(A, C)
    bound = shop.bind(mode="GXB", group_id="g-1", callback=callback, default_a=default_a)
    assert shop.targets(bound.subs_id) == {
        (X, A, B, X, 0), (X, C, B, X, 0), (X, B, reached, X, bits.TO_GROUP | flag),
    }  # fmt: skip
    assert {row[0] for row in shop.run("SELECT group_id FROM target")} == {"g-1"}


def test_gxyb(shop: Shop) -> None:
    shop.group(A, C)
    bound = shop.bind(mode="GXYB", group_id="g-1", tel_y=Y)
    assert shop.targets(bound.subs_id) == {
        (Y, A, B, X, 0), (Y, C, B, X, 0), (X, B, A, Y, bits.TO_GROUP | bits.LAST_CALLER),
    }  # fmt: skip


def test_the_number_of_before_has_the_same_targets_until_its_day(shop: Shop) -> None:
    until = utc_text(shop.now + 3 * DAY_S)
    bound = shop.bind(legacy_x="17012345678", legacy_until=until)
    assert shop.targets(bound.subs_id) == {
        (X, A, B, X, 0), (X, B, A, X, 0),
        ("17012345678", A, B, X, bits.LEGACY), ("17012345678", B, A, X, bits.LEGACY),
    }  # fmt: skip
    ends = dict(shop.run("SELECT x, max(expires_at) FROM target GROUP BY x"))
    assert ends == {X: bound.expires_at, "17012345678": round(shop.now + 3 * DAY_S, 3)}
    shop.do(lambda: shop.binder.unbind(bound.subs_id, shop.now))
    assert shop.run("SELECT * FROM target") == []


@pytest.mark.parametrize(
    ("statement", "changes", "of_a", "of_b"),
    [
        ("", {"call_restrict": "CONTROL_AX_DISABLE"}, bits.CALLS_BLOCKED, 0),
        ("", {"call_restrict": "CONTROL_BX_DISABLE"}, 0, bits.CALLS_BLOCKED),
        ("", {"call_restrict": "CONTROL_CLEAR_DISABLE"}, 0, 0),
        ("", {"sms": False}, bits.MESSAGES_BLOCKED, bits.MESSAGES_BLOCKED),
        ("", {"decision": "closed"}, bits.ASK_DECISION, bits.ASK_DECISION),
        ("", {"decision": "open"}, *[bits.ASK_DECISION | bits.DECISION_OPEN] * 2),
        ("sms = 0", {}, bits.MESSAGES_BLOCKED, bits.MESSAGES_BLOCKED),
        ("hours = '08:00-22:00'", {}, bits.HOURS, bits.HOURS),
        ("calls_per_day = 3", {}, bits.DAILY, bits.DAILY),
        ("order_check = 'call'", {}, bits.ASK_ORDER, bits.ASK_ORDER),
        ("real_name = 'a'", {}, bits.CALLER_VERIFIED, bits.CALLEE_VERIFIED),
        ("real_name = 'both'", {}, *[bits.CALLER_VERIFIED | bits.CALLEE_VERIFIED] * 2),
    ],
)
def test_what_a_call_must_pass(shop: Shop, statement: str, changes: dict[str, object], of_a: int, of_b: int) -> None:
    if statement:
        shop.run(f"UPDATE scenario SET {statement}")
    verify(shop, A, B)
    bound = shop.bind(**changes)
    assert shop.targets(bound.subs_id) == {(X, A, B, X, of_a), (X, B, A, X, of_b)}


def test_the_shorter_call_counts(shop: Shop) -> None:
    shop.run("UPDATE scenario SET max_call_s = 600")
    shop.bind(max_call_s=900, ring_timeout_s=20)
    assert set(shop.run("SELECT max_call_s, ring_timeout_s FROM target")) == {(600, 20)}


def verify(shop: Shop, *numbers: str) -> None:
    for number in numbers:
        blob = shop.cipher.encrypt(number, "subscriber.number")
        shop.run("INSERT INTO subscriber VALUES ('ap-demo', ?, 'verified', 'op', 1, 'c-1', 1, '')", blob)


@pytest.mark.parametrize(
    ("statement", "changes", "refusal"),
    [
        ("UPDATE app_platform SET state = 'winding_down'", {}, "PARTNER_IS_CLOSED business_user: its app platform"),
        ("UPDATE app_platform SET state = 'suspended'", {}, "PARTNER_IS_CLOSED"),
        ("UPDATE business_user SET state = 'draft'", {}, "USER_NOT_REGISTERED business_user: bu-express is draft"),
        ("UPDATE business_user SET state = 'frozen'", {}, "USER_NOT_REGISTERED"),
        ("UPDATE business_user SET state = 'registered'", {}, ""),
        (KILL.format("'everything', ''"), {}, "PARTNER_IS_CLOSED"),
        (KILL.format("'app_platform', 'ap-demo'"), {}, "PARTNER_IS_CLOSED"),
        (KILL.format("'business_user', 'bu-express'"), {}, "PARTNER_IS_CLOSED"),
        (KILL.format("'business_user', 'bu-other'"), {}, ""),
        (KILL.format("'number_block', '70012345678'"), {}, "NUMBER_FROZEN"),
        (f"INSERT INTO restriction VALUES ('number', '{X}', 'locked', 0, '', '')", {}, "NUMBER_LOCKED"),
        (f"INSERT INTO restriction VALUES ('number', '{X}', 'frozen', 0, '', '')", {}, "NUMBER_FROZEN"),
        ("DELETE FROM contract", {}, "CONTRACT_NOT_IN_FORCE"),
        ("UPDATE contract SET state = 'terminated'", {}, "CONTRACT_NOT_IN_FORCE"),
        ("UPDATE contract SET to_day = '2026-11-23'", {}, "CONTRACT_NOT_IN_FORCE"),
        ("UPDATE contract SET from_day = '2026-11-25'", {}, "CONTRACT_NOT_IN_FORCE"),
        # It is 09:02 of the 24th in China.
        ("UPDATE contract SET to_day = '2026-11-24'", {"expiration": "2026-11-24T16:00:00Z"}, ""),
        ("UPDATE contract SET to_day = '2026-11-24'", {"expiration": "2026-11-24T16:00:01Z"}, "EXPIRE_DATE_ILLEGAL"),
        ("UPDATE scenario SET state = 'retired'", {}, "SCENARIO_FORBIDS scenario: express is retired"),
        ("UPDATE scenario SET modes = '[\"GXB\"]'", {}, "SCENARIO_FORBIDS mode: scenario express allows GXB"),
        ("UPDATE business_user SET scenarios = '[\"express\", \"taxi\"]'", {}, ""),
        ("UPDATE business_user SET scenarios = '[\"food\", \"taxi\"]'", {},
         "SCENARIO_FORBIDS scenario: bu-express has numbers for food, taxi, not for express"),
        ("UPDATE number_block SET state = 'recalling'", {}, "ILLEGAL_STATE tel_x"),
        ("UPDATE number_block SET business_user = 'bu-other'", {}, "NO_USED_BY_OTHERS tel_x"),
        ("UPDATE scenario SET order_check = 'bind'", {}, "ORDER_UNVERIFIED order_id: the order is not known"),
        (ORDER, {}, "ORDER_UNVERIFIED"),
        ("UPDATE scenario SET real_name = 'a'", {}, "REALNAME_MISSING tel_a: the real name behind 138****8000"),
        ("UPDATE business_user SET consent = 'required'", {}, "CONSENT_MISSING tel_a"),
        ("UPDATE business_user SET consent = 'required'", {"consent_ref": "file 7"}, ""),
        ("", {"pool_key": "paused"}, "ILLEGAL_STATE pool_key"),
        ("", {"pool_key": "nothing"}, "ILLEGAL_ARGUMENT pool_key"),
        ("DELETE FROM pool_block", {"pool_key": "any"}, "ILLEGAL_ARGUMENT tel_x"),
        ("", {"call_restrict": "CONTROL_GX_DISABLE"}, "ILLEGAL_ARGUMENT call_restrict"),
        ("", {"callback": "sequential"}, "ILLEGAL_ARGUMENT callback: mode AXB has none"),
        ("", {"mode": "AXYB", "tel_y": X}, "ILLEGAL_ARGUMENT tel_y: is also tel_x"),
        ("", {"mode": "GXB", "group_id": "nobody"}, "ILLEGAL_ARGUMENT group_id"),
        ("", {"legacy_x": "17012345678"}, "ILLEGAL_ARGUMENT legacy_until: missing"),
        ("", {"legacy_x": X, "legacy_until": "2026-12-01T00:00:00Z"}, "ILLEGAL_ARGUMENT legacy_x"),
        ("", {"legacy_x": "10086", "legacy_until": "2026-12-01T00:00:00Z"}, "ILLEGAL_ARGUMENT legacy_x"),
        ("", {"legacy_x": B, "legacy_until": "2026-12-01T00:00:00Z"}, "ILLEGAL_ARGUMENT legacy_x: is the number of"),
        ("", {"max_call_s": -1}, "ILLEGAL_ARGUMENT max_call_s"),
        ("", {"decision": "perhaps"}, "ILLEGAL_ARGUMENT decision"),
    ],
)  # fmt: skip
def test_the_gates(shop: Shop, statement: str, changes: dict[str, object], refusal: str) -> None:
    if statement:
        shop.run(statement)
    found = shop.refused(**changes)
    assert found.startswith(refusal) if refusal else found == ""
    assert not any(number in found for number in (A, B))


@pytest.mark.parametrize(("state", "until", "is_good"), [
    ("verified", None, True), ("verified", 1e10, True), ("verified", 1.0, False), ("unverified", None, False),
    ("closed", None, False),
])  # fmt: skip
def test_an_order_is_proved(shop: Shop, state: str, until: float | None, is_good: bool) -> None:
    shop.run("UPDATE scenario SET order_check = 'bind'")
    shop.run("INSERT INTO service_order VALUES ('bu-express', 'order-1', '', ?, 1, ?, '')", state, until)
    assert shop.refused().startswith("ORDER_UNVERIFIED") is not is_good


def test_both_names(shop: Shop) -> None:
    shop.run("UPDATE scenario SET real_name = 'both'")
    verify(shop, A)
    assert shop.refused().startswith("REALNAME_MISSING tel_b")
    verify(shop, B)
    assert shop.refused() == ""


def test_a_change_is_a_new_version(shop: Shop) -> None:
    bound = shop.bind(out_id="mine", ring_timeout_s=20, legacy_x="17012345678", legacy_until="2026-11-30T00:00:00Z")
    shop.now += 5.0
    new = shop.do(lambda: shop.binder.update(bound.subs_id, Change(tel_b=C, out_id="yours"), shop.now))
    assert new == (bound.subs_id, 2, X, "", bound.expires_at)
    assert {target[:3] for target in shop.targets(bound.subs_id)} == {
        (X, A, C), (X, C, A), ("17012345678", A, C), ("17012345678", C, A),
    }  # fmt: skip
    rows = shop.run("SELECT version, out_id, ring_timeout_s, valid_from, valid_to, ended_because FROM binding")
    begun, changed = round(shop.now - 5.0, 3), round(shop.now, 3)
    assert rows == [(1, "mine", 20, begun, changed, "replaced"), (2, "yours", 20, changed, None, "")]
    assert set(shop.run("SELECT version, ring_timeout_s FROM target")) == {(2, 20)}


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (Change(tel_b=A), "MOBILE_NUMBER_ILLEGAL tel_b"),
        (Change(tel_b=D), "BIND_CONFLICT tel_x"),
        (Change(expiration="2026-11-24T01:03:00Z"), "EXPIRE_DATE_ILLEGAL expiration"),
        (Change(expiration="2027-01-30T01:03:00Z"), "EXPIRE_DATE_ILLEGAL expiration"),
        (Change(group_id="g-1"), "ILLEGAL_ARGUMENT group_id"),
        (Change(call_restrict="CONTROL_GX_DISABLE"), "ILLEGAL_ARGUMENT call_restrict"),
    ],
)
def test_a_change_that_breaks_a_rule_changes_nothing(shop: Shop, change: Change, refusal: str) -> None:
    bound = shop.bind()
    shop.bind(tel_a=D, tel_b=E)
    before = list(shop.connection.iterdump())
    with pytest.raises(Problem) as caught:
        shop.do(lambda: shop.binder.update(bound.subs_id, change, shop.now))
    assert f"{caught.value.code} {caught.value}".startswith(refusal)
    assert list(shop.connection.iterdump()) == before


def test_a_platform_that_winds_down_renews_nothing_but_may_change(shop: Shop) -> None:
    bound = shop.bind()
    shop.run("UPDATE app_platform SET state = 'winding_down'")
    later = utc_text(bound.expires_at + 1.0)
    with pytest.raises(Problem) as caught:
        shop.do(lambda: shop.binder.update(bound.subs_id, Change(expiration=later), shop.now))
    assert caught.value.code is ProblemCode.PARTNER_IS_CLOSED
    sooner = utc_text(bound.expires_at - 1.0)
    changed = shop.do(lambda: shop.binder.update(bound.subs_id, Change(expiration=sooner, tel_b=C), shop.now))
    assert changed.version == 2


def test_what_has_ended_is_not_changed(shop: Shop) -> None:
    bound = shop.bind()
    shop.now = bound.expires_at
    with pytest.raises(Problem, match="has expired"):
        shop.do(lambda: shop.binder.update(bound.subs_id, Change(out_id="x"), shop.now))
    shop.do(lambda: shop.binder.unbind(bound.subs_id, shop.now))
    with pytest.raises(Problem, match="has ended already"):
        shop.do(lambda: shop.binder.update(bound.subs_id, Change(out_id="x"), shop.now))


def test_a_member_that_comes_and_one_that_goes(shop: Shop) -> None:
    shop.group(A, C)
    bound = shop.bind(mode="GXB", group_id="g-1", default_a=A)
    changed = shop.do(lambda: shop.groups().edit("g-1", "overwrite", [D, C], shop.now))
    assert (changed.members, changed.version) == ((D, C), 2)
    assert {target[:3] for target in shop.targets(bound.subs_id)} == {(X, D, B), (X, C, B), (X, B, D)}
    assert set(shop.run("SELECT version FROM target")) == {(1,)}


@pytest.mark.parametrize(
    ("how", "members", "refusal"),
    [
        ("add", [B], "ILLEGAL_ARGUMENT tel_b"),
        ("add", [E], "BIND_CONFLICT tel_x"),
        ("remove", [A, C], "ILLEGAL_ARGUMENT members"),
        ("remove", [F], "NOT_FOUND members"),
        ("overwrite", [], "ILLEGAL_ARGUMENT members"),
        ("overwrite", [f"138{number:08d}" for number in range(201)], "ILLEGAL_ARGUMENT members"),
        ("add", ["nobody"], "MOBILE_NUMBER_ILLEGAL members"),
    ],
)
def test_a_group_that_would_break_a_rule_stays(shop: Shop, how: str, members: list[str], refusal: str) -> None:
    shop.group(A, C)
    shop.bind(mode="GXB", group_id="g-1")
    shop.bind(tel_a=E, tel_b=F)
    before = list(shop.connection.iterdump())
    with pytest.raises(Problem) as caught:
        shop.do(lambda: shop.groups().edit("g-1", how, members, shop.now))
    assert f"{caught.value.code} {caught.value}".startswith(refusal)
    assert list(shop.connection.iterdump()) == before


def test_a_group_that_is_bound_is_not_deleted(shop: Shop) -> None:
    shop.group(A, C)
    bound = shop.bind(mode="GXB", group_id="g-1")
    with pytest.raises(Problem, match="is bound"):
        shop.do(lambda: shop.groups().delete("g-1", shop.now))
    shop.do(lambda: shop.binder.unbind(bound.subs_id, shop.now))
    assert shop.do(lambda: shop.groups().delete("g-1", shop.now)).state == "deleted"
    assert shop.refused(mode="GXB", group_id="g-1").startswith("ILLEGAL_STATE group_id")
    moves = shop.run("SELECT from_state, to_state FROM transition WHERE kind = 'number_group' ORDER BY id")
    assert moves == [
        ("", "active"), ("active", "deleted"),
    ]  # fmt: skip


def test_a_group_of_another_business_user_is_none(shop: Shop) -> None:
    shop.group(A, C, business_user="bu-other")
    assert shop.refused(mode="GXB", group_id="g-1").startswith("ILLEGAL_ARGUMENT group_id: 'g-1' is no group of bu-exp")


def test_the_binding_of_another_user_is_not_named(shop: Shop) -> None:
    """Only a number of before can be wanted by two: no block says whose it is."""
    legacy = {"legacy_x": "17012345678", "legacy_until": "2026-11-30T00:00:00Z"}
    shop.bind(**legacy)
    shop.run("UPDATE number_block SET business_user = 'bu-other' WHERE prefix = '70013800138'")
    shop.run("UPDATE contract SET business_user = 'bu-other'")
    wish = {"business_user": "bu-other", "tel_x": "700138001380009", "tel_a": D, "tel_b": B}
    assert shop.refused(**wish, **legacy) == (
        "BIND_CONFLICT legacy_x: 17012345678 is already bound for 139****9000, by another business user"
    )


def test_the_feed_is_told(shop: Shop) -> None:
    bound = shop.bind()
    shop.do(lambda: shop.binder.update(bound.subs_id, Change(tel_b=C), shop.now))
    shop.do(lambda: shop.binder.unbind(bound.subs_id, shop.now))
    told = shop.run("SELECT app_platform, kind, subject, payload FROM outbox WHERE kind LIKE 'binding.%' ORDER BY id")
    assert [row[:3] for row in told] == [
        ("ap-demo", f"binding.{what}", bound.subs_id) for what in ("created", "updated", "unbound")
    ]
    assert not any(number in row[3] for row in told for number in (A, B, C))
