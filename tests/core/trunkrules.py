"""Two trunks of landlines that spell their own area's numbers without its code: the caller's in Shanghai, the callee's
in Guangzhou, which is sent them so, too."""

from __future__ import annotations

import re
from dataclasses import replace

from engine.core.number_rules import NumberRule, NumberRules
from engine.core.settings import CoreSettings, RouteSettings
from tests.core.corenode import CALLEE_SIDE, CALLER_SIDE, SETTINGS, CoreNode, axb

SHANGHAI = "2188888888"
AT_HOME_A = "88888888"  # Shanghai's on its own trunk
GUANGZHOU = "2066666666"
AT_HOME_B = "66666666"

LOCAL_A = NumberRules(
    "shanghai-in",
    (
        NumberRule("+86", 11, None, 3, "21"),
        NumberRule(expression=re.compile("^[2-8][0-9]{7}$", re.ASCII), add="21"),
        NumberRule("10198", 0, None, 5),
    ),
)
LOCAL_B = NumberRules("guangzhou-out", (NumberRule("20", 10, None, 2), NumberRule("1", 11, None, 0, "0")))

BY_RULES: CoreSettings = replace(
    SETTINGS,
    peers=(
        replace(CALLER_SIDE, rules_in=LOCAL_A, pass_headers=("X-Note",)),
        replace(CALLEE_SIDE, rules_out=LOCAL_B, pass_headers=("X-Note",)),
    ),
    routes=(
        RouteSettings("shanghai", f"^{SHANGHAI}$", ("caller-side",)),
        RouteSettings("all", ".", ("callee-side",)),
    ),
)


def node_by_rules(settings: CoreSettings = BY_RULES) -> CoreNode:
    return CoreNode(settings, (axb(SHANGHAI, GUANGZHOU), axb(GUANGZHOU, SHANGHAI)))
