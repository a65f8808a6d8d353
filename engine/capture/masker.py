"""A message with pseudonyms in the place of real numbers, octet for octet as long; or none, when that is in doubt.

Masked are the numbers that are known (`known`) in every spelling in which the gate would find them, and whatever looks
like a mobile, a landline or a subscriber identity where digits are read. What this leaves is searched by the gate's own
functions for the numbers of the call: a message in which they find one is withheld.
"""

from __future__ import annotations

import re
from typing import Final, final

from engine.capture.encoded import mask_base64, mask_hex, mask_packed
from engine.capture.known import Known
from engine.capture.pseudonyms import Pseudonyms
from engine.capture.readings import Draft, Reading, Unwritable, readings_of
from engine.capture.shapes import (
    PARTED_RUN,
    RUN,
    WITHOUT_PARTS,
    Span,
    grouped_places,
    known_spans,
    places_of,
    spans_of_run,
)
from engine.core.copies import body_hides, text_hides
from engine.core.session_bodies import description_holds_number
from engine.core.spelling import LONG_FROM, PARTED_FROM, fold, holds_number, word_pattern
from sipstack.sdp import CONTENT_TYPE as SDP_TYPE

# A longer body that is no text is not looked through: no short message has so many octets.
MAX_PACKED_BYTES: Final = 1024

_END: Final = b"\r\n\r\n"
_TYPE: Final = re.compile(rb"(?:^|\n)(?:content-type|c)[ \t]*:[ \t]*([^;\r\n]*)", re.IGNORECASE)
_BINARY: Final = re.compile(rb"[\0-\x08\x0e-\x1f]")  # a part of several may be no text
_TEXTS: Final = ("text/", "message/", "multipart/", SDP_TYPE, "application/dtmf", "application/pidf", "application/xml")

# What proves that somebody has a password: it would let others try passwords.
_PROOFS: Final = (
    re.compile(rb"(?<![A-Za-z])(?:response|rspauth)\s*=\s*(?:[\"']\s*)?((?:\\?[0-9A-Fa-f]){8,})", re.IGNORECASE),
    # Basic and Bearer: the password or what stands for it, whole
    re.compile(rb"(?:^|\n)(?:proxy-)?authorization[ \t]*:\s*(?:basic|bearer)\s+([^\s,]+)", re.IGNORECASE),
)

# Lines of a description in which numbers stand in a row.
_TABLES: Final = re.compile(r"(?m)^(?:[otmcbrz]=|a=)[^\r\n]*")
_IN_TABLES: Final = re.compile(r"[. /\t]")

# Rows in which short numbers are counts.
_COUNTS: Final = re.compile(
    r"(?i)(?:SIP/2\.0 |(?:via|v|cseq|max-forwards|content-length|l|session-expires|x|min-se|rseq|rack|retry-after"
    r"|expires|min-expires|subscription-state|timestamp|date|max-breadth|content-type|c)[ \t]*:)"
)
_USER: Final = r"((?:sips?|tel):\+?(?:86|0086)?){0}(?![0-9])|(?<![0-9])(?:86|0086)?{0}(?=@)"


