"""Which of several workers a message, or a record, belongs to: told by a few octets, without reading the message.

With N workers every identifier of ours is one letter longer than with one, and begins with the letter of the worker
that made it: branch, tag, Call-ID, record id. So an identifier says by its length whether it has an owner, and those of
a run with one worker have none.

- A response belongs to whoever sent the request: by the branch of its top Via. Without an owner: worker 0.
- A request within a dialog belongs to whoever gave it its To tag.
- A report on a short message names the Call-ID of that in In-Reply-To (TS 24.341), and belongs to whoever sent it.
- Every other request belongs by the last four digits of its Request-URI: they are the same in an INVITE, its CANCEL
  and the ACK of its failure (RFC 3261 §9.1, §17.1.1.3) and in every spelling of a 700 number, so that all calls of a
  number have one owner. Where there are fewer digits: worker 0.

A worker's letter beyond the number of workers, since there were more, counts modulo that number. The same octets have
the same owner in any process; bytes that are no SIP have one, too. What costs a walk through the lines is done for
spellings only that nobody usual uses.
"""

from __future__ import annotations

from typing import Final

from engine.core.tokens import ALPHABET, BRANCH_LETTERS, CALL_ID_LETTERS, RECORD_LETTERS, TAG_LETTERS
from sipstack.limits import MAX_HEAD_BYTES
from sipstack.parser import unfolded_lines

MAX_WORKERS: Final = len(ALPHABET)
DIGITS: Final = 4  # of the number that is called: 10,000 of them, even where there are 32 workers

_NOBODY: Final = 255
_PLACES: Final = bytes(ALPHABET.find(octet) if octet in ALPHABET else _NOBODY for octet in range(256))
_COOKIE: Final = b"z9hG4bK"
_BRANCH: Final = b";branch=z9hG4bK"
_OWNED_BRANCH: Final = len(_COOKIE) + BRANCH_LETTERS + 1
_OWNED_TAG: Final = TAG_LETTERS + 1
_OWNED_CALL_ID: Final = CALL_ID_LETTERS + 1
_RECORD_TIME: Final = 13  # "019b0c6a5c00-" in front of the letters of a record id
_NO_DIGITS: Final = bytes(octet for octet in range(256) if not 0x30 <= octet <= 0x39)
_VIA: Final = ("via", "v")
_TO: Final = ("to", "t")
_IN_REPLY_TO: Final = ("in-reply-to",)


def owner_letter(worker: int) -> str:
    """With what the identifiers of a worker begin; workers count from 0 to MAX_WORKERS - 1."""
    return chr(ALPHABET[worker])


def owner_of(data: bytes, workers: int) -> int:
    """The worker, from 0 to `workers` - 1, to which a message that has come belongs; of bytes that are none, too."""
    if data[:1] in b"\r\n":  # b"" is in it
        data = data.lstrip(b"\r\n")
    if data[3:4] == b"/":  # "SIP/2.0 " in any case: no method has one
        return _owner_by_branch(data, workers)
    if data[:8] == b"MESSAGE " and b"\r\nin-reply-to" in data.lower():
        replied = _value(data, _IN_REPLY_TO).encode("latin-1", "replace")
        if len(replied) == _OWNED_CALL_ID and replied.isalpha() and _PLACES[replied[0]] != _NOBODY:
            return _PLACES[replied[0]] % workers
    at = data.find(b"\r\nTo: ")
    end = data.find(b"\r\n", at + 6)
    mark = data.rfind(b">", at, end)
    if at < 0 or mark < 0 or end < 0 or data[end + 2 : end + 3] in b" \t" or data.find(b"\r\n\r\n", 0, at) >= 0:
        return _owner_of_unusual(data, workers)
    if mark + 1 == end:
        return _owner_by_digits(data, workers)
    tag = data[mark + 6 : end] if data[mark + 1 : mark + 6] == b";tag=" else b""
    if not tag.isalpha():
        return _owner_of_unusual(data, workers)
    if len(tag) == _OWNED_TAG and _PLACES[tag[0]] != _NOBODY:
        return _PLACES[tag[0]] % workers
    return _owner_by_digits(data, workers)


def owner_of_sent(data: bytes, workers: int) -> int:
    """The worker that sent a message, of which the beginning is enough: by the branch that it gave it.

    A response of ours has the branch of who asked, and worker 0 for an owner: nobody waits to hear what became of it.
    """
    return _owner_by_branch(data, workers)


def owner_of_record(record_id: str, tel_x: str, workers: int) -> int:
    """The worker that serves on what a record of an earlier run stands for.

    `tel_x` is the 700 number whose digits the requests of its dialogs carry; "" for what is not answered: its
    responses alone are still to come. It decides where the record has no owner.
    """
    letter = letter_of_record(record_id)
    if letter:
        return _PLACES[ord(letter)] % workers
    return _of_number(tel_x.encode("ascii", "replace"), workers)


