"""One typed tree of settings: defaults < settings file < environment < flags.

The file is ``settings.toml`` in the platform's configuration folder (or under ``RAG_HOME``); the
environment uses ``RAG_`` and ``__`` for nesting, as in ``RAG_RETRIEVAL__PAPERS=5``. No other
module reads the environment.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import platformdirs
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import (
    SettingsError as SourceError,
)

from rag.errors import SettingsError

APP = "papertrail"
COLLECTION = "papers"
"""The collection that is meant where none is named."""
Mode = Literal["auto", "generated", "extractive"]
_MOST_BYTES = 1 << 20
"""Of a settings file: TOML of another kind takes a parser minutes and gigabytes."""


def _possible(path: Path) -> Path:
    """:raises ValueError: if nothing can be at a path."""
    try:
        if "\0" in str(path):
            raise ValueError("it holds a NUL character")
        path.expanduser().exists()
    except (OSError, RuntimeError) as error:
        raise ValueError(getattr(error, "strerror", None) or str(error)) from error
    return path


def _name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", name):
        raise ValueError("a collection's name is made of at most 40 small letters, digits, hyphens and underscores")
    return name


Folder = Annotated[Path, AfterValidator(_possible)]


def _address(url: str) -> str:
    """:raises ValueError: if it is not the bare address of a server."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable() or " " in url:
        raise ValueError("a server's address is such as http://127.0.0.1:8000")
    _ = parts.port  # raises for one that can't be
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("a server's address holds no user, key or question: a key has a setting of its own")
    return url.rstrip("/")


def _sendable(key: SecretStr) -> SecretStr:
    """:raises ValueError: if it can't stand in a header."""
    if not all("!" <= letter <= "~" for letter in key.get_secret_value()):
        raise ValueError("a key is made of ASCII letters, digits and marks, without spaces")
    return key


