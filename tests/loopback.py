"""A small HTTP server of a test's own."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler], over: ssl.SSLContext | None = None) -> Iterator[str]:
    """The address of a server on loopback, on a free port, until the block ends. :param over: makes it speak TLS."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if over is not None:
        server.socket = over.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http{'' if over is None else 's'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
