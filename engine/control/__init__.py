"""The control socket: how tools talk to a running node."""
