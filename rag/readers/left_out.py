"""What reading leaves out: entries and files that can't be read, and why; the rest is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rag.errors import PageError
from rag.papers import Record

MOST_TOLD = 20
"""Problems that are kept to be told one by one; of the others only how many there are."""


@dataclass(frozen=True)
class Problem:
    """An entry or a file that can't be read."""

    said: str
    """A sentence that names the file, the line or the record as far as it is known, and the reason."""
    ends: str | None = None
    """The file, named as its records name it, if nothing after this could be read of it."""


@dataclass(frozen=True)
class NoAbstract:
    """An entry that says nothing but who wrote what; exports of libraries are full of them."""


Found = Record | Problem | NoAbstract


@dataclass
class LeftOut:
    """Counts what is left out, and keeps the first problems."""

    problems: list[str] = field(default_factory=list)
    """The first :data:`MOST_TOLD`."""
    unread: int = 0
    """Entries and files that could not be read."""
    without_abstract: int = 0
    passed_over: list[str] = field(default_factory=list)
    """Names of the first files of other kinds."""
    others: int = 0
    """Files of other kinds."""
    cut_off: set[str] = field(default_factory=set)
    """Files that were not read to their ends, as their records name them."""

    def add(self, problem: Problem) -> None:
        self.unread += 1
        if len(self.problems) < MOST_TOLD:
            self.problems.append(problem.said)
        if problem.ends is not None:
            self.cut_off.add(problem.ends)

    def pass_over(self, name: str) -> None:
        """Count a file of another kind."""
        self.others += 1
        if len(self.passed_over) < MOST_TOLD:
            self.passed_over.append(name)

    def __bool__(self) -> bool:
        return bool(self.unread or self.without_abstract or self.others)

    def told(self) -> list[str]:
        """What a user should know, a line each: the first problems, and how much was left out in all."""
        if not self:
            return []
        more = self.unread - len(self.problems)
        return [*self.problems, *([f"And {more:,} more like these."] if more else []), self.summary()]

    def summary(self) -> str:
        """How much was left out, in one sentence."""
        parts = []
        if self.unread:
            parts.append(f"{self.unread:,} {'entry or file' if self.unread == 1 else 'entries or files'} not read")
        if self.without_abstract:
            parts.append(f"{self.without_abstract:,} {_entries(self.without_abstract)} without an abstract")
        if self.others:
            names = ", ".join(self.passed_over[:3]) + (", …" if self.others > 3 else "")
            parts.append(f"{self.others:,} {'file' if self.others == 1 else 'files'} of other kinds ({names})")
        return f"Left out: {'; '.join(parts)}."

    def error(self) -> PageError:
        """Why nothing at all was read."""
        if self.unread == 1 and not self.without_abstract:
            return PageError(self.problems[0])
        if self.unread:
            others = self.unread - 1 + self.without_abstract
            return PageError(f"{self.problems[0]} Nothing else could be read either: {others:,} more were left out.")
        return PageError(
            f"There is no abstract in {self.without_abstract:,} {_entries(self.without_abstract)}: export them with "
            f"their abstracts."
        )


def sift(found: Iterable[Found], left_out: LeftOut | None) -> Iterator[Record]:
    """The records alone; the others are counted.

    :raises PageError: at the first problem, where there is nothing to count them in.
    """
    for one in found:
        if isinstance(one, Record):
            yield one
        elif left_out is None:
            if isinstance(one, Problem):
                raise PageError(one.said)
        elif isinstance(one, Problem):
            left_out.add(one)
        else:
            left_out.without_abstract += 1


def _entries(count: int) -> str:
    return "entry" if count == 1 else "entries"
