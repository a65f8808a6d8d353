"""`[transport]`: what connections may take of the node."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from engine.config.table import STRICT

Count = Annotated[int, Field(ge=1, le=1_000_000)]
Patience = Annotated[float, Field(ge=0.1, le=600, allow_inf_nan=False)]


class Transport(BaseModel):
    """`[transport]`: limits on connections, for TCP and for TLS each: [transports](transports.md#limits)."""

    model_config = STRICT

    max_connections: Count = 16_000
    """Connections in all, both ways; less where the process may not open so many. Beyond it a new one takes the place
    of who has owed a message for longest."""
    max_connections_per_host: Count = 1000
    """Connections accepted from one address. Beyond it a new one is closed."""
    max_handshakes_per_host: Count = 100
    """TLS handshakes that one address may begin. Beyond it a new connection is closed."""
    max_handshakes: Count = 200
    """TLS handshakes that may begin from all addresses of one untrusted peer together, and from all that are no peer's:
    each costs 1.5 ms of CPU. Addresses of a trusted peer's `match` are not counted, and none whose last handshake has
    shown a certificate of `client_ca`."""
    receive_timeout_s: Patience = 10.0
    """From the first octet of a message to its last, and from accepting a connection to the end of its first message.
    Then it is closed."""
    handshake_timeout_s: Patience = 10.0
    """From accepting a connection to the end of its TLS handshake. Then it is closed."""
    idle_timeout_s: Annotated[float, Field(ge=1, le=7 * 86400, allow_inf_nan=False)] = 3600.0
    """Nothing heard on a connection for so long, not even a ping: it is closed. A phone behind a NAT is reached by no
    other one, so let it be longer than a call is silent (`session_expires_s` of `[policy]`)."""
    max_unsent_kib: Annotated[int, Field(ge=128, le=65_536)] = 256
    """What waits for a far end that does not read, or for a connection to open. Beyond it the connection is closed."""
