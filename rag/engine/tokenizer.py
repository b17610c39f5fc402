"""A model folder's tokenizer and chat template, without importing transformers, which takes seconds."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Encoding, Tokenizer, normalizers

from rag.chat import Chat, Message, reserve_marks


class FolderTokenizer:
    """What ``tokenizer.json``, ``tokenizer_config.json`` and ``chat_template.jinja`` say."""

    def __init__(self, folder: Path):
        """:raises OSError, ValueError: if a file is missing or damaged."""
        self._tokenizer = self._read(folder)
        self._encoding = threading.Lock()
        about: dict[str, Any] = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        apart = folder / "chat_template.jinja"
        self.template = apart.read_text(encoding="utf-8") if apart.is_file() else about.get("chat_template") or ""
        # Either the token or an object that holds it.
        self._tokens = {
            name: value["content"] if isinstance(value, dict) else value
            for name, value in about.items()
            if name in ("bos_token", "eos_token") and value
        }

    @staticmethod
    def _read(folder: Path) -> Tokenizer:
        try:
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # the library raises no class of its own
            raise ValueError(str(error)) from error
        # Qwen2's tokenizer composes characters first; a file made from a GGUF doesn't say so.
        tokenizer.normalizer = tokenizer.normalizer or normalizers.NFC()
        reserve_marks(tokenizer)
        return tokenizer

    @property
    def chat(self) -> Chat:
        """Conversations in this tokenizer's tokens."""
        return Chat(self._rendered, self.ids)

    @property
    def end(self) -> int | None:
        """The token that ends a turn, if the tokenizer names it."""
        return self._tokenizer.token_to_id(self._tokens["eos_token"]) if "eos_token" in self._tokens else None

    def ids(self, text: str, plain: bool = True) -> list[int]:
        """Token ids of a text. :param plain: whether marks of special tokens in it are only text."""
        return list(self._encoded(text, plain).ids)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """From which character to which each token of a text stands."""
        return list(self._encoded(text, plain=True).offsets)

    def text(self, ids: Sequence[int]) -> str:
        """The text of tokens, without special ones."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def _encoded(self, text: str, plain: bool) -> Encoding:
        with self._encoding:  # another tokenizer for the other way would take half a second to read
            self._tokenizer.encode_special_tokens = plain
            return self._tokenizer.encode(text, add_special_tokens=False)

    def _rendered(self, messages: Sequence[Message]) -> str:
        return self._compiled.render(messages=messages, add_generation_prompt=True, **self._tokens)

    @cached_property
    def _compiled(self) -> Template:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals["raise_exception"] = _refuse
        return environment.from_string(self.template)


def _refuse(reason: str) -> NoReturn:
    raise TemplateError(reason)
