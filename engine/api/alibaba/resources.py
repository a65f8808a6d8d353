"""Operations on groups of numbers, the blacklist and single 700 numbers."""

from __future__ import annotations

import secrets
from typing import Final

from engine.api.alibaba.case import Case, china_text, illegal
from engine.domain.gates import BLOCK_DIGITS
from engine.domain.problems import Problem, ProblemCode
from engine.store.audit import Asker
from engine.store.blacklist import add_to_blacklist, remove_from_blacklist
from engine.store.groups import ADD, OVERWRITE, REMOVE, Groups
from engine.store.restrictions import COMPUTED, move_number, number_state

Fields = dict[str, object]

# GroupId is an integer there, which some languages hold exactly only below 2^53.
FIRST_GROUP: Final = 10**15
GROUPS: Final = 8 * 10**15

_EDITS: Final = {"addNumbers": ADD, "deleteNumbers": REMOVE, "overwriteNumbers": OVERWRITE}
_PAIR: Final = "POINT_TO_POINT_BLACK"
_ALL: Final = "PARTNER_GLOBAL_NUMBER_BLACK"
_SECRET_STATUS: Final = {"bound": 1, "locked": 2, "frozen": 3, "returned": 3, "killed": 3}
_BOUGHT: Final = "SELECT from_at FROM assignment WHERE prefix = ? AND until_at IS NULL"


def create_group(case: Case) -> Fields:
    """A group of up to 200 numbers, in the order in which they are tried."""
    group_id = str(FIRST_GROUP + secrets.randbelow(GROUPS))
    members = _numbers(case["Numbers"])
    made = _groups(case).create(case.pool.business_user, case["Name"] or group_id, members, case.wall_s, group_id)
    return {"GroupId": int(made.group_id)}


def edit_group(case: Case) -> Fields:
    """Its bindings follow at once; calls in progress go on."""
    how = _EDITS.get(case["OperateType"])
    if how is None:
        raise illegal("OperateType", f"must be one of {', '.join(_EDITS)}")
    groups = _groups(case)
    group = groups.get(case["GroupId"])
    if group.app_platform != case.who.app_platform or group.business_user != case.pool.business_user:
        raise Problem(ProblemCode.NOT_FOUND, "group_id", "there is no such group")
    groups.edit(group.group_id, how, _numbers(case["Numbers"]), case.wall_s)
    return {}


def add_black(case: Case) -> Fields:
    """It takes the place of what was said of the same two numbers before."""
    first, second, way = _black(case)
    _forget(case, first, second)
    add_to_blacklist(
        case.connection, case.desk.cipher, case.who.app_platform, first, second, way or "both", case.wall_s
    )
    case.wrote("blacklist.add", f"{case.who.app_platform} {way or 'both'}")
    return {}


def delete_black(case: Case) -> Fields:
    """Whatever was said of these two numbers, or of the one."""
    first, second, _ = _black(case)
    if not _forget(case, first, second):
        raise Problem(ProblemCode.NOT_FOUND, "first", "is not on the blacklist")
    case.wrote("blacklist.remove", case.who.app_platform)
    return {}


def lock(case: Case) -> Fields:
    """No call and no message goes through it until it is unlocked."""
    return _move(case, "locked", COMPUTED)


def unlock(case: Case) -> Fields:
    """Only what is locked: who has frozen a number lets it free himself."""
    return _move(case, "idle", ("locked",))


def number(case: Case) -> Fields:
    """What a 700 number is now."""
    x = case["SecretNo"]
    case.must_hold(x)
    found: Fields = {"SecretStatus": _SECRET_STATUS.get(number_state(case.connection, x, case.wall_s), 0)}
    row = case.connection.execute(_BOUGHT, (x[:BLOCK_DIGITS],)).fetchone()
    if row is not None and row[0]:
        found["PurchaseTime"] = china_text(row[0])
    return {"SecretNoInfoDTO": found}


def _groups(case: Case) -> Groups:
    return Groups(case.connection, case.desk.cipher, case.binder(), Asker(case.who.actor))


def _numbers(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]


def _black(case: Case) -> tuple[str, str, str]:
    """The two numbers, the second "" for everybody, and what still goes through, "" where that was not said."""
    written, control = case["BlackNo"], case["WayControl"]
    if case["BlackType"] == _ALL:
        if control:
            raise illegal("WayControl", f"goes with {_PAIR} only")
        return written, "", ""
    if case["BlackType"] != _PAIR:
        raise illegal("BlackType", f"must be {_PAIR} or {_ALL}")
    first, colon, second = written.partition(":")
    if not colon or not second:
        raise illegal("BlackNo", "must be two numbers with a colon between")
    if control == "PHONEA_REJECT":  # the first may still call the second
        return first, second, "first_may_call"
    if control == "PHONEB_REJECT":
        return second, first, "first_may_call"
    if control not in ("", "DUPLEX_REJECT"):
        raise illegal("WayControl", "must be DUPLEX_REJECT, PHONEA_REJECT or PHONEB_REJECT")
    return first, second, "both"


def _forget(case: Case, first: str, second: str) -> bool:
    """Takes a pair off the list, whichever of the two stands first there; False when it was not on it."""
    is_removed = _remove(case, first, second)
    return (bool(second) and _remove(case, second, first)) or is_removed


def _remove(case: Case, first: str, second: str) -> bool:
    try:
        remove_from_blacklist(case.connection, case.desk.cipher, case.who.app_platform, first, second)
    except Problem as problem:
        if problem.code is not ProblemCode.NOT_FOUND:
            raise
        return False
    return True


def _move(case: Case, wanted: str, allowed: tuple[str, ...]) -> Fields:
    x = case["SecretNo"]
    case.must_hold(x)
    before = number_state(case.connection, x, case.wall_s)
    if before not in allowed:
        raise Problem(ProblemCode.FORBIDDEN, "state", f"the number is {before}")
    move_number(case.connection, x, wanted, Asker(case.who.actor, "asked by the platform"), case.wall_s)
    return {}
