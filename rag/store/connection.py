"""How a Chroma server is reached: with a password or token, within a time, and with clear words if it can't be."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from rag.errors import StoreUnavailable
from rag.settings import Store

if TYPE_CHECKING:
    from chromadb.api import ClientAPI

_TIMES = httpx.Timeout(120.0, connect=5.0)
"""Seconds after which a server is away; thousands of rows may take it long."""
_FIRST_TIMES = httpx.Timeout(10.0, connect=5.0)
_VERSION = "1."
"""Every server of Chroma 1 says that it is of a version that begins so."""
_GOOD = 300
_WORDS = 200
"""Characters of what a server says that are worth repeating."""


def connected(store: Store) -> ClientAPI:
    """A client of the server. Nothing is sent anywhere else: telemetry is off, and a redirect is an error.

    :raises StoreUnavailable: if the server can't be had. :raises httpx.HTTPError: as the client does later, too.
    """
    import chromadb

    url, headers = str(store.url), _headers(store)
    _greet(url, headers)
    # Without TLS there are no certificates to be loaded, which takes longer than all else.
    certain = None if url.startswith("https") else False
    settings = chromadb.Settings(anonymized_telemetry=False, chroma_server_ssl_verify=certain)
    client: ClientAPI = chromadb.HttpClient(host=url, headers=headers, settings=settings)
    for system in _systems(client):
        session = _session(system)  # of whose limits Chroma leaves nothing to be set
        session.timeout = _TIMES
        session.event_hooks = {"response": [_check]}
    return client


def release(client: Any) -> None:
    """Close a client: its own ``close`` leaves connections open, and itself where nothing is ever thrown away."""
    from chromadb.api.shared_system_client import SharedSystemClient

    if client._closed:
        return
    systems = _systems(client)
    client.close()
    for system in systems:
        _session(system).close()
    registered = SharedSystemClient._identifier_to_system
    for name in [name for name, system in list(registered.items()) if system in systems]:
        registered.pop(name, None)


@contextmanager
def connection(store: Store) -> Iterator[ClientAPI]:
    """A client for a while. :raises StoreUnavailable: as :func:`connected`."""
    client = connected(store)
    try:
        yield client
    finally:
        release(client)


def _systems(client: Any) -> list[Any]:
    """What Chroma starts for a client: once for its own calls, once for those about databases."""
    return [client._system, client._admin_client._system]


def _session(system: Any) -> httpx.Client:
    from chromadb.api import ServerAPI

    session: httpx.Client = system.instance(ServerAPI)._session
    return session


def _headers(store: Store) -> dict[str, str]:
    if store.token is not None:
        token = store.token.get_secret_value()
        return {"Authorization": f"Bearer {token}", "X-Chroma-Token": token}
    if store.user is not None and store.password is not None:
        named = f"{store.user}:{store.password.get_secret_value()}"
        return {"Authorization": f"Basic {base64.b64encode(named.encode()).decode()}"}
    return {}


def _greet(url: str, headers: dict[str, str]) -> None:
    """Ask what the server is, before Chroma's client waits for it without a limit."""
    try:
        certain = url.startswith("https")
        with httpx.Client(
            headers=headers, timeout=_FIRST_TIMES, verify=certain, event_hooks={"response": [_check]}
        ) as client:
            said = client.get(f"{url}/api/v2/version").json()
    except httpx.HTTPError as error:
        raise away(url, error) from error
    except ValueError as error:
        raise _no_chroma(url, "it doesn't say its version") from error
    if not isinstance(said, str) or not said.startswith(_VERSION):
        raise _no_chroma(url, f"it says that it is version {str(said)[:_WORDS]!r}")


def _no_chroma(url: str, why: str) -> StoreUnavailable:
    return StoreUnavailable(f"What answers at {url} is no Chroma server of version 1 ({why}): mend store.url.")


def _check(response: httpx.Response) -> None:
    """:raises StoreUnavailable: for what Chroma itself doesn't say, or says of who we are."""
    from chromadb.errors import error_types

    if response.status_code < _GOOD:
        return
    at, status = str(response.url).partition("/api/v2")[0], response.status_code
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise StoreUnavailable(
            f"The Chroma server at {at} doesn't let us in ({status}): set RAG_STORE__TOKEN, or RAG_STORE__USER and "
            f"RAG_STORE__PASSWORD."
        )
    try:
        response.read()
        known = response.json().get("error") in error_types
    except (ValueError, AttributeError):
        known = False
    if status == httpx.codes.GONE or (status == httpx.codes.NOT_FOUND and not known):
        raise _no_chroma(at, f"it says {status}")
    if not known:
        raise StoreUnavailable(
            f"The Chroma server at {at} fails ({status}): look at its log, and at what is before it."
        )


def away(url: str, error: httpx.HTTPError) -> StoreUnavailable:
    """What to say of a server that can't be reached."""
    said = " ".join(str(error).split())[:_WORDS]
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return StoreUnavailable(
            f"The certificate of the server at {url} is not trusted ({said}): set SSL_CERT_FILE to its authority's."
        )
    if isinstance(error, httpx.TimeoutException):
        return StoreUnavailable(
            f"The Chroma server at {url} doesn't answer: see whether it is overloaded, or mend store.url."
        )
    return StoreUnavailable(
        f"The Chroma server at {url} can't be reached ({said or type(error).__name__}): start one with "
        f"`chroma run --path FOLDER`, or mend store.url."
    )
