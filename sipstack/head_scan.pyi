"""What `head_scan.c` makes, where the build has compiled it: the shape of a message in its usual spelling."""

from collections.abc import Iterator
from typing import final

TopVia = tuple[
    str,  # text
    str,  # transport
    str,  # host
    int,  # port, 0 when absent
    str,  # parameters
    str,  # branch
    bool,  # whether it asks for rport
    str,  # the rows of From and To as an answer has them, each behind a line end; "" where they are not written so
    str,  # those of Call-ID and CSeq, which stand right behind
]

Asked = tuple[
    str,  # Request-URI: user
    str,  # its host
    int,  # its port, 0 when absent
    str,  # its parameters
    int,  # Max-Forwards, -1 when absent
]

Scanned = tuple[
    int,  # odd: 1 the keys, 2 what only a request has, 4 Content-Length: the caller reads these itself
    Values,  # the first value of each field
    bytes,  # all behind the head
    str,  # method: of the start line, and of the CSeq unless 1 is set for a response, where it is ""
    str,  # Request-URI, "" of a response
    int,  # status, 0 of a request
    str,  # reason phrase
    str,  # the URI of the first Contact as `Message.contact`
    str,  # the key of its transaction as `Message.key`, and from here to the CSeq nothing where 1 is set
    bool,  # whether the top Via is the only one
    str,  # tag of From, "" when absent
    str,  # tag of To
    str,  # Call-ID
    int,  # CSeq
    TopVia | None,  # of a request where 1 is not set, but for the ACK whose key tells it all
    Asked | None,  # of a request where 2 is not set
]

@final
class Values:
    """The first value of each field, as in `Message.first`: made when it is asked for."""

    def __getitem__(self, header: int, /) -> str | None: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str | None]: ...
    def ids(self) -> list[int]:
        """The field of each line, as in `Message.ids`."""
    def has_any(self, fields: int, /) -> bool:
        """Whether one of `fields` is there, one bit each."""
    def is_repeated(self, header: int, /) -> bool:
        """Whether a field has more than one line."""

@final
class Scanner:
    """Reads one message after another.

    `names` are the names of header fields in lower case, `fields` the ids of Via, From, To, Call-ID, CSeq, Contact,
    Max-Forwards, Content-Length and P-Asserted-Identity, `single` those that may stand once. Raises ValueError for what
    does not fit its tables.
    """

    def __init__(
        self,
        names: dict[str, int],
        id_count: int,
        methods: tuple[str, ...],
        fields: tuple[int, ...],
        single: tuple[int, ...],
        max_head_bytes: int,
        max_header_lines: int,
        max_line_chars: int,
        max_uri_chars: int,
        /,
    ) -> None: ...
    def __call__(self, data: bytes, /) -> Scanned | None:
        """None: it is not in its usual spelling, or not a message at all."""

def usual_parts(body: bytes, /) -> tuple[bytes, bytes, bytes] | None:
    """As `sipstack.sdp.read_usual_parts`."""

def plain_attributes(body: bytes, /) -> bytes | None:
    """As `sipstack.sdp.read_plain_attributes`."""

def has_few_digits(text: bytes, kinds: bytes, /) -> bool:
    """Whether a text is one of words and a few digits; `kinds` says of each octet what it is there.

    Bits: 1 a letter, 2 a digit, which is a letter as well, 4 refused. True where none is refused, at most eight are
    digits, at most five letters stand together, and no five pairs of them do with one octet between each two.
    """

def usual_user(value: str, /) -> str:
    """As `sipstack.scan.read_usual_user`."""
