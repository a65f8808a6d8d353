"""What `head_scan.c` makes, where the build has compiled it: the shape of a message in its usual spelling."""

from typing import final

Scanned = tuple[
    int,  # odd: 1 the keys, 2 what only a request has, 4 Content-Length: the caller reads these itself
    list[int],  # ids, as in `Message`
    list[str | None],  # first, as in `Message`
    bytes,  # all behind the head
    str,  # method: of the start line, and of the CSeq unless 1 is set for a response, where it is ""
    str,  # Request-URI, "" of a response
    int,  # status, 0 of a request
    str,  # reason phrase
    str,  # top Via: text, and from here to the CSeq nothing where 1 is set
    str,  # its transport
    str,  # its host
    int,  # its port, 0 when absent
    str,  # its parameters
    str,  # its branch
    bool,  # whether it asks for rport
    str,  # tag of From, "" when absent
    str,  # tag of To
    str,  # Call-ID
    int,  # CSeq
    str,  # Request-URI: user, and from here on nothing where 2 is set
    str,  # its host
    int,  # its port, 0 when absent
    str,  # its parameters
    int,  # Max-Forwards, -1 when absent
]

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
