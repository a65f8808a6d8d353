"""The rules for what nearly every line of a file is: two numbers in mode AXB, no options, nothing to ask for."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, final

from engine.core.numbers import canonical_real, is_mobile, is_privacy_number
from engine.domain import gates
from engine.domain.problems import Problem
from engine.domain.targets import AXB, Wiring, common_flags
from engine.store.binding_rows import Terms
from engine.store.binding_rules import instant, is_text
from engine.store.standing import Standing

_FORGED: Final = "SELECT 1 FROM service_order WHERE business_user = ? AND order_id = ? AND state = 'forged'"
_NEVER: Final = float("-inf")
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
        self._latest: dict[tuple[str, str], float] = {}  # (business user, scenario) -> until when at most

    def terms(self, values: Sequence[str]) -> Terms | None:
        """The terms of the first ten values of a BindRequest; None: the whole rules must say."""
        mode, tel_x, tel_y, tel_a, tel_b, group_id, business_user, order_id, scenario, expiration = values
        if mode != AXB or tel_y or group_id or not is_privacy_number(tel_x):
            return None
        if not business_user or self._owner(tel_x[: gates.BLOCK_DIGITS]) != business_user:
            return None
        if not (_is_plain_mobile(tel_a) and _is_plain_mobile(tel_b)):
            tel_a, tel_b = canonical_real(tel_a) or "", canonical_real(tel_b) or ""
        if tel_a == tel_b or not tel_a or not tel_b or tel_a in tel_x or tel_b in tel_x:
            return None
        order_id, scenario = order_id.strip(), scenario.strip()
        if not is_text(order_id) or tel_x in self._restricted:
            return None
        try:
            expires_at = instant("expiration", expiration)
        except Problem:
            return None
        if not self._expires_after < expires_at <= self._until(business_user, scenario):
            return None
        if self._has_forged and self._connection.execute(_FORGED, (business_user, order_id)).fetchone():
            return None
        tenant = self._standing.tenant(business_user)
        assert tenant is not None
        return Terms(
            mode, tel_x, "", tel_a, tel_b, "", business_user, tenant.app_platform, order_id, scenario, expires_at
        )

    def _owner(self, prefix: str) -> str:
        owner = self._owners.get(prefix)
        if owner is None:
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
        except Problem:
            return _NEVER
        asks = tenant.is_consent_required or scenario.real_name != "off" or scenario.order_check != "off"
        if asks or scenario.max_call_s or common_flags(_NO_OPTIONS, scenario):
            return _NEVER
        return gates.latest_end(tenant, scenario, self._wall_s)


def _is_plain_mobile(text: str) -> bool:
    """True of nearly every number: a mobile one in canonical form."""
    return text.isascii() and text.isdigit() and is_mobile(text)
