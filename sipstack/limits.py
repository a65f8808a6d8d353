"""Limits on what we take from the wire, each with its unit and its reason."""

from __future__ import annotations

from typing import Final

# Real header sections stay below 4 KiB (RFC 4475 longreq: 3.5 KiB); four times that leaves room, and bounds the
# work that one datagram can cause.
MAX_HEAD_BYTES: Final = 16 * 1024

# One body on a stream. A datagram holds less than that, and what cannot come by UDP has no business here: no
# description, message or multipart body of a call is a tenth of it. It bounds what a connection keeps.
MAX_STREAM_BODY_BYTES: Final = 64 * 1024

# One header line, unfolded. A PASSporT or a long Route fits; a megabyte does not.
MAX_LINE_CHARS: Final = 8 * 1024

# A Request-URI longer than this names nobody (414).
MAX_URI_CHARS: Final = 2 * 1024

# A method longer than this is no extension but an attack on whoever keeps it (CVE-2017-9372). RFC 4475 has 44.
MAX_METHOD_CHARS: Final = 64

# Rows of header fields in one message, against thousands of Via or Contact rows (CVE-2018-7284).
MAX_HEADER_LINES: Final = 256

# Values in one comma-separated row that we look into.
MAX_LIST_VALUES: Final = 128

# Spellings of header names remembered; a peer that invents names gains nothing but its own slow path.
MAX_NAME_SPELLINGS: Final = 1024
