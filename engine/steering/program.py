"""A classic BPF program that finds the worker of a datagram in the kernel, by what `engine.core.ownership` looks at.

It is attached to a group of UDP sockets on one address (SO_REUSEPORT), gets the payload of each datagram, and returns
the place of a socket in the group. It knows the spellings that nearly everybody uses:

- requests `METHOD sip:digits@`, with "+" in front or without: the last four digits. Requests within a dialog have the
  700 number too, from our Contact;
- responses whose first row is our Via as we have written it, or with parameters in front of the branch (some write
  "rport" and "received" there): the first letter behind the cookie.

Everything else is the first socket's, and is handed on from there. A load behind the end of a datagram ends the program
with 0, which is the first socket as well.

Instructions are those of linux/filter.h; a jump goes forwards only, and 255 instructions far.
"""

from __future__ import annotations

import struct
from typing import Final, final

from engine.core.ownership import DIGITS
from engine.core.tokens import BRANCH_LETTERS

_INSTRUCTION: Final = struct.Struct("=HBBI")

# Codes of linux/bpf_common.h, put together.
_LOAD_WORD: Final = 0x20  # ld [k]
_LOAD_WORD_AT_X: Final = 0x40  # ld [x + k]
_LOAD_BYTE: Final = 0x30  # ldb [k]
_LOAD_BYTE_AT_X: Final = 0x50  # ldb [x + k]
_LOAD_NUMBER: Final = 0x00  # ld #k
_LOAD_X: Final = 0x01  # ldx #k
_LOAD_KEPT: Final = 0x60  # ld M[k]
_LOAD_X_KEPT: Final = 0x61  # ldx M[k]
_KEEP: Final = 0x02  # st M[k]
_ADD: Final = 0x04
_ADD_X: Final = 0x0C
_SUBTRACT: Final = 0x14
_MULTIPLY: Final = 0x24
_MODULO: Final = 0x94
_JUMP: Final = 0x05
_IF_EQUAL: Final = 0x15
_IF_GREATER: Final = 0x25
_IF_AT_LEAST: Final = 0x35
_TO_X: Final = 0x07  # tax
_FROM_X: Final = 0x87  # txa
_RETURN: Final = 0x06
_RETURN_A: Final = 0x16

_FIRST: Final = "the first socket"
_NEXT: Final = ""
_SCHEME_BYTES: Final = len("sip:")  # in any case; of no other scheme does a digit, or "+" and a digit, stand here
_LONGEST_METHOD: Final = 10
_LONGEST_NUMBER: Final = 24
_SHORTEST_STATUS_LINE: Final = len("SIP/2.0 200 \r")
_LONGEST_REASON: Final = 64
_LONGEST_PARAMETERS: Final = 64
_COOKIE_BYTES: Final = 7


def steering_program(workers: int, via_start: str) -> bytes:
    """The program for so many sockets; `via_start` is what our Via begins with (`Listener.via_start`)."""
    found = _Assembler()
    found.put(_LOAD_WORD, 0)
    found.jump(_IF_EQUAL, _word("SIP/"), _NEXT, "request")
    found.put(_JUMP, 0, "response")
    found.label("request")
    _requests(found, workers)
    found.label("response")
    _responses(found, workers, len(via_start))
    found.label(_FIRST)
    found.put(_RETURN, 0)
    return found.assembled()


def _requests(found: _Assembler, workers: int) -> None:
    """`METHOD sip:+digits@`."""
    _behind_method(found)
    found.put(_LOAD_BYTE_AT_X, _SCHEME_BYTES)
    found.jump(_IF_EQUAL, ord("+"), _NEXT, "number")
    found.put(_FROM_X, 0)
    found.put(_ADD, 1)
    found.put(_TO_X, 0)
    found.label("number")
    _last_digits(found)
    for place in range(DIGITS):
        found.put(_LOAD_BYTE_AT_X, place)
        found.put(_SUBTRACT, ord("0"))
        found.put(_MULTIPLY, 10 ** (DIGITS - 1 - place))
        found.put(_KEEP, place)
    for place in range(DIGITS - 1):
        found.put(_LOAD_X_KEPT, place)
        found.put(_ADD_X, 0)
    found.put(_MODULO, workers)
    found.put(_RETURN_A, 0)


def _behind_method(found: _Assembler) -> None:
    """X becomes where the Request-URI begins."""
    for place in range(3, _LONGEST_METHOD + 1):
        found.put(_LOAD_BYTE, place)
        found.jump(_IF_EQUAL, ord(" "), f"method {place}", _NEXT)
    found.put(_JUMP, 0, _FIRST)
    for place in range(3, _LONGEST_METHOD + 1):
        found.label(f"method {place}")
        found.put(_LOAD_X, place + 1)
        found.put(_JUMP, 0, "uri")
    found.label("uri")


