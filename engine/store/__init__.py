"""Bindings and records in two SQLite databases of the data folder."""
