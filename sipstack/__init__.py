"""A SIP stack without I/O: bytes, transactions, dialogs; `sipstack.aio` puts it on sockets."""