@final
class Masker:
    """Of one capture. To be used by one thread at a time."""

    __slots__ = ("known", "_pseudonyms")

    def __init__(self, key: bytes) -> None:
        """`key` is 32 octets of chance."""
        self.known: Final = Known()
        self._pseudonyms = Pseudonyms(key)

    def mask(self, data: bytes) -> bytes | None:
        """The message as it may be shown; None: it may not."""
        head, _, body = data.partition(_END)
        kind = _TYPE.search(head)
        content_type = kind[1].decode("latin-1").strip().lower() if kind else ""
        is_packed = not content_type.startswith(_TEXTS) or _BINARY.search(body) is not None
        is_packed = is_packed and body != b""
        if is_packed and len(body) > MAX_PACKED_BYTES:
            return None
        beside = self.known.read(head.decode("latin-1"))
        if beside is None:
            return None
        draft = Draft(without_credentials(data))
        mask_base64(draft, self.known, self._pseudonyms.of)
        mask_hex(draft, self.known, self._pseudonyms.of)
        try:
            for reading in readings_of(draft.data):
                self._mask_reading(reading, draft, content_type, beside)
        except Unwritable:
            return None
        if is_packed:
            mask_packed(draft.octets, len(head) + len(_END), self.known, self._pseudonyms.of)
        masked = bytes(draft.octets)
        return None if self._is_in_doubt(masked, content_type, beside) else masked

    # -- what is read as digits --------------------------------------------------------------------------------------

    def _mask_reading(self, reading: Reading, draft: Draft, content_type: str, beside: set[str]) -> None:
        text, known = reading.text, self.known
        for run in PARTED_RUN.finditer(text):
            if spans := [*known_spans(run[0].translate(WITHOUT_PARTS), known)]:
                self._put_spans(reading, run, spans, draft)
        for run in RUN.finditer(text):
            if spans := [*spans_of_run(run[0].replace("\0", ""), known)]:
                self._put_spans(reading, run, spans, draft)
        tables = [found.span() for found in _TABLES.finditer(text)] if content_type == SDP_TYPE else []
        for places in grouped_places(text):
            if not _is_row(text, places, tables):
                known.add("".join([text[place] for place in places]))
                self._put(reading, places, draft)
        for number in beside:
            if len(number) < LONG_FROM:
                self._mask_short(reading, number, draft, content_type)

    def _put_spans(self, reading: Reading, run: re.Match[str], spans: list[Span], draft: Draft) -> None:
        places = places_of(reading.text, run.span())
        for start, end in spans:
            self._put(reading, places[start:end], draft)

    def _put(self, reading: Reading, places: list[int], draft: Draft) -> None:
        """Not where a pseudonym stands already: what is found then is a part of an encoding, or was found before."""
        if any(reading.is_taken(place, draft) for place in places):
            return
        number = "".join([reading.text[place] for place in places])
        for place, digit in zip(places, self._pseudonyms.of(number), strict=True):
            reading.put(place, digit, draft)

    def _mask_short(self, reading: Reading, number: str, draft: Draft, content_type: str) -> None:
        """A short number stands in counts by chance: it is masked as a word, 110 in a description as a user."""
        head, _, body = reading.text.partition("\r\n\r\n")
        at = 0
        for row in head.split("\r\n"):
            if _COUNTS.match(row) is None:
                for found in word_pattern(number).finditer(row):
                    self._put(reading, places_of(reading.text, (at + found.start(1), at + found.end(1))), draft)
            at += len(row) + 2
        at = len(head) + 4
        is_user = content_type == SDP_TYPE and len(number) < PARTED_FROM
        pattern = re.compile(_USER.format(number), re.IGNORECASE) if is_user else word_pattern(number)
        for found in pattern.finditer(body):
            places = places_of(reading.text, (at + found.start(), at + found.end()))
            self._put(reading, places[-len(number) :], draft)

    # -- what may be left --------------------------------------------------------------------------------------------

    def _is_in_doubt(self, masked: bytes, content_type: str, beside: set[str]) -> bool:
        head, _, body = masked.partition(_END)
        rows = b"\n".join([row for row in head.split(b"\r\n") if _COUNTS.match(row.decode("latin-1")) is None])
        for number in beside:
            searched = rows if len(number) < LONG_FROM else head
            if holds_number(searched, number) or text_hides(searched, number):
                return True
            if body and (_body_holds(body, content_type, number) or body_hides(body, content_type, number)):
                return True
        return not masked.isascii() and self._reads_otherwise(masked)

    def _reads_otherwise(self, masked: bytes) -> bool:
        """Octets that are no UTF-8 may be characters of GB 18030, in which nothing has been masked."""
        try:
            masked.decode("utf-8")
        except UnicodeDecodeError:
            pass
        else:
            return False
        for codec in ("utf-8", "gb18030"):
            text = fold(masked.decode(codec, "ignore"))
            found = [run[0] for run in RUN.finditer(text)]
            digits = [run[start:end] for run in found for start, end in spans_of_run(run, self.known)]
            if any(not self._pseudonyms.is_one(number) for number in digits):
                return True
        return False


def _is_row(text: str, places: list[int], tables: list[tuple[int, int]]) -> bool:
    """True for digits in a table of a description that anything but hyphens and brackets parts."""
    first, last = places[0], places[-1]
    return any(start <= first < end for start, end in tables) and _IN_TABLES.search(text, first, last) is not None


def _body_holds(body: bytes, content_type: str, number: str) -> bool:
    return (description_holds_number if content_type == SDP_TYPE else holds_number)(body, number)


def without_credentials(data: bytes) -> bytes:
    """The message with zeros for what proves a password (RFC 7616 §3.4) or is one, as many as it had letters."""
    for proof in _PROOFS:
        data = proof.sub(lambda found: found[0][: -len(found[1])] + b"0" * len(found[1]), data)
    return data
