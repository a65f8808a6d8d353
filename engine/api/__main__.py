"""`python -m engine.api --config FILE`: the process of the HTTP API, as `veil700 run` starts it beside the node.

It says on stdout, in one line, that it is ready, or why it cannot be. It ends on SIGTERM, and when its stdin ends: then
the node is gone.
"""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """The exit status."""
    gc.disable()  # what loads stays: a fifth of a start went into looking through it again and again
    from engine.api.process import run_api

    gc.freeze()
    gc.enable()
    return run_api()


if __name__ == "__main__":
    sys.exit(main())
