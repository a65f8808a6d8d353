"""Who may ask: signatures that hold once, tokens, limits, and what a start of the process remembers."""

from __future__ import annotations

import time
from typing import Any

import pytest

from engine.api import auth
from engine.api.app import Api
from engine.api.gate import MAX_BODY
from engine.config import Config
from engine.logging import set_up_logging
from engine.store.api_keys import Role
from tests.api.asking import Client
from tests.api.conftest import MakeKey

KEYS = "/v1/api_keys"


async def known(client: Client, **how: Any) -> bool:
    """Listing keys stands here for whatever one may ask: a platform may not, but is told so."""
    return (await client.ask("GET", KEYS, **how)).status in (200, 403)


async def test_a_signed_request_is_known_and_an_unsigned_one_is_not(api: Api, platform: Client) -> None:
    assert await known(platform)
    refused = await Client(api).ask("GET", KEYS)
    assert (refused.status, refused.code, refused.json["field"]) == (401, "UNAUTHENTICATED", "X-Veil-Key")
    assert refused.headers["www-authenticate"].startswith("Bearer")


async def test_a_signature_is_for_one_request_alone(platform: Client) -> None:
    assert (await platform.ask("GET", f"{KEYS}?limit=2", signed=f"{KEYS}?limit=3")).code == "UNAUTHENTICATED"
    proof = platform.proof("POST", KEYS, b"{}")
    bare = Client(platform.api)
    for method, target, body in (("PUT", KEYS, b"{}"), ("POST", f"{KEYS}/x", b"{}"), ("POST", KEYS, b"{ }")):
        answer = await bare.ask(method, target, body, **proof)
        assert (answer.status, answer.json["field"]) == (401, "X-Veil-Signature")
    assert (await bare.ask("POST", KEYS, b"{}", **proof)).status == 403
    again = await bare.ask("POST", KEYS, b"{}", **proof)
    assert (again.status, again.json["field"]) == (401, "X-Veil-Nonce")


@pytest.mark.parametrize(("away_s", "is_taken"), [(-310, False), (-290, True), (290, True), (310, False)])
async def test_a_time_far_from_ours_is_refused(
    platform: Client, monkeypatch: pytest.MonkeyPatch, away_s: float, is_taken: bool
) -> None:
    now_s = time.time()
    monkeypatch.setattr(platform.api._keys, "_clock", lambda: now_s)  # it stands still, however slow the machine is
    proof = platform.proof("GET", KEYS, b"", now_s + away_s)
    assert await known(Client(platform.api), **proof) is is_taken


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("X-Veil-Time", "2026-11-24 08:00"), ("X-Veil-Time", "9999-99-99T99:99:99Z"), ("X-Veil-Nonce", "short"),
        ("X-Veil-Nonce", "with a space"), ("X-Veil-Signature", "é"), ("X-Veil-Key", "0123456789abcdef"),
        ("Authorization", "Bearer vt_0123456789abcdef_aaaaaaaaaaaaaaaaaaaaaaaa"), ("Authorization", "Basic eDp5"),
    ],
)  # fmt: skip
async def test_what_is_no_proof_is_refused(platform: Client, field: str, value: str) -> None:
    proof = platform.proof("GET", KEYS, b"") | {field: value}
    assert (await Client(platform.api).ask("GET", KEYS, **proof)).status == 401


async def test_a_revoked_key_counts_no_more(operator: Client, platform: Client, auditor: Client) -> None:
    for client in (platform, auditor):
        assert await known(client)
        key_id = client.key_id or client.token.split("_")[1]
        assert (await operator.ask("DELETE", f"{KEYS}/{key_id}")).status == 204
        assert (await client.ask("GET", KEYS)).status == 401
    assert (await operator.ask("DELETE", f"{KEYS}/{platform.key_id}")).code == "NOT_FOUND"


ALLOWED = ("10.1.0.0/16", "192.0.2.7", "2001:db8::/32")


