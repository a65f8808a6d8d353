"""Several workers on the same addresses: who gets a message, and how one that comes to another finds its owner."""
