"""A configuration with every key in it, each with another value than its default."""

from __future__ import annotations

from typing import Final

FULL: Final = """\
[node]
name = "n-2"
domain = "pbx.example.cn"
data_dir = "data"
workers = 1

[[listen]]
transport = "udp"
address = "[0::1]:5062"
advertise = "edge.example.cn:5060"

[[listen]]
transport = "tls"
address = "[0::1]:5062"
certificate = "veil.toml"
private_key = "inv.toml"
client_ca = "inv.toml"
server_ca = "inv.toml"

[store]
url = "sqlite"

[inventory]
file = "inv.toml"

[numbering]
country_code = "86"
layout = [3, 1, 7, 4]

[[number_rules]]
name = "core-in"
rules = [
    { prefix = "0", length = 12, strip = 1 },
    { match = "^[2-8][0-9]{7}$", add = "21" },
]
examples = [{ in = "88888888", out = "2188888888" }]

[[peer]]
name = "core"
match = ["127.0.0.0/8", "198.51.100.4:5080", "[2001:DB8::1]:5060", "2001:db8:0::2"]
targets = ["sip:[::2]:5080;transport=udp", "sip:[::3]", { uri = "sip:Core.Example", priority = 1, weight = 10 }]
number_format = "tel"
number_rules_in = "core-in"
number_rules_out = "core-out"
trusted = true
caller = "pai"
serves_700 = ["70012345678"]
uniform_refusals = true
pass_headers = ["X-Order"]
sms_centres = ["+86 138-0010-0500", "1065500"]
profile = "isc"
served_side = "term"
follow_redirect = true
allow_transfer = true
tls_names = ["Trunk.example.cn"]
digest_algorithms = ["MD5", "SHA-256"]
username = "veil"
password = "trunk secret"
realm = "core.example.cn"
overload_control = true
max_calls = 5000
max_rate = 200
options_interval_s = 10
options_up_after = 3
options_down_after = 4

[[peer]]
name = "edge"
match = ["203.0.113.9"]
trusted = false
caller = "from"

[[peer]]
name = "phones"
match = ["203.0.113.10"]
caller = "digest"

[[account]]
user = "alice"
peer = "phones"
numbers = ["13800138000"]
realm = "pbx.example.cn"
password = "secret"

[[account]]
user = "bob"
peer = "phones"
numbers = ["13800138001"]
realm = "pbx.example.cn"
password_file = "secret"

[[account]]
user = "carol"
peer = "phones"
numbers = ["13800138002"]
realm = "pbx.example.cn"
ha1_sha256 = "5555555555555555555555555555555555555555555555555555555555555555"
ha1_md5 = "66666666666666666666666666666666"

[[number_rules]]
name = "core-out"
rules = [{ prefix = "21", strip = 2 }]
examples = [{ in = "2188888888", out = "88888888" }]

[[route]]
name = "mobiles"
called = "^1[3-9][0-9]{9}$"
peers = ["core"]
transit = true

[api]
address = "127.0.0.1:8701"
alibaba_address = "127.0.0.1:8702"
alibaba_scenario = "express"
alibaba_scenarios = { FC1 = "ride", "FC 2" = "express" }
certificate = "secret"
private_key = "secret"
rate_per_s = 50
events_days = 30
webhook_hosts = ["Hooks.Example.", "10.1.0.0/16", "::1"]

[dns]
servers = ["10.0.0.53", "[2001:db8::53]:5353"]
timeout_ms = 500
min_ttl_s = 1
max_ttl_s = 60
stale_s = 0

[sip]
t1_ms = 20
dscp = 24

[policy]
ring_timeout_s = 0.5
first_response_ms = 100
message_timeout_s = 3
max_call_s = 60
session_expires_s = 300
min_se_s = 120
session_timer = "relay"
message_text = "relay"
caller_max_calls = 3
caller_max_rate = 20

[transport]
max_connections = 900
max_connections_per_host = 90
max_handshakes_per_host = 9
max_handshakes = 19
receive_timeout_s = 2.5
handshake_timeout_s = 3.5
idle_timeout_s = 600.0
max_unsent_kib = 128

[cdr]
retention_days = 1000
media_retention_days = 180
archive_dir = "shelf"
utc_offset = "-03:30"
settlement_rounding = "6s"
commit_window_ms = 0

[log]
level = "warning"
format = "json"

[[expect]]
caller = "13800138000"
called = "700123456780001"
method = "MESSAGE"
peer = "core"
at = "2026-11-26T08:00:00+08:00"
binding = { mode = "AXB", tel_x = "700123456780001", tel_a = "13800138000", tel_b = "+86 139-0013-9000", sms = true }
outcome = "refused"
route = "mobiles"
target = "sip:[::2]:5080"
targets = ["sip:[::2]:5080"]
request_uri = "tel:+8613900139000"
presented = "700123456780001"
cause = "NO_ROUTE"
decided_by = "route"
status = 404
"""
