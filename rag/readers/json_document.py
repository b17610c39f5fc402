"""JSON documents: a list of entries, alone or under one of the usual names, or a single entry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rag.readers.fields import has_abstract, name_of
from rag.readers.json_lines import of_object
from rag.readers.left_out import Found
from rag.readers.opened import Opened, TooMuch

_LISTS = {"papers", "items", "results", "data", "records", "articles", "entries", "works", "documents", "publications"}
_DEEPEST = 100


def read(file: Opened) -> Iterator[Found]:
    """A record an object of the list, read one after the other."""
    import ijson

    record = 0
    try:
        for found in _entries(file):
            record += 1
            file.next_entry()
            yield of_object(file, found, record)
    except (ijson.JSONError, ValueError) as error:
        why = str(error).partition("\n")[0][:100].strip()
        yield file.problem(f"it is not JSON from here on ({why}): mend it.", record=record + 1, ends=True)
        return
    if not record:
        yield file.problem(
            'it holds no list of papers: none that is the whole file, and none named "papers", "items", "results" or '
            "the like.",
            ends=True,
        )


def _entries(file: Opened) -> Iterator[Any]:
    """The values of the list, each built when it is whole; or the document itself, if it is an entry."""
    import ijson
    from ijson.common import ObjectBuilder

    within: list[str] = []  # what is open around the events: "[" for a list, of an object the name that is being read
    whole = ObjectBuilder()
    some = False
    entry: ObjectBuilder | None = None
    deep = 0
    for event, value in ijson.basic_parse(file, use_float=True):
        if entry is None and _is_list(within) and event != "end_array":
            entry, some = ObjectBuilder(), True
        if entry is not None:
            entry.event(event, value)
            deep += event.startswith("start_") - event.startswith("end_")
            if deep > _DEEPEST:
                raise TooMuch("it is nested too deeply")
            if not deep:
                yield entry.value
                entry = None
            continue
        if not some:
            whole.event(event, value)
        if event == "map_key":
            within[-1] = value
        elif event.startswith("start_"):
            within.append("[" if event == "start_array" else "")
        elif event.startswith("end_"):
            within.pop()
        if len(within) > _DEEPEST:
            raise TooMuch("it is nested too deeply")
    if not some and isinstance(whole.value, dict) and has_abstract(whole.value):
        yield whole.value


def _is_list(within: list[str]) -> bool:
    """Whether what comes next is an entry of the list: ``[…]``, ``{"papers": […]}``, ``{"message": {"items": []}}``."""
    if not within or within[-1] != "[":
        return False
    return len(within) == 1 or (len(within) <= 3 and "[" not in within[:-1] and name_of(within[-2]) in _LISTS)
