"""Which files a path stands for, and under which names what they hold is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rag.errors import PageError, UsageError
from rag.readers.formats import is_known
from rag.readers.left_out import LeftOut, Problem

CATALOGUE_FILE = "titles.json"


def pages(path: Path, label: str | None = None, left_out: LeftOut | None = None) -> Iterator[tuple[Path, str]]:
    """The files to read under a path, each with the name that its records carry as their source.

    Of a folder, those of its folders too, in the order of their names; hidden ones, folders that are linked, and
    ``titles.json`` are not read, and what is neither a file nor a folder, as a pipe, is passed over.

    :param left_out: counts files of other kinds, and links out of the folder and names that can't be kept.
    :raises UsageError: if there is nothing to read at the path. :raises PageError: for such a link or name, where there
        is nothing to count it in.
    """
    path = resolved(path)
    if path.is_file():
        yield path, _kept(f"{label}/{path.name}" if label else str(path))
        return
    if not path.is_dir():
        there = "neither a file nor a folder is" if path.exists() else "nothing"
        raise UsageError(f"There is {there} at {path}: name a page or a folder of pages, as in `rag ingest seeds`.")
    some = False
    for file in _files(path, left_out):
        if not is_known(file):
            if left_out is not None:
                left_out.pass_over(file.name)
            continue
        some = True
        name = f"{label or path}/{file.relative_to(path).as_posix()}"
        try:
            refuse_a_way_out(file, path)
            yield file, _kept(name)
        except PageError as error:
            if left_out is None:
                raise
            left_out.add(Problem(str(error), name))
    if not some:
        raise UsageError(f"There are no pages in {path}: put pages or exports there, or name another folder.")


def _files(folder: Path, left_out: LeftOut | None) -> Iterator[Path]:
    """The files in a folder, then those in its folders."""
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            inside = sorted(path for path in here.iterdir() if path.name[0] != "." and path.name != CATALOGUE_FILE)
        except OSError as error:
            why = f"{here} can't be read ({error.strerror}): mend that, or name another folder."
            if here == folder or left_out is None:
                raise UsageError(why) from error
            left_out.add(Problem(why))
            continue
        yield from (path for path in inside if path.is_file())
        waiting += reversed([path for path in inside if path.is_dir() and not path.is_symlink()])


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


def refuse_a_way_out(file: Path, folder: Path) -> None:
    """A folder that came from somewhere else must not bring in what else is on this machine.

    :raises PageError: for a link to a file outside of the folder.
    """
    if file.is_symlink() and file.is_file() and not file.resolve().is_relative_to(folder):
        raise PageError(
            f"{file} is a link to a file outside of its folder: put the file itself there, or take the link out."
        )


def _kept(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise PageError(f"The name {name!r} is not UTF-8 and can't be kept: rename the file or its folder.") from error
    return name
