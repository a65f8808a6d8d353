"""Regular expressions of the SIP grammar, each under the production of RFC 3261 §25.1 that it implements.

All are written over ASCII: `\\d`, `\\w` and `$` are not used, since they match more in Python than the RFC allows.
Runs of one character class are possessive (`++`, `*+`) and alternatives start differently, so that no character is
tried in two ways: the work for a text grows with its length alone, however it ends. Groups are not possessive:
CPython before 3.11.5 matches those wrongly (gh-106052).
"""

from __future__ import annotations

import re
from typing import Final

# token = 1*(alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~")
TOKEN_CHARS: Final = r"[A-Za-z0-9\-.!%*_+`'~]"
TOKEN: Final = re.compile(rf"{TOKEN_CHARS}+")

# What no header section holds but in a quoted-pair: CTL of RFC 2234, TAB left out since it is LWS.
CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

# quoted-string = SWS DQUOTE *(qdtext / quoted-pair) DQUOTE
_QDTEXT: Final = r'[^"\\\x00-\x08\x0a-\x1f\x7f]'
QUOTED_STRING: Final = rf'"{_QDTEXT}*+(?:\\[^\r\n]{_QDTEXT}*+)*"'

# hostname, IPv4address, IPv6reference. Names may carry "_" (Windows and container hosts do), which RFC 3261 forbids.
HOST: Final = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9_.\-]*[A-Za-z0-9_.])?)"

# port = 1*DIGIT
PORT: Final = r"[0-9]{1,5}"

# gen-value = token / host / quoted-string; an IPv6 address without brackets appears in `received` (RFC 5118 §4.5),
# hence the colon.
GEN_VALUE: Final = rf"(?:{QUOTED_STRING}|\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9\-.!%*_+`'~:]++)"

# SEMI generic-param; generic-param = token [ EQUAL gen-value ], with the LWS that SEMI and EQUAL allow on both sides
GENERIC_PARAM: Final = rf"[ \t]*+;[ \t]*+{TOKEN_CHARS}++(?:[ \t]*+=[ \t]*+{GEN_VALUE})?"
PARAM: Final = re.compile(rf"[ \t]*+;[ \t]*+({TOKEN_CHARS}++)(?:[ \t]*+=[ \t]*+({GEN_VALUE}))?")

# via-parm = sent-protocol LWS sent-by *( SEMI via-params )
VIA: Final = re.compile(
    rf"[Ss][Ii][Pp][ \t]*+/[ \t]*+2\.0[ \t]*+/[ \t]*+({TOKEN_CHARS}++)[ \t]++"
    rf"({HOST})(?:[ \t]*+:[ \t]*+({PORT}))?"
    rf"((?:{GENERIC_PARAM})*)[ \t]*+"
)

# name-addr = [ display-name ] LAQUOT addr-spec RAQUOT; display-name = *(token LWS) / quoted-string
NAME_ADDR: Final = re.compile(
    rf"[ \t]*+({QUOTED_STRING}|{TOKEN_CHARS}++(?:[ \t]++{TOKEN_CHARS}++)*)?[ \t]*+"
    rf"<([A-Za-z][A-Za-z0-9+.\-]*+:[^<>\x00-\x20\"\x7f]++)>"
    rf"((?:{GENERIC_PARAM})*)[ \t]*+"
)

# addr-spec without brackets: "?", "," and ";" would belong to the header field (§20), so none may stand in the URI
BARE_ADDR: Final = re.compile(
    rf"[ \t]*+([A-Za-z][A-Za-z0-9+.\-]*+:[^<>\x00-\x20\"\x7f;,?]++)((?:{GENERIC_PARAM})*)[ \t]*+"
)

