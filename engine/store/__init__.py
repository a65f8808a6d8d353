"""Bindings and records in two SQLite databases of the data folder."""

from engine.store.uncounted import leave_uncounted

leave_uncounted()
