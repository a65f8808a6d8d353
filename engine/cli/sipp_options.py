"""SIPp's options by SIPp's names: which there are, what stands behind each, and what they mean to us.

Its long options have one dash, `-key` takes two words, `-inf` may stand several times: no library of command lines
reads that, and `-sn uac` would become `-s n uac`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

from engine.cli.common import UsageFault

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_TIME: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h|)")
_LONGEST_S: Final = 7 * 24 * 3600
_NAME: Final = re.compile(r"[\w.-]+", re.ASCII)


class Kind(Enum):
    """What stands behind an option; the value is how help shows it."""

    FLAG = ""
    TEXT = "TEXT"
    COUNT = "N"
    RATE = "RATE"
    PER_CENT = "PERCENT"
    MS = "TIME"  # plain numbers are milliseconds
    SECONDS = "TIME "  # plain numbers are seconds
    PORT = "PORT"
    ADDRESS = "HOST:PORT"
    FILE = "FILE"
    BOOL = "true|false"
    PAIR = "NAME VALUE"


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `many`: it may stand several times. Without `help` it is accepted, and does nothing here."""

    kind: Kind = Kind.FLAG
    help: str = ""
    many: bool = False


_F, _T, _N = Kind.FLAG, Kind.TEXT, Kind.COUNT
OPTIONS: Final[dict[str, Option]] = {
    "-sf": Option(Kind.FILE, "The scenario, as FILE."),
    "-oocsf": Option(Kind.FILE, "A scenario for requests of no call."),
    "-sn": Option(_T, "A scenario of our own by the name of SIPp's built-in one, instead of FILE; -sd lists them."),
    "-sd": Option(_T, "Prints that scenario, and plays nothing."),
    "-oocsn": Option(_T, "As -sn, for requests of no call: ooc_default answers 200."),
    "-s": Option(_T, "[service]. Default: service."),
    "-i": Option(_T, "Our address. Default: the one that reaches TARGET, else 127.0.0.1."),
    "-p": Option(Kind.PORT, "Our port; 0 is any. Default: 5060, or any when it is taken."),
    "-t": Option(_T, "u1 (default), un, ui: UDP, one socket, one a call, one an address; t1, tn: TCP; l1, ln: TLS."),
    "-m": Option(_N, "End after that many calls. Default: never."),
    "-r": Option(Kind.RATE, "New calls in each period of -rp. Default: 10."),
    "-rp": Option(Kind.MS, "That period. Default: 1s."),
    "-l": Option(_N, "Most calls at once. Default: 3 s (or 3 times -d) of calls."),
    "-users": Option(_N, "So many calls all the time, instead of a rate."),
    "-rate_increase": Option(Kind.RATE, "So many more in each period of -rp, each -rate_interval."),
    "-rate_interval": Option(Kind.SECONDS, "Default: that of -fd."),
    "-rate_max": Option(Kind.RATE, "The ramp's end: no new calls then, and the end with the last one."),
    "-no_rate_quit": Option(_F, "The rate stays at -rate_max."),
    "-rate_scale": Option(Kind.RATE, "How much the keys + and - change the rate. Default: 1."),
    "-d": Option(Kind.MS, "Length of a pause that has none. Default: 0."),
    "-inf": Option(Kind.FILE, "Rows for [field0]...: SEQUENTIAL, RANDOM or USER, then a;b;c for each call.", many=True),
    "-infindex": Option(Kind.PAIR, "FILE FIELD: <lookup> finds its rows by that field.", many=True),
    "-ip_field": Option(_N, "With -t ui: the field that holds the address. Default: 0."),
    "-key": Option(Kind.PAIR, "What [NAME] stands for.", many=True),
    "-set": Option(Kind.PAIR, "The global variable NAME.", many=True),
    "-timeout": Option(Kind.SECONDS, "End after that time."),
    "-timeout_error": Option(_F, "Reaching -timeout is an error."),
    "-recv_timeout": Option(Kind.MS, "Longest wait of <recv>."),
    "-send_timeout": Option(Kind.MS),
    "-max_retrans": Option(_N, "Fewer retransmissions than 5 of an INVITE, 7 of another message."),
    "-max_invite_retrans": Option(_N, "Retransmissions of an INVITE. Default: 5."),
    "-max_non_invite_retrans": Option(_N, "Retransmissions of another message. Default: 7."),
    "-nr": Option(_F, "No retransmission."),
    "-T2": Option(Kind.MS, "Longest time between two retransmissions. Default: 4s."),
    "-rtcheck": Option(_T, "full (default): a repeat is the same bytes; loose: the same From, To and CSeq."),
    "-lost": Option(Kind.PER_CENT, "So much of all messages is thrown away, where the scenario says nothing."),
    "-aa": Option(_F, "200 to an INFO, NOTIFY, OPTIONS or UPDATE that is not expected."),
    "-default_behaviors": Option(_T, "all, none, or some of bye, abortunexp, pingreply, badcseq; -bye: without it."),
    "-nd": Option(_F, "The same as -default_behaviors none."),
    "-pause_msg_ign": Option(_F, "What comes in a pause is ignored."),
    "-base_cseq": Option(_N, "Where [cseq] begins. Default: 1."),
    "-cid_str": Option(_T, "Call-IDs: %u call, %p process, %s our address. Default: %u-%p@%s."),
    "-au": Option(_T, "User name for [authentication]. Default: that of -s."),
    "-ap": Option(_T, "Its password. Default: password."),
    "-auth_uri": Option(_T, "URI for [authentication]."),
    "-tdmmap": Option(_T, "Circuits for [tdmmap]: {0-3}{99}{5-8}{1-31}."),
    "-dynamicStart": Option(_N), "-dynamicStep": Option(_N), "-dynamicMax": Option(_N),
    "-deadcall_wait": Option(Kind.MS, "So long the Call-ID of a call that has ended is still known. Default: 33s."),
    "-rsa": Option(Kind.ADDRESS, "Messages go there, whatever TARGET is."),
    "-max_socket": Option(_N, "Most sockets with one a call; then calls share them. Default: 50000."),
    "-max_reconnect": Option(Kind.TEXT, "How often a lost connection is opened again; -1: always. Default: 0."),
    "-reconnect_close": Option(Kind.BOOL, "Its calls have failed. Default: true."),
    "-reconnect_sleep": Option(Kind.MS, "The time before that. Default: 1s."),
    "-tls_cert": Option(Kind.FILE, "Our certificate, PEM."),
    "-tls_key": Option(Kind.FILE, "Its key, PEM. Default: in the file of -tls_cert."),
    "-tls_ca": Option(Kind.FILE, "Whose certificates the other side must show. Default: any, or none."),
    "-tls_version": Option(_T, "1.2 or 1.3 alone."),
    "-mi": Option(_T, "Our address for media. Default: that of -i."),
    "-mp": Option(Kind.PORT, "Our port for media. Default: 6000."),
    "-min_rtp_port": Option(Kind.PORT, "First port of rtp_stream. Default: 8192."),
    "-max_rtp_port": Option(Kind.PORT, "Last of them. Default: 56191."),
    "-rtp_echo": Option(_F, "What comes to that port, and to the one two above it, goes back."),
    "-3pcc": Option(Kind.ADDRESS, "The twin, which <sendCmd> tells and <recvCmd> hears."),
    "-master": Option(_T, "With -slave_cfg: our name; we begin."),
    "-slave": Option(_T, "With -slave_cfg: our name; we wait."),
    "-slave_cfg": Option(Kind.FILE, "A line NAME;HOST:PORT for each of the players."),
    "-trace_msg": Option(_F, "All messages into NAME_PID_messages.log."),
    "-message_file": Option(Kind.FILE, "That file."),
    "-trace_shortmsg": Option(_F, "A line for each message."),
    "-shortmessage_file": Option(Kind.FILE, "That file."),
    "-trace_err": Option(_F, "Why calls have failed."),
    "-error_file": Option(Kind.FILE, "That file."),
    "-trace_error_codes": Option(_F, "Statuses that were not expected."),
    "-trace_logs": Option(_F, "What <log> says."),
    "-log_file": Option(Kind.FILE, "That file."),
    "-trace_calldebug": Option(_F, "Calls that have failed, message by message."),
    "-calldebug_file": Option(Kind.FILE, "That file."),
    "-trace_screen": Option(_F, "The screens, at the end and at SIGUSR2."),
    "-screen_file": Option(Kind.FILE, "That file."),
    "-trace_stat": Option(_F, "Statistics, a row each -fd."),
    "-stf": Option(Kind.FILE, "That file."),
    "-stat_delimiter": Option(_T, "Between its columns. Default: ;"),
    "-fd": Option(Kind.SECONDS, "How often. Default: 60s."),
    "-trace_counts": Option(_F, "Counts of each element, a row each -fd."),
    "-trace_rtt": Option(_F, "Each response time."),
    "-rtt_freq": Option(_N, "Written so many at a time. Default: 200."),
    "-f": Option(Kind.SECONDS, "How often figures are shown. Default: 1s."),
    "-sleep": Option(Kind.SECONDS, "Begin so much later."),
    "-bg": Option(_F), "-nostdin": Option(_F), "-skip_rlimit": Option(_F), "-timer_resol": Option(Kind.MS),
    "-max_recv_loops": Option(_N), "-max_sched_loops": Option(_N), "-ci": Option(_T), "-cp": Option(Kind.PORT),
    "-bind_local": Option(_F), "-buff_size": Option(_N), "-sendbuffer_warn": Option(_F), "-mb": Option(_N),
    "-periodic_rtd": Option(_F),
    "-callid_slash_ign": Option(_F, "/// in a Call-ID means nothing."),
    "-rtpcheck_debug": Option(_F), "-srtpcheck_debug": Option(_F), "-audiotolerance": Option(_T),
    "-videotolerance": Option(_T), "-rfc3339": Option(_F),
    "-rtp_payload": Option(_N), "-rtp_threadtasks": Option(_N), "-rtp_buffsize": Option(_N),
    "-watchdog_interval": Option(Kind.MS), "-watchdog_reset": Option(Kind.MS),
    "-watchdog_minor_threshold": Option(Kind.MS), "-watchdog_major_threshold": Option(Kind.MS),
    "-watchdog_major_maxtriggers": Option(_N), "-watchdog_minor_maxtriggers": Option(_N),
    "-ringbuffer_files": Option(_N), "-ringbuffer_size": Option(_N), "-max_log_size": Option(_N),
    **{f"-{name}_overwrite": Option(Kind.BOOL, f"false: the file of -{name}_file is added to.")
       for name in ("message", "shortmessage", "error", "log", "calldebug", "screen")},
}  # fmt: skip

