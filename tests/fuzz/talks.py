"""The conversations that are mutated, as ladders, and the nodes that they go through.

A line of a ladder is one thing that happens:

    SIDE calls METHOD [BODY] [| ROW]...            a request that opens something
    SIDE answers METHOD STATUS [BODY] [| ROW]...   a response to the last such request that came; `b2`: of a fork
    SIDE asks METHOD [BODY] [| ROW]...             a request in the dialog
    SIDE acks [BODY], cancels, shows, submits, delivers, reports ok|error phone|centre      as `ends.End` has them
    wait SECONDS
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from engine.core.settings import CallerSource, CoreSettings, MessageText, NumberFormat, Profile, SessionTimer
from sipstack.digest import SHA_256, Challenge, challenge_value
from tests.core.corenode import CALLEE, NODE, SETTINGS, TWO_TARGETS, B, X, with_policy, with_trunk
from tests.core.logins import PASSWORD, REALM, USER
from tests.core.passwords import account
from tests.core.test_transit import through

MAX_CALL_S: Final = 90.0

_ASKED: Final = challenge_value(Challenge(REALM, "zqnonce", SHA_256))
_NEARLY_ALL: Final = """
    a calls INVITE sdp | Supported: 100rel, timer | Session-Expires: 1800 | Allow: INVITE, UPDATE, {word}
    b answers INVITE 100
    b answers INVITE 183 sdp | Require: 100rel | RSeq: 77
    a asks PRACK
    b answers PRACK 200
    a asks UPDATE sdp
    b answers UPDATE 200 sdp
    b answers INVITE 180
    b answers INVITE 200 | Supported: timer | Session-Expires: 1800;refresher=uas
    a acks
    b asks INVITE sdp
    a answers INVITE 200 sdp
    b acks
    a asks INFO dtmf
    b answers INFO 200
    b asks UPDATE sdp
    a answers UPDATE 200 sdp
    a asks BYE | Reason: SIP;cause=200;text="{word}"
    b answers BYE 200
