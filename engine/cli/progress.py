"""What a terminal shows of work that goes on; nothing where nobody looks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# rich is loaded where there is a terminal: without one it was a twelfth of a short command.


@contextmanager
def counted_bar(what: str, known: int | None = None) -> Iterator[Callable[[int, int], None] | None]:
    """What draws the bar, given what is done and what there is in all, both in `what`; None without a terminal.

    `known`: what there is in all, where that is known before.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (TextColumn(f"{{task.completed:,}} {what}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=known)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def running_line() -> Iterator[Callable[[str], None]]:
    """A line for what ends when somebody says so; what is yielded changes its text."""
    if not sys.stderr.isatty():
        yield lambda _text: None
        return
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _text: None
        return
    with console.status("") as status:
        yield lambda text: status.update(escape(text))
