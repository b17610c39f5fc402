"""An OpenAI-compatible server, such as vLLM, llama.cpp's, Ollama or ``transformers serve``: asked, and bounded.

Whatever goes wrong there is one :class:`rag.errors.ModelUnavailable`, whose sentence never holds the API key. Requests
run on an event loop of their own, so that many are under way at once and one that nobody waits for any more is given up
at once, which the server notices.
"""

from __future__ import annotations

import asyncio
import json
import queue
import ssl
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx

from rag.errors import ModelUnavailable, ServerRefused
from rag.login import is_loopback
from rag.settings import Embed, Llm

T = TypeVar("T")
Body = Mapping[str, Any]

_AT_ONCE = 8
"""Requests that are under way together: a server reads them as one batch."""
_TRIES = 4
_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a busy server is asked again, doubled each time, and the most that it may ask for."""
_BUSY = {429, 502, 503, 504}
_CONNECT_SECONDS = 5.0
_MOST_BYTES, _MOST_STREAMED = 32 << 20, 4 << 20
"""Of one reply, as a whole or in pieces."""
_LOOK = 0.05
"""Seconds between two looks at whether a reply is still wanted."""
_SAID = 200
"""Characters of a server's own words that an error repeats."""
_END = b"[DONE]"


@dataclass(frozen=True)
class Served:
    """A model that a server has, and who it says owns it: vLLM and llama.cpp give their own names."""

    name: str
    owner: str