"""

TALKS: Final[dict[str, str]] = {
    "call": _NEARLY_ALL,
    "late offer": """
        a calls INVITE
        b answers INVITE 180
        b answers INVITE 200 sdp
        a acks sdp
        a asks INVITE
        b answers INVITE 200 sdp
        a acks sdp
        b asks OPTIONS
        a answers OPTIONS 200
        b asks BYE
        a answers BYE 200
    """,
    "cancelled": """
        a calls INVITE parts
        b answers INVITE 180
        a cancels
        b answers CANCEL 200
        b answers INVITE 487
        a acks
    """,
    "cancel meets answer": """
        a calls INVITE sdp
        b answers INVITE 180
        a cancels
        b answers INVITE 200 sdp
        b answers CANCEL 200
        a acks
        b answers BYE 200
    """,
    "forks": """
        a calls INVITE sdp | Supported: 100rel
        b answers INVITE 180
        b2 answers INVITE 183 sdp | Require: 100rel | RSeq: 5
        a asks PRACK
        b answers PRACK 200
        b answers INVITE 200 sdp
        b2 answers INVITE 200 sdp
        a acks
        b answers BYE 200
        a asks BYE
        b answers BYE 200
    """,
    "refused": """
        a calls INVITE sdp
        b answers INVITE 180
        b answers INVITE 486 | Warning: 399 {host} "{number}"
        a acks
        b calls INVITE sdp
        a answers INVITE 503 | Retry-After: 5 ({number})
        b acks
    """,
    "redirected": """
        a calls INVITE sdp
        b answers INVITE 302 | Contact: <sip:{forwarded}@{host}>
        b answers INVITE 180
        b answers INVITE 200 sdp
        a acks
        a asks BYE
        b answers BYE 200
    """,
    "transferred": """
        a calls INVITE sdp
        b answers INVITE 200 sdp
        a acks
        b asks REFER | Refer-To: <sip:{x}@{host}> | Referred-By: <sip:{number}@{host}>
        a answers REFER 202
        a asks NOTIFY frag | Event: refer | Subscription-State: active;expires=60
        b answers NOTIFY 200
        b asks BYE
        a answers BYE 200
    """,
    "kept up": f"""
        a calls INVITE sdp | Allow: UPDATE | Supported: timer
        b answers INVITE 200 sdp | Allow: UPDATE
        a acks
        wait 14
        a answers UPDATE 200
        b answers UPDATE 200
        wait 21
        a answers UPDATE 481
        b answers UPDATE 491
        wait {MAX_CALL_S}
        a answers BYE 200
        b answers BYE 481
    """,
    "never answered": """
        a calls INVITE sdp | Expires: 40
        b answers INVITE 180
        wait 45
        b answers CANCEL 200
        b answers INVITE 487
        a acks
    """,
    "text": """
        a calls MESSAGE text
        b answers MESSAGE 200
        b calls MESSAGE text
        a answers MESSAGE 404
        a calls OPTIONS
        b calls SUBSCRIBE | Event: presence
    """,
    "short message": """
        a submits
        b answers MESSAGE 202
        b reports ok centre
        a answers MESSAGE 200
        a delivers
        b answers MESSAGE 200
        b reports error phone
        a answers MESSAGE 480
    """,
    "transit": _NEARLY_ALL,
    "isc": _NEARLY_ALL,
    "caller with password": f"""
        a calls INVITE sdp
        a acks
        a shows
        {_NEARLY_ALL.partition("100rel, timer")[2].partition(chr(10))[2].strip()}
    """,
    "trunk with password": f"""
        a calls INVITE sdp
        b answers INVITE 401 | WWW-Authenticate: {_ASKED}
        b answers INVITE 180
        b answers INVITE 200 sdp
        a acks
        a asks INVITE sdp
        b answers INVITE 401 | WWW-Authenticate: {_ASKED}
        b answers INVITE 200 sdp
        a acks
        b asks BYE
        a answers BYE 200
        a calls MESSAGE text
        b answers MESSAGE 407 | Proxy-Authenticate: {_ASKED}
        b answers MESSAGE 407 | Proxy-Authenticate: {_ASKED}
    """,
}

VARIANTS: Final[tuple[CoreSettings, ...]] = (
    SETTINGS,
    TWO_TARGETS,
    with_trunk("callee-side", number_format=NumberFormat.TEL, trusted=False, caller=CallerSource.FROM),
    with_trunk("caller-side", trusted=False, caller=CallerSource.FROM, uniform_refusals=True),
    with_policy(SETTINGS, session_timer=SessionTimer.RELAY),
    with_policy(SETTINGS, message_text=MessageText.MASK, caller_max_rate=60, caller_max_calls=3),
)

BEHIND_SCSCF: Final = "127.0.0.13:5080"  # where the Route of the S-CSCF leads: an address of the same peer


def settings_of(talk: str, variant: int) -> CoreSettings:
    """The node that a conversation goes through."""
    settings = VARIANTS[variant % len(VARIANTS)]
    if talk in ("redirected", "transferred"):
        peers = tuple(replace(peer, follow_redirect=True, allow_transfer=True) for peer in settings.peers)
        settings = replace(settings, peers=peers)
    elif talk == "kept up":
        settings = with_policy(settings, session_expires_s=20)
    elif talk == "transit":
        settings = through(settings)
    elif talk == "isc":
        caller, callee = settings.peers
        caller = replace(caller, match=("127.0.0.12", BEHIND_SCSCF), profile=Profile.ISC)
        settings = replace(settings, peers=(caller, callee))
    elif talk == "caller with password":
        caller, callee = settings.peers
        peers = (replace(caller, caller=CallerSource.DIGEST), callee)
        settings = replace(settings, peers=peers, accounts=(account(),))
    elif talk == "trunk with password":
        caller, callee = settings.peers
        peers = (caller, replace(callee, username=USER, password=PASSWORD, realm=REALM))
        settings = replace(settings, peers=peers)
    return with_policy(settings, max_call_s=MAX_CALL_S)


def opening(talk: str) -> tuple[str, tuple[str, ...]]:
    """What the caller of a conversation calls, and the rows that its requests have besides."""
    if talk == "transit":
        return f"sip:{B}@veil.example", ()
    if talk == "isc":
        return f"sip:{X}@veil.example", (f"Route: <sip:{NODE};lr>, <sip:odi@{BEHIND_SCSCF};lr>",)
    return "", ()


def address_of_b(talk: str) -> str:
    """Where the called end is."""
    return BEHIND_SCSCF if talk == "isc" else CALLEE


def steps_of(talk: str) -> list[str]:
    """The lines of a ladder."""
    return [line.strip() for line in TALKS[talk].strip().splitlines()]