def _last_digits(found: _Assembler) -> None:
    """X was where the Request-URI begins, and becomes where the last digits do: "@" is behind them."""
    for place in range(_LONGEST_NUMBER + 1):
        found.put(_LOAD_BYTE_AT_X, _SCHEME_BYTES + place)
        found.jump(_IF_EQUAL, ord("@"), f"end {place}", _NEXT)
        found.jump(_IF_AT_LEAST, ord("9") + 1, f"no digit {place // 8}", _NEXT)
        found.jump(_IF_AT_LEAST, ord("0"), _NEXT, f"no digit {place // 8}")
        if place % 8 == 7:
            found.put(_JUMP, 0, f"digit {place + 1}")
            found.label(f"no digit {place // 8}")
            found.put(_RETURN, 0)
            found.label(f"digit {place + 1}")
    found.label(f"no digit {_LONGEST_NUMBER // 8}")
    found.put(_RETURN, 0)
    for place in range(_LONGEST_NUMBER + 1):
        found.label(f"end {place}")
        if place < DIGITS:
            found.put(_RETURN, 0)
        else:
            found.put(_FROM_X, 0)
            found.put(_ADD, _SCHEME_BYTES + place - DIGITS)
            found.put(_JUMP, 0, "value")
    found.label("value")
    found.put(_TO_X, 0)


def _responses(found: _Assembler, workers: int, via_bytes: int) -> None:
    """`SIP/2.0 200 OK`, and behind it our Via."""
    _behind_status_line(found)
    _at_cookie(found, via_bytes)
    branch = via_bytes + _COOKIE_BYTES
    for place, word in ((via_bytes - 8, ";bra"), (via_bytes - 4, "nch="), (via_bytes + 3, "G4bK")):
        found.put(_LOAD_WORD_AT_X, place)
        found.jump(_IF_EQUAL, _word(word), _NEXT, "no branch")
    found.put(_LOAD_BYTE_AT_X, branch + BRANCH_LETTERS)
    found.jump(_IF_AT_LEAST, ord("A"), _NEXT, "no branch")
    found.put(_LOAD_BYTE_AT_X, branch)
    found.jump(_IF_AT_LEAST, ord("a"), "small", _NEXT)
    found.jump(_IF_GREATER, ord("F"), "no branch", _NEXT)
    found.jump(_IF_AT_LEAST, ord("A"), _NEXT, "no branch")
    found.put(_SUBTRACT, ord("A") - 26)
    found.put(_MODULO, workers)
    found.put(_RETURN_A, 0)
    found.label("small")
    found.jump(_IF_GREATER, ord("z"), "no branch", _NEXT)
    found.put(_SUBTRACT, ord("a"))
    found.put(_MODULO, workers)
    found.put(_RETURN_A, 0)
    found.label("no branch")


def _behind_status_line(found: _Assembler) -> None:
    """X becomes where the first row begins."""
    found.put(_LOAD_WORD, 4)
    found.jump(_IF_EQUAL, _word("2.0 "), _NEXT, "no status")
    lines = range(_SHORTEST_STATUS_LINE, _SHORTEST_STATUS_LINE + _LONGEST_REASON)
    for place in lines:
        found.put(_LOAD_BYTE, place)
        found.jump(_IF_EQUAL, ord("\n"), f"line {place}", _NEXT)
    found.label("no status")
    found.put(_RETURN, 0)
    for place in lines:
        found.label(f"line {place}")
        found.put(_LOAD_X, place + 1)
        found.put(_JUMP, 0, "via")
    found.label("via")


def _at_cookie(found: _Assembler, via_bytes: int) -> None:
    """X was where our Via begins, and becomes as much more as there are parameters in front of the branch."""
    found.put(_LOAD_WORD_AT_X, 0)
    found.jump(_IF_EQUAL, _word("Via:"), _NEXT, "no via")
    for place in range(_LONGEST_PARAMETERS):
        found.put(_LOAD_WORD_AT_X, via_bytes + place)
        found.jump(_IF_EQUAL, _word("z9hG"), f"cookie {place}", _NEXT)
    found.label("no via")
    found.put(_RETURN, 0)
    for place in range(_LONGEST_PARAMETERS):
        found.label(f"cookie {place}")
        found.put(_LOAD_NUMBER, place)
        found.put(_JUMP, 0, "branch")
    found.label("branch")
    found.put(_ADD_X, 0)
    found.put(_TO_X, 0)


def _word(text: str) -> int:
    return int.from_bytes(text.encode("ascii"), "big")


@final
class _Assembler:
    """Instructions with named places to jump to."""

    __slots__ = ("_instructions", "_labels")

    def __init__(self) -> None:
        self._instructions: list[tuple[int, int, str, str]] = []  # code, k, where if true, where if not
        self._labels: dict[str, int] = {}

    def label(self, name: str) -> None:
        """The next instruction has this name."""
        self._labels[name] = len(self._instructions)

    def put(self, code: int, value: int, to: str = _NEXT) -> None:
        """An instruction; `to` is for a jump."""
        self._instructions.append((code, value, to, _NEXT))

    def jump(self, code: int, value: int, if_true: str, if_not: str) -> None:
        """A comparison with A."""
        self._instructions.append((code, value, if_true, if_not))

    def assembled(self) -> bytes:
        """The program as the kernel takes it."""
        return b"".join(self._encoded(place, *one) for place, one in enumerate(self._instructions))

    def _encoded(self, place: int, code: int, value: int, if_true: str, if_not: str) -> bytes:
        if code == _JUMP:
            return _INSTRUCTION.pack(code, 0, 0, self._distance(place, if_true))
        return _INSTRUCTION.pack(code, self._distance(place, if_true), self._distance(place, if_not), value)

    def _distance(self, place: int, name: str) -> int:
        return self._labels[name] - place - 1 if name else 0