class ModelServer:
    """One server, asked from any thread."""

    def __init__(self, settings: Llm | Embed, *, offline: bool = False):
        """:raises ModelUnavailable: if none is set, the network is switched off, or no client for it can be made."""
        self.section = type(settings).__name__.lower()
        self.url = settings.url or ""
        self._key = settings.api_key.get_secret_value() if settings.api_key else ""
        self._model = settings.model or ""
        if offline:
            raise ModelUnavailable(
                f"The server at {self.url} is not asked, because the network is switched off (offline = true): set "
                f"RAG_OFFLINE=false, or leave --{self.section} out."
            )
        try:
            self._client = self._made()
        except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:  # a proxy or certificates that can't be
            raise ModelUnavailable(
                f"The server at {self.url} can't be asked ({error}): mend the proxy or the certificates that the "
                f"environment names, or correct --{self.section}."
            ) from error
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=_run, args=(self._loop, self._client), name="model-server", daemon=True).start()
        weakref.finalize(self, self._loop.call_soon_threadsafe, self._loop.stop).atexit = False

    def _made(self) -> httpx.AsyncClient:
        host = httpx.URL(self.url).host
        try:
            here = is_loopback(host)
        except ValueError:  # a name
            here = False
        limits = httpx.Limits(max_connections=_AT_ONCE + 1)
        return httpx.AsyncClient(
            # With a transport given, the proxies of the environment are left alone; its certificates hold all the same.
            transport=httpx.AsyncHTTPTransport(limits=limits) if here else None,
            limits=limits,
            timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
            headers={"Accept-Encoding": "identity", **({"Authorization": f"Bearer {self._key}"} if self._key else {})},
            follow_redirects=False,
        )

    # Asking ------------------------------------------------------------------------------------

    def models(self, seconds: float) -> list[Served]:
        """What it has. :raises ModelUnavailable: if it doesn't say in that time."""
        return self._wait(self._within(seconds, self._models()))

    def replies(self, path: str, bodies: Sequence[Body], seconds: float) -> list[Any]:
        """What it answers to each request, in their order; several are under way at once.

        :param seconds: in which all must be there. :raises ModelUnavailable: if one isn't.
        """

        async def all_of_them() -> list[Any]:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._reply(path, body)) for body in bodies]
            return [task.result() for task in tasks]

        more = f", or allow it more with RAG_GENERATION__MAX_SECONDS={2 * seconds:g}"
        return self._wait(self._within(seconds, all_of_them(), more))

    def stream(
        self, path: str, body: Body, seconds: float, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[Any]:
        """The events of one reply as they come; they end early once ``stopped()`` is true or the time is over.

        :raises ModelUnavailable: if there is no reply, or it breaks off in the middle.
        """
        told: queue.SimpleQueue[Any] = queue.SimpleQueue()
        over = object()

        async def read() -> None:
            try:
                async with asyncio.timeout(seconds), self._at_once:
                    async for event in self._events(path, body):
                        told.put(event)
            except TimeoutError:
                pass
            finally:
                told.put(over)

        reading = asyncio.run_coroutine_threadsafe(read(), self._loop)
        try:
            while not stopped():
                try:
                    event = told.get(timeout=_LOOK)
                except queue.Empty:
                    continue
                if event is over:
                    reading.result()
                    return
                yield event
        finally:
            reading.cancel()

    @contextmanager
    def understood(self) -> Iterator[None]:
        """:raises ModelUnavailable: if what is read within is not what an OpenAI-compatible server says."""
        try:
            yield
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError) as error:
            raise ModelUnavailable(
                f"The server at {self.url} answers otherwise than an OpenAI-compatible one: correct --{self.section}, "
                f"which usually ends in /v1."
            ) from error

    # Waiting -----------------------------------------------------------------------------------

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        asked = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return asked.result()
        finally:
            asked.cancel()  # where waiting was interrupted

    async def _within(self, seconds: float, work: Coroutine[Any, Any, T], more: str = "") -> T:
        try:
            async with asyncio.timeout(seconds):
                return await work
        except TimeoutError as error:
            raise ModelUnavailable(
                f"The server at {self.url} did not answer within {seconds:g} seconds: see whether it hangs or is "
                f"overloaded{more}."
            ) from error
        except ExceptionGroup as error:  # of which the first is as good as any
            raise error.exceptions[0] from None

    # Speaking HTTP -----------------------------------------------------------------------------

    async def _models(self) -> list[Served]:
        told = await self._told("GET", "/models")
        with self.understood():
            return [Served(str(model["id"]), str(model.get("owned_by") or "")) for model in told["data"]]

    async def _reply(self, path: str, body: Body) -> Any:
        async with self._at_once:
            return await self._told("POST", path, body)

    async def _told(self, method: str, path: str, body: Body | None = None) -> Any:
        async with self._answered(method, path, body) as response:
            told = await self._whole(response)
        with self.understood():
            return json.loads(told)

    async def _events(self, path: str, body: Body) -> AsyncIterator[Any]:
        """The server-sent events of a reply."""
        ended, size, rest = False, 0, b""
        async with self._answered("POST", path, {**body, "stream": True}) as response:
            async for part in self._parts(response):
                *lines, rest = (rest + part).split(b"\n")
                size += len(part)
                self._check_size(size, _MOST_STREAMED)
                for line in lines:
                    name, _, said = line.strip().partition(b":")
                    if name not in (b"data", b"error"):
                        continue
                    if said.strip() == _END:
                        return
                    with self.understood():
                        event = json.loads(said)
                        if name == b"error" or event.get("error"):
                            raise self._failed(event)
                        ended = ended or any(choice.get("finish_reason") for choice in event.get("choices") or ())
                    yield event
        if not ended:
            raise ModelUnavailable(f"The server at {self.url} broke off in the middle of a reply: ask again.")

    async def _whole(self, response: httpx.Response) -> bytes:
        said = bytearray()
        async for part in self._parts(response):
            said += part
            self._check_size(len(said), _MOST_BYTES)
        return bytes(said)

    async def _parts(self, response: httpx.Response) -> AsyncIterator[bytes]:
        try:
            async for part in response.aiter_raw():
                yield part
        except httpx.HTTPError as error:
            raise ModelUnavailable(
                f"The server at {self.url} broke off in the middle of a reply ({type(error).__name__}): ask again."
            ) from error

    def _check_size(self, size: int, most: int) -> None:
        if size > most:
            raise ModelUnavailable(
                f"The server at {self.url} says more than {most >> 20} MiB at once, which no reply needs: "
                f"correct --{self.section}."
            )

    @asynccontextmanager
    async def _answered(self, method: str, path: str, body: Body | None) -> AsyncIterator[httpx.Response]:
        """A response that is none of an error, of which the head is there."""
        content = None if body is None else json.dumps(body).encode()  # ASCII: a lone surrogate is escaped
        response = await self._asked(method, path, content)
        try:
            if not response.is_success:
                raise await self._refusal(response, path)
            yield response
        finally:
            await response.aclose()

    async def _asked(self, method: str, path: str, content: bytes | None) -> httpx.Response:
        """The response, after as many tries as a busy server, or one that closed the line meanwhile, is worth."""
        tries = 0
        while True:
            tries += 1
            try:
                request = self._client.build_request(
                    method, self.url + path, content=content, headers={"Content-Type": "application/json"}
                )
                response = await self._client.send(request, stream=True)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
                if tries == _TRIES:
                    raise self._unreachable(error) from error
                await asyncio.sleep(_PAUSE)
                continue
            except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
                raise self._unreachable(error) from error
            if response.status_code not in _BUSY or tries == _TRIES:
                return response
            await response.aclose()
            await asyncio.sleep(_asked_for(response) or _PAUSE * 2 ** (tries - 1))

    # What goes wrong ---------------------------------------------------------------------------

    def _unreachable(self, error: Exception) -> ModelUnavailable:
        reason = self._quoted(str(error)) or type(error).__name__
        if "SSL" in str(error) or "certificate" in str(error).casefold():
            return ModelUnavailable(
                f"There is no safe connection to the server at {self.url} ({reason}): correct --{self.section}, or "
                f"name the authority of its certificate with SSL_CERT_FILE."
            )
        return ModelUnavailable(
            f"The server at {self.url} can't be reached ({reason}): start it, or correct --{self.section}."
        )

    async def _refusal(self, response: httpx.Response, path: str) -> ModelUnavailable:
        """The error that a response is."""
        status = response.status_code
        return ServerRefused(await self._why(response, path), status)

    async def _why(self, response: httpx.Response, path: str) -> str:
        status, section = response.status_code, self.section
        if response.is_redirect:
            there = self._quoted(response.headers.get("location", "elsewhere"))
            return (
                f"The server at {self.url} sends on to {there}, where nothing is sent: name that address with "
                f"--{section} if it is right."
            )
        if status in (401, 403):
            said = "doesn't take the API key" if self._key else "wants an API key"
            return f"The server at {self.url} {said} ({status}): set RAG_{section.upper()}__API_KEY."
        said = self._quoted(_message(await self._whole(response)))
        if status == 404:
            return await self._missing(path)
        if status in _BUSY:
            return f"The server at {self.url} is busy or not ready ({status}{_after(said)}): ask again in a minute."
        if path == "/models":
            return (
                f"The server at {self.url} doesn't say which models it has ({status}{_after(said)}): correct "
                f"--{section}, which usually ends in /v1."
            )
        if status in (400, 413, 422) and "context" in said.casefold():
            return (
                f"The model {self._model} at {self.url} can't read as much as it was asked ({said}): start its server "
                f"with a longer context, or name another model with --{section}-model."
            )
        return (
            f"The server at {self.url} refuses the request ({status}{_after(said)}): see whether the model "
            f"{self._model} is meant for this, or name another with --{section}-model."
        )

    async def _missing(self, path: str) -> str:
        """What a 404 means: a model that it hasn't got, or an address that isn't right."""
        try:
            has = [] if path == "/models" else await self._models()
        except ModelUnavailable:
            has = []
        if not has:
            return f"There is nothing at {self.url}{path} (404): correct --{self.section}, which usually ends in /v1."
        return (
            f"The server at {self.url} has no model {self._model!r}: name one with --{self.section}-model "
            f"({listed(has)})."
        )

    def _failed(self, event: Any) -> ModelUnavailable:
        said = self._quoted(_message(json.dumps(event).encode()))
        return ModelUnavailable(f"The server at {self.url} failed in the middle of a reply{_after(said)}: ask again.")

    def _quoted(self, said: str) -> str:
        """A server's words as an error may repeat them: few, in one line, and without the key."""
        return _short(said.replace(self._key, "…") if self._key else said)


