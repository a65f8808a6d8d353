"""Several processes that serve the calls of one node, and the one that supervises them (docs/workers.md)."""
