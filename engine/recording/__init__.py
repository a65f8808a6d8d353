"""The writer of records as a process of its own, and what the other processes of a node have to do with it."""
