"""The command line: every verb but `run`, which `engine.main` starts without any of this (decision 6)."""

from __future__ import annotations

from engine.cli.app import run_cli, verbs

__all__ = ["run_cli", "verbs"]
