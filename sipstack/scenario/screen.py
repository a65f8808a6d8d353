"""How a run stands, as SIPp's screens show it: lines of text for a terminal, a log or a file."""

from __future__ import annotations

from typing import Final

from sipstack.scenario.model import Element, Pause, Recv, Send
from sipstack.scenario.report import name_of
from sipstack.scenario.stat_file import Standing, clock
from sipstack.scenario.tally import Times

_ARROWS: Final = {"send": "---------->", "recv": "<----------"}


def in_one_line(at: Standing) -> str:
    """For a log: the figures that change."""
    tally = at.tally
    created = tally.incoming + tally.outgoing
    rate = created / at.elapsed_s if at.elapsed_s else 0.0
    return (
        f"{at.elapsed_s:.1f} s: {created} calls, {rate:.1f}/s, {at.open_calls} open, {tally.successful} successful, "
        f"{tally.failed} failed, {tally.retransmissions} retransmissions, {tally.unexpected} unexpected"
    )


def table(at: Standing) -> list[tuple[str, str, int, int, int, int]]:
    """A row for each element: name, arrow, messages, retransmissions, timeouts, unexpected messages."""
    rows = []
    for element, counts in zip(at.scenario.elements, at.tally.elements, strict=True):
        rows.append((name_of(element), _arrow(element), counts.messages, counts.retransmissions, counts.timeouts,
                     counts.unexpected))  # fmt: skip
    return rows


def _arrow(element: Element) -> str:
    if isinstance(element, Send):
        return _ARROWS["send"]
    if isinstance(element, Recv):
        return _ARROWS["recv"]
    return "[  pause  ]" if isinstance(element, Pause) else ""


def scenario_screen(at: Standing) -> list[str]:
    """Rates and calls, then the messages of each element."""
    tally = at.tally
    created = tally.incoming + tally.outgoing
    lines = [
        "------------------------------ Scenario Screen --------------------------------",
        "  Call rate     Total-time  Total-calls  Open-calls",
        f"  {at.rate:<12.1f}  {at.elapsed_s:8.2f} s  {created:<11}  {at.open_calls}",
        "",
        f"  {tally.dead_call} dead call msg, {tally.out_of_call} out-of-call msg",
        "",
        "                                 Messages  Retrans   Timeout   Unexpected-Msg",
    ]
    for name, arrow, *counts in table(at):
        shown = "".join(f"{count:<10}" for count in counts)
        lines.append(f"  {name:>12} {arrow:<16} {shown}".rstrip())
    return lines


def statistics_screen(at: Standing) -> list[str]:
    """Counters and times of the whole run."""
    tally = at.tally
    created = tally.incoming + tally.outgoing
    rate = created / at.elapsed_s if at.elapsed_s else 0.0
    rows = [
        ("Elapsed time", clock(at.elapsed_s)), ("Call rate", f"{rate:.3f} cps"),
        ("Incoming calls created", str(tally.incoming)), ("Outgoing calls created", str(tally.outgoing)),
        ("Current calls", str(at.open_calls)), ("Successful calls", str(tally.successful)),
        ("Failed calls", str(tally.failed)),
        *((f"  {kind.value}", str(count)) for kind, count in tally.reasons.items()),
        *((f"Counter {name}", str(count)) for name, count in tally.counters.items()),
        *((f"Response time {name}", _times(times)) for name, times in sorted(tally.response_times.items())),
        ("Call length", _times(tally.call_lengths)),
    ]  # fmt: skip
    title = "----------------------------- Statistics Screen -------------------------------"
    return [title, *(f"  {name:<28} | {value}" for name, value in rows)]


def _times(times: Times) -> str:
    if not times.count:
        return "-"
    p50, p99 = times.percentile_ms(50), times.percentile_ms(99)
    return f"mean {times.mean_ms:.1f} ms, p50 {p50:.1f}, p99 {p99:.1f} ({times.count})"


def repartition_screen(at: Standing) -> list[str]:
    """How many response times and call lengths fell between which bounds."""
    lines = ["---------------------------- Repartition Screen -------------------------------"]
    named = [(f"Response time {name}", times) for name, times in sorted(at.tally.response_times.items())]
    for title, times in (*named, ("Call length", at.tally.call_lengths)):
        if not times.bounds_ms:
            continue
        lines.append(f"  {title}")
        for low, high, count in zip((0, *times.bounds_ms), times.bounds_ms, times.below, strict=False):
            lines.append(f"    {low:>10} ms <= n < {high:>10} ms : {count:>10}")
        lines.append(f"    {'':>10}       n >= {times.bounds_ms[-1]:>9} ms : {times.below[-1]:>10}")
    return lines


def all_screens(at: Standing) -> list[str]:
    """One after the other."""
    return [*scenario_screen(at), *statistics_screen(at), *repartition_screen(at)]
