"""What `head_scan.c` makes, where the build has compiled it: the shape of a message in its usual spelling."""

from collections.abc import Iterator
from typing import Protocol, TypeVar, final

MadeT = TypeVar("MadeT")
MadeT_co = TypeVar("MadeT_co", covariant=True)

class Make(Protocol[MadeT_co]):
    """What makes a message of what has been found."""

    def __call__(
        self,
        data: bytes,
        is_framed: bool,  # as the scanner was told
        odd: int,  # 1 the keys, 2 what only a request has, 4 Content-Length: these must be read in another way
        values: Values,  # the first value of each field
        body: bytes,  # all behind the head
        method: str,  # of the start line, and of the CSeq unless 1 is set for a response, where it is ""
        uri_text: str,  # Request-URI, "" of a response
        status: int,  # 0 of a request
        reason: str,
        contact: str,  # the URI of the first Contact as `Message.contact`
        key: str,  # of its transaction as `Message.key`, and from here to the CSeq nothing where 1 is set
        has_one_via: bool,  # the top Via is the only one
        from_tag: str,  # "" when absent
        to_tag: str,
        call_id: str,
        cseq: int,
        via: str,  # the top one of a request where 1 is not set, but for the ACK whose key tells it all; "" for none,
        transport: str,  # and then nothing from here to `call_rows`
        via_host: str,
        via_port: int,  # 0 when absent
        via_params: str,
        branch: str,
        asks_rport: bool,
        addresses: str,  # From and To as an answer has them, each behind a line end; "" where they are not written so
        call_rows: str,  # those of Call-ID and CSeq, which stand right behind
        user: str,  # Request-URI of a request where 2 is not set; "" for none, and then nothing from here on
        host: str,
        port: int,  # 0 when absent
        params: str,
        forwards: int,  # Max-Forwards, -1 when absent
        /,
    ) -> MadeT_co: ...

@final
class Values:
    """The first value of each field, as in `Message.first`: made when it is asked for."""

    def __getitem__(self, header: int, /) -> str | None: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str | None]: ...
    def ids(self) -> list[int]:
        """The field of each line, as in `Message.ids`."""
    def __contains__(self, fields: int, /) -> bool:
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
    def __call__(self, make: Make[MadeT], data: bytes, is_framed: bool, /) -> MadeT | None:
        """What `make` makes; None: it is not in its usual spelling, or not a message at all."""

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

def rendered(rows: list[str], body: bytes, /) -> bytes | None:
    """As `sipstack.message.render_rows`, but that the rows stay as they are; None where one is not ASCII."""
