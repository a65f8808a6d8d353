"""Verbs about the node: run, check, config show, status, calls, drain, reload."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from engine.api_child import tls_context
from engine.cli.common import DONE, FAILED, JSON, USAGE, configuration, say, say_facts, say_json, say_table, tell
from engine.config import Config
from engine.config.restart import restart_keys
from engine.config.warnings import warnings
from engine.config.written import masked, toml_text
from engine.control.client import ask
from engine.listening import tls_contexts
from engine.reports.holidays import calendar
from engine.store.database import open_read_only, store_errors
from engine.store.errors import StoreError
from engine.store.inventory import InventoryError, read_inventory
from engine.store.openings import unreported

_CALL_COLUMNS = {
    "record_id": 26, "kind": 7, "state": 12, "tel_x": 15, "caller": 11, "callee": 11, "ingress_peer": 12,
    "egress_peer": 12, "age_s": 8,
}  # fmt: skip


def add_to(app: typer.Typer) -> None:
    """Hang the verbs of this module into the application."""
    app.command("run")(run)
    app.command("check")(check)
    config_app = typer.Typer(help="The effective configuration.", rich_markup_mode=None)
    config_app.command("show")(show)
    app.add_typer(config_app, name="config")
    app.command("status")(status)
    app.command("calls")(calls)
    app.command("drain")(drain)
    app.command("reload")(reload)


def run(context: typer.Context) -> int:
    """Run the node in the foreground.

    Prints one line when traffic is accepted. SIGTERM drains and ends with status 0; a second one ends at once.

    \b
    Example:
      veil700 run --config /etc/veil700/veil700.toml
    """
    from engine.node import run_node  # the other verbs need nothing of the node

    return run_node(context.obj)


def check(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> int:
    """Check the configuration and the inventory that it names; every fault with file, line, key and reason.

    Where there is none it tells which keys a running node does not take (see reload). It warns, on stderr and with
    status 0, of routes and number rules that nothing comes to, of a data folder that whoever asks could not have, of
    certificates without a name or with less than 30 days to go, and of an API that others may listen in on. Every
    [[expect]] of the file is decided: status 1 when one comes out otherwise.

    \b
    Example:
      veil700 check --config veil700.toml
    """
    config = configuration(context)
    tls_contexts(config)
    tls_context(config)
    if config.inventory_file is not None:
        try:
            read_inventory(config.inventory_file)
        except InventoryError as error:
            tell(str(error))
            return USAGE
    warned = warnings(config, datetime.now(UTC))
    for line in warned:
        tell(line)
    failing: list[str] = []
    if config.expect:
        from engine.deciding.expects import failing_expects  # the core, which nothing else here needs

        failing = failing_expects(config, time.time())
    for line in failing:
        tell(line)
    if as_json:
        facts = {"ok": not failing, "file": str(config.path), "data_dir": str(config.data_dir)}
        told = {"warnings": warned, "expects": len(config.expect), "failing": failing}
        say_json(facts | {"restart_keys": restart_keys()} | told)
    elif not failing:
        count = len(config.expect)
        hold = f", {count} {'expect holds' if count == 1 else 'expects hold'}" if count else ""
        say(f"{config.path}: ok{hold}, data in {config.data_dir}")
        say(f"a change wants a restart: {', '.join(restart_keys())}; all else is taken by reload")
    return FAILED if failing else DONE


def show(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """Print the effective configuration, defaults included, as TOML or JSON; passwords are masked.

    \b
    Example:
      veil700 config show --json
    """
    config = configuration(context)
    if as_json:
        say_json(masked(config.model_dump()))
    else:
        text = toml_text(masked(config.model_dump(exclude_none=True)))
        say(f"# {config.path}\n# data in {config.data_dir}\n\n{text}")


def status(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """What the running node says about itself.

    \b
    Example:
      veil700 status --json
    """
    data_dir = configuration(context).data_dir
    answer = ask(data_dir, "status") | {"openings": _openings(data_dir)}
    if as_json:
        say_json(answer)
    else:
        told = {
            "openings": _due(answer["openings"]),
            "health": _health(answer.get("health")),
            "targets": _names(answer.get("targets")),
        }
        if "workers" in answer:
            told["workers"] = _workers(answer["workers"])
        say_facts(answer | told)


def _openings(data_dir: Path) -> list[dict[str, str]]:
    """The blocks whose opening is still to be reported, oldest first."""
    path = data_dir / "bindings.db"
    if not path.is_file():
        return []
    try:
        with store_errors(path), closing(open_read_only(path, None)) as connection:
            return [opening._asdict() for opening in unreported(connection, calendar(), time.time())]
    except StoreError as error:  # a node in trouble is asked above all
        tell(f"veil700: {error}")
        return []


def _due(openings: object) -> dict[str, str]:
    """Each block, and until when its opening is to be reported."""
    return {
        opening["prefix"]: f"to be reported until {opening['due_day']}{', OVERDUE' * (opening['status'] == 'overdue')}"
        for opening in (openings if isinstance(openings, list) else [])
    }


def _health(told: object) -> dict[str, str]:
    """Peer and address of each target, and how it is there."""
    found = {}
    for target in told if isinstance(told, list) else []:
        since = f" since {target['since']}" if target["since"] else ""
        barred = f", barred for {target['barred_s']:.0f} s" if target["barred_s"] else ""
        found[f"{target['peer']} {target['address']}"] = f"{target['state']}{since}{barred}"
    return found


def _names(told: object) -> dict[str, str]:
    """Each target that is a name, and what the DNS says of it."""
    return {
        name["target"]: "; ".join([*name["addresses"], *([name["fault"]] if name["fault"] else [])])
        for name in (told if isinstance(told, list) else [])
    }


def _workers(told: object) -> dict[str, str]:
    """Each process of a node with several workers, and how it is."""
    return {
        str(one["worker"]): (
            f"{one['state']}, pid {one['pid']}, {one.get('calls', 0)} calls, {one.get('uss_kb', 0)} KiB, "
            f"{one['restarts']} restarts"
        )
        for one in (told if isinstance(told, list) else [])
    }


def calls(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """Calls and messages in progress on the running node, real numbers masked.

    \b
    Example:
      veil700 calls
    """
    answer = ask(configuration(context).data_dir, "calls")
    if as_json:
        say_json(answer)
        return
    found = answer.get("calls")
    calls = found if isinstance(found, list) else []
    say_table(_CALL_COLUMNS, ((call.get(name, "") for name in _CALL_COLUMNS) for call in calls))


def drain(
    context: typer.Context,
    off: Annotated[bool, typer.Option("--off", help="Take calls and messages again.")] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Have the running node take no new calls and messages: they get 503, those in progress go on.

    It answers OPTIONS with 503 meanwhile, so that peers that probe it send their calls elsewhere. It does not end:
    --off takes it back, SIGTERM ends it.

    \b
    Example:
      veil700 drain
      veil700 drain --off
    """
    answer = ask(configuration(context).data_dir, "resume" if off else "drain")
    if as_json:
        say_json(answer)
    else:
        say(f"{answer['state']}, {answer['in_progress']} in progress")


