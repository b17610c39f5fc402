"""``rag remove`` and ``rag export``: what is indexed, taken away or taken along."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from rag.cli_shared import (
    Author,
    PaperOption,
    Since,
    Until,
    changed,
    examples,
    filters_of,
    load_settings,
    opened,
    terminal,
)
from rag.errors import UsageError

if TYPE_CHECKING:
    from rag.papers import Paper
    from rag.settings import Settings

NOTHING = 3
_SHOWN = 10

app = typer.Typer()


@app.command(
    epilog=examples("rag remove 93aafa60", "rag remove --source ~/pages/old.txt", "rag remove --yes --source ~/pages")
)
def remove(
    papers: Annotated[
        Optional[list[str]], typer.Argument(metavar="[PAPER]...", help="Ids, starts of ids, or titles.")
    ] = None,
    source: Annotated[
        Optional[list[str]],
        typer.Option("--source", "-s", metavar="FILE", help="All that was read from this file or folder."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before more than one is removed.")] = False,
) -> int:
    """Take papers out of the index; what was read stays as it is.

    A paper comes back when `rag ingest` reads its file again: to be rid of it for good, take it out of the file too.
    What was added on the chat page is removed there.
    """
    from rag.filters import find_paper

    if not papers and not source:
        raise UsageError("Nothing is named: type an id, as in `rag remove 93aafa60`, or a file with --source.")
    settings = load_settings()
    known = _indexed(settings)
    chosen = {find_paper(known, key).paper_id for key in papers or ()}
    pages = {page for name in source or () for page in _pages_of(name, known)}
    gone = [p for p in known if p.paper_id in chosen or all(place.file in pages for place in p.sources)]
    if len(gone) > 1 and not yes and not _agreed(gone):
        terminal.note("Nothing was removed.")
        return 1
    with opened(settings) as assistant:
        report = assistant.remove(sorted(pages), chosen)
    terminal.out(changed(report))
    files = sorted({place.file for paper in gone for place in paper.sources})
    if files:
        terminal.note(f"What was removed comes back when it is read again in {_listed(files)}.")
    return 0


@app.command(
    epilog=examples(
        "rag export --output papers.bib",
        'rag export --format csv --author "Weizhu Chen" --since 2023 > papers.csv',
        "rag export --output papers.jsonl && rag ingest papers.jsonl",
    )
)
def export(
    output: Annotated[
        Optional[Path], typer.Option("--output", "-o", metavar="FILE", help="A new file; without it, standard output.")
    ] = None,
    format_: Annotated[
        Optional[str],
        typer.Option("--format", "-f", help="bibtex, ris, jsonl or csv; by default the file's ending, else jsonl."),
    ] = None,
    paper: PaperOption = None,
    author: Author = None,
    since: Since = None,
    until: Until = None,
) -> int:
    """Write the indexed papers, with their abstracts, for other programs or for `rag ingest` elsewhere."""
    from rag.bibliography import FORMATS, format_of, write
    from rag.filters import without_a_date

    name = format_of(format_, output)
    chosen, undated = filters_of(paper, author, since, until).select(_indexed(load_settings()))
    if left_out := without_a_date(undated):
        terminal.note(left_out)
    if not chosen:
        terminal.note("No paper passes: nothing was written.")
        return NOTHING
    pieces = FORMATS[name](chosen)
    if output is not None:
        write(output, pieces)
        terminal.note(f"{len(chosen)} papers are in {output}.")
        return 0
    for piece in pieces:
        terminal.out(piece.removesuffix("\n"))
    return 0


def _indexed(settings: Settings) -> list[Paper]:
    """What is in the index, which is neither made nor replaced by the shipped pages for this.

    :raises RagError: if there is none that can be read.
    """
    from rag.index import PaperIndex

    with closing(PaperIndex.open(settings)) as index:
        return list(index.papers.values())


def _pages_of(name: str, known: Sequence[Paper]) -> set[str]:
    """The sources that a file or folder stands for, by its name as `rag papers PAPER` shows it, or by where it is.

    :raises UsageError: if nothing was read there.
    """
    from rag.readers import resolved

    files = {source.file for paper in known for source in paper.sources}
    names = {name.rstrip("/"), str(resolved(Path(name)))}
    found = {file for file in files if any(file == one or file.startswith(f"{one}/") for one in names)}
    if not found:
        raise UsageError(f"No indexed paper was read from {name}: `rag papers PAPER` shows where one was.")
    return found


def _agreed(papers: Sequence[Paper]) -> bool:
    """Whether the user wants these to go. :raises UsageError: if nobody can be asked."""
    from rag.text import readable

    if not sys.stdin.isatty():
        raise UsageError(f"{len(papers)} papers would be removed: if that is right, type it again with --yes.")
    for paper in papers[:_SHOWN]:
        terminal.note(f"{paper.paper_id[:8]}  {readable(paper.title)}")
    if len(papers) > _SHOWN:
        terminal.note(f"and {len(papers) - _SHOWN} more")
    return typer.confirm(f"Remove these {len(papers)} papers?", err=True)


def _listed(files: Collection[str]) -> str:
    first = list(files)[:3]
    more = len(files) - len(first)
    return ", ".join(first) + (f" and {more} more files" if more else "")
