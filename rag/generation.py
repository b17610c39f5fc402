"""What a model writes, made into running prose."""

from __future__ import annotations

import re

from rag.text import sentence_spans

_ENDS = '.!?:;,"”)'
_MARKER = re.compile(r"\s*\[\d+(?:\s*,\s*\d+)*\]")
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+", re.MULTILINE)
_EMPHASIS = re.compile(r"\*\*|__|`")
# What a draft says about the abstract instead of what the abstract says.
_ACCORDING = re.compile(
    r"(?:^|(?<=[.!?] ))(?:according to (?:the|this) (?:abstract|paper|text)s?,|"
    r"the (?:abstract|paper|text) (?:states|says|mentions|notes|reports) that)\s+(\w)",
    re.IGNORECASE,
)
_ABOUT_ITSELF = re.compile(r"\b(?:the|this) abstract\b|\bthis information is\b", re.IGNORECASE)


def tidy(draft: str) -> str:
    """The draft as running prose: no citation marks of the model's own, no list bullets, no emphasis, one line.

    A last sentence that was cut off by a limit is left out, if there is one before it, and so are sentences about the
    abstract itself.
    """
    plain = _EMPHASIS.sub("", _BULLET.sub("", _MARKER.sub("", draft)))
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    prose = " ".join(line if line[-1] in _ENDS else f"{line}." for line in lines[:-1])
    last = lines[-1] if lines else ""
    if last and last[-1] not in _ENDS:
        spans = sentence_spans(last)
        last = last[: spans[-2][1]] if len(spans) > 1 else ("" if prose else last)
    whole = _ACCORDING.sub(lambda match: match[1].upper(), f"{prose} {last}".strip())
    sentences = [whole[start:end] for start, end in sentence_spans(whole)]
    return " ".join(sentence for sentence in sentences if not _ABOUT_ITSELF.search(sentence))
