"""/v1/hooks: where a platform may want to be asked, and its secret."""

from __future__ import annotations

import sqlite3

import pytest

from engine.api.app import Api
from engine.api.hooks.asking import Question
from engine.api.outbound import Places, Resolver
from engine.config import Config
from tests.api.asking import Answer, Client
from tests.hooks.conftest import StartPlatform
from tests.hooks.platforms import says

PATH = "/v1/hooks/ap-one/decision"
URL = "https://93.184.216.34/ask"


async def put(client: Client, **changes: object) -> Answer:
    return await client.ask("PUT", PATH, {"url": URL} | changes)


async def test_the_secret_is_shown_once(platform: Client) -> None:
    first = await put(platform)
    assert first.status == 200 and len(first.json["secret"]) == 43
    shown = {"app_platform": "ap-one", "kind": "decision", "url": URL, "timeout_ms": 800, "last_error": ""}
    assert first.json == shown | {"secret": first.json["secret"]}
    assert (await put(platform, timeout_ms=500)).json == shown | {"timeout_ms": 500, "secret": None}
    assert (await platform.ask("GET", PATH)).json == shown | {"timeout_ms": 500}
    assert (await platform.ask("GET", "/v1/hooks")).json == {"items": [shown | {"timeout_ms": 500}], "next": None}
    renewed = await put(platform, new_secret=True)
    assert renewed.json["secret"] not in (None, first.json["secret"])


async def test_a_secret_is_kept_sealed_and_not_in_the_audit(platform: Client, config: Config) -> None:
    secret = (await put(platform)).json["secret"]
    files = [file.read_bytes() for file in config.data_dir.glob("bindings.db*")]
    assert not any(secret.encode() in content for content in files)
    connection = sqlite3.connect(config.data_dir / "bindings.db")
    told = connection.execute("SELECT action, detail FROM audit WHERE action LIKE 'hook.%'").fetchall()
    connection.close()
    assert told == [("hook.set", f"ap-one/decision: {URL} 800 ms new secret")]


async def test_one_is_removed(platform: Client) -> None:
    await put(platform)
    assert (await platform.ask("DELETE", PATH)).status == 204
    assert (await platform.ask("DELETE", PATH)).status == 404
    assert (await platform.ask("GET", PATH)).status == 404


async def test_lists_come_in_pages(operator: Client) -> None:
    for where in ("ap-one/decision", "ap-one/order", "ap-two/order"):
        assert (await operator.ask("PUT", f"/v1/hooks/{where}", {"url": URL})).status == 200
    page = (await operator.ask("GET", "/v1/hooks?limit=2")).json
    assert [one["kind"] for one in page["items"]] == ["decision", "order"] and page["next"] == "ap-one/order"
    page = (await operator.ask("GET", "/v1/hooks?limit=2&after=ap-one/order")).json
    assert [one["app_platform"] for one in page["items"]] == ["ap-two"] and page["next"] is None


async def test_of_a_platform_that_is_not_there(operator: Client) -> None:
    assert (await operator.ask("PUT", "/v1/hooks/ap-none/order", {"url": URL})).status == 404


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        ("http://93.184.216.34/ask", "must begin with https://"),
        ("http://hooks.example/ask", "must begin with https://"),
        ("ftp://hooks.example/ask", "must be https://host and a path"),
        ("https://", "must be https://host and a path"),
        ("hooks.example", "must be https://host and a path"),
        ("https://hooks.example:99999/", "is no URL"),
        ("https://a:b@hooks.example/", "must have neither user, password nor fragment"),
        ("https://hooks.example/#x", "must have neither user, password nor fragment"),
        ("https://hooks.example/\u00e4", "must be up to 500 visible ASCII characters"),
        ("https://hooks.example/ x", "must be up to 500 visible ASCII characters"),
        ("https://10.0.0.1/", "is not a public address, and webhook_hosts does not name it"),
        ("https://169.254.169.254/latest", "is not a public address, and webhook_hosts does not name it"),
        ("https://[::1]/", "is not a public address, and webhook_hosts does not name it"),
        ("https://[fe80::1]/", "is not a public address, and webhook_hosts does not name it"),
        ("https://[::ffff:10.0.0.1]/", "is not a public address, and webhook_hosts does not name it"),
        ("https://[64:ff9b::a00:1]/", "is not a public address, and webhook_hosts does not name it"),
        ("https://[2002:a00:1::]/", "is not a public address, and webhook_hosts does not name it"),
        ("https://224.0.0.1/", "is not a public address, and webhook_hosts does not name it"),
        ("https://0.0.0.0/", "is not a public address, and webhook_hosts does not name it"),
        ("https://2130706433/", "is no address"),
        ("https://0x7f.1/", "is no address"),
        ("https://127.1/", "is no address"),
        ("https://localhost/", "is this machine, and webhook_hosts does not name it"),
        ("https://LOCALHOST./", "is this machine, and webhook_hosts does not name it"),
        ("https://a.localhost/", "is this machine, and webhook_hosts does not name it"),
    ],
)
async def test_places_that_are_not_asked(platform: Client, url: str, detail: str) -> None:
    refused = await put(platform, url=url)
    assert (refused.status, refused.json["field"], refused.json["detail"]) == (400, "url", detail)


@pytest.mark.parametrize(
    "url",
    ["https://hooks.example/ask?a=1", "https://[2606:2800::1]:8443/", "http://127.0.0.1:8080/", "https://127.0.0.9/"],
)
async def test_places_that_may_be_asked(platform: Client, url: str) -> None:
    assert (await put(platform, url=url)).status == 200


@pytest.mark.parametrize("wrong", [{"timeout_ms": 49}, {"timeout_ms": 3001}, {"url": ""}, {"secret": "x"}])
async def test_what_a_hook_may_not_say(platform: Client, wrong: dict[str, object]) -> None:
    assert (await put(platform, **wrong)).code == "ILLEGAL_ARGUMENT"


async def test_why_a_hook_does_not_answer_is_shown(
    api: Api, platform: Client, config: Config, start_platform: StartPlatform
) -> None:
    hook = await start_platform(says({}, "503 Service Unavailable"), plain=True)
    await put(platform, url=hook.url)
    question = Question("decision", "ap-one", record_id="r1")
    await api.hooks.ask(question)
    assert (await platform.ask("GET", PATH)).json["last_error"] == "status 503"
    hook.behaviour = says({"allow": True})
    assert (await api.hooks.ask(question)).word is not None
    assert (await platform.ask("GET", PATH)).json["last_error"] == ""


async def test_a_name_leads_to_no_private_address() -> None:
    """What the DNS says is looked at each time, not only what the URL says."""
    with pytest.raises(OSError, match="localhost leads to no address that may be asked"):
        await Resolver(Places(())).resolve("localhost", 443)
    for allowed in ("localhost", "127.0.0.0/8"):
        found = await Resolver(Places((allowed, "::1/128"))).resolve("localhost", 443)
        assert {one["host"] for one in found} <= {"127.0.0.1", "::1"} and found


async def test_a_name_that_is_none() -> None:
    with pytest.raises(OSError):
        await Resolver(Places(())).resolve("a" * 64 + ".invalid", 443)