# SIP-URI = ("sip:" / "sips:") [ userinfo ] hostport uri-parameters [ headers ]
SIP_URI: Final = re.compile(
    r"([Ss][Ii][Pp][Ss]?):"
    r"(?:([A-Za-z0-9\-_.!~*'()&=+$,;?/%]++)(?::([A-Za-z0-9\-_.!~*'()&=+$,%]*+))?@)?"
    rf"({HOST})(?::({PORT}))?"
    r"((?:;[A-Za-z0-9\-_.!~*'()\[\]/:&+$%]++(?:=[A-Za-z0-9\-_.!~*'()\[\]/:&+$%]++)?)*)"
    r"(?:\?([A-Za-z0-9\-_.!~*'()\[\]/?:+$%&=]++))?"
)

# telephone-uri = "tel:" telephone-subscriber (RFC 3966 §3); digits are judged where numbers are understood
TEL_URI: Final = re.compile(r"[Tt][Ee][Ll]:([+0-9A-Fa-f*#\-.()%]++)((?:;[A-Za-z0-9\-]++(?:=[!#-:=?-~]++)?)*)")

# absoluteURI = scheme ":" ( hier-part / opaque-part ): only its shape, for schemes that we do not serve (416)
ABSOLUTE_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*+:[!#-;=?-~]++")

# escaped = "%" HEXDIG HEXDIG
ESCAPED: Final = re.compile(r"%[0-9A-Fa-f]{2}")

# CSeq = 1*DIGIT LWS Method; the sequence number is below 2**31 (§8.1.1.5), so ten digits are enough once zeros are gone
CSEQ: Final = re.compile(rf"0*([0-9]{{1,10}})[ \t]++({TOKEN_CHARS}++)")

# RAck = response-num LWS CSeq-num LWS Method (RFC 3262 §10)
RACK: Final = re.compile(rf"([0-9]++)[ \t]++([0-9]++[ \t]++{TOKEN_CHARS}++)")

# callid = word [ "@" word ]; taken as any visible characters (Cisco and SIPp both send more than `word` allows)
CALL_ID: Final = re.compile(r"[\x21-\x7e]+")

# -- The usual spellings -----------------------------------------------------------------------------------------------
#
# What nearly every peer writes: subsets of the productions above with one way through, in which one look finds all
# parts (half the instructions of the production itself). What they do not match is read by the production: they may
# refuse anything, and take nothing that it would not take, with the same meaning (test_usual_spellings.py).

# Methods whose letters need no look (RFC 3261, 3262, 3311, 3428, 3515, 6086, 6665).
USUAL_METHODS: Final = frozenset((
    "ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS", "PRACK", "REFER", "REGISTER", "SUBSCRIBE",
    "UPDATE",
))  # fmt: skip

# A host that begins and ends as one may, and a port without zeros in front.
_USUAL_HOST: Final = r"[a-z0-9][a-z0-9.]*+"
_USUAL_PORT: Final = r"[1-9][0-9]{0,4}+"

# Groups: transport, host, port, parameters, branch, rport.
USUAL_VIA: Final = re.compile(
    rf"SIP/2\.0/(UDP|TCP|TLS) ({_USUAL_HOST})(?::({_USUAL_PORT}))?(;branch=({TOKEN_CHARS}++)(;rport)?)"
)

# Visible ASCII without quote and angle brackets, told as what it is: what it is not would take a quarter longer.
_URI_CHARS: Final = r"[!#-;=?-~]"

# Groups: URI, header parameters, tag.
USUAL_ADDRESS: Final = re.compile(rf"<((?:sip|tel):{_URI_CHARS}++)>(;tag=({TOKEN_CHARS}++))?")

# A row of From or To behind its colon: that address behind one space. Group: tag.
USUAL_ADDRESS_ROW: Final = re.compile(rf" <(?:sip|tel):{_URI_CHARS}++>(?:;tag=({TOKEN_CHARS}++))?")

# Groups: user, host, port, one parameter.
_USUAL_SIP_URI: Final = rf"sip:([A-Za-z0-9+]++)@({_USUAL_HOST})(?::({_USUAL_PORT}))?(;[a-z]++=[a-z]++)?"
USUAL_SIP_URI: Final = re.compile(_USUAL_SIP_URI)

# Groups: URI, then those of USUAL_SIP_URI.
USUAL_CONTACT: Final = re.compile(rf"<({_USUAL_SIP_URI})>")
