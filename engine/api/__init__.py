"""The HTTP API: a process of its own beside the node, the only one that loads fastapi and uvicorn."""