# Options of SIPp that cannot be had, and why.
REFUSED: Final = {
    "-tls_crl": "no lists of revoked certificates are read",
    "-plugin": "there are no plug-ins", "-multihome": "no SCTP", "-heartbeat": "no SCTP", "-assocmaxret": "no SCTP",
    "-pathmaxret": "no SCTP", "-pmtu": "no SCTP", "-gracefulclose": "no SCTP",
}  # fmt: skip


@dataclass(slots=True)
class Given:
    """What a command line gives, by the names of the options."""

    words: dict[str, list[str]] = field(default_factory=dict)
    pairs: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.words

    def text(self, name: str, default: str = "") -> str:
        """The last word given."""
        return self.words.get(name, [default])[-1]

    def texts(self, name: str) -> list[str]:
        """All words given."""
        return self.words.get(name, [])

    def count(self, name: str, *, least: int = 1) -> int | None:
        """A whole number; None when it is not given. UsageFault."""
        if name not in self.words:
            return None
        text = self.text(name)
        if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or int(text) < least:
            raise UsageFault(f"{name}: {text!r} is no whole number of at least {least}")
        return int(text)

    def number(self, name: str, default: float, *, most: float = 1_000_000.0) -> float:
        """A number from 0. UsageFault."""
        text = self.text(name, str(default))
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text, re.ASCII) or float(text) > most:
            raise UsageFault(f"{name}: {text!r} is no number from 0 to {most:g}")
        return float(text)

    def seconds(self, name: str, default: str) -> float:
        """A time as SIPp takes it: a number and ms, s, m or h; without one, what the option means. UsageFault."""
        text = self.text(name, default)
        usual = "ms" if OPTIONS[name].kind is Kind.MS else "s"
        found = _TIME.fullmatch(text)
        if found is None or float(found[1]) * _UNITS[found[2] or usual] > _LONGEST_S:
            raise UsageFault(f"{name}: {text!r} is no time such as 500ms or 20s, of a week at most")
        return float(found[1]) * _UNITS[found[2] or usual]

    def port(self, name: str, default: int) -> int:
        """UsageFault."""
        text = self.text(name, str(default))
        if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or int(text) > 65535:
            raise UsageFault(f"{name}: {text!r} is not a port")
        return int(text)

    def boolean(self, name: str, default: bool) -> bool:
        """UsageFault."""
        text = self.text(name, str(default)).lower()
        if text not in ("true", "false", "yes", "no", "1", "0"):
            raise UsageFault(f"{name}: {text!r} is neither true nor false")
        return text in ("true", "yes", "1")

    def file(self, name: str) -> Path | None:
        """None when it is not given."""
        return Path(self.text(name)) if name in self.words else None

    def without_effect(self) -> list[str]:
        """Options that were given, and that do nothing here."""
        return [name for name in self.words if not OPTIONS[name].help]


