"""Prompts are files in ``prompts/``: a ``[system]`` and a ``[user]`` part with named placeholders in braces."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass

from rag.errors import SettingsError
from rag.resources import resource

_ABOUT = frozenset({"title", "abstract"})
_ASKED = _ABOUT | {"question"}
PLACEHOLDERS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("answers", "what", "how", "fact", "yes-no", "described", "correct", "repair"), _ASKED),
    "compare": _ASKED | {"name"},
    "states": _ABOUT | {"claim"},
    "complete": frozenset({"earlier", "answer", "question"}),
    "rewrite": frozenset({"question"}),
    "reread": frozenset({"title", "passage"}),
}
_PART = re.compile(r"^\[(system|user)\]\n", re.MULTILINE)


@dataclass(frozen=True)
class Prompt:
    """A conversation with holes. ``sha256`` is that of its file."""

    parts: tuple[tuple[str, str], ...]
    sha256: str

    @classmethod
    def load(cls, name: str) -> Prompt:
        """Read ``prompts/<name>.txt``.

        :raises SettingsError: if its placeholders are not exactly those that the code fills in.
        """
        path = resource("prompts") / f"{name}.txt"
        text = path.read_text(encoding="utf-8")
        pieces = _PART.split(text)[1:]
        parts = tuple((role, body.strip()) for role, body in zip(pieces[::2], pieces[1::2], strict=True))
        found = {field for _, body in parts for _, field, _, _ in string.Formatter().parse(body) if field is not None}
        if found != PLACEHOLDERS[name] or not parts or parts[-1][0] != "user":
            raise SettingsError(
                f"{path} must end in a [user] part and have the placeholders {sorted(PLACEHOLDERS[name])}, not "
                f"{sorted(found)}: mend it."
            )
        return cls(parts, hashlib.sha256(text.encode()).hexdigest())

    def fill(self, **values: str) -> list[dict[str, str]]:
        """The conversation as chat messages. Braces in the values mean nothing."""
        return [{"role": role, "content": body.format(**values)} for role, body in self.parts]


def prompts_sha256() -> str:
    """One hash over all prompts that an answer depends on."""
    return hashlib.sha256("".join(Prompt.load(name).sha256 for name in sorted(PLACEHOLDERS)).encode()).hexdigest()
