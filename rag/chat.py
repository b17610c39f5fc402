"""Conversations as token ids, where nothing that a question or an abstract holds becomes a special token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Message = dict[str, str]


def reserve_marks(tokenizer: Tokenizer) -> None:
    """Make special what a model reads as a mark, whatever its file says: Qwen2's counts ``<tool_call>`` as a word."""
    from tokenizers import AddedToken

    added = tokenizer.get_added_tokens_decoder().values()
    marks = [token.content for token in added if token.content[:1] == "<" and token.content[-1:] == ">"]
    tokenizer.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])


@dataclass(frozen=True)
class Chat:
    """A model's chat template and tokenizer."""

    render: Callable[[Sequence[Message]], str]
    """Fills the template, up to where the model's turn begins."""
    tokenize: Callable[[str, bool], list[int]]
    """Token ids of a text; the second argument says whether marks of special tokens in it are only text."""

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation, ready for the model's turn.

        Only the template's own marks become special tokens; ``<|im_end|>`` in a question or an
        abstract is tokenised as the text that it is.
        """
        return self.encode_from(messages)[0]

    def encode_from(self, messages: Sequence[Message]) -> tuple[list[int], int]:
        """Token ids of a conversation, and at which of them the last message begins."""
        messages, rest, marks = self._framed(messages)
        ids: list[int] = []
        begin = 0
        for mark, message in zip(marks, messages, strict=True):
            frame, _, rest = rest.partition(mark)
            ids += self.tokenize(frame, False)
            begin = len(ids)
            ids += self.tokenize(message["content"], True)
        return ids + self.tokenize(rest, False), begin

    def suited(self, messages: Sequence[Message]) -> Sequence[Message]:
        """The conversation as the template takes it: some know no system role."""
        return self._framed(messages)[0]

    def _framed(self, messages: Sequence[Message]) -> tuple[Sequence[Message], str, list[str]]:
        """The conversation as the template takes it, the template around marks that stand for it, and these marks."""
        try:
            return messages, *self._frame(messages)
        except TemplateError:
            first, *others = messages
            messages = [{"role": "user", "content": f"{first['content']}\n\n{others[0]['content']}"}, *others[1:]]
            return messages, *self._frame(messages)

    def _frame(self, messages: Sequence[Message]) -> tuple[str, list[str]]:
        """The template around marks that stand for the messages, and these marks."""
        marks = [f"\ue000{i}\ue001" for i in range(len(messages))]
        framed: list[dict[str, Any]] = [
            {**message, "content": mark} for message, mark in zip(messages, marks, strict=True)
        ]
        return self.render(framed), marks
