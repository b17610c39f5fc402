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
MAX_ABSTRACT = 10_000
"""Characters; abstracts are far shorter, and a text of another kind would make each question slow that finds it."""
LAYOUTS = (author_page.read, abstract_lines.read, title_list.read)


def read_page(path: Path, label: str | None = None) -> list[Record]:
    """All records of one page. ``label`` is the file name that the records carry.

    :raises PageError: if the file can't be read as text or holds no abstract in a known layout.
    """
    page = Page.load(path, label or str(path))
    for layout in LAYOUTS:
        records = layout(page)
        for record in records:
            if len(record.abstract) > MAX_ABSTRACT:
                raise PageError(
                    f"{path}, line {page.number(record.source.start)}: {len(record.abstract):,} characters are no "
                    f"abstract (at most {MAX_ABSTRACT:,}): shorten the line, or take it out."
                )
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

    :raises UsageError: if there is nothing to read at the path, or no page in the folder.
    :raises PageError: if a page can't be read; nothing is returned then, not even the others.
    """
    path = resolved(path)
    records: list[Record] = []
    for page, name in pages(path, label):
        records += read_page(page, name)
    titles = (path if path.is_dir() else path.parent) / CATALOGUE_FILE
    _refuse_a_way_out(titles)
    return papers_from(records, Catalogue.load(titles) if titles.is_file() else None)


def pages(path: Path, label: str | None = None) -> Iterator[tuple[Path, str]]:
    """The page files under a path, each with the name that its records carry as their source.

    What is neither a file nor a folder, as a pipe, is passed over in a folder.

    :raises UsageError: if there is nothing to read at the path. :raises PageError: for a link out of the folder, and
        for a name that can't be kept.
    """
    path = resolved(path)
    if path.is_file():
        yield path, _kept(f"{label}/{path.name}" if label else str(path))
        return
    if not path.is_dir():
        there = "neither a file nor a folder is" if path.exists() else "nothing"
        raise UsageError(f"There is {there} at {path}: name a page or a folder of pages, as in `rag ingest seeds`.")
    try:
        found = sorted(p for p in path.iterdir() if p.is_file() and p.name[0] != "." and p.name != CATALOGUE_FILE)
    except OSError as error:
        raise UsageError(f"{path} can't be read ({error.strerror}): mend that, or name another folder.") from error
    if not found:
        raise UsageError(f"There are no pages in {path}: put text pages there, or name another folder.")
    for page in found:
        _refuse_a_way_out(page)
        yield page, _kept(f"{label or path}/{page.name}")


def resolved(path: Path) -> Path:
    """The absolute path, links followed.

    :raises UsageError: if it leads nowhere: a circle of links, too long a name, a user who isn't there.
    """
    try:
        found = path.expanduser().resolve()
        found.exists()
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path} leads nowhere ({reason}): name a page or a folder of pages.") from error
    return found


def _refuse_a_way_out(page: Path) -> None:
    """A folder that came from somewhere else must not bring in what else is on this machine."""
    if page.is_symlink() and page.is_file() and not page.resolve().is_relative_to(page.parent):
        raise PageError(
            f"{page} is a link to a file outside of its folder: put the file itself there, or take the link out."
        )


def _kept(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise PageError(f"The name {name!r} is not UTF-8 and can't be kept: rename the file or its folder.") from error
    return name
