"""An author's page: for each paper a line of category and date, a title, authors, the abstract.

The line reads ``CLMar 3, 2025Code``, ``CLFeb 2`` or ``99.7LGMar 30Code``: perhaps a score, the arXiv
category, a date whose year may be missing, perhaps a code flag, all without spaces between them.
The page's owner, named in its first line, is an author of every paper on it.
"""

from __future__ import annotations

import re
from datetime import datetime

from rag.papers import Record
from rag.readers.left_out import Problem
from rag.readers.page import Line, Page

_HEAD = re.compile(
    r"(?P<score>\d+(?:\.\d+)?)?(?P<category>[A-Za-z-]*\.?[A-Z]{2})"
    r"(?P<date>(?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* (?P<day>\d{1,2})(?:, (?P<year>\d{4}))?)"
    r"(?P<code>Code)?"
)
_ET_AL = re.compile(r",?\s+et al\.?$", re.IGNORECASE)


def read(page: Page) -> list[Record | Problem]:
    """One record a head line; a problem where no abstract follows it. Empty if the page has no head line."""
    heads = [(i, match) for i, line in enumerate(page.lines) if (match := _HEAD.fullmatch(line.text))]
    if not heads:
        return []
    first = page.lines[0]
    owner = first.text if heads[0][0] > 0 and not first.is_prose else None
    ends = [i for i, _ in heads[1:]] + [len(page.lines)]
    records: list[Record | Problem] = []
    for (start, head), end in zip(heads, ends, strict=True):
        block = page.lines[start + 1 : end]
        # Title, authors, abstract: the abstract is the line of prose, or else the third, however short it is.
        body = next((i for i, line in enumerate(block) if line.is_prose), 2)
        if body >= len(block):
            line = page.lines[start]
            why = f"no abstract follows {line.text!r}: add it, or take the line out."
            records.append(Problem(f"{page.label}, line {line.number}: {why}"))
            continue
        authors, complete, affiliations = _authors(block[1:body])
        records.append(
            Record(
                page.source(block[body], len(records) + 1),
                block[body].text,
                title=block[0].text if body > 0 else None,
                authors=authors,
                authors_complete=complete,
                listed_on=owner,
                affiliations=affiliations,
                date=_date(head),
                date_text=head["date"],
                category=head["category"],
                code=head["code"] is not None,
            )
        )
    return records


def _authors(lines: tuple[Line, ...]) -> tuple[tuple[str, ...], bool, tuple[str, ...]]:
    names, _, places = (lines[0].text if lines else "").partition("·")
    listed = _ET_AL.sub("", names.strip())
    split = tuple(name.strip() for name in listed.split(",") if name.strip())
    return split, listed == names.strip(), tuple(place.strip() for place in places.split(",") if place.strip())


def _date(head: re.Match[str]) -> str | None:
    """The date in ISO form; None without a year, or if there is no such day."""
    try:
        return datetime.strptime(f"{head['year']} {head['month']} {head['day']}", "%Y %b %d").date().isoformat()
    except ValueError:
        return None
