"""How things look in a terminal. Answers and lists go to standard output, the rest to standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.progress import ANNOUNCEMENT

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.progress import Progress as Bars

    from rag.answers import Answer, CheckResult, Citation, SearchResult
    from rag.collections import Collection
    from rag.doctor import Finding
    from rag.papers import Paper, Source

_DRAFT_LINES = 8
# An answer of a slow baseline takes a minute: the time left is estimated over several.
_SPEED_SECONDS = 600


class ClosedPipe(Exception):
    """Whoever read the output has gone."""


class Terminal:
    """Prints results and shows what is going on; at most one live display at a time.

    Each kind of display is imported when it is first shown: a version or an error must not wait for progress bars.
    """

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._live: Live | None = None
        self._task: tuple[str, Any] | None = None

    @cached_property
    def _out(self) -> Console:
        return _console(soft_wrap=not sys.stdout.isatty())

    @cached_property
    def _err(self) -> Console:
        return _console(stderr=True, soft_wrap=not sys.stderr.isatty())

    # Standard error ----------------------------------------------------------------------------

    def progress(self, task: str, done: float = 0, total: float | None = None) -> None:
        """Show what is being done: a bar on a terminal, elsewhere a line when a task of known length begins."""
        self._end_draft()
        if total == ANNOUNCEMENT:
            self.note(task)
            return
        if not self._err.is_terminal:
            if self._task is None or self._task[0] != task:
                self._task = (task, None)
                self._err.print(f"{task}…")
            return
        if self._bars is None:
            self._bars = _bars(self._err)
            self._bars.start()
        if self._task is None or self._task[0] != task:
            if self._task is not None:
                self._bars.remove_task(self._task[1])
            self._task = (task, self._bars.add_task(task, total=total, completed=int(done)))
        self._bars.update(self._task[1], completed=done, total=total)

    def draft(self, text: str) -> None:
        """Show the draft as it grows, marked as one; it vanishes when the answer is there."""
        if not self._err.is_terminal:
            return
        from rich.text import Text

        if self._live is None:
            from rich.live import Live

            self.done()
            self._live = Live(console=self._err, transient=True, refresh_per_second=8)
            self._live.start()
        tail = "\n".join(text.splitlines()[-_DRAFT_LINES:])
        self._live.update(Text(f"Draft, not yet checked: {tail}", style="dim italic"))

    def done(self) -> None:
        """Take every live display away."""
        self._end_draft()
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
        self._task = None

    def _end_draft(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def note(self, text: str) -> None:
        self.done()
        self._err.print(text, style="yellow")

    def error(self, text: str) -> None:
        from rich.text import Text

        self.done()
        self._err.print(Text.assemble(("Error: ", "bold red"), text))

    # Standard output ---------------------------------------------------------------------------

    def out(self, text: str) -> None:
        """JSON, or plain text, as it is; what a terminal would obey is escaped."""
        from rag.text import escaped

        try:
            print(escaped(text), flush=True)
        except BrokenPipeError:
            raise ClosedPipe from None

    def answer(self, answer: Answer) -> None:
        from rich.text import Text

        if answer.understood:
            self._out.print(Text(f"Understood as: {answer.understood}\n"), style="dim")
        self._out.print(Text(answer.answer))
        if answer.refused:
            if answer.nearest:
                self._out.print("\nNearest papers:", style="dim")
            for near in answer.nearest:
                self._out.print(Text(f"  {near.title}  ({near.paper_id[:8]})"))
            return
        if answer.mode == "extractive":
            self._out.print("(sentences extracted from the abstracts; no model wrote this)", style="dim")
        for n in dict.fromkeys(citation.n for citation in answer.citations):
            self._citation([citation for citation in answer.citations if citation.n == n])

    def _citation(self, quotes: Sequence[Citation]) -> None:
        from rich.text import Text

        from rag.answers import TITLE_FROM
        from rag.text import readable

        first = quotes[0]
        self._out.print()
        self._out.print(Text.assemble((f"[{first.n}] ", "bold"), (first.title, "bold")))
        about = [
            first.date,
            first.url,
            None if first.title_source == "page" else f"title {TITLE_FROM[first.title_source]}",
        ]
        known = "  ".join(part for part in about if part)
        if known:
            self._out.print(Text(f"    {known}", style="dim"))
        for citation in quotes:
            self._out.print(Text(f"    “{readable(citation.quote)}”"))

    def checked(self, result: CheckResult) -> None:
        from rich.text import Text

        from rag.text import readable

        words = {"stated": "Supported", "contradicted": "Contradicted", "not_stated": "Not stated"}
        self._out.print(Text.assemble((words[result.why], "bold"), f"  support {result.support:.2f}"))
        if result.title:
            self._out.print(Text(f"{result.title}  ({(result.paper_id or '')[:8]})"))
        self._out.print(Text(f"    “{readable(result.quote)}”"))

    def passages(self, result: SearchResult) -> None:
        from rich.text import Text

        from rag.text import readable

        shown: set[str] = set()
        for passage in result.passages:
            if passage.paper_id not in shown:
                why = passage.why
                reasons = [
                    f"dense #{why.dense_rank}" if why.dense_rank else None,
                    f"tokens #{why.token_rank}" if why.token_rank else None,
                    f"lexical #{why.lexical_rank}" if why.lexical_rank else None,
                    f"names: {', '.join(why.names)}" if why.names else None,
                    "author, date or category" if why.record else None,
                ]
                self._out.print(Text(f"{'' if not shown else chr(10)}{readable(passage.title)}", style="bold"))
                because = ", ".join(reason for reason in reasons if reason)
                self._out.print(Text(f"{passage.paper_id[:8]}  score {passage.score:.3f}  {because}", style="dim"))
                # The paper's nearest passage stands for it; --json has them all.
                self._out.print(Text(f"  {readable(passage.text)}"))
            shown.add(passage.paper_id)
        if not shown:
            self._out.print("Nothing was found.")

    def collections(self, collections: Sequence[Collection]) -> None:
        from rich.text import Text

        for one in collections:
            told = one.problem or f"{one.papers} papers, hash {(one.sha256 or '')[:12]}…, {one.where}"
            self._out.print(Text(f"{one.name:12}  {told}"))
        if not collections:
            self._out.print("There are none yet.")

    def papers(self, papers: Sequence[Paper]) -> None:
        from rich.text import Text

        from rag.text import readable

        for paper in papers:
            self._out.print(Text(f"{paper.paper_id[:8]}  {paper.date or '':10}  {readable(paper.title)}"))
        self._err.print(f"{len(papers)} papers", style="dim")

    def paper(self, paper: Paper) -> None:
        from rich.text import Text

        from rag.text import readable

        authors = ", ".join(paper.authors) + ("" if paper.authors_complete else " et al.")
        flags = {True: "yes", False: "no", None: None}
        fields = {
            "id": paper.paper_id,
            "title from": paper.title_source,
            "authors": authors,
            "listed on": ", ".join(paper.listed_on) + ("'s page" if paper.listed_on else ""),
            "affiliations": ", ".join(paper.affiliations),
            "date": paper.date or (f"{paper.date_text} (no year)" if paper.date_text else None),
            "category": paper.category,
            "code": flags[paper.code],
            "url": paper.url,
            "links": " ".join(paper.links),
            "read in": "; ".join(map(_place, paper.sources)),
        }
        self._out.print(Text(readable(paper.title), style="bold"))
        for name, value in fields.items():
            if value:
                self._out.print(Text.assemble((f"{name:>12}  ", "dim"), value))
        self._out.print(Text(f"\n{readable(paper.abstract)}"))

    def models(self, rows: Sequence[dict[str, Any]], folder: Path) -> None:
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="dim")
        for heading in ("", "name", "fetch", "on disk", "licence", "cached", "what it does"):
            table.add_column(heading, no_wrap=heading != "what it does")
        for row in rows:
            sizes = [f"{row[key] / 1e9:.1f} GB" for key in ("fetch_bytes", "kept_bytes")]
            mark = "*" if row["default"] else ""
            table.add_row(mark, row["name"], *sizes, row["licence"], "yes" if row["cached"] else "no", row["summary"])
        self._out.print(table)
        self._err.print(f"* is set as the model. They are kept in {folder}", style="dim")

    def findings(self, findings: Sequence[Finding]) -> None:
        from rich.text import Text

        marks = {True: ("ok   ", "green"), False: ("wrong", "bold red"), None: ("     ", "dim")}
        for finding in findings:
            line = Text.assemble(marks[finding.ok], f"  {finding.what}")
            if finding.next:
                line.append(f"\n         → {finding.next}", style="yellow")
            self._out.print(line)


def _place(source: Source) -> str:
    """Where a paper was read, as far as its file has places."""
    at = f"characters {source.start}-{source.end}" if source.end > source.start else f"record {source.record}"
    return f"{source.file} {at}"


def _console(**options: Any) -> Console:
    """A console that shows what it is told, whoever wrote that; none of it is markup or obeyed by a terminal."""
    from rich.console import Console
    from rich.segment import Segment

    from rag.text import visible

    def shown(text: str) -> str:
        return visible(text).encode(errors="backslashreplace").decode()  # a file's name may be no text

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            if self.stderr:
                super().on_broken_pipe()
            raise ClosedPipe

        def render(self, *what: Any, **how: Any) -> Iterator[Segment]:
            for segment in super().render(*what, **how):
                yield segment if segment.control else Segment(shown(segment.text), segment.style)

    return Plain(highlight=False, markup=False, emoji=False, **options)


def _bars(console: Console) -> Bars:
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        speed_estimate_period=_SPEED_SECONDS,
    )
