"""The stack on asyncio: sockets and the one timer."""
