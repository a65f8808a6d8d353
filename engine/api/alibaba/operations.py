"""The operations that are there, by their names, with the parameters of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

from engine.api.alibaba import bindings, resources
from engine.api.alibaba.case import Case, illegal
from engine.api.alibaba.errors import Refusal, mandatory

VERSION: Final = "2017-05-25"

# Parameters of every request: of the signature, and of whoever owned a number in Alibaba's own books.
_COMMON: Final = frozenset(
    (
        "AccessKeyId", "Action", "Format", "RegionId", "SecurityToken", "Signature", "SignatureMethod",
        "SignatureNonce", "SignatureType", "SignatureVersion", "Timestamp", "Version", "OwnerId", "OwnerAccount",
        "ResourceOwnerAccount", "ResourceOwnerId",
    )
)  # fmt: skip


@final
@dataclass(frozen=True, slots=True)
class Operation:
    """What it does, and its parameters."""

    work: Callable[[Case], dict[str, object]]
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()  # what is of no use here, and does no harm
    is_of_700: bool = False  # of the newer form: its answer says Success
    only_reads: bool = False
    order: Callable[[Case], bindings.Order | None] = lambda _case: None  # that must perhaps be proved before

    def given(self, said: Mapping[str, str]) -> dict[str, str]:
        """Its parameters of what was said, without empty ones. Refusal, Problem."""
        given = {name: value for name, value in said.items() if value and name not in _COMMON}
        for name in self.required:
            if name not in given:
                raise mandatory(name)
        for name in given:
            if name not in self.required and name not in self.optional and name not in self.ignored:
                raise illegal("", "a parameter is not known to this operation")
        return given


_ORDER: Final = ("OrderId", "IndustrialId")
_UNDONE: Final = ("NeedRecord", "NeedAsr", "Audio", "DtmfConfig")
_BIND: Final = ("TelX", *_ORDER, "OutOrderId", "OutId", "CallRestrict", "CallTimeout", *_UNDONE)
_OF_UNDONE: Final = ("RecType", "AsrModelId")
_BLACK: Final = ("PoolKey", "BlackNo", "BlackType")
_NUMBER: Final = ("PoolKey", "SecretNo")

OPERATIONS: Final[Mapping[str, Operation]] = MappingProxyType(
    {
        "BindAxb700": Operation(
            bindings.bind_axb, ("PoolKey", "TelA", "TelB", "Expiration"), _BIND, _OF_UNDONE, is_of_700=True,
            order=bindings.order_of_bind,
        ),
        "BindGxb700": Operation(
            bindings.bind_gxb, ("PoolKey", "TelB", "Expiration"), ("GroupId", "DefaultA", *_BIND), _OF_UNDONE,
            is_of_700=True, order=bindings.order_of_bind,
        ),
        "UpdateSubs700": Operation(
            bindings.update, ("PoolKey", "SubsId", "TelX", "OperateType"),
            ("TelA", "TelB", "Expiration", "GroupId", "DefaultA", "CallRestrict", "OutId", *_ORDER, *_UNDONE),
            _OF_UNDONE, is_of_700=True, order=bindings.order_of_update,
        ),
        "UnbindSubs700": Operation(
            bindings.unbind, ("PoolKey", "SubsId", "TelX"), _ORDER, is_of_700=True
        ),
        "QuerySubscriptionDetail": Operation(
            bindings.detail, ("PoolKey", "SubsId", "PhoneNoX"), ignored=("ProductType",), only_reads=True
        ),
        "QuerySubsId": Operation(bindings.subs_id, ("PoolKey", "PhoneNoX"), only_reads=True),
        "CreateAxgGroup": Operation(resources.create_group, ("PoolKey",), ("Name", "Numbers"), ("Remark",)),
        "OperateAxgGroup": Operation(resources.edit_group, ("PoolKey", "GroupId", "OperateType", "Numbers")),
        "AddSecretBlacklist": Operation(resources.add_black, _BLACK, ("WayControl",), ("Remark",)),
        "DeleteSecretBlacklist": Operation(resources.delete_black, _BLACK, ("WayControl",), ("Remark",)),
        "LockSecretNo": Operation(resources.lock, _NUMBER),
        "UnlockSecretNo": Operation(resources.unlock, _NUMBER),
        "QuerySecretNoDetail": Operation(resources.number, _NUMBER, only_reads=True),
    }
)  # fmt: skip


def find_operation(name: str, version: str) -> Operation:
    """Refusal for what is not there."""
    if version != VERSION:
        raise Refusal(400, "InvalidVersion", f"Version must be {VERSION}.")
    found = OPERATIONS.get(name)
    if found is None:
        raise Refusal(404, "InvalidAction.NotFound", "This operation is not offered here: see docs/alibaba.md.")
    return found
