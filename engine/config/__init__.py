"""The configuration: TOML to checked models to the plain settings that the core is given (contract §4)."""

from __future__ import annotations

from engine.config.loader import ConfigError, load, load_text
from engine.config.models import Config

__all__ = ["Config", "ConfigError", "load", "load_text"]
