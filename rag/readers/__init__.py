"""Readers turn files into records, one module a format.

To add a format, write a module with ``read(file)`` that yields the file's records and problems, one after the other,
and name it in ``formats``.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterator
from pathlib import Path

from rag.papers import Catalogue, Paper, joined, paper_from
from rag.readers import layouts
from rag.readers.entry import MAX_ABSTRACT
from rag.readers.folders import CATALOGUE_FILE, pages, refuse_a_way_out, resolved
from rag.readers.formats import reader_of
from rag.readers.left_out import Found, LeftOut, Problem, sift
from rag.readers.opened import Opened, TooMuch

__all__ = [
    "CATALOGUE_FILE",
    "MAX_ABSTRACT",
    "LeftOut",
    "pages",
    "read_corpus",
    "read_file",
    "resolved",
    "stream_corpus",
]


def read_file(path: Path, label: str | None = None, most: int | None = None) -> Iterator[Found]:
    """All records of one file, as they are read, and what of it can't be.

    :param label: the file name that the records carry. :param most: bytes that it may unpack to.
    """
    name = label or str(path)
    try:
        with Opened(path, name, most) as file:
            try:
                yield from _read(file)
            except (EOFError, zlib.error) as error:
                yield file.problem(f"its packing is damaged ({error}): fetch or pack it again.", ends=True)
            except TooMuch as error:
                yield file.problem(f"{error}; nothing after that is read.", ends=True)
    except OSError as error:
        reason = error.strerror or error
        yield Problem(f"{path} can't be read ({reason}): mend that or take it out of the folder.", name)


def _read(file: Opened) -> Iterator[Found]:
    reader = reader_of(file)
    if reader is layouts.read:
        if not file.packed:
            yield from reader(file)
            return
        yield file.problem("what is packed there is of no kind that is read: unpack it.", ends=True)
    elif not file.head.strip():
        yield file.problem("it is empty: take it out of the folder.", ends=True)
    elif file.head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield file.problem("it is UTF-16 text: save it as UTF-8 or take it out.", ends=True)
    elif b"\0" in file.head:
        yield file.problem("it is a binary file: take it out of the folder.", ends=True)
    else:
        yield from reader(file)


def stream_corpus(
    path: Path, label: str | None = None, left_out: LeftOut | None = None, most: int | None = None
) -> Iterator[Paper]:
    """The papers of a file, or of all files in a folder, one by one as they are read; one may come several times.

    :param label: stands for the folder in the sources' file names (by default its absolute path).
    :param left_out: counts what can't be read, and the rest is read. Without it, that is an error.
    :param most: bytes that a file may unpack to.
    :raises UsageError: if there is nothing to read at the path. :raises PageError: if the list of titles can't be read,
        or, without ``left_out``, a file or an entry.
    """
    path = resolved(path)
    catalogue, of = Catalogue(), None
    for page, name in pages(path, label, left_out):
        if of != page.parent:
            catalogue, of = _titles(page.parent), page.parent
        for record in sift(read_file(page, name, most), left_out):
            yield paper_from(record, catalogue)


def read_corpus(
    path: Path, label: str | None = None, left_out: LeftOut | None = None, most: int | None = None
) -> list[Paper]:
    """The distinct papers of :func:`stream_corpus`."""
    return joined(stream_corpus(path, label, left_out, most))


def _titles(folder: Path) -> Catalogue:
    titles = folder / CATALOGUE_FILE
    refuse_a_way_out(titles, folder)
    return Catalogue.load(titles) if titles.is_file() else Catalogue()
