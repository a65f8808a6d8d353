"""The node's own addresses as messages show them: sent-by of Via, host:port of Contact, address of o=."""

from __future__ import annotations

from typing import Final, final

from engine.core.settings import ListenerSettings


@final
class Listener:
    """One listener, its share of the rows made once."""

    __slots__ = ("address", "advertised", "contact_end", "host", "is_ipv6", "request_via", "transport", "via_start")

    def __init__(self, settings: ListenerSettings) -> None:
        self.advertised: Final = settings.advertise
        self.transport: Final = settings.transport
        self.is_ipv6: Final = ":" in settings.host
        self.address: Final = f"{settings.host} {settings.port}"  # what it is bound to: the same in every run
        self.host: Final = self.advertised.rpartition(":")[0].strip("[]")  # as the world names it
        self.via_start: Final = f"Via: SIP/2.0/{settings.transport} {self.advertised};branch="
        self.request_via: Final = f" SIP/2.0\r\n{self.via_start}"  # as it stands behind the Request-URI
        parameter = "" if settings.transport == "UDP" else f";transport={settings.transport.lower()}"
        self.contact_end: Final = f"@{self.advertised}{parameter}>"


@final
class Listeners:
    """All of them, in the order of the configuration: `Flow.local` is the index."""

    __slots__ = ("all",)

    def __init__(self, settings: tuple[ListenerSettings, ...]) -> None:
        self.all: Final = tuple([Listener(one) for one in settings])

    def index_for(self, transport: str, host: str) -> int:
        """Whence something is sent to a host (an IP literal) over a transport: the first that can; -1 for none."""
        is_ipv6 = ":" in host
        for index, listener in enumerate(self.all):
            if listener.transport == transport and listener.is_ipv6 is is_ipv6:
                return index
        return -1

    def index_of(self, transport: str, host: str, address: str) -> int:
        """The listener bound to `address` in another run; where there is none any more, as `index_for`; -1 for none."""
        for index, listener in enumerate(self.all):
            if listener.transport == transport and listener.address == address:
                return index
        return self.index_for(transport, host)

    def is_own(self, transport: str, host: str, port: int) -> bool:
        """True for an address that the node itself listens on."""
        return any(one.transport == transport and one.address == f"{host} {port}" for one in self.all)
