"""What `veil700 check` warns of: a configuration that can be run, but hardly does what was meant."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from engine.config.checks import Fault
from engine.config.files import nearest
from engine.config.languages import Node, UnknownExpression, language, number_in
from engine.config.lines import key_lines
from engine.config.listeners import Listen
from engine.config.loader import fault_lines
from engine.config.models import Config
from engine.config.peers import Route
from engine.config.rule_warnings import rule_warnings
from engine.config.values import shown

SOON: Final = timedelta(days=30)  # enough for whoever issues certificates by hand


def warnings(config: Config, now: datetime) -> list[str]:
    """One line each, `file:line: key: warning: reason`, in the order of the file; `now` has a time zone.

    The certificates of the listeners have been read before (`engine.listening.tls_contexts`).
    """
    found = [*_route_warnings(config.route), *_certificate_warnings(config.listen, config.path.parent, now)]
    found.extend(_data_warnings(config.data_dir))
    found.extend(_api_warnings(config))
    found.extend(rule_warnings(config, key_lines(config.text)))
    told = [Fault(fault.key, f"warning: {fault.reason}") for fault in found]
    return fault_lines(config.path, config.text, told)


def _data_warnings(folder: Path) -> Iterator[Fault]:
    """A folder that a node cannot have which runs as whoever asks: it may be meant to run as somebody else."""
    there = nearest(folder)
    if not os.access(there, os.W_OK | os.X_OK, effective_ids=True):
        what = "written into" if there == folder else f"made in {there}"
        yield Fault(("node", "data_dir"), f"{folder} cannot be {what} by this user")


def _api_warnings(config: Config) -> Iterator[Fault]:
    api = config.api
    if api is None:
        return
    for name, is_bare in (("address", api.is_bare), ("alibaba_address", api.is_alibaba_bare)):
        if is_bare:
            reason = f"{getattr(api, name)} is reached from outside, and without a certificate nothing is encrypted"
            yield Fault(("api", name), reason)


def _route_warnings(routes: list[Route]) -> Iterator[Fault]:
    """Routes that nothing comes to: their expression takes no number, or one before takes all of it."""
    known: list[tuple[Route, re.Pattern[str], Node]] = []
    for index, route in enumerate(routes):
        try:
            wanted = language(route.called)
            number = number_in(wanted)
        except UnknownExpression:
            continue
        if number is None:
            reason = f"{shown(route.called)} is in no number: they are digits alone, without +86 and without trunk 0"
            yield Fault(("route", index, "called"), reason)
            continue
        for earlier, pattern, taken in known:
            # A route with transit is asked for calls in transit without those that have none.
            if earlier.transit >= route.transit and pattern.search(number) and _is_within(wanted, taken):
                what = " (with transit, and used for 700 numbers all the same)" if earlier.transit else ""
                reason = f"nothing comes here: route {shown(earlier.name)} above{what} takes every number of this one"
                yield Fault(("route", index, "called"), reason)
                break
        known.append((route, re.compile(route.called, re.ASCII), wanted))


def _is_within(one: Node, other: Node) -> bool:
    try:
        return number_in(one, other) is None
    except UnknownExpression:
        return False


def _certificate_warnings(listens: list[Listen], folder: Path, now: datetime) -> Iterator[Fault]:
    for index, listen in enumerate(listens):
        if listen.certificate is not None:
            chain = _certificates(folder / listen.certificate)
            if chain and not _has_names(chain[0]):
                reason = "has no subjectAltName, and peers look at no other name (RFC 5922 §7.1)"
                yield Fault(("listen", index, "certificate"), f"{shown(listen.certificate)} {reason}")
        for key in ("certificate", "client_ca", "server_ca"):
            file = getattr(listen, key)
            ends = [one.not_valid_after_utc for one in _certificates(folder / file)] if file is not None else []
            # A chain is as good as the worst of it, of authorities one that is good may be enough.
            end = (min if key == "certificate" else max)(ends, default=now + 2 * SOON)
            if end <= now + SOON:
                when = "has expired on" if end <= now else "expires on"
                yield Fault(("listen", index, key), f"{shown(file)} {when} {end:%Y-%m-%d}")


def _certificates(file: Path) -> list[x509.Certificate]:
    """Those of a PEM file; none where this library is stricter than OpenSSL, which has taken them."""
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError):
        return []


def _has_names(certificate: x509.Certificate) -> bool:
    try:
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return True