Address = Annotated[str, AfterValidator(_address)]
Key = Annotated[SecretStr, Field(min_length=1), AfterValidator(_sendable)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Chunking(_Section):
    """How abstracts are cut into passages. Recorded in the index: a change needs ``rag ingest --rebuild``."""

    characters: int = Field(600, ge=100, le=20_000, description="a passage takes whole sentences up to this length")


class Retrieval(_Section):
    """How passages are found."""

    papers: int = Field(3, ge=1, le=20, description="papers that are put before the model")
    candidates: int = Field(100, ge=1, le=1000, description="papers that are compared with the question token by token")
    reread: int = Field(6, ge=0, le=50, description="papers that the model reads again where the search is unsure")
    reread_below: float = Field(0.6, ge=0, le=1, description="the search is unsure if its best paper is less probable")
    min_confidence: float = Field(0.15, ge=0, le=1, description="below this the question is off topic")


class Generation(_Section):
    """How the draft is written."""

    max_tokens: int = Field(220, ge=16, le=4096, description="longest draft")
    prompt_lookup_tokens: int = Field(10, ge=0, le=64, description="tokens drafted from the prompt; 0 turns it off")
    max_seconds: float = Field(180, gt=0, description="reading, writing and checking that take longer are stopped")
    threads: int | None = Field(None, ge=1, le=1024, description="CPU threads; unset leaves the choice to torch")


class Grounding(_Section):
    """How sentences are checked."""

    min_support: float = Field(0.35, ge=0, le=1, description="claims and sentences with less support are not supported")
    min_answers: float = Field(
        0.5, ge=0, le=1, description="an abstract that answers less probably is not answered from"
    )
    checked_papers: int = Field(5, ge=1, le=50, description="papers that a claim about no paper is checked against")
    checker: str | None = Field(None, description="hub id or folder of an entailment model that checks instead")


class Log(_Section):
    """What is written down of each question's way."""

    file: Folder | None = Field(None, description="where lines of JSON go; unset, warnings go to standard error")
    level: Literal["debug", "info", "warning", "error"] | None = Field(
        None, description="what is less than this is left out; unset, info in a file and warning on standard error"
    )
    questions: bool = Field(False, description="log questions, answers and what errors say, too")
    max_bytes: int = Field(5_000_000, ge=1000, description="a file that would grow longer is set aside")


class Llm(_Section):
    """A server that runs the language model in this machine's place: questions and abstracts are sent to it."""

    url: Address | None = Field(None, description="address of an OpenAI-compatible server, up to its /v1")
    model: str | None = Field(None, min_length=1, description="its name there; unset, the only one that it has")
    api_key: Key | None = Field(None, description="best set as RAG_LLM__API_KEY")

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if self.model and not self.url:
            raise ValueError("llm.model is a server's: set llm.url (--llm) too")
        return self


class Embed(_Section):
    """A server that embeds passages and questions, which are sent to it. A change needs ``rag ingest --rebuild``."""

    url: Address | None = Field(None, description="address of an OpenAI-compatible server, up to its /v1")
    model: str | None = Field(None, min_length=1, description="its name there; recorded in the index")
    api_key: Key | None = Field(None, description="best set as RAG_EMBED__API_KEY")

    @model_validator(mode="after")
    def _is_named_and_somewhere(self) -> Self:
        if self.url and not self.model:
            raise ValueError("the index records which model embeds: set embed.model (--embed-model) too")
        if self.model and not self.url:
            raise ValueError("embed.model is a server's: set embed.url (--embed) too")
        return self


class Chat(_Section):
    """Who may open the chat page. Without both, only this machine reaches it, and everybody on it may."""

    user: str | None = Field(None, min_length=1, pattern="^[^:]*$", description="a name without a colon")
    password: SecretStr | None = Field(None, min_length=8, description="best set as RAG_CHAT__PASSWORD")


class Store(_Section):
    """The Chroma server that holds the index. Without ``url`` it is a folder of this machine."""

    url: Address | None = Field(None, description="its address, as http://host:8000; abstracts are kept there")
    token: Key | None = Field(None, description="best set as RAG_STORE__TOKEN")
    user: str | None = Field(None, min_length=1, pattern="^[^:]*$", description="a name without a colon")
    password: SecretStr | None = Field(None, min_length=1, description="best set as RAG_STORE__PASSWORD")

    @model_validator(mode="after")
    def _one_way_in(self) -> Store:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password are set together or not at all")
        if self.token and self.user:
            raise ValueError("a token is set, and a user too, of which a server takes one")
        return self


class Settings(BaseSettings):
    """Everything that can be set. Paths that are left unset follow ``home`` or the platform's folders."""

    model_config = SettingsConfigDict(
        env_prefix="RAG_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,  # which may be a key
    )

    home: Folder | None = Field(None, description="keeps data, caches and settings in this one folder")
    data_dir: Folder | None = Field(None, description="where the index lives")
    cache_dir: Folder | None = Field(None, description="where fetched models live")
    corpus: Folder | None = Field(None, description="what `rag ingest` reads when it is given no path")
    weights_dir: Folder | None = Field(None, description="a folder with weight files that you fetched yourself")
    model: str = Field("qwen2.5-coder-1.5b-instruct", description="catalogue name, hub id or local folder")
    mode: Mode = "auto"
    offline: bool = Field(False, description="never use the network, not even to fetch a model")
    collection: Annotated[str, AfterValidator(_name)] = Field(
        COLLECTION, description="which of several indexes; each has its own papers"
    )
    store: Store = Store()
    chunking: Chunking = Chunking()
    retrieval: Retrieval = Retrieval()
    generation: Generation = Generation()
    grounding: Grounding = Grounding()
    llm: Llm = Llm()
    embed: Embed = Embed()
    chat: Chat = Chat()
    log: Log = Log()

    @property
    def writer(self) -> str | Llm:
        """What writes and checks answers: a model of this machine, or that of a server."""
        return self.llm if self.llm.url else self.model

    @property
    def index_dir(self) -> Path:
        """The folder of the Chroma database; of an index on a server, that of what is kept of it here."""
        own = self.store_dir if self.collection == COLLECTION else self.collections_dir / self.collection
        return own / "index"

    @property
    def collections_dir(self) -> Path:
        """The folder of the collections that are named, one subfolder each."""
        return self.store_dir / "collections"

    @property
    def store_dir(self) -> Path:
        """The folder of all that is kept here: each server has its own."""
        data = _folder(self.data_dir, self.home, "data", platformdirs.user_data_path(APP))
        if self.store.url is None:
            return data
        told = re.sub(r"[^A-Za-z0-9.-]+", "-", self.store.url.partition("://")[2])[:80]
        return data / "stores" / f"{told}-{hashlib.sha256(self.store.url.encode()).hexdigest()[:8]}"

    @property
    def eval_dir(self) -> Path:
        """The folder of evaluation runs, one subfolder each."""
        return self.index_dir.parent / "eval"

    @property
    def conversation_file(self) -> Path:
        """Where the last conversation on the command line is kept, for `rag ask --continue`."""
        return self.index_dir.parent / "conversation.json"

    @property
    def server_file(self) -> Path:
        """Where a resident server says how it is reached, while there is one."""
        return self.index_dir.parent / "server.json"

    @property
    def models_dir(self) -> Path:
        """The folder of fetched and converted models, one subfolder each."""
        return _folder(self.cache_dir, self.home, "cache", platformdirs.user_cache_path(APP)) / "models"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=settings_file())


def _folder(own: Path | None, home: Path | None, name: str, otherwise: Path) -> Path:
    if own is not None:
        return own.expanduser()
    return home.expanduser() / name if home is not None else otherwise


def settings_file() -> Path:
    """Where the settings file is looked for; it need not exist. :raises SettingsError: if ``RAG_HOME`` can't be."""
    home = os.environ.get("RAG_HOME")
    try:
        return (Path(home).expanduser() if home else platformdirs.user_config_path(APP)) / "settings.toml"
    except RuntimeError as error:
        raise SettingsError(f"RAG_HOME={home} leads nowhere ({error}): set it to a folder.") from error


def load_settings(**flags: Any) -> Settings:
    """Read the settings; flags that are None leave the other sources in force.

    :raises SettingsError: for an unknown name in the file, a value out of its range, or a file that isn't TOML.
    """
    file = settings_file()
    try:
        if file.is_file() and file.stat().st_size > _MOST_BYTES:
            raise SettingsError(f"{file} is larger than {_MOST_BYTES >> 20} MiB: mend it or delete it.")
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            f"Setting {name!r} is not usable ({first['msg']}): change it in {file}, "
            f"in the environment, or in the flag that set it."
        ) from error
    except SourceError as error:
        raise SettingsError(f"{str(error)[:1].upper()}{str(error)[1:]}: mend it.") from error
    except RecursionError as error:
        raise SettingsError(f"A setting in {file} or in the environment is nested too deeply: mend it.") from error
    except (ValueError, OSError) as error:  # tomllib's decode error is a ValueError
        raise SettingsError(f"{file} can't be read as TOML ({error}): mend it or delete it.") from error
