"""Follow-ups: a question that leans on the one before is completed before anything is searched, and only then."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import StorageError
from rag.text import STOP_WORDS, words

if TYPE_CHECKING:
    from rag.answers import Answer
    from rag.llm import LanguageModel
    from rag.prompts import Prompt

_LEANS = re.compile(
    r"^\W*(?:and|but|or|so|then|ok|okay|also|what about|how about|what else|why not)\b|"
    r"\b(?:it|its|itself|they|them|their|this|these|those|he|she|his|her|one of them|"
    r"that (?:one|paper|method|model|work|approach|system|result)|"
    r"the (?:same|former|latter|other|first|second|papers?|method|model|authors?|approach|system|work))\b",
    re.I,
)
_SHORT = 4
"""A question of so few words that names nothing can't be understood alone."""
_COMPLETED_TOKENS = 80
_REMEMBERED = 8
"""Turns that a conversation on disk keeps."""
_LONGEST = 600
"""Characters of an earlier answer that are read."""


@dataclass(frozen=True)
class Turn:
    """A question as it was understood, what was answered, and the title of the paper it was about, if any."""

    question: str
    answer: str
    title: str = ""

    @classmethod
    def of(cls, answer: Answer) -> Turn:
        """The turn that an answer ends."""
        title = answer.citations[0].title if answer.citations else ""
        return cls(answer.understood or answer.question, answer.answer, title)


def leans_on_history(question: str, names_a_paper: bool) -> bool:
    """Whether a question can't be understood alone: it points back, or is too short, and names no paper."""
    if names_a_paper:
        return False
    telling = [word for word in words(question) if word not in STOP_WORDS]
    return bool(_LEANS.search(question)) or len(telling) < _SHORT


def complete(question: str, history: Sequence[Turn], model: LanguageModel | None, prompt: Prompt) -> str:
    """The question with the names put in that it leaves to the turn before.

    Without a model, or where what it writes has lost the question, the title of that turn's paper is added.
    """
    last = history[-1]
    added = f"{question} ({last.title or last.question})"
    if model is None:
        return added
    asked = prompt.fill(earlier=last.question, answer=last.answer[:_LONGEST], question=question)
    written = "".join(model.stream(asked, max_tokens=_COMPLETED_TOKENS))
    written = " ".join(written.split()).strip('"“” ')
    return written if _keeps(question, written) else added


def _keeps(question: str, written: str) -> bool:
    """Whether a completed question still asks what was asked: it holds most of its telling words, and more."""
    said, kept = _telling(question), _telling(written)
    return bool(kept - said) and len(said & kept) >= len(said) / 2 and len(written) < _LONGEST


def _telling(text: str) -> set[str]:
    return {word for word in words(text) if word not in STOP_WORDS and word not in {"and", "about"}}


def remembered(path: Path) -> tuple[Turn, ...]:
    """The conversation that a file holds; none if there is no such file, or it is not one."""
    try:
        turns = json.loads(path.read_text(encoding="utf-8"))
        return tuple(Turn(str(t["question"]), str(t["answer"]), str(t["title"])) for t in turns)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ()


def remember(path: Path, turns: Sequence[Turn]) -> None:
    """Keep the last turns of a conversation, readable by its owner alone.

    :raises StorageError: if it can't be written.
    """
    scratch = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.touch(mode=0o600)
        scratch.write_text(json.dumps([asdict(turn) for turn in turns[-_REMEMBERED:]]), encoding="utf-8")
        os.replace(scratch, path)
    except OSError as error:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise StorageError(f"{path} can't be written ({error.strerror}): make room, or mend its rights.") from error
