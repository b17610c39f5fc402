"""A whole session of PaperTrail in real processes, and whom they tried to reach. Run as a program; prints JSON.

In a network namespace of its own (``unshare --net``) nobody but this machine can be reached, and the kernel counts who
tries, whatever library or language does it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

# Tells a file whom Python code connects to or looks up, and is the command in all else.
WATCHED = """
import os, sys
told = os.open(os.environ["SESSION_TOLD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def watch(event, given):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        os.write(told, f"{given[1]!r}\\n".encode())
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        os.write(told, f"{given[0]!r}\\n".encode())

sys.addaudithook(watch)
from rag.cli import main
main()
"""
QUESTION = "How many marbles does Zorb sort?"
ELSEWHERE = {"path": "https://somewhere.example/page.txt", "meta": {"_type": "gradio.FileData"}}


def loopback_up() -> None:
    """In a new namespace even loopback is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_:
        up = struct.pack("16sh", b"lo", 0x1 | 0x40)  # IFF_UP, IFF_RUNNING
        fcntl.ioctl(any_, 0x8914, up)  # SIOCSIFFLAGS


def unroutable() -> int:
    """How many packets the kernel of this namespace had no way for."""
    names, values = (line.split()[1:] for line in Path("/proc/net/snmp").read_text().splitlines()[:2])
    six = dict(line.split() for line in Path("/proc/net/snmp6").read_text().splitlines())
    return int(dict(zip(names, values, strict=True))["OutNoRoutes"]) + int(six["Ip6OutNoRoutes"])


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", WATCHED, *arguments]


def visit(address: str) -> list[str]:
    """Use the page as browsers, programs and those with bad intent do; the first words of each reply."""
    with httpx.Client(base_url=address, timeout=600, trust_env=False) as client:
        replies = [client.get("/"), client.get("/config"), client.get("/gradio_api/info")]
        for tool, given in (
            *(("ask", [QUESTION, None, "", "", ""]), ("search", ["marbles", 2, "", "", ""])),
            *(("check", ["Zorb sorts marbles.", "", ""]), ("papers", ["", "", "", "", 20])),
            ("search", [ELSEWHERE, 2, "", "", ""]),
        ):
            begun = client.post(f"/gradio_api/call/{tool}", json={"data": given}).json()
            replies.append(client.get(f"/gradio_api/call/{tool}/{begun['event_id']}"))
        replies.append(client.post("/gradio_api/upload", files={"files": ("a.txt", b"Abstract: A is a lamp.")}))
        replies += [client.get(f"/gradio_api/{way}=https://somewhere.example/a") for way in ("file", "proxy")]
        return [f"{reply.status_code} {reply.text[:60]}" for reply in replies]


def session() -> dict[str, object]:
    """Chat page and commands, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "told")
        environment = os.environ | {"SESSION_TOLD": str(told)}
        page = subprocess.Popen(
            command("chat", "--no-browser"),
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            assert page.stderr is not None
            address = next(found[0] for line in page.stderr if (found := re.search(r"http://\S+", line)))
            replies = visit(address.rstrip("."))
            asked = subprocess.run(command("ask", QUESTION), env=environment, capture_output=True, text=True)
        finally:
            page.send_signal(signal.SIGINT)
            page.communicate(timeout=300)
        alone = subprocess.run(command("ask", QUESTION), env=environment, capture_output=True, text=True)
        statuses = [asked.returncode, alone.returncode]
        return {"reached": told.read_text().splitlines(), "replies": replies, "statuses": statuses}


def main() -> None:
    apart = "--apart" in sys.argv
    if apart:
        loopback_up()
        before = unroutable()
    made = session()
    if apart:
        made["unroutable"] = unroutable() - before
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_:
            try:
                any_.sendto(b"x", ("192.0.2.1", 9))
            except OSError:
                made["would_be"] = unroutable() - before
    print(json.dumps(made))


if __name__ == "__main__":
    main()
