"""What the core keeps in memory, counted: with a steady load each of these is steady, too."""

from __future__ import annotations

from engine.core.context import CoreContext


def kept(context: CoreContext) -> dict[str, int]:
    """How many there are, by name; `timers` counts cancelled ones that still lie on the wheels."""
    transactions = context.transactions
    return {
        "attempts": len(context.attempts),
        "dialogs": len(context.dialogs),
        "transactions": len(transactions),
        "timers": context.wheel.entries + transactions.wheel.entries,
        "released": len(context.released),
        "reports": len(context.reports) + len(context.reported),
    }
