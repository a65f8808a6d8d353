"""`make demo`: one call and one message through a real node, and what each side saw of the other.

The node is started with the embedded default configuration; its data stands in a temporary folder. Exit status 0 when
call and message went through, both records are there, and no real number crossed; 1 otherwise.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from phone import SENT, Phone

from sipstack.events import Flow

ROOT = Path(__file__).resolve().parents[2]
X = "700123456780001"
A_NUMBER, B_NUMBER = "13800138000", "13900139000"
TEXT = "快递到了,请开门"
READY_S = 20.0
SHOWN_HEADERS = ("From", "To", "Call-ID", "Contact", "P-Asserted-Identity")
SHOWN_FIELDS = ("kind", "tel_x", "caller", "callee", "presented_number", "release_cause", "sip_status", "bill_seconds")


def main() -> int:
    """Runs the demonstration and prints it."""
    with tempfile.TemporaryDirectory(prefix="veil700-demo-") as folder:
        try:
            return asyncio.run(_demo(Path(folder)))
        except (OSError, RuntimeError, subprocess.CalledProcessError, TimeoutError) as error:
            detail = getattr(error, "stderr", "") or str(error) or type(error).__name__
            print(f"demo failed: {detail.strip()}", file=sys.stderr)
            return 1


async def _demo(folder: Path) -> int:
    alice, bob = Phone("A", A_NUMBER), Phone("B", B_NUMBER)
    node_port, bob_port = _free_port(5060), _free_port(5080)
    config = _configure(folder, node_port, bob_port)
    print(f"A has {A_NUMBER}, B has {B_NUMBER}; both know only X = {X}")
    node = await _start_node(config)
    try:
        _veil("bind", config, "--mode", "AXB", "--tel-x", X, "--tel-a", A_NUMBER, "--tel-b", B_NUMBER,
              "--business-user", "bu-express", "--order-id", "demo-1", "--scenario", "express",
              "--expiration", (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds"))  # fmt: skip
        await alice.open("127.0.0.1", 0)
        await bob.open("127.0.0.1", bob_port)
        node_flow = Flow("UDP", "127.0.0.1", node_port)
        await alice.call(X, node_flow)
        await asyncio.wait_for(bob.hung_up.wait(), 10)
        await alice.message(X, TEXT, node_flow)
    finally:
        alice.close()
        bob.close()
        node.terminate()
        await asyncio.wait_for(node.wait(), 20)
    return _report(config, alice, bob)


def _report(config: Path, alice: Phone, bob: Phone) -> int:
    for phone in (alice, bob):
        print(f"\n=== what {phone.name} ({phone.number}) sent and saw, at {phone.address if phone.seen else '-'}")
        _print_ladder(phone)
    records = [json.loads(line) for line in _veil("cdr", config, "export", "--format", "jsonl").splitlines()]
    print("\n=== the records (real numbers are masked; on disk they are encrypted)")
    for record in records:
        print("  " + "  ".join(f"{name}={record[name]}" for name in SHOWN_FIELDS))
    print(f"  {_veil('cdr', config, 'verify').strip()}")
    crossed = _crossed(alice, B_NUMBER) + _crossed(bob, A_NUMBER)
    print()
    if crossed or len(records) != 2:
        print(
            f"NOT GOOD: {crossed} messages showed a real number to the other side, {len(records)} records instead of 2"
        )
        return 1
    received = sum(1 for phone in (alice, bob) for _, direction, _ in phone.seen if direction != SENT)
    print(f"No real number crossed: {received} messages searched byte by byte.")
    return 0


def _crossed(phone: Phone, other: str) -> int:
    """Messages that reached this phone and hold the other one's number."""
    return sum(1 for _, direction, data in phone.seen if direction != SENT and other.encode() in data)


def _print_ladder(phone: Phone) -> None:
    start = phone.seen[0][0]
    for seconds, direction, data in phone.seen:
        head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        arrow = "------>" if direction == SENT else "<------"
        print(f"{(seconds - start) * 1000:8.1f} ms  {arrow}  {first}")
        if direction != SENT:
            for line in lines:
                if line.partition(":")[0] in SHOWN_HEADERS:
                    print(f"{'':23}{line}")
            if "text/plain" in head:
                print(f"{'':23}{body}")


def _configure(folder: Path, node_port: int, bob_port: int) -> Path:
    """The embedded default with its data in `folder`, and other ports where the usual ones are taken."""
    text = (ROOT / "configs" / "embedded.toml").read_text("utf-8")
    text = text.replace('data_dir = "../var"', 'data_dir = "var"')
    text = text.replace("127.0.0.1:5060", f"127.0.0.1:{node_port}").replace("127.0.0.1:5080", f"127.0.0.1:{bob_port}")
    (folder / "inventory.toml").write_text((ROOT / "configs" / "inventory.toml").read_text("utf-8"), "utf-8")
    config = folder / "embedded.toml"
    config.write_text(text, "utf-8")
    return config


async def _start_node(config: Path) -> asyncio.subprocess.Process:
    node = await asyncio.create_subprocess_exec(
        *_command(), "--config", str(config), "run", stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert node.stdout is not None
    line = (await asyncio.wait_for(node.stdout.readline(), READY_S)).decode().strip()
    if not line.startswith("veil700 ready"):
        await node.wait()
        raise RuntimeError("the node did not start")
    print(line)
    return node


def _command() -> list[str]:
    return [sys.executable, "-m", "engine.main"]


def _veil(verb: str, config: Path, *arguments: str) -> str:
    """Runs one verb of the command line and returns what it printed."""
    command = [*_command(), verb, *arguments, "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True, env=os.environ)
    return done.stdout


def _free_port(wanted: int) -> int:
    """The wanted UDP port on 127.0.0.1, or any free one when it is taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