def other_file(config: Config) -> str:
    """Why the node that runs here would not read this file at a reload, "" when it would. ControlError."""
    running = ask(config.data_dir, "status").get("config")
    return "" if running == str(config.path) else f"{config.path}: the node runs with {running}, which is what it reads"


def reload(
    context: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what it would change, for the calls of the last hour, too.")
    ] = False,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Have the running node read its configuration, its inventory and its certificates again.

    New calls and messages find the new configuration, those in progress keep the one they began with. With anything
    wrong in it, or a key changed that wants a restart, nothing changes: status 1, and every reason on stderr. With
    --dry-run nothing changes at all: status 1 when a call of the last hour would be decided otherwise, or nothing
    would be taken, 2 when that cannot be told.

    \b
    Example:
      veil700 reload
      veil700 reload --dry-run
    """
    config = configuration(context)
    if dry_run:
        from engine.cli.rehearse import rehearse  # as long to load as all that the other verbs need

        return rehearse(config, as_json)
    if fault := other_file(config):
        tell(fault)
        return FAILED
    answer = ask(config.data_dir, "reload")
    faults, changed = answer.get("faults"), answer.get("changed")
    for fault in faults if isinstance(faults, list) else []:
        tell(str(fault))
    if as_json:
        say_json(answer)
    elif answer.get("reloaded"):
        say("reloaded; inventory and certificates read again")
        for what in changed if isinstance(changed, list) and changed else ["nothing in the file"]:
            say(f"changed: {what}")
    return DONE if answer.get("reloaded") else FAILED
