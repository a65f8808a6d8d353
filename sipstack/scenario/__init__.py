"""Plays conversations that are written in the XML dialect of SIPp, over UDP. docs/scenarios.md says what it knows."""
