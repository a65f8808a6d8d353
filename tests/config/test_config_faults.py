"""What a configuration may not say: each fault with its line, its key and its reason; and what is not built yet."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from engine.config import ConfigError, load

PEER: Final = '[[peer]]\nname = "core"\nmatch = ["10.0.0.1"]\ntargets = ["sip:10.0.0.1"]\n'
TLS: Final = "[[listen]]\ntransport = 'tls'\n"
FILES: Final = f"{TLS}certificate = 'veil.toml'\nprivate_key = 'veil.toml'\n"
LISTEN: Final = "[[listen]]\naddress = '10.9.9.9:5060'\n"


def faults(file: Path, text: str | bytes) -> list[str]:
    """What is wrong with `text`, without the name of the file."""
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{file}:") for line in lines)
    return [line.removeprefix(f"{file}:") for line in lines]


@pytest.mark.parametrize("line_end", ["\r\n", "\n"])
def test_line_ends_and_a_byte_order_mark_do_not_matter(file: Path, line_end: str) -> None:
    text = '\ufeff[node]\nname = "a"\n\nnome = 1\n'.replace("\n", line_end)
    assert faults(file, text) == ["4: node.nome: unknown key, did you mean name?"]


def test_a_name_that_is_like_none_is_not_likened(file: Path) -> None:
    (fault,) = faults(file, PEER + "[[route]]\nname = 'a'\ncalled = '1'\npeers = ['platform']")
    assert fault.endswith(': route.peers: there is no peer "platform"')


BAD: Final = [
    # not TOML
    ('[node]\nname = "a"\nname = "b"\n', "3: not TOML: Cannot overwrite a value, column 11"),
    ("[node\n", "1: not TOML: Expected ']' at the end of a table declaration, column 6"),
    ("a = 1\n\n[[", "3: not TOML: "),
    (b'[node]\n\nname = "\xff"', "3: not UTF-8: byte 0xff"),
    ("a = " + "[" * 5000, "not TOML: nested too deeply"),
    # unknown keys and tables, with the nearest
    ("[nodes]", "1: nodes: unknown key, did you mean node?"),
    ("zzz = 1", "1: zzz: unknown key, did you mean "),
    ("[node]\n# why\n'do main' = 1", '3: node."do main": unknown key, did you mean domain?'),
    ("[sip]\nring_timeout_s = 3", "2: sip.ring_timeout_s: unknown key, it belongs to policy"),
    (PEER + "numberformat = 1", "5: peer.numberformat: unknown key, did you mean number_format?"),
    (PEER + '[[peer]]\nname = "b"\nmatch = ["10.0.0.2"]\ntarget = "sip:10.0.0.1"',
     "8: peer.target: unknown key, did you mean targets?"),
    ("node.nam = 1", "1: node.nam: unknown key, did you mean name?"),
    ("[node]\nworkers = 33", "2: node.workers: must be less than or equal to 32, not 33"),
    ("[node]\nworkers = -1", "2: node.workers: must be greater than or equal to 0, not -1"),
    ("node = { name = 'a', workerz = 1 }", "1: node.workerz: unknown key, did you mean workers?"),
    # shape
    ("node = 3", "1: node: must be a table, written as [node]"),
    ("[peer]\nname = 'a'", "1: peer: must be a table, written as [[peer]]"),
    ("peer = [1]", "1: peer: must be a table, written as [[peer]]"),
    ("[[node]]", "1: node: must be a table, written as [node]"),
    ("listen = []", "1: listen: List must have at least 1 item"),
    # types are those of TOML: nothing is converted
    ('[cdr]\nretention_days = "730"', '2: cdr.retention_days: must be a whole number, not "730"'),
    ("[cdr]\nretention_days = 730.0", "2: cdr.retention_days: must be a whole number, not 730.0"),
    ("[sip]\ndscp = 64", "2: sip.dscp: "),
    ("[sip]\nt1_ms = true", "2: sip.t1_ms: must be a whole number, not true"),
    (PEER + "trusted = 1", "5: peer.trusted: must be true or false, not 1"),
    ("[node]\nname = 2026-11-24", "2: node.name: must be a text in quotes, not 2026-11-24"),
    (PEER.replace('["10.0.0.1"]', '"10.0.0.1"'), "3: peer.match: must be a list in square brackets, not"),
    (PEER.replace('["10.0.0.1"]', "[\n  1,\n]"), "4: peer.match: must be a text in quotes, not 1"),
    # [node]
    ("[node]\nname = ''", '2: node.name: "" is no name'),
    ("[node]\nname = 'a b'", '2: node.name: "a b" is no name'),
    (f"[node]\nname = '{'a' * 65}'", "is no name"),
    ('[node]\nname = "a\\nb"', '2: node.name: "a\\nb" is no name'),
    ("[node]\nname = 'é'", "is no name"),
    ("[node]\ndomain = 'veil_example'", '2: node.domain: "veil_example" is no host name'),
    ("[node]\ndomain = '256.1.1.1'", "is no host name"),
    ("[node]\ndomain = '::1'", "is no host name"),
    ("[node]\ndomain = 'a:5060'", "is no host name"),
    ("[node]\ndata_dir = ''", "2: node.data_dir: String must have at least 1 character"),
    ("[node]\ndata_dir = 'inv.toml'", '2: node.data_dir: "inv.toml" is a file, not a folder'),
    ("[node]\ndata_dir = 'inv.toml/var/data'", "/inv.toml is a file, not a folder"),
    # [[listen]]
    ("[[listen]]\ntransport = 'upd'", """2: listen.transport: must be 'udp', 'tcp' or 'tls', not "upd\""""),
    ("[[listen]]\naddress = '127.0.0.1'", "2: listen.address: \"127.0.0.1\" is not address:port"),
    ("[[listen]]\naddress = '127.0.0.1:0'", '"0" is no port: 1 to 65535'),
    ("[[listen]]\naddress = '127.0.0.1:65536'", '"65536" is no port'),
    ("[[listen]]\naddress = '127.0.0.1:５０６０'", "is no port"),
    ("[[listen]]\naddress = 'localhost:5060'", '2: listen.address: "localhost" is no address'),
    ("[[listen]]\naddress = '::1:5060'", "stands in brackets, [::1]:5060"),
    ("[[listen]]\naddress = '[127.0.0.1]:5060'", "only IPv6 with a port stands in brackets"),
    ("[[listen]]\naddress = '[fe80::1%eth0]:5060'", "is no address"),
    ("[[listen]]\naddress = '0.0.0.0:5060'", "1: listen.advertise: missing: the peers must be told an address"),
    ("[[listen]]\naddress = '[::]:5060'", "1: listen.advertise: missing"),
    ("[[listen]]\nadvertise = '203.0.113.7'", '2: listen.advertise: "203.0.113.7" is not host:port'),
    ("[[listen]]\nadvertise = 'a b:5060'", "is not host:port"),
    ("[[listen]]\ntransport = 'sctp'", "2: listen.transport: "),
    ("[[listen]]\ncertificate = 'veil.toml'", '2: listen.certificate: has a meaning only with transport = "tls"'),
    (f"{TLS}certificate = 'veil.toml'", "1: listen.private_key: missing: TLS cannot be spoken without"),
    (f"{TLS}private_key = 'veil.toml'", "1: listen.certificate: missing: TLS cannot be spoken without"),
    (f"{FILES}client_ca = 'none.pem'", '5: listen.client_ca: "none.pem": no such file'),
    (f"{FILES}server_ca = 'none.pem'", '5: listen.server_ca: "none.pem": no such file'),
    (f"{LISTEN}{LISTEN}", "4: listen.address: \"10.9.9.9:5060\" is another listener's"),
    (f"{LISTEN}[[listen]]\naddress = '0.0.0.0:5060'\nadvertise = 'a:1'", "4: listen.address: "),
    (PEER.replace("sip:10.0.0.1", "sip:10.9.9.9") + f"[[listen]]\n{LISTEN}", '"sip:10.9.9.9" is this node itself'),
    # [inventory], [numbering]
    ("[inventory]\nfile = 'none.toml'", '2: inventory.file: "none.toml": no such file'),
    ("[numbering]\ncountry_code = '+86'", '2: numbering.country_code: "+86" is no country code'),
    ("[numbering]\nlayout = [3, 1, 7]", "2: numbering.layout: must be four lengths"),
    ("[numbering]\nlayout = [3, 2, 7, 3]", "must be four lengths"),
    # [[peer]]
    ("[[peer]]\ntargets = ['sip:10.0.0.1']", "1: peer.name: missing"),
    ("[[peer]]\nname = 'a'", "1: peer: has neither match, tls_names nor targets"),
    (PEER + PEER.replace("10.0.0.1", "10.0.0.2"), '6: peer.name: there are two of the name "core"'),
    (PEER + PEER.replace("core", "edge"), '7: peer.match: "10.0.0.1" is already a source of peer "core"'),
    (PEER + PEER.replace("core", "edge").replace('"10.0.0.1"', '"10.0.0.1/32"'), "is already a source of peer"),
    (PEER.replace('"10.0.0.1"]', '"10.0.0.1:5060", "10.0.0.1:5060"]', 1), "is already a source of peer"),
    (PEER.replace('"10.0.0.1"', '"10.0.0.1/8"', 1), "has bits set behind its prefix, write 10.0.0.0/8"),
    (PEER.replace('"10.0.0.1"', '"10.0.0.0/33"', 1), '3: peer.match: "10.0.0.0/33" is no network'),
    (PEER.replace('"10.0.0.1"', '"sbc.example"', 1), '3: peer.match: "sbc.example" is no address'),
    (PEER.replace('"10.0.0.1"', '"[::1]"', 1), '"[::1]" is not address:port'),
    (PEER.replace("sip:10.0.0.1", "10.0.0.1"), '4: peer.targets: "10.0.0.1" is no SIP URI'),
    (PEER.replace("sip:", "tel:"), '"tel:10.0.0.1" is no SIP URI'),
    (PEER.replace("sip:", "sip:u@"), "a user part has no place in a target"),
    (PEER.replace("sip:10.0.0.1", "sip:10.0.0.1?a=b"), "header fields has no place"),
    (PEER.replace("sip:10.0.0.1", "sip:10.0.0.1:x"), '"x" is no port'),
    (PEER.replace("sip:10.0.0.1", "sip:10.0.0.1;transprot=udp"), '"transprot", did you mean transport?'),
    (PEER.replace("sip:10.0.0.1", "sip:10.0.0.1;transport=sctp"), 'unknown transport "sctp", only udp, tcp and tls'),
    (PEER.replace("sip:10.0.0.1", "sip:10.0.0.1;transport="), 'unknown transport "", only udp, tcp and tls'),
    (PEER.replace("sip:10.0.0.1", "sips:10.0.0.1;transport=udp"), "sips never goes over UDP"),
    (PEER.replace("sip:10.0.0.1", "sip:10.0.0.1;weight=1;Weight=2"), "weight stands there twice"),
    (PEER.replace("sip:10.0.0.1", "sip:10.0.0.1;weight=-1"), 'weight: "-1" is no whole number from 0 to 65535'),
    (PEER.replace("sip:10.0.0.1", "sip:10.0.0.1;priority=65536"), 'priority: "65536" is no whole number from 0'),
    (PEER.replace("sip:10.0.0.1", "sip:10.0.0.1;priority=１"), 'priority: "１" is no whole number'),
    (PEER.replace("sip:10.0.0.1", "sip:10.0.0.1;priority"), 'priority: "" is no whole number'),
    (PEER.replace("sip:10.0.0.1", "sip:10.0.0.1;transport=TCP"),
     '4: peer.targets: "sip:10.0.0.1;transport=TCP" needs a listener over TCP, and there is none'),
    (PEER.replace("sip:10.0.0.1", "sips:10.0.0.1"), '"sips:10.0.0.1" needs a listener over TLS, and there is none'),
    (PEER.replace("sip:10.0.0.1", "sips:core.example"), "needs a listener over TLS, and there is none"),
    (PEER.replace("sip:10.0.0.1", "sip:core.example;transport=tls"), "needs a listener over TLS, and there is none"),
    (PEER.replace("sip:10.0.0.1", "sip:core_example"), '"core_example" is no address'),
    (PEER.replace("sip:10.0.0.1", "sip:256.1.1.1"), '"256.1.1.1" is no address'),
    (PEER.replace("sip:10.0.0.1", f"sip:{'a.' * 130}example"), "is no address"),
    (PEER.replace("sip:10.0.0.1", "sip:core.example:0"), '"0" is no port'),
    (PEER.replace('"sip:10.0.0.1"', '{ uri = "sip:127.0.0.1" }'), '"sip:127.0.0.1" is this node itself'),
    (PEER.replace('"sip:10.0.0.1"', "{ priority = 1 }"), "4: peer.targets: uri: missing"),
    (PEER.replace('"sip:10.0.0.1"', "{ uri = 1 }"), "4: peer.targets: uri: must be a text in quotes, not 1"),
    (PEER.replace('"sip:10.0.0.1"', '{ uri = "sip:10.0.0.1", wieght = 1 }'), '"wieght", did you mean weight?'),
    (PEER.replace('"sip:10.0.0.1"', '{ uri = "sip:10.0.0.1", weight = true }'), "must be a whole number, not true"),
    (PEER.replace('"sip:10.0.0.1"', '{ uri = "sip:10.0.0.1", weight = -1 }'), 'weight: "-1" is no whole number from 0'),
    (PEER.replace('"sip:10.0.0.1"', '{ uri = "sip:10.0.0.1;weight=1", weight = 1 }'), "weight stands there twice"),
    (PEER.replace('"sip:10.0.0.1"', "1"), "4: peer.targets: must be a text in quotes, not 1"),
    ("[dns]\nservers = ['dns.example']", '2: dns.servers: "dns.example" is no address'),
    ("[dns]\nservers = ['10.0.0.1:0']", '2: dns.servers: "0" is no port'),
    ("[dns]\nservers = ['0.0.0.0']", '2: dns.servers: "0.0.0.0": nobody answers there'),
    ("[dns]\ntimeout_ms = 49", "2: dns.timeout_ms: must be greater than or equal to 50"),
    ("[dns]\nmin_ttl_s = 10\nmax_ttl_s = 9", "3: dns.max_ttl_s: 9 is less than min_ttl_s (10)"),
    ("[dns]\nmax_ttl_s = 4", "2: dns.max_ttl_s: 4 is less than min_ttl_s (5)"),
    ("[transport]\nmax_connections = 0", "2: transport.max_connections: must be greater than or equal to 1"),
    ("[transport]\nmax_unsent_kib = 64", "2: transport.max_unsent_kib: must be greater than or equal to 128"),
    ("[transport]\nidle_timeout_s = 0", "2: transport.idle_timeout_s: must be greater than or equal to 1"),
    ("[transport]\nreceive_timeout_s = nan", "2: transport.receive_timeout_s: "),
    ("[transport]\nhandshake_timeout_s = 601", "2: transport.handshake_timeout_s: must be less than or equal to 600"),
    ("[dns]\nstale_s = -1", "2: dns.stale_s: must be greater than or equal to 0"),
    (PEER.replace("sip:10.0.0.1", "sip:0.0.0.0"), "nothing can be sent to 0.0.0.0"),
    (PEER.replace("sip:10.0.0.1", "sip:224.0.0.1"), "nothing can be sent to 224.0.0.1"),
    (PEER.replace("sip:10.0.0.1", "sip:127.0.0.1"), '"sip:127.0.0.1" is this node itself'),
    (PEER.replace("sip:10.0.0.1", "sip:[::1]"), '"sip:[::1]" is IPv6, the listener is not'),
    (PEER + "number_format = 'e164'", "5: peer.number_format: must be 'national', 'plus', 'prefix86' or 'tel'"),
    (PEER + "trusted = false", "1: peer.caller: missing: an untrusted peer must say where its caller is read"),
    (PEER + "caller = 'ppi'", "5: peer.caller: must be "),
    (PEER + "serves_700 = ['7001234567']", '5: peer.serves_700: "7001234567" is no number block'),
    (PEER + "serves_700 = ['80012345678']", "is no number block"),
    (PEER.replace("match", "trusted = true #") + "sms_centres = ['13800100500']", "need both match, or tls_names, and"),
    (PEER + "sms_centres = ['+852 1234 5678']", '5: peer.sms_centres: "+85****5678" is no real number of'),
    (PEER + "pass_headers = ['X-Order:']", '5: peer.pass_headers: "X-Order:" is no header name'),
    (PEER + "pass_headers = ['']", "is no header name"),
    *((PEER + f"pass_headers = ['{name}']", f"{name} is written or dropped by the node itself")
      for name in ("Via", "FROM", "to", "Contact", "m", "Call-ID", "CSeq", "Route", "Record-Route", "Max-Forwards",
                   "Content-Length", "l", "P-Asserted-Identity", "Record-Route", "Target-Dialog", "Join")),
    # [[route]]
    ("[[route]]\nname = 'a'\ncalled = '1'\npeers = ['b']", '4: route.peers: there is no peer "b"'),
    (PEER + "[[route]]\nname = 'a'\ncalled = '1'\npeers = ['cor']", 'there is no peer "cor", did you mean core?'),
    (PEER + "[[route]]\nname = 'a'\ncalled = '1'\npeers = ['core', 'core']", 'peer "core" stands there twice'),
    (PEER.replace("targets", "#") + "[[route]]\nname = 'a'\ncalled = '1'\npeers = ['core']",
     '8: route.peers: peer "core" has no targets'),
    ("[[route]]\nname = 'a'\ncalled = '1'\npeers = []", "4: route.peers: List must have at least 1 item"),
    (PEER + "[[route]]\nname = 'a'\ncalled = '['\npeers = ['core']", '7: route.called: "[" is no regular expression: '),
    (PEER + 2 * "[[route]]\nname = 'a'\ncalled = '1'\npeers = ['core']\n", "10: route.name: there are two of the name"),
    # numbers out of range
    ("[sip]\nt1_ms = 9", "2: sip.t1_ms: must be greater than or equal to 10, not 9"),
    ("[policy]\nring_timeout_s = 0", "2: policy.ring_timeout_s: must be greater than 0, not 0"),
    ("[policy]\nring_timeout_s = -1", "must be greater than 0"),
    ("[policy]\nring_timeout_s = nan", "2: policy.ring_timeout_s: must be"),
    ("[policy]\nmax_call_s = inf", "2: policy.max_call_s: must be"),
    ("[policy]\nmessage_timeout_s = 1e12", "must be less than or equal to"),
    ("[policy]\nfirst_response_ms = 0", "must be greater than or equal to 1"),
    ("[policy]\nmin_se_s = 89", "2: policy.min_se_s: must be greater than or equal to 90, not 89"),
    ("[policy]\nmin_se_s = 1801", "2: policy.min_se_s: must be less than or equal to 1800, not 1801"),
    ("[policy]\nsession_expires_s = 89", "2: policy.session_expires_s: must be greater than or equal to 90, not 89"),
    ("[policy]\nsession_expires_s = 86401", "must be less than or equal to 86400"),
    ("[policy]\nmin_se_s = 300\nsession_expires_s = 299",
     "3: policy.session_expires_s: 299 is less than min_se_s (300)"),
    ("[policy]\nsession_timer = 'on'", """must be 'insist', 'relay' or 'off', not "on\""""),
    ("[policy]\nmessage_text = 'hide'", """must be 'mask' or 'relay', not "hide\""""),
    (PEER + "max_calls = -1", "5: peer.max_calls: must be greater than or equal to 0"),
    (PEER + "max_rate = 0.5", "5: peer.max_rate: must be a whole number, not 0.5"),
    (PEER + "options_interval_s = -1", "5: peer.options_interval_s: must be greater than or equal to 0"),
    (PEER + "options_interval_s = 86401", "5: peer.options_interval_s: must be less than or equal to 86400"),
    (PEER + "options_up_after = 0", "5: peer.options_up_after: must be greater than or equal to 1"),
    (PEER + "options_down_after = 101", "5: peer.options_down_after: must be less than or equal to 100"),
    ("[policy]\ncaller_max_calls = 1_000_001", "2: policy.caller_max_calls: must be less than or equal to 1000000"),
    ("[policy]\ncaller_max_rate = -1", "2: policy.caller_max_rate: must be greater than or equal to 0"),
    ("[cdr]\nretention_days = 729", "2: cdr.retention_days: 729 is less than two years (730 days)"),
    ("[cdr]\nmedia_retention_days = 90", "2: cdr.media_retention_days: 90 is not supported yet, only 180"),
    ("[cdr]\ncommit_window_ms = -1", "must be greater than or equal to 0"),
    ("[cdr]\nutc_offset = '8'", '2: cdr.utc_offset: "8" is not an offset from UTC such as +08:00'),
    ("[cdr]\nutc_offset = '+14:30'", "is not an offset from UTC"),
    ("[cdr]\nutc_offset = '+08:60'", "is not an offset from UTC"),
    ("[cdr]\nsettlement_rounding = '7s'", "2: cdr.settlement_rounding: must be 'second', '6s' or 'minute', not \"7s\""),
    ("[log]\nlevel = 'trace'", "2: log.level: must be 'debug', 'info', 'warning' or 'error'"),
    ("[api]\naddress = '127.0.0.1'", '2: api.address: "127.0.0.1" is not address:port'),
    ("[api]\nalibaba_scenarios = { FC1 = '' }", "2: api.alibaba_scenarios.FC1: String must have at least 1 character"),
    ("[api]\nalibaba_scenarios = 'express'", '2: api.alibaba_scenarios: must be a table of texts, not "express"'),
    ("[api]\nalibaba_scenarios = { FC1 = 1 }", "2: api.alibaba_scenarios.FC1: must be a text in quotes, not 1"),
    ("[api.alibaba_scenarios]\nFC1 = 'e'\nFC2 = []", "3: api.alibaba_scenarios.FC2: must be a text in quotes"),
    ("[api]\nalibaba_address = 'here'\nalibaba_scenario = 'e'", '2: api.alibaba_address: "here" is not address:port'),
    (
        "[api]\nalibaba_address = '127.0.0.1:8701'",
        "1: api.alibaba_scenario: missing: bindings that are made at alibaba_address have none of their own",
    ),
    (
        "[api]\nalibaba_address = '127.0.0.1:8700'\nalibaba_scenario = 'e'",
        "2: api.alibaba_address: is address, too: each has a listener of its own",
    ),
    ("[api]\nrate_per_s = -1", "2: api.rate_per_s: must be greater than or equal to 0, not -1"),
    ("[api]\ncertificate = 'veil.toml'", "1: api.private_key: missing: certificate has no use without"),
    ("[api]\ncertificate = 'veil.toml'\nprivate_key = 'none.pem'", '3: api.private_key: "none.pem": no such file'),
    ("[api]\nwebhook_hosts = ['10.1.0.1/16']", '2: api.webhook_hosts: "10.1.0.1/16" is no host name, no address'),
    ("[api]\nwebhook_hosts = ['https://a']", '2: api.webhook_hosts: "https://a" is no host name, no address'),
    ("[log]\nformat = 'xml'", "2: log.format: must be 'console' or 'json'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "fault"), BAD)
def test_faults_name_line_key_and_reason(file: Path, text: str | bytes, fault: str) -> None:
    (found,) = faults(file, text)
    assert found.startswith(fault) if re.match(r"\d+:", fault) else fault in found


NOT_YET: Final = [
    ("[store]\nurl = 'postgresql://u:p@h/d'", '2: store.url: not supported yet, only "sqlite"'),
    ("[numbering]\ncountry_code = '852'", 'numbering.country_code: "852" is not supported yet, only "86"'),
    ("[numbering]\nlayout = [3, 2, 6, 4]", "[3, 2, 6, 4] is not supported yet, only [3, 1, 7, 4]"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "fault"), NOT_YET)
def test_what_is_not_built_is_refused(file: Path, text: str, fault: str) -> None:
    (found,) = faults(file, text)
    assert fault in found


def test_everything_that_is_wrong_is_told_at_once_in_the_order_of_the_file(file: Path) -> None:
    text = '[policy]\nmax_cal_s = 1\n\n[node]\nworkers = 33\n\n[[route]]\nname = "r"\ncalled = "("\npeers = ["x"]\n'
    assert [line.split(":")[0] for line in faults(file, text)] == ["2", "5", "9", "10"]


def test_a_wrong_value_is_quoted_on_one_short_line(file: Path) -> None:
    (found,) = faults(file, f'[node]\nname = "{"x" * 500}\\u001b\\n"')
    assert len(found) < 250
    assert found.isprintable()


def test_a_password_in_a_store_url_is_not_quoted(file: Path) -> None:
    (found,) = faults(file, "[store]\nurl = 'postgresql://u:secret@h/d'")
    assert "secret" not in found
