"""api-key: where a key may be used is said when it is made, listed, and audited."""

from __future__ import annotations

from tests.cli.commands import Run

ALLOW = ("--allow", "10.0.0.0/8", "--allow", "192.0.2.7")


def test_a_key_may_be_used_from_where_it_was_said(stocked: Run) -> None:
    made = stocked("api-key", "create", "--role", "operator", *ALLOW, "--json").json
    anywhere = stocked("api-key", "create", "--role", "auditor", "--json").json
    rows = {row["key_id"]: row["ip_allow"] for row in stocked("api-key", "list", "--json").json}
    assert rows == {made["key_id"]: ["10.0.0.0/8", "192.0.2.7/32"], anywhere["key_id"]: []}
    assert "10.0.0.0/8 192.0.2.7/32" in stocked("api-key", "list").out
    actions = [row["detail"] for row in stocked("audit", "list", "--json").json if row["action"] == "api_key.create"]
    assert actions[0].endswith("10.0.0.0/8 192.0.2.7")


def test_what_is_no_network_is_refused(stocked: Run) -> None:
    done = stocked("api-key", "create", "--role", "operator", "--allow", "10.0.0.1/8")
    assert (done.status, len(done.told)) == (1, 1)
    assert done.err.startswith("veil700: ip_allow: must be addresses or networks")
    assert stocked("api-key", "list", "--json").json == []
