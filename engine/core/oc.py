"""Overload control between neighbours, with the loss algorithm (RFC 7339): what is told in Via, and what is obeyed.

A client that writes `oc` into its Via is told in that Via of each response which share of its new requests it should
keep back. The node does the same towards a peer that has `overload_control`, and keeps back what that peer asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from sipstack.uri import parse_params

if TYPE_CHECKING:
    from engine.core.overload import LoadControl
    from sipstack.fields import Via
    from sipstack.message import Message

# Behind the Via of a request to a peer that is obeyed (RFC 7339 §5.1).
ANNOUNCED: Final = ';oc;oc-algo="loss"'

MARK: Final = ";oc"  # stands in a Via that says anything of it; in another by chance
_LOSS: Final = "loss"
_VALID_MS: Final = 1000  # what is told counts so long: some ticks of the controller, and a pause between two requests
_DEFAULT_VALID_MS: Final = 500  # RFC 7339 §4.3
_LONGEST_VALID_MS: Final = 60_000  # nobody stops the node for longer than he goes on saying so
_MOST_DIGITS: Final = 12  # of a number in these parameters (RFC 7339 §9)

# Times in oc-seq count from here: ten digits, so that no telephone number of eleven can stand in them by chance.
_EPOCH_S: Final = 1_767_225_600.0  # 2026-01-01


@final
class LoadTeller:
    """What clients that ask for it are told of the node's load."""

    __slots__ = ("_load", "_offset_s")

    def __init__(self, load: LoadControl) -> None:
        self._load = load
        self._offset_s: float | None = None

    def params(self, wall_s: float, now: float) -> str:
        """The parameters for a Via at `wall_s` seconds since the epoch, `now` by the monotonic clock.

        oc-seq is the wall clock as it was when it was asked first, so that it never goes back (RFC 7339 §4.4).
        """
        if self._offset_s is None:
            self._offset_s = wall_s - now - _EPOCH_S
        share = round(100 * self._load.share)
        sequence = max(0.0, now + self._offset_s)
        return f';oc={share};oc-algo="loss";oc-validity={_VALID_MS if share else 0};oc-seq={sequence:.2f}'


def heeds(request: Message) -> bool:
    """True when who has sent a request keeps back what it is told to: by loss, which all know (RFC 7339 §5.1)."""
    via = request.top_via
    return via is not None and MARK in via.params and "oc" in parse_params(via.params)


@final
class Throttle:
    """What one address has asked to be kept back from it."""

    __slots__ = ("_due", "_sequence", "share", "until")

    def __init__(self) -> None:
        self.share = 0.0
        self.until = 0.0  # monotonic seconds: then it counts no more
        self._sequence = (0, 0)
        self._due = 0.0

    def heed(self, via: Via, now: float) -> None:
        """Takes what the Via of a response says, unless that is malformed, old, or of another algorithm."""
        told = parse_params(via.params)
        share, sequence = _number(told.get("oc")), _sequence_of(told.get("oc-seq"))
        if share is None or share > 100 or (told.get("oc-algo") or _LOSS).lower() != _LOSS:
            return
        if sequence < self._sequence:
            return  # RFC 7339 §4.4: it was said before what is known
        valid_ms = _number(told.get("oc-validity"))
        self._sequence = sequence
        self.share = share / 100
        self.until = now + min(_DEFAULT_VALID_MS if valid_ms is None else valid_ms, _LONGEST_VALID_MS) / 1000

    def keeps_back(self, now: float) -> bool:
        """Whether the next request is one of that share: they are spread evenly."""
        if not self.share or now >= self.until:
            return False
        self._due += self.share
        if self._due < 1.0:
            return False
        self._due -= 1.0
        return True


@final
class Throttles:
    """The addresses that have asked for less."""

    __slots__ = ("_by_address",)

    def __init__(self) -> None:
        self._by_address: dict[str, Throttle] = {}

    def heed(self, address: str, response: Message, now: float) -> None:
        """A response from an address, as `engine.core.health` names it, of a peer that has `overload_control`."""
        via = response.top_via
        if via is None or ";oc=" not in via.params:
            return  # it knows nothing of this, and gives back what was announced
        self._by_address.setdefault(address, Throttle()).heed(via, now)

    def keeps_back(self, address: str, now: float) -> bool:
        """Whether the next attempt must not go there."""
        throttle = self._by_address.get(address)
        return throttle is not None and throttle.keeps_back(now)


def _number(text: str | None) -> int | None:
    is_number = text is not None and 0 < len(text) <= _MOST_DIGITS and text.isascii() and text.isdigit()
    return int(text) if is_number and text is not None else None


def _sequence_of(text: str | None) -> tuple[int, int]:
    """A sequence as numbers that can be compared; (0, 0) for none."""
    whole, _, fraction = (text or "").partition(".")
    return _number(whole) or 0, _number(fraction.ljust(5, "0")[:5]) or 0
