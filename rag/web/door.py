"""What a request must be like before the page's server looks at it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag.login import LOOPBACK, Login

# What the server asks itself, without a password, to see whether it has come up; it tells nothing.
_COMING_UP = "/gradio_api/startup-events"
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="PaperTrail", charset="UTF-8"'}
# What the page shows and runs comes from here, and no other page may show it in a frame or is told of it.
_ONLY_HERE = {
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


class Door:
    """Stands before every route of the page, those for programs and agents too.

    Gradio's own login leaves some of them open. On loopback without a login the page answers only to the names of
    this machine: a page of somebody else's, opened in a browser here, may have its own name lead here.
    """

    def __init__(self, app: ASGIApp, *, host: str = LOOPBACK, login: Login | None = None):
        """:param host: where the page is bound. :param login: what must be given, if anything."""
        self._app = app
        self._names = {host, LOOPBACK, "localhost", "::1"}
        self._login = login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            refusal = self._refusal(scope["path"], Headers(scope=scope))
            await (refusal or self._app)(scope, receive, _sealed(send))
        # The page has no other kind; an unanswered one is closed.

    def _refusal(self, path: str, headers: Headers) -> Response | None:
        """What is answered instead of letting a request in."""
        host = headers.get("host", "")
        if self._login is None:
            if _name(host) not in self._names:
                return _refused(403, "This page is for this machine alone: open it as 127.0.0.1 or localhost.")
        elif path != _COMING_UP and not self._login.is_in(headers.get("authorization", "")):
            return _refused(401, "Give user and password.", _CHALLENGE)
        if "origin" in headers and headers["origin"].partition("://")[2] != host:
            return _refused(403, "Another page can't ask this one.")
        if "://" in path:  # Gradio would fetch it
            return _refused(404, "Nothing of another site is shown here.")
        return None


def _sealed(send: Send) -> Send:
    """The same, for answers that lead nowhere else."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(_ONLY_HERE)
        await send(message)

    return sent


def _name(host: str) -> str | None:
    """A ``Host`` header without its port."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _refused(status: int, why: str, headers: dict[str, Any] | None = None) -> Response:
    return PlainTextResponse(why, status, headers)
