"""Real Chroma servers on loopback, and what may stand before one."""

from __future__ import annotations

import http.client
import signal
import socket
import ssl
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from rag.settings import Settings, Store
from tests.loopback import serving


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextmanager
def chroma_run(folder: Path, port: int | None = None) -> Iterator[str]:
    """The address of ``chroma run`` over a folder, until the block ends."""
    port = port or free_port()
    command = [sys.executable, "-c", "from chromadb.cli.cli import app; app()", "run"]
    url = f"http://127.0.0.1:{port}"
    with (folder.parent / f"{folder.name}.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)], stdout=log, stderr=log
        )
    try:
        while not _answers(url):
            assert process.poll() is None, (folder.parent / f"{folder.name}.log").read_text()
            time.sleep(0.05)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v2/heartbeat", timeout=2).is_success
    except httpx.HTTPError:
        return False


def on_server(settings: Settings, url: str, data: Path) -> Settings:
    """Settings for a new collection on a server."""
    named = f"test-{uuid.uuid4().hex[:12]}"
    return settings.model_copy(update={"data_dir": data, "store": Store(url=url), "collection": named})


def beside(settings: Settings, name: str) -> Settings:
    """Settings for another index at the same place."""
    return settings.model_copy(update={"collection": f"{settings.collection}-{name}"})


def elsewhere(settings: Settings, folder: Path) -> Settings:
    """The same collection, seen from another machine."""
    return settings.model_copy(update={"data_dir": folder})


@contextmanager
def guarded(
    url: str, lets_in: Callable[[http.client.HTTPMessage], bool], over: ssl.SSLContext | None = None
) -> Iterator[str]:
    """The address of a proxy before a server, which hands on only the requests whose headers it likes.

    :param over: what makes it speak TLS.
    """
    server = urlsplit(url).netloc

    class Guard(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if not lets_in(self.headers):
                self._say(401, b"Who are you?", "text/plain")
                return
            connection = http.client.HTTPConnection(server)
            try:
                connection.request(self.command, self.path, body, {"Content-Type": "application/json"})
                reply = connection.getresponse()
                self._say(reply.status, reply.read(), reply.headers.get("Content-Type", "application/json"))
            finally:
                connection.close()

        do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

        def _say(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with serving(Guard, over) as address:
        yield address


@contextmanager
def saying(status: int, body: bytes = b"", **headers: str) -> Iterator[str]:
    """The address of a server that says the same to everybody."""

    class Same(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with serving(Same) as address:
        yield address