def listed(models: Sequence[Served]) -> str:
    """The names of models, for a sentence."""
    return _short(", ".join(model.name for model in models)) or "it names none"


def _short(said: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in said).split())
    return line if len(line) <= _SAID else f"{line[:_SAID]}…"


def _run(loop: asyncio.AbstractEventLoop, client: httpx.AsyncClient) -> None:
    """What the thread of a server's loop does, until nobody knows the server any more."""
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(client.aclose())
        loop.close()


def _after(said: str) -> str:
    return f": {said}" if said else ""


def _message(body: bytes) -> str:
    """What a server says of its error, in one of the ways in which they do; nothing where that is a page."""
    try:
        said = json.loads(body)
        for name in ("error", "message", "detail"):
            if isinstance(said, dict):
                said = said.get(name, said)
        return said if isinstance(said, str) else json.dumps(said)
    except (ValueError, RecursionError):
        said = body[: 4 * _SAID].decode(errors="replace")
        return "" if said.lstrip().startswith("<") else said


def _asked_for(response: httpx.Response) -> float | None:
    """The seconds that a busy server asks us to wait, within reason; None if it doesn't say."""
    said = response.headers.get("retry-after", "")
    try:
        seconds = float(said) if said.isdecimal() else (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), _LONGEST_PAUSE)
