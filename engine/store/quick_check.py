"""The rules for what nearly every line of a file is: two numbers in mode AXB, no options, nothing to ask for."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from typing import Final, final

from engine.core.numbers import MOBILE_LENGTH, PRIVACY_LENGTH, canonical_real, is_privacy_number
from engine.domain import gates
from engine.domain.problems import Problem
from engine.domain.targets import AXB, Wiring, common_flags
from engine.store.binding_rows import Terms
from engine.store.binding_rules import instant, is_text
from engine.store.standing import Standing

_ENDS_KEPT: Final = 4096  # in an import each line may end at another time
# X, A and B one behind the other; the length of A says where it ends.
_is_usual: Final = re.compile(r"700[0-9]{12}1[3-9][0-9]{9}1[3-9][0-9]{9}").fullmatch
_FORGED: Final = "SELECT 1 FROM service_order WHERE business_user = ? AND order_id = ? AND state = 'forged'"
_NEVER: Final = float("-inf")
_End = tuple[str, str, float]  # app platform, scenario, seconds since the epoch (UTC)
_NOT_PLAIN: Final[_End] = ("", "", _NEVER)
_NO_OPTIONS: Final = Wiring(AXB, "", "", "", "", "", True, "", "")


@final
class QuickCheck:
    """What it accepts, `Binder` accepts as well, where the memory of X says nothing against it."""

    def __init__(self, connection: sqlite3.Connection, standing: Standing, wall_s: float) -> None:
        self._connection = connection
        self._standing = standing
        self._wall_s = wall_s
        self._expires_after = wall_s + gates.MIN_TTL_S
        self._restricted = standing.restricted()
        self._has_forged = connection.execute(
            "SELECT EXISTS (SELECT 1 FROM service_order WHERE state = 'forged')"
        ).fetchone()[0]
        self._owners: dict[str, str] = {}  # block -> business user, "" where it cannot be bound in
        self._ends: dict[tuple[str, str, str], _End] = {}
        self._latest: dict[tuple[str, str], float] = {}  # (business user, scenario) -> until when at most

    def terms(self, values: Sequence[str]) -> Terms | None:
        """The terms of the first ten values of a BindRequest; None: the whole rules must say."""
        mode, tel_x, tel_y, tel_a, tel_b, group_id, business_user, order_id, scenario, expiration = values
        if mode != AXB or tel_y or group_id:
            return None
        if len(tel_x) != PRIVACY_LENGTH or len(tel_a) != MOBILE_LENGTH or not _is_usual(tel_x + tel_a + tel_b):
            if not is_privacy_number(tel_x):
                return None
            tel_a, tel_b = canonical_real(tel_a) or "", canonical_real(tel_b) or ""
            if not tel_a or not tel_b:
                return None
        if tel_a == tel_b or tel_a in tel_x or tel_b in tel_x or tel_x in self._restricted:
            return None
        prefix = tel_x[: gates.BLOCK_DIGITS]
        owner = self._owners.get(prefix)
        if (self._owner(prefix) if owner is None else owner) != business_user or not business_user:
            return None
        order_id = order_id.strip()
        if not is_text(order_id):
            return None
        key = (business_user, scenario, expiration)
        end = self._ends.get(key) or self._end(key)
        if end is _NOT_PLAIN:
            return None
        if self._has_forged and self._connection.execute(_FORGED, (business_user, order_id)).fetchone():
            return None
        app_platform, code, expires_at = end
        return Terms(mode, tel_x, "", tel_a, tel_b, "", business_user, app_platform, order_id, code, expires_at)

    def _end(self, key: tuple[str, str, str]) -> _End:
        """Of a business user, scenario and expiration as they were written."""
        if len(self._ends) >= _ENDS_KEPT:
            self._ends.clear()
        end = self._ends[key] = self._read_end(*key)
        return end

    def _read_end(self, business_user: str, scenario: str, expiration: str) -> _End:
        code = scenario.strip()
        tenant = self._standing.tenant(business_user)
        try:
            expires_at = instant("expiration", expiration)
        except Problem:
            return _NOT_PLAIN
        if tenant is None or not self._expires_after < expires_at <= self._until(business_user, code):
            return _NOT_PLAIN
        return tenant.app_platform, code, expires_at

    def _owner(self, prefix: str) -> str:
        block = self._standing.block(prefix)
        is_open = block is not None and block.state == "assigned" and not block.is_killed
        owner = self._owners[prefix] = block.business_user if is_open and block is not None else ""
        return owner

    def _until(self, business_user: str, code: str) -> float:
        key = (business_user, code)
        until = self._latest.get(key)
        if until is None:
            until = self._latest[key] = self._read_until(business_user, code)
        return until

    def _read_until(self, business_user: str, code: str) -> float:
        """How long a binding without options may last; _NEVER where it may not be, or where more must be asked."""
        tenant, scenario = self._standing.tenant(business_user), self._standing.scenario(code)
        if tenant is None or scenario is None:
            return _NEVER
        try:
            gates.platform_is_active(tenant)
            gates.user_is_registered(tenant)
            gates.nothing_is_killed(tenant)
            gates.contract_is_in_force(tenant)
            gates.scenario_admits(scenario, AXB)
            gates.scenario_is_the_users(tenant, scenario)
        except Problem:
            return _NEVER
        asks = tenant.is_consent_required or scenario.real_name != "off" or scenario.order_check != "off"
        if asks or scenario.max_call_s or common_flags(_NO_OPTIONS, scenario):
            return _NEVER
        return gates.latest_end(tenant, scenario, self._wall_s)
