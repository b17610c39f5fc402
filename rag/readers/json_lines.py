"""JSON lines: an entry a line, of the arXiv's dump or of anybody's own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from rag.readers import arxiv, fields
from rag.readers.left_out import Found
from rag.readers.opened import MAX_RECORD, Opened


def read(file: Opened) -> Iterator[Found]:
    """A record a line that isn't blank; the others are told of by their lines."""
    record = 0
    for number, line in file.lines():
        if line is None:
            yield file.problem(f"it is longer than {MAX_RECORD >> 20} MiB: take it out.", line=number)
        elif line.strip():
            record += 1
            try:
                found = json.loads(line.decode("utf-8"))
            except UnicodeDecodeError:
                yield file.problem("it is not UTF-8 text: save it as UTF-8.", line=number)
            except (ValueError, RecursionError):
                yield file.problem("it is not JSON: mend it or take it out.", line=number)
            else:
                yield of_object(file, found, record, number)


def of_object(file: Opened, found: object, record: int, line: int | None = None) -> Found:
    """The record that a JSON value tells of, or why it tells of none."""
    if not isinstance(found, Mapping):
        why = 'it is not an object, as in {"title": "…", "abstract": "…"}.'
        return file.problem(why, line=line, record=None if line else record)
    entry = arxiv.entry(found) if arxiv.is_entry(found) else fields.entry(found)
    return entry.record(file, record, line)
