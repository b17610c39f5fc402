"""Which format a file has: its name says it, or else what it begins with."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from rag.readers import bibtex, delimited, json_document, json_lines, layouts, pubmed, ris
from rag.readers.left_out import Found
from rag.readers.opened import Opened

Reader = Callable[[Opened], Iterator[Found]]

_BY_SUFFIX: dict[str, Reader] = {
    ".bib": bibtex.read,
    ".bibtex": bibtex.read,
    ".ris": ris.read,
    ".csv": delimited.read,
    ".tsv": delimited.read,
    ".tab": delimited.read,
}
_BY_CONTENT = {"", ".txt", ".text", ".md", ".json", ".jsonl", ".ndjson", ".xml"}
_NUMBERED = re.compile(r" \(\d+\)$")  # as downloads of one name are told apart


def is_known(path: Path) -> bool:
    """Whether a file in a folder is one to read, by its name."""
    return suffix_of(path) in _BY_SUFFIX.keys() | _BY_CONTENT


def suffix_of(path: Path) -> str:
    """What the name ends in, less the mark of gzip."""
    name = path.name.lower()
    return Path(_NUMBERED.sub("", name.removesuffix(".gz"))).suffix


def reader_of(file: Opened) -> Reader:
    """What reads a file. One that nothing else reads is a page of text."""
    return _BY_SUFFIX.get(suffix_of(file.path)) or _by_content(file)


def _by_content(file: Opened) -> Reader:
    suffix = suffix_of(file.path)
    lines = (line.strip() for line in file.head.split(b"\n"))
    told = (line for line in lines if line and not line.startswith(b"%"))
    first, second = next(told, b""), next(told, b"")
    if suffix == ".xml" or first.startswith((b"<?xml", b"<!DOCTYPE Pubmed", b"<Pubmed")):
        return pubmed.read
    if re.match(rb"TY {1,2}-", first):
        return ris.read
    if re.match(rb"@\w+[ \t]*[{(]", first):
        return bibtex.read
    if re.match(rb"\[\s*($|\{|\[|\])", first):
        return json_document.read
    if suffix in (".jsonl", ".ndjson") or (second.startswith(b"{") and _is_object(first)):
        return json_lines.read
    if suffix == ".json" or re.match(rb'\{\s*($|"|\})', first):
        return json_document.read
    return layouts.read


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
