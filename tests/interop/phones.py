"""baresip and linphonec, phones that we did not write, without a screen or a sound card."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
import wave
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from scenarios.rig.place import PORT
from scenarios.rig.seen import Seen, ladder

WAIT_S: Final = 60.0
_LOOK_S: Final = 0.02
_CONTROL_PORT: Final = 4444
_SOUND_S: Final = 30  # baresip hangs up at the end of its sound, which no test waits for


def wait_until(is_so: Callable[[], bool], what: Callable[[], str]) -> None:
    """Returns once it is so; fails with `what` it was at instead."""
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline, what()
        time.sleep(_LOOK_S)


class Phone(ABC):
    """One process that takes every call, and all that it says it has sent and received. `canary` names its make."""

    canary: str

    def __init__(self, folder: Path, host: str, number: str) -> None:
        folder.mkdir(parents=True)
        self.folder, self.host, self.number = folder, host, number
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> bytes:
        return self._log.read_bytes() if self._log.exists() else b""

    @property
    @abstractmethod
    def messages(self) -> list[Seen]:
        """Every SIP message so far; when each came is not known."""

    @abstractmethod
    def start(self) -> None:
        """Returns once it takes calls."""

    @abstractmethod
    def call(self, uri: str) -> None:
        """Calls."""

    @abstractmethod
    def hang_up(self) -> None:
        """Ends its call."""

    def _run(self, argv: Iterable[str | Path], stdin: int, environment: dict[str, str]) -> None:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                list(argv), cwd=self.folder, stdin=stdin, stdout=log, stderr=log, env={**os.environ, **environment}
            )

    def await_step(self, step: str) -> None:
        """Returns once it has seen a step, as "-> 200 BYE"."""
        wait_until(lambda: step in ladder(self.messages), lambda: f"no {step} in {ladder(self.messages)}")

    def close(self) -> None:
        if self._process is not None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process.terminate()
            try:
                self._process.wait(5.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


class Baresip(Phone):
    """baresip 1.0, told what to do over its control connection. It prints each message that it sends or receives."""

    canary = "baresip"
    _ENTRY: Final = re.compile(rb"#\n(?:UDP|TCP|TLS) (\S+):\d+ -> \S+\n(.*?)\x1b\[;m", re.DOTALL)

    def __init__(self, folder: Path, host: str, number: str, lines: str = "") -> None:
        """`lines` are further ones of its configuration."""
        super().__init__(folder, host, number)
        with wave.open(str(folder / "sound.wav"), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(8000)
            sound.writeframes(bytes(2 * 8000 * _SOUND_S))
        (folder / "config").write_text(
            f"sip_listen {host}:{PORT}\nmodule_path /usr/lib/baresip/modules\naudio_source aufile,{folder}/sound.wav\n"
            f"audio_player aufile,{folder}/heard.wav\naudio_alert aufile,{folder}/alert.wav\n"
            f"ctrl_tcp_listen {host}:{_CONTROL_PORT}\nmodule g711.so\nmodule aufile.so\nmodule_app account.so\n"
            f"module_app menu.so\nmodule_app ctrl_tcp.so\n{lines}"
        )
        (folder / "accounts").write_text(f"<sip:{number}@{host}>;regint=0;answermode=auto\n")
        (folder / "contacts").write_text("\n")
        self._control: socket.socket | None = None

    @property
    def messages(self) -> list[Seen]:
        # A connection that it opens itself leaves from 127.0.0.1, whatever sip_listen says.
        own = (self.host, "127.0.0.1")
        return [Seen(0.0, found[1].decode() in own, found[2]) for found in self._ENTRY.finditer(self.log)]

    def start(self) -> None:
        self._run(["baresip", "-f", self.folder, "-s"], subprocess.DEVNULL, {})
        wait_until(lambda: b"baresip is ready" in self.log, lambda: self.log.decode(errors="replace"))
        self._control = socket.create_connection((self.host, _CONTROL_PORT), WAIT_S)

    def call(self, uri: str) -> None:
        self._tell("dial", uri)

    def hang_up(self) -> None:
        self._tell("hangup", "")

    def _tell(self, command: str, parameters: str) -> None:
        assert self._control is not None
        text = json.dumps({"command": command, "params": parameters}).encode()
        self._control.sendall(b"%d:%s," % (len(text), text))

    def close(self) -> None:
        if self._control is not None:
            self._control.close()
        super().close()


class Linphone(Phone):
    """linphonec 5.1, told what to do at its prompt. Its debug log has the messages, each with its length."""

    canary = "linphone"
    _ENTRY: Final = re.compile(
        rb"(message sent to \[[^]]*\], size: |received )\[(\d+)\] (?:bytes|new bytes from [^\n]*:)\n"
    )

    def __init__(self, folder: Path, host: str, number: str) -> None:
        super().__init__(folder, host, number)
        (folder / ".local/share/linphone").mkdir(parents=True)  # it falls over without
        (folder / "rc").write_text(
            f"[sip]\nsip_port={PORT}\nsip_tcp_port=0\nsip_tls_port=0\nbind_address={host}\nuse_ipv6=0\nipv6_migration_done=1\n"
            f'contact="{number}" <sip:{number}@{host}>\ndefault_proxy=-1\n'
        )

    @property
    def messages(self) -> list[Seen]:
        debug = self.folder / "debug"
        data = debug.read_bytes() if debug.exists() else b""
        return [
            Seen(0.0, found[1].startswith(b"message sent"), data[found.end() : found.end() + int(found[2])])
            for found in self._ENTRY.finditer(data)
        ]

    def start(self) -> None:
        argv = ["linphonec", "-c", self.folder / "rc", "-d", "6", "-l", self.folder / "debug", "-a"]
        self._run(argv, subprocess.PIPE, {"HOME": str(self.folder)})
        wait_until(lambda: b"linphonec>" in self.log, lambda: self.log.decode(errors="replace"))

    def call(self, uri: str) -> None:
        self._tell(f"call {uri}")

    def hang_up(self) -> None:
        self._tell("terminate")

    def write(self, uri: str, text: str) -> None:
        """Sends a short message."""
        self._tell(f"chat {uri} {text}")

    def _tell(self, command: str) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())
        self._process.stdin.flush()
