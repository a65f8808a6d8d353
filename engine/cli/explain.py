"""The verb explain: what the node would do with a call or message, and why."""

from __future__ import annotations

import time
from contextlib import closing
from enum import StrEnum
from functools import partial
from typing import Annotated

import typer

from engine.cli.common import (
    DONE,
    FAILED,
    JSON,
    REASON,
    UsageFault,
    asker,
    configuration,
    existing,
    instant,
    printable,
    say,
    say_json,
)
from engine.config import Config, load_text
from engine.control.client import ControlError, ask
from engine.control.protocol import socket_path
from engine.core.numbers import is_privacy_number, mask
from engine.deciding import Caller, Live, live_of
from engine.deciding.arrival import TEXT
from engine.explain import Explanation, Question, QuestionFault, arrival_of, as_document
from engine.explain import explain as explain_arrival
from engine.names import look_up
from engine.store.audit import audit_row, write_audit
from engine.store.crypto import open_key
from engine.store.glance import Glance

_STAGE_WIDTH = 34  # of stage and name, with what stands between them and the result


class Method(StrEnum):
    """What is asked about."""

    INVITE = "INVITE"
    MESSAGE = "MESSAGE"


def _method(text: str) -> Method:
    try:
        return Method(text.upper())
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither INVITE nor MESSAGE") from None


def add_to(app: typer.Typer) -> None:
    """Hang the verb of this module into the application."""
    app.command("explain")(explain)


def explain(
    context: typer.Context,
    caller: Annotated[str, typer.Option(help="Number of the caller, a real or a 700 one.", show_default=False)],
    called: Annotated[str, typer.Option(help="What is dialled: a number, or a whole URI.", show_default=False)],
    method: Annotated[
        Method, typer.Option(metavar="INVITE|MESSAGE", help="A call or a message.", parser=_method)
    ] = Method.INVITE,
    peer: Annotated[
        str | None,
        typer.Option(help="The peer that it comes from. Default: told from the caller's number.", show_default=False),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When it happens, RFC 3339; the bindings are today's.", show_default=False),
    ] = None,
    text: Annotated[str, typer.Option(help="What a MESSAGE says.")] = TEXT,
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="ROW", help="One more header row, `Name: value`; may be repeated.", show_default=False),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="By the configuration that the running node has in force.")
    ] = False,
    reveal: Annotated[bool, typer.Option("--reveal", help="The callee's number in clear; is audited.")] = False,
    reason: Annotated[str | None, REASON] = None,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Tell what the node would do with a call or message, and what decides it. Nothing is sent, nothing recorded.

    \b
    Status 0: it would be sent on. 1: it would be refused.
    Example:
      veil700 explain --caller 13800138000 --called 700123456780001
    """
    who = asker(reveal, reason)
    config = configuration(context)
    if live:
        config = _in_force(config)
    wall_s = instant("--at", at)
    question = Question(caller, called, method.value, peer, text, tuple(header or ()))
    try:
        arrival = arrival_of(config.core_settings(), question)
    except QuestionFault as fault:
        raise UsageFault(f"--{fault}") from None
    path = existing(config.data_dir / "bindings.db")
    cipher = open_key(config.data_dir)
    if who is not None:
        detail = f"reveal {method.value} from {mask(caller)} to {called if is_privacy_number(called) else mask(called)}"
        write_audit(path, cipher, audit_row(time.time(), who, "explain", detail))
    resolved = look_up(config.core_settings(), config.dns.settings())
    with closing(Glance(path, cipher)) as glance:
        told = explain_arrival(
            config, arrival, glance, time.time() if wall_s is None else wall_s, resolved, reveal=reveal,
            ask_node=partial(_ask_node, config),
        )  # fmt: skip
    if as_json:
        say_json(as_document(told))
    else:
        _say(told)
    return DONE if told.sent else FAILED


def _ask_node(config: Config, asked: Caller) -> Live | None:
    """What the running node knows; None when none runs, or none answers."""
    if not socket_path(config.data_dir).exists():
        return None  # then no socket is opened at all
    try:
        return live_of(ask(config.data_dir, "standing", asked._asdict()))
    except ControlError:
        return None


def _in_force(config: Config) -> Config:
    """What the node runs with. ControlError when none runs; UsageFault when it runs with another file."""
    answer = ask(config.data_dir, "standing")
    if answer["config"] != str(config.path):
        raise UsageFault(f"--live: {config.path}: the node runs with {answer['config']}")
    return load_text(config.path, str(answer["text"]), config.data_dir)


def _say(told: Explanation) -> None:
    """For people: the lines, the bytes, and at last what came of it."""
    for line in told.lines:
        what = f"{line.stage} {line.name}"
        say(f"{printable(what):<{_STAGE_WIDTH}}{printable(line.result)}")
        say(f"{'':<{_STAGE_WIDTH}}  <- {printable(line.made_by)}")
    if told.leaves:
        say("")
        for row in told.leaves.splitlines():
            say(f"  {printable(row)}".rstrip())
    say("")
    say(_outcome(told))


def _outcome(told: Explanation) -> str:
    if told.sent:
        sees = f"{told.callee} sees {told.presented_number}" if told.presented_number else "in transit"
        return f"would be sent to {told.egress_peer} at {told.next_hop}: {sees}"
    if not told.cause:
        return f"would be answered {told.seen_status} by a rule of SIP, without a record"
    own = f"{told.cause} {told.sip_status} / Q.850 {told.q850}, decided by {told.decided_by}"
    return f"would be refused: {own}; the caller sees {told.seen_status} / Q.850 {told.seen_q850}"
