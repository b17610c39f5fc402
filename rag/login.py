"""Who may open the chat page: everybody on this machine, elsewhere only who has user and password."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import secrets
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from rag.errors import UsageError

if TYPE_CHECKING:
    from rag.settings import Settings

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Login:
    """A user and a password, as the settings have them."""

    user: str
    password: str = field(repr=False)

    @classmethod
    def wanted(cls, settings: Settings, host: str) -> Login | None:
        """What whoever opens a page on this address must give; None if nothing, as on loopback by default.

        :raises UsageError: if the address is none of this machine's, or open to others and the settings have no login.
        """
        _check_own(host)
        user, password = settings.chat.user, settings.chat.password
        if user and password:
            return cls(user, password.get_secret_value())
        if user or password:
            raise UsageError("A user without a password is no lock, nor the reverse: set chat.user and chat.password.")
        if is_loopback(host):
            return None
        raise UsageError(
            f"On {host} others can reach the page: set RAG_CHAT__USER and RAG_CHAT__PASSWORD, for them to give."
        )

    def is_in(self, authorization: str) -> bool:
        """Whether a request's ``Authorization`` header gives it, as HTTP's Basic scheme does."""
        scheme, _, given = authorization.partition(" ")
        try:
            told = base64.b64decode(given, validate=True)
        except binascii.Error:
            return False
        wanted = f"{self.user}:{self.password}".encode()
        return scheme.lower() == "basic" and secrets.compare_digest(told, wanted)

    def within(self, address: str) -> str:
        """An address of the page that gives it, for programs: ``http://user:password@…``."""
        scheme, _, rest = address.partition("://")
        return f"{scheme}://{quote(self.user, safe='')}:{quote(self.password, safe='')}@{rest}"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    return host == "localhost" or ipaddress.ip_address(host).is_loopback


def _check_own(host: str) -> None:
    try:
        is_loopback(host)
        socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except (ValueError, OSError) as error:
        raise UsageError(
            f"{host!r} is not an address of this machine: give one, or all of them with `rag chat --host 0.0.0.0`."
        ) from error