def letter_of_record(record_id: str) -> str:
    """The letter of the worker that began a record; "" where there was one worker."""
    if len(record_id) != _RECORD_TIME + RECORD_LETTERS + 1:
        return ""
    letter = record_id[_RECORD_TIME]
    return letter if letter.isascii() and _PLACES[ord(letter)] != _NOBODY else ""


def letter_of_call_id(call_id: str) -> str:
    """The same of a Call-ID of ours; what it says of another's has no meaning."""
    return call_id[0] if len(call_id) == _OWNED_CALL_ID else ""


def _owner_by_branch(data: bytes, workers: int) -> int:
    line = data.find(b"\r\n") + 2
    if data[line : line + 5] != b"Via: ":
        return _owner_by_unusual_via(data, workers)
    at = data.find(_BRANCH, line, data.find(b"\r\n", line))
    if at < 0:
        return _owner_by_unusual_via(data, workers)
    return _of_branch(data[at + 8 : at + 8 + _OWNED_BRANCH], workers)


def _of_branch(branch: bytes, workers: int) -> int:
    """A branch has an owner when behind the cookie there are at least as many letters as with an owner.

    One more may mark a second request (`login.second_branch`).
    """
    letters = branch[len(_COOKIE) : _OWNED_BRANCH]
    if len(branch) < _OWNED_BRANCH or not letters.isalpha() or not branch.startswith(_COOKIE):
        return 0
    place = _PLACES[letters[0]]
    return 0 if place == _NOBODY else place % workers


def _owner_by_digits(data: bytes, workers: int) -> int:
    start = data.find(b" ") + 1
    end = data.find(b"@", start, start + 64)
    if data[start : start + 4] == b"sip:" and end > 0:
        number = data[start + 4 : end].lstrip(b"+")
        if number.isdigit() and len(number) >= DIGITS:
            return int(number[-DIGITS:]) % workers
    uri = data[start : max(start, data.find(b"\r\n", start))].partition(b" ")[0]
    scheme, _, rest = uri.partition(b":")
    if b"@" in rest:
        rest = rest.partition(b"@")[0].partition(b":")[0]  # a password is no digit of the number
    elif scheme.lower() != b"tel":
        return 0
    return _of_number(_unescaped(rest.partition(b";")[0]), workers)


def _of_number(number: bytes, workers: int) -> int:
    digits = number.translate(None, _NO_DIGITS)
    return int(digits[-DIGITS:]) % workers if len(digits) >= DIGITS else 0


def _unescaped(text: bytes) -> bytes:
    """With digits in the place of their escapes (RFC 3261 §19.1.2); other escapes hold no digit and go."""
    if b"%" not in text:
        return text
    first, *others = text.split(b"%")
    return first + b"".join(
        (part[1:2] if part[:1] == b"3" and part[1:2].isdigit() else b"") + part[2:] for part in others
    )


# -- spellings that are allowed and that nobody usual uses ---------------------------------------------------------


def _owner_of_unusual(data: bytes, workers: int) -> int:
    """A request whose To is not written as nearly everybody writes it, or that has none."""
    value = _value(data, _TO)
    tag = _parameter(value.rpartition(">")[2] if ">" in value else value, "tag")
    if len(tag) == _OWNED_TAG and tag.isascii() and tag.isalpha() and _PLACES[ord(tag[0])] != _NOBODY:
        return _PLACES[ord(tag[0])] % workers
    return _owner_by_digits(data, workers)


def _owner_by_unusual_via(data: bytes, workers: int) -> int:
    branch = _parameter(_value(data, _VIA).partition(",")[0], "branch")
    return _of_branch(branch.encode("ascii", "replace"), workers)


def _value(data: bytes, names: tuple[str, ...]) -> str:
    """The first value of a field, by its names in lower case; "" where it does not stand."""
    head = data.lstrip(b"\r\n").partition(b"\r\n\r\n")[0]
    for line in unfolded_lines(head[:MAX_HEAD_BYTES])[1:]:
        name, colon, value = line.partition(":")
        if colon and name.strip(" \t").lower() in names:
            return value.strip(" \t")
    return ""


def _parameter(text: str, name: str) -> str:
    """The value of a parameter; "" where none stands, and where a quoted string may look like one."""
    if '"' in text:
        return ""
    for part in text.split(";")[1:]:
        found, _, value = part.partition("=")
        if found.strip(" \t").lower() == name:
            return value.strip(" \t")
    return ""
