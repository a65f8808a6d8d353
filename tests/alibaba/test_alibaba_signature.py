"""Who asks is proved: both signatures, as both SDKs make them, and nothing that is not under them counts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from urllib.parse import urlencode

import pytest
from alibabacloud_tea_openapi import exceptions
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkdyplsapi.request.v20170525.QuerySecretNoDetailRequest import QuerySecretNoDetailRequest

from engine.store.api_keys import NewKey
from tests.alibaba.conftest import Served
from tests.alibaba.raw import ASKED, acs3, at, send, sha1
from tests.alibaba.sdk import UNTIL, A, B, Sdk, ask_old, common, old_sdk

X = ASKED["SecretNo"]
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def key(served: Served) -> NewKey:
    return served.key()


def refused(answer: tuple[int, Mapping[str, str]]) -> tuple[int, str]:
    """Status and code; it has the form that SDKs raise."""
    status, body = answer
    assert set(body) == {"RequestId", "Code", "Message", "HostId"}
    return status, body["Code"]


@pytest.mark.parametrize("signed", ["", "v2"])
def test_the_sdk_of_today_signs_either_way(served: Served, signed: str) -> None:
    sdk = served.sdk(signed=signed)
    bound = sdk.bind(out_id="名字 +*~/&=%").data
    assert sdk.detail(bound).code == "OK"
    assert sdk.unbind(bound).code == "OK"


def test_the_sdk_of_before_is_served(served: Served, key: NewKey) -> None:
    client = old_sdk(served.host, key)
    request = QuerySecretNoDetailRequest()
    request.set_PoolKey("FC1")
    request.set_SecretNo(X)
    assert ask_old(client, served.host, request)["SecretNoInfoDTO"]["SecretStatus"] == 0
    terms = {"PoolKey": "FC1", "TelA": A, "TelB": B, "Expiration": UNTIL, "OrderId": "订单 1", "OutId": "a+b*~"}
    data = ask_old(client, served.host, common("BindAxb700", **terms))["Data"]
    ended = common("UnbindSubs700", PoolKey="FC1", SubsId=str(data["SubsId"]), TelX=data["SecretNo"])
    assert ask_old(client, served.host, ended)["Code"] == "OK"


def test_both_sdks_raise_what_their_users_catch(served: Served, key: NewKey) -> None:
    wrong = NewKey(key.key_id, key.kind, "another secret")
    with pytest.raises(exceptions.ClientException) as raised:
        Sdk(served.host, wrong).number(X)
    assert (raised.value.code, raised.value.status_code) == ("SignatureDoesNotMatch", 400)
    with pytest.raises(exceptions.ClientException) as raised:
        Sdk(served.host, NewKey("nobody", "hmac", "secret")).number(X)
    assert (raised.value.code, raised.value.status_code) == ("InvalidAccessKeyId.NotFound", 404)
    with pytest.raises(exceptions.ClientException) as raised:
        Sdk(served.host, key).ask("bind_axn", "BindAxn", pool_key="FC1", phone_no_a=A, expiration=UNTIL)
    assert (raised.value.code, raised.value.status_code) == ("InvalidAction.NotFound", 404)
    with pytest.raises(exceptions.ClientException) as raised:
        Sdk(served.host, key).bind(tel_a=None)
    assert (raised.value.code, raised.value.status_code) == ("MissingTelA", 400)
    assert raised.value.request_id
    with pytest.raises(ServerException) as thrown:
        ask_old(old_sdk(served.host, wrong), served.host, common("LockSecretNo", PoolKey="FC1", SecretNo=X))
    assert (thrown.value.get_error_code(), thrown.value.get_http_status()) == ("SignatureDoesNotMatch", 400)
    assert thrown.value.get_request_id()


def test_a_key_is_used_from_where_it_may(served: Served) -> None:
    assert Sdk(served.host, served.key("ap-test", 0, "127.0.0.0/8")).number(X)
    with pytest.raises(exceptions.ClientException) as raised:
        Sdk(served.host, served.key("ap-test", 0, "192.0.2.0/24")).number(X)
    assert (raised.value.code, raised.value.status_code) == ("Forbidden.SourceIp", 403)


def test_what_the_signature_covers_cannot_be_changed(served: Served, key: NewKey) -> None:
    headers = acs3(served.host, key)
    other = {**ASKED, "SecretNo": "700123456780043"}
    wrong = (400, "SignatureDoesNotMatch")
    assert refused(send(served.host, other, headers)) == wrong
    assert refused(send(served.host, {**ASKED, "OwnerId": "1"}, headers)) == wrong
    for name, value in (("x-acs-action", "LockSecretNo"), ("x-acs-version", "2017-05-26"), ("x-acs-date", at(-100)),
                        ("x-acs-signature-nonce", "another-nonce")):  # fmt: skip
        assert refused(send(served.host, ASKED, {**headers, name: value})) == wrong
    assert refused(send(served.host, ASKED, headers, method="GET")) == wrong
    assert send(served.host, ASKED, headers)[1]["Code"] == "OK"  # and nothing of the above has used its nonce up


def test_a_body_is_under_the_signature(served: Served, key: NewKey) -> None:
    body = urlencode(ASKED).encode()
    headers = {**acs3(served.host, key, {}, body), **FORM}
    other = urlencode({**ASKED, "SecretNo": "700123456780043"}).encode()
    assert refused(send(served.host, "", headers, other)) == (400, "InvalidContentSha256")
    lying = {**headers, "x-acs-content-sha256": hashlib.sha256(other).hexdigest()}
    assert refused(send(served.host, "", lying, other)) == (400, "SignatureDoesNotMatch")
    assert send(served.host, "", headers, body)[1]["Code"] == "OK"


@pytest.mark.parametrize(
    "name", ["host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256"]
)
def test_whatever_is_believed_must_be_signed(served: Served, key: NewKey, name: str) -> None:
    """It is sent, and is right, but another one could have put it there."""
    whole = acs3(served.host, key)
    lacking = acs3(served.host, key, **{name.replace("-", "_"): ""})
    headers = {**whole, **lacking}
    assert refused(send(served.host, ASKED, headers)) == (400, "IncompleteSignature")


def test_a_request_goes_once(served: Served, key: NewKey) -> None:
    headers, parameters = acs3(served.host, key), sha1(key)
    assert send(served.host, ASKED, headers)[1]["Code"] == "OK"
    assert refused(send(served.host, ASKED, headers)) == (400, "SignatureNonceUsed")
    assert send(served.host, parameters)[1]["Code"] == "OK"
    assert refused(send(served.host, parameters)) == (400, "SignatureNonceUsed")
    again = acs3(served.host, key, x_acs_signature_nonce=parameters["SignatureNonce"])
    assert refused(send(served.host, ASKED, again)) == (400, "SignatureNonceUsed")


@pytest.mark.parametrize("offset_s", [-400, 400])
def test_a_request_is_signed_now(served: Served, key: NewKey, offset_s: float) -> None:
    far = (400, "InvalidTimeStamp.Expired")
    assert refused(send(served.host, ASKED, acs3(served.host, key, x_acs_date=at(offset_s)))) == far
    assert refused(send(served.host, sha1(key, Timestamp=at(offset_s)))) == far
    assert send(served.host, ASKED, acs3(served.host, key, x_acs_date=at(offset_s / 2)))[1]["Code"] == "OK"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Timestamp": "2026-11-24 08:00:00"}, "InvalidTimeStamp.Format"),
        ({"Timestamp": "2026-13-24T08:00:00Z"}, "InvalidTimeStamp.Format"),
        ({"SignatureNonce": "short"}, "InvalidSignatureNonce"),
        ({"SignatureNonce": ""}, "MissingSignatureNonce"),
        ({"SignatureMethod": "HMAC-MD5"}, "InvalidSignatureMethod"),
        ({"SignatureVersion": "2.0"}, "InvalidSignatureMethod"),
        ({"Version": "2017-05-24"}, "InvalidVersion"),
        ({"Action": "BindAxb"}, "InvalidAction.NotFound"),
        ({"Format": "XML"}, "InvalidParameter"),
        ({"PoolKey": ""}, "MissingPoolKey"),
    ],
)
def test_what_is_signed_must_be_as_it_is_meant(served: Served, key: NewKey, changes: dict[str, str], code: str) -> None:
    assert refused(send(served.host, sha1(key, **changes)))[1] == code


def test_the_older_signature_goes_in_query_or_form(served: Served, key: NewKey) -> None:
    assert send(served.host, sha1(key, method="GET"), method="GET")[1]["Code"] == "OK"
    assert send(served.host, "", FORM, urlencode(sha1(key)).encode())[1]["Code"] == "OK"
    parameters = sha1(key)
    body = urlencode({"SecretNo": parameters.pop("SecretNo")}).encode()
    assert send(served.host, parameters, FORM, body)[1]["Code"] == "OK"
    assert refused(send(served.host, sha1(key), {}, b"unsigned")) == (400, "IncompleteSignature")
    assert refused(send(served.host, sha1(key), {**FORM, "x-acs-action": "LockSecretNo"}, b"SecretNo=1"))[0] == 400


def test_what_is_not_signed_at_all_is_refused(served: Served, key: NewKey) -> None:
    unsigned = (400, "IncompleteSignature")
    assert refused(send(served.host, ASKED)) == unsigned
    assert refused(send(served.host, ASKED, {"authorization": "ACS3-HMAC-SHA256 Credential=x"})) == unsigned
    assert refused(send(served.host, ASKED, {"authorization": f"Bearer vt_{key.key_id}_{key.secret}"})) == unsigned
    twice = f"{urlencode(sha1(key))}&SecretNo=700123456780043"
    assert refused(send(served.host, twice)) == (400, "InvalidParameter")
    assert refused(send(served.host, "SecretNo=%ff&Signature=x")) == (400, "InvalidParameter")
    assert refused(send(served.host, sha1(key), path="/v1/bindings")) == (404, "InvalidAction.NotFound")
    assert refused(send(served.host, sha1(key), method="PUT")) == (405, "UnsupportedHTTPMethod")
    assert refused(send(served.host, "", FORM, b"a" * 65537)) == (413, "RequestTooLarge")


def test_a_parameter_that_is_not_known_is_not_passed_over(served: Served, key: NewKey) -> None:
    status, body = send(served.host, sha1(key, OnlyOnSundays="true"))
    assert (status, body["Code"]) == (200, "isv.ILLEGAL_ARGUMENT")


def test_a_key_that_was_revoked_and_one_of_an_operator_count_for_nothing(served: Served) -> None:
    nobody = (404, "InvalidAccessKeyId.NotFound")
    operator = served.key("")
    assert refused(send(served.host, sha1(operator))) == nobody
    revoked = served.key()
    assert send(served.host, sha1(revoked))[1]["Code"] == "OK"
    served.command("api-key", "revoke", revoked.key_id)
    assert refused(send(served.host, sha1(revoked))) == nobody


def test_a_key_asks_no_more_than_it_may(served: Served) -> None:
    slow = served.key(rate_per_s=1)
    codes = [send(served.host, sha1(slow))[1]["Code"] for _ in range(20)]  # within twenty seconds
    assert codes[0] == "OK"
    assert "isv.FLOW_LIMIT" in codes
