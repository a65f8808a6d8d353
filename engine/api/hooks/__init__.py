"""Asking the app platforms over HTTPS, for the node and for binds: orders and decisions on single calls."""