def take_options(args: Sequence[str], ours: frozenset[str]) -> tuple[Given, list[str]]:
    """SIPp's options out of a command line, and what is left: FILE, TARGET and options of `ours`. UsageFault."""
    given = Given()
    left: list[str] = []
    words = iter(args)
    for word in words:
        option = OPTIONS.get(word)
        if word in REFUSED:
            raise UsageFault(f"{word}: not supported: {REFUSED[word]}")
        if word == "--":
            left += [word, *words]
        elif option is not None:
            _take(given, word, option, words)
        elif word.startswith("-") and word not in ours:
            raise UsageFault(f"no such option: {word}; see veil700 scenario play --help")
        else:
            left.append(word)
    return given, left


def _take(given: Given, name: str, option: Option, words: Iterator[str]) -> None:
    if option.kind is Kind.PAIR:
        key, value = next(words, ""), next(words, None)
        if value is None or (name != "-infindex" and not _NAME.fullmatch(key)):
            raise UsageFault(f"{name} needs a name and a value")
        given.pairs.setdefault(name, []).append((key, value))
    elif option.kind is Kind.FLAG:
        given.words[name] = []
    else:
        text = next(words, None)
        if text is None:
            raise UsageFault(f"option {name} needs a value")
        given.words.setdefault(name, []).append(text)
