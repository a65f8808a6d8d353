"""The command line: every verb but `run`, which `engine.main` starts without any of this (decision 6)."""

from __future__ import annotations

from engine.cli.app import app, run_cli

__all__ = ["app", "run_cli"]