@pytest.mark.parametrize(
    ("address", "is_taken"),
    [
        ("10.1.255.3", True), ("10.2.0.1", False), ("192.0.2.7", True), ("192.0.2.8", False), ("2001:db8::1", True),
        ("2001:db9::1", False), ("::ffff:10.1.2.3", True), ("::ffff:10.2.2.3", False), ("", False), ("socket", False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("role", [Role.OPERATOR, Role.PLATFORM])
async def test_a_key_is_used_from_where_it_may(
    api: Api, make_key: MakeKey, role: Role, address: str, is_taken: bool
) -> None:
    key = make_key(role, "ap-one" if role is Role.PLATFORM else "", 0, *ALLOWED)
    token = key.secret if role is Role.OPERATOR else ""
    client = Client(api, token, "" if token else key.key_id, key.secret, address)
    answer = await client.ask("GET", "/v1/orders" if token else "/v1/events")
    if is_taken:
        assert answer.status not in (401, 403)
    else:
        assert (answer.status, answer.code) == (403, "FORBIDDEN")
        assert "address" in answer.json["detail"]


async def test_who_has_not_proved_a_key_hears_nothing_of_its_addresses(api: Api, make_key: MakeKey) -> None:
    key = make_key(Role.PLATFORM, "ap-one", 0, "192.0.2.7")
    answer = await Client(api, key_id=key.key_id, secret="another").ask("GET", KEYS)
    assert (answer.status, answer.json["field"]) == (401, "X-Veil-Signature")


async def test_where_a_key_may_be_used_is_said_when_it_is_made(operator: Client) -> None:
    wanted = {"role": "auditor", "ip_allow": ["10.0.0.0/8", "192.0.2.7"]}
    made = (await operator.ask("POST", KEYS, wanted)).json
    (row,) = [one for one in (await operator.ask("GET", KEYS)).json["items"] if one["key_id"] == made["key_id"]]
    assert row["ip_allow"] == ["10.0.0.0/8", "192.0.2.7/32"]
    for wrong in (["10.0.0.1/8"], ["all"], [""], ["10.0.0.0/8"] * 33):
        refused = await operator.ask("POST", KEYS, wanted | {"ip_allow": wrong})
        assert (refused.status, refused.json["field"]) == (400, "ip_allow")


async def test_no_secret_passes_as_a_token(api: Api, platform: Client, operator: Client) -> None:
    assert (await Client(api, token=f"vt_{platform.key_id}_{platform.secret}").ask("GET", KEYS)).status == 401
    _, key_id, secret = operator.token.split("_", 2)
    assert (await Client(api, key_id=key_id, secret=secret).ask("GET", KEYS)).status == 401


async def test_what_was_taken_before_a_start_is_not_taken_again(config: Config, make_key: MakeKey) -> None:
    log = set_up_logging("warning", "console")
    key = make_key(Role.PLATFORM, "ap-one")
    first = Api(config, log)
    client = Client(first, key_id=key.key_id, secret=key.secret)
    older, taken = (client.proof("GET", KEYS, b"", time.time() + offset_s) for offset_s in (-1, 0))
    assert await known(Client(first), **taken)
    await first.close()
    second = Api(config, log)
    for proof in (taken, older):
        refused = await Client(second).ask("GET", KEYS, **proof)
        assert (refused.status, refused.json["field"]) == (401, "X-Veil-Time")
    assert await known(Client(second, key_id=key.key_id, secret=key.secret))
    await second.close()


async def test_a_key_may_ask_as_often_as_it_may(api: Api, make_key: MakeKey, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = time.time()
    monkeypatch.setattr(api._keys, "_clock", lambda: now_s)  # it stands still, however slow the machine is
    key = make_key(Role.PLATFORM, "ap-one", 3)
    client = Client(api, key_id=key.key_id, secret=key.secret)
    answers = [await client.ask("GET", KEYS) for _ in range(5)]
    assert [answer.status for answer in answers] == [403, 403, 403, 429, 429]
    assert (answers[-1].code, answers[-1].headers["retry-after"]) == ("FLOW_LIMIT", "1")


def test_what_is_owed_is_waited_for() -> None:
    rates = auth._Rates(0)
    assert rates.take("k", 10, 25, 0.0)
    assert [rates.take("k", 10, 1, now_s) for now_s in (0.1, 1.4, 1.61)] == [False, False, True]
    assert rates.take("other", 0, 10_000, 0.0)


def test_nonces_are_forgotten_with_their_time() -> None:
    nonces = auth._Nonces()
    assert nonces.add("k", "nonce-01", 1000.0, 1000.0)
    assert not nonces.add("k", "nonce-01", 1000.0, 1000.0 + auth.WINDOW_S)
    assert nonces.add("other", "nonce-01", 1000.0, 1000.0)
    assert nonces.add("k", "nonce-02", 2000.0, 2000.0)
    assert nonces._count == 1


async def test_what_is_too_long_is_refused(operator: Client) -> None:
    answer = await operator.ask("POST", KEYS, b" " * (MAX_BODY + 1))
    assert (answer.status, answer.code) == (413, "ILLEGAL_ARGUMENT")


@pytest.mark.parametrize("target", ["/v1/nothing", "/", "/v1/api_keys/"])
async def test_what_is_not_there_is_said_to_those_who_are_known(api: Api, operator: Client, target: str) -> None:
    assert (await Client(api).ask("GET", target)).status == 401
    answer = await operator.ask("GET", target)
    assert (answer.status, answer.code) == (404, "NOT_FOUND")
    assert (await operator.ask("PUT", KEYS)).status == 405


async def test_keys_are_made_and_listed_and_audited(operator: Client, auditor: Client) -> None:
    made = await operator.ask("POST", KEYS, {"role": "platform", "app_platform": "ap-two"})
    assert (made.status, made.json["kind"]) == (201, "hmac")
    assert await known(Client(operator.api, key_id=made.json["key_id"], secret=made.json["secret"]))
    listed = (await auditor.ask("GET", KEYS)).json["items"]
    assert made.json["key_id"] in [row["key_id"] for row in listed]
    assert made.json["secret"] not in str(listed)
    for wrong in ({"role": "platform"}, {"role": "operator", "app_platform": "ap-one"}, {"role": "king"}, {}):
        assert (await operator.ask("POST", KEYS, wrong)).status == 400
    assert (await operator.ask("POST", KEYS, {"role": "platform", "app_platform": "ap-9"})).status == 404
    assert (await auditor.ask("POST", KEYS, {"role": "operator"})).status == 403
