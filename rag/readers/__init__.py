"""Readers turn files into records, one module a page layout.

To add a layout, write a module with ``read(page) -> list[Record]`` that returns an empty list for
pages of another layout, and name it in ``LAYOUTS``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rag.errors import PageError, UsageError
from rag.papers import Catalogue, Paper, Record, papers_from
from rag.readers import abstract_lines, author_page, title_list
from rag.readers.page import Page

CATALOGUE_FILE = "titles.json"
LAYOUTS = (author_page.read, abstract_lines.read, title_list.read)


def read_page(path: Path, label: str | None = None) -> list[Record]:
    """All records of one page. ``label`` is the file name that the records carry.

    :raises PageError: if the file can't be read as text or holds no abstract in a known layout.
    """
    page = Page.load(path, label or str(path))
    for layout in LAYOUTS:
        records = layout(page)
        if records:
            return records
    raise PageError(
        f"{path} holds no abstracts: none of its {len(page.lines)} lines begins with 'Abstract:', "
        f"and none is a title followed by an abstract. Take it out of the folder, or name the pages one by one."
    )


def read_corpus(path: Path, label: str | None = None) -> list[Paper]:
    """The distinct papers of a page, or of all pages in a folder, in the order of their file names.

    Hidden files and ``titles.json`` are not pages. ``label`` stands for the folder in the sources'
    file names (by default its absolute path).

    :raises UsageError: if there is nothing at the path, or no page in the folder.
    :raises PageError: if a page can't be read; nothing is returned then, not even the others.
    """
    path = path.expanduser().resolve()
    records: list[Record] = []
    for page, name in pages(path, label):
        records += read_page(page, name)
    titles = (path if path.is_dir() else path.parent) / CATALOGUE_FILE
    return papers_from(records, Catalogue.load(titles) if titles.is_file() else None)


def pages(path: Path, label: str | None = None) -> Iterator[tuple[Path, str]]:
    """The page files under a path, each with the name that its records carry as their source."""
    path = path.expanduser().resolve()
    if path.is_file():
        yield path, f"{label}/{path.name}" if label else str(path)
        return
    if not path.exists():
        raise UsageError(f"There is nothing at {path}: name a page or a folder of pages, as in `rag ingest seeds`.")
    found = sorted(p for p in path.iterdir() if p.is_file() and p.name[0] != "." and p.name != CATALOGUE_FILE)
    if not found:
        raise UsageError(f"There are no pages in {path}: put text pages there, or name another folder.")
    for page in found:
        yield page, f"{label or path}/{page.name}"
