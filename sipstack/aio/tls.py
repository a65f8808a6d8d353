"""TLS for SIP: contexts from files, whom a certificate names, and one session on a connection (RFC 3261 §26.3)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, final

# Octets of plain text that are taken out of a session at a time: one record of TLS.
_RECORD_BYTES: Final = 16 * 1024


class TlsError(Exception):
    """Files that make no TLS; the text is one line that names the file, `part` is which field of `TlsFiles` that is."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(reason)
        self.part = part


@dataclass(frozen=True)
class TlsFiles:
    """PEM files. `client_ca`: who signs the certificates that clients must show; None: they need none.

    `server_ca`: who signs the certificates of those whom we connect to; None: the authorities of the machine.
    """

    certificate: Path
    private_key: Path
    client_ca: Path | None = None
    server_ca: Path | None = None


@final
class TlsContexts:
    """What new sessions are made with. A connection keeps what it was made with."""

    def __init__(self, files: TlsFiles) -> None:
        """Raises TlsError."""
        self._files = files
        self.server, self.client = _contexts(files)

    def reload(self, files: TlsFiles | None = None) -> None:
        """Reads the files again, or others instead of them. Raises TlsError, and then all stays as it was."""
        wanted = self._files if files is None else files
        self.server, self.client = _contexts(wanted)
        self._files = wanted


def _contexts(files: TlsFiles) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server = _context(ssl.PROTOCOL_TLS_SERVER, files)
    if files.client_ca is not None:
        server.verify_mode = ssl.CERT_REQUIRED
        _load_authorities(server, "client_ca", files.client_ca)
    client = _context(ssl.PROTOCOL_TLS_CLIENT, files)
    client.check_hostname = False  # `names_of` judges: OpenSSL knows no SIP URI, and takes wildcards (RFC 5922 §7.2)
    client.verify_mode = ssl.CERT_REQUIRED
    if files.server_ca is None:
        client.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load_authorities(client, "server_ca", files.server_ca)
    return server, client


def _context(protocol: int, files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    _readable("certificate", files.certificate)
    _readable("private_key", files.private_key)
    try:
        # Without a password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(files.certificate, files.private_key, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise _useless_pair(files, tls_reason(error)) from None
    return context


def _useless_pair(files: TlsFiles, reason: str) -> TlsError:
    """OpenSSL does not say which of the two files it complains of."""
    if reason == "key values mismatch":
        return TlsError("private_key", f"{files.private_key}: not the key of the certificate {files.certificate}")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(files.certificate)
    except (ssl.SSLError, OSError, ValueError):
        return TlsError("certificate", f"{files.certificate}: not a certificate in PEM")
    if "PEM" in reason:
        reason = "not a key in PEM without a password"
    return TlsError("private_key", f"{files.private_key}: {reason}")


def _load_authorities(context: ssl.SSLContext, part: str, path: Path) -> None:
    _readable(part, path)
    try:
        context.load_verify_locations(path)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise TlsError(part, f"{path}: {tls_reason(error)}") from None


def _readable(part: str, path: Path) -> None:
    """What OpenSSL says about a file that is not there does not name it."""
    try:
        path.read_bytes()
    except OSError as error:
        raise TlsError(part, f"{path}: {error.strerror}") from None


def tls_reason(error: Exception) -> str:
    """What OpenSSL complains of, in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    reason = getattr(error, "reason", None)
    return str(reason).replace("_", " ").lower() if reason else str(error)


def names_of(certificate: dict[str, Any] | None) -> tuple[str, ...]:
    """The domains that a verified certificate speaks for, in lower case (RFC 5922 §7.1); IP addresses beside them.

    The hosts of its `sip:` URIs, or, when it has none, its DNS names. A wildcard names nobody (§7.2). `certificate` is
    what `SSLObject.getpeercert` gives.
    """
    subjects = (certificate or {}).get("subjectAltName", ())
    domains = [value[4:].lower() for kind, value in subjects if kind == "URI" and value[:4].lower() == "sip:"]
    domains = [domain for domain in domains if "@" not in domain]  # a user is no domain
    if not domains:
        domains = [value.lower() for kind, value in subjects if kind == "DNS" and "*" not in value]
    addresses = [_address(value) for kind, value in subjects if kind == "IP Address"]
    return tuple(dict.fromkeys(name for name in domains + addresses if name))


def _address(text: str) -> str:
    """An IP address as flows have it; "" when it is none: OpenSSL spells out IPv6 in full."""
    try:
        return str(ip_address(text.strip()))
    except ValueError:
        return ""


@final
class TlsSession:
    """One end of a TLS connection without its socket: octets from the wire in, octets for the wire out.

    What is to be sent waits in `to_send`. An SSLError ends the session; the alert that tells the far end why waits
    there, too.
    """

    __slots__ = ("_in", "_object", "_out", "is_up", "is_closed")

    def __init__(self, context: ssl.SSLContext, is_server: bool, server_name: str = "") -> None:
        """`server_name` is whom a client means to reach (SNI)."""
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._in, self._out, is_server, None if is_server else server_name or None)
        self.is_up = False
        self.is_closed = False

    def receive(self, data: bytes) -> bytes:
        """Plain text out of octets from the wire; b"" during the handshake, which b"" starts. Raises SSLError.

        How long messages of a handshake may be is OpenSSL's to say: 128 KiB a greeting, 100 KiB a list of certificates.
        """
        self._in.write(data)
        if not self.is_up:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                return b""
            self.is_up = True
        return self._read()

    def _read(self) -> bytes:
        parts = []
        try:
            while part := self._object.read(_RECORD_BYTES):
                parts.append(part)
            self.is_closed = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.is_closed = True
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def send(self, data: bytes) -> None:
        """Encrypts; the session must be up. Raises SSLError."""
        self._object.write(data)

    def close(self) -> None:
        """Says that nothing more will come."""
        try:
            self._object.unwrap()
        except ssl.SSLError:
            pass  # the far end has not said so yet, or the handshake was never finished

    def to_send(self) -> bytes:
        """Octets for the wire, each time what is new."""
        return self._out.read()

    @property
    def identities(self) -> tuple[str, ...]:
        """Whom the far end's verified certificate names; empty when it has shown none."""
        return names_of(self._object.getpeercert())
