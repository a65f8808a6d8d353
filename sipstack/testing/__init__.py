"""For tests: conversations on a fake clock, and a lossy link between two ends."""
