"""The 700 domain without I/O: states, problems, and the rules that need no more than their arguments."""
