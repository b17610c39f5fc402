"""What a paper is, and how the records read from pages become papers."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from rag.errors import PageError
from rag.files import read_at_most
from rag.text import visible

TitleSource = Literal["page", "catalogue", "derived"]
_TITLE_RANK: dict[TitleSource, int] = {"page": 0, "catalogue": 1, "derived": 2}
_DERIVED_WORDS = 10
_CATALOGUE_BYTES, _CATALOGUE_TITLE = 64 << 20, 1000

_ARXIV_ID = re.compile(r"\barxiv\s*:\s*(\d{4}\.\d{4,5})", re.IGNORECASE)
_URL = re.compile(r"https?://[^\s<>\"“”‘’\[\]{}\\^`|]+")


class Source(BaseModel):
    """One place where a paper was read.

    On a page, ``text[start:end]`` of the file is its abstract. In a file of entries (BibTeX, JSON, CSV, …) no stretch
    of text is: there ``start`` and ``end`` are both the record's number.
    """

    model_config = ConfigDict(frozen=True)

    file: str
    start: int
    end: int
    record: int
    """Number of the record in its file, from 1."""


class Paper(BaseModel):
    """A paper as the index keeps it. Offsets into ``abstract`` are Unicode code points."""

    model_config = ConfigDict(frozen=True)

    paper_id: str
    title: str
    title_source: TitleSource
    abstract: str
    authors: tuple[str, ...] = ()
    authors_complete: bool = True
    """False where the page abbreviates the list with "et al."."""
    listed_on: tuple[str, ...] = ()
    """Owners of the author pages that list this paper: authors too, even after "et al."."""
    affiliations: tuple[str, ...] = ()
    date: str | None = None
    """YYYY, YYYY-MM or YYYY-MM-DD; None where neither the page nor an arXiv id gives a year."""
    date_text: str | None = None
    """The date as the page prints it."""
    category: str | None = None
    code: bool | None = None
    """Whether the page flags published code; None where it says nothing either way."""
    doi: str | None = None
    """The DOI alone, as ``10.1000/182``."""
    url: str | None = None
    """Where the paper can be read, if known: on arXiv, or else by its DOI, or else where its entry says."""
    links: tuple[str, ...] = ()
    """Links in the abstract."""
    sources: tuple[Source, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 over all that is stored: differs whenever the paper must be written again."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def has_author(self, name: str) -> bool:
        """Whether every word of ``name`` is a word of one author's name (or a page owner's), or its initial."""
        wanted = fold(name).split()
        return any(
            all(any(_same_name(word, part) for part in fold(author).split()) for word in wanted)
            for author in self.authors + self.listed_on
        )


@dataclass(frozen=True)
class Record:
    """One abstract as a reader found it, before pages are joined."""

    source: Source
    abstract: str
    title: str | None = None
    authors: tuple[str, ...] = ()
    authors_complete: bool = True
    listed_on: str | None = None
    affiliations: tuple[str, ...] = ()
    date: str | None = None
    date_text: str | None = None
    category: str | None = None
    code: bool | None = None
    arxiv: str | None = None
    doi: str | None = None
    url: str | None = None
    """What the entry links to, as http or https."""


@dataclass(frozen=True)
class Catalogue:
    """Published titles of abstracts whose page has none (``titles.json`` beside the pages)."""

    entries: tuple[dict[str, str], ...] = field(default=())

    @classmethod
    def load(cls, path: Path) -> Catalogue:
        """Read ``titles.json``: a list of objects with ``title``, ``begins`` or ``paper_id``, and ``arxiv``.

        :raises PageError: if the file is not such a list.
        """
        try:
            data = read_at_most(path, _CATALOGUE_BYTES)
            if data is None:
                raise ValueError(f"it is larger than {_CATALOGUE_BYTES >> 20} MiB")
            entries = json.loads(data)
            for entry in entries:
                if not entry["title"] or not (entry.get("begins") or entry.get("paper_id")):
                    raise ValueError("an entry lacks a title, or what its abstract begins with")
                if not all(isinstance(value, str) for value in entry.values()):
                    raise ValueError("an entry has a value that is not a string")
                for value in entry.values():
                    value.encode()  # half of a surrogate pair can't be kept
                entry["title"] = " ".join(entry["title"].split())
                if not 0 < len(entry["title"]) <= _CATALOGUE_TITLE:
                    raise ValueError(f"a title is not one line of at most {_CATALOGUE_TITLE:,} characters")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise PageError(f"{path} is not a list of titles ({error}): mend it or delete it.") from error
        return cls(tuple(entries))

    def find(self, abstract: str) -> dict[str, str] | None:
        """The entry of this abstract. An entry's ``paper_id`` decides where it has one: openings repeat."""
        key = paper_id(abstract)
        for entry in self.entries:
            if entry["paper_id"] == key if "paper_id" in entry else abstract.startswith(entry["begins"]):
                return entry
        return None


def paper_id(abstract: str) -> str:
    """Identity of a paper: 16 hex digits of the SHA-256 of its abstract, blind to case, spacing and Unicode form."""
    normal = " ".join(unicodedata.normalize("NFKC", abstract).casefold().split())
    return hashlib.sha256(normal.encode()).hexdigest()[:16]


def papers_from(records: Iterable[Record], catalogue: Catalogue | None = None) -> list[Paper]:
    """Join records that have the same abstract into papers, in the order in which they were read.

    What one page leaves out another may give; a title printed on a page beats one from the
    catalogue, and that beats one derived from the abstract.
    """
    return joined(paper_from(record, catalogue or Catalogue()) for record in records)


def joined(papers: Iterable[Paper]) -> list[Paper]:
    """The distinct papers; where one was read several times, what the readings say together."""
    distinct: dict[str, Paper] = {}
    again: dict[str, list[Source]] = {}  # joined once: a file may hold the same abstract a million times
    for paper in papers:
        known = distinct.setdefault(paper.paper_id, paper)
        if known is not paper:
            again.setdefault(paper.paper_id, []).extend(paper.sources)
            distinct[paper.paper_id] = join_papers(known, join_sources(paper, ()))
    for paper_id, sources in again.items():
        distinct[paper_id] = join_sources(distinct[paper_id], [*distinct[paper_id].sources, *sources])
    return list(distinct.values())


def text_as_paper(text: str) -> Paper:
    """A text of no page, to be read as papers are; its title is made of its first words."""
    return paper_from(Record(Source(file="", start=0, end=len(text), record=1), text), Catalogue())


def join_sources(paper: Paper, sources: Sequence[Source]) -> Paper:
    """The paper with these sources, sorted and without repeats."""
    unique = {(s.file, s.start): s for s in sources}
    return paper.model_copy(update={"sources": tuple(unique[key] for key in sorted(unique))})


def paper_from(record: Record, catalogue: Catalogue) -> Paper:
    """The paper that a record tells of; its title is the catalogue's, or derived, where the record has none."""
    title, title_source, arxiv = record.title, "page", record.arxiv
    if not title:
        entry = catalogue.find(record.abstract)
        if entry:
            title, title_source, arxiv = entry["title"], "catalogue", arxiv or entry.get("arxiv")
        else:
            title, title_source = derived_title(record.abstract), "derived"
    return Paper(
        paper_id=paper_id(record.abstract),
        title=visible(title),
        title_source=title_source,
        abstract=record.abstract,
        authors=tuple(map(visible, record.authors)),
        authors_complete=record.authors_complete,
        listed_on=(visible(record.listed_on),) if record.listed_on else (),
        affiliations=tuple(map(visible, record.affiliations)),
        date=record.date or (arxiv_date(arxiv) if arxiv else None),
        date_text=record.date_text,
        category=record.category,
        code=record.code,
        doi=record.doi,
        url=f"https://arxiv.org/abs/{arxiv}" if arxiv else doi_link(record.doi) if record.doi else record.url,
        links=find_links(record.abstract),
        sources=(record.source,),
    )


def join_papers(first: Paper, second: Paper) -> Paper:
    """Two readings of the same paper, joined; where both say something, the first is believed."""
    best = min(first, second, key=lambda paper: _TITLE_RANK[paper.title_source])
    fuller = first if first.authors else second
    # Two prints of one abstract may differ in case or spacing; the offsets of quotes need one of them.
    return first.model_copy(
        update={
            "title": best.title,
            "title_source": best.title_source,
            "authors": fuller.authors,
            "authors_complete": fuller.authors_complete,
            "listed_on": tuple(dict.fromkeys(first.listed_on + second.listed_on)),
            "affiliations": first.affiliations or second.affiliations,
            "date": first.date or second.date,
            "date_text": first.date_text or second.date_text,
            "category": first.category or second.category,
            "code": first.code if first.code is not None else second.code,
            "doi": first.doi or second.doi,
            "url": first.url or second.url,
            "links": first.links or second.links,
            "sources": join_sources(first, first.sources + second.sources).sources,
        }
    )


def derived_title(abstract: str) -> str:
    """A stand-in for a title nobody knows, marked as such: the abstract's first words in brackets."""
    words = abstract.split()
    return f"[untitled] {' '.join(words[:_DERIVED_WORDS])}{'…' if len(words) > _DERIVED_WORDS else ''}"


def arxiv_date(arxiv: str) -> str | None:
    """The month in which an arXiv id was given out, as YYYY-MM (ids since April 2007)."""
    match = re.match(r"([0-9][0-9])(0[1-9]|1[0-2])\.", arxiv)
    return f"20{match[1]}-{match[2]}" if match else None


def doi_link(doi: str) -> str:
    """Where a DOI leads."""
    return f"https://doi.org/{quote(doi, safe='/:;()+,@~')}"


def find_links(text: str) -> tuple[str, ...]:
    """The web links in a text, without the punctuation that follows them; arXiv ids become links."""
    links = []
    for link in _URL.findall(text):
        while link.count(")") > link.count("("):
            link = link[: link.rindex(")")]
        links.append(link.rstrip(".,;:!?'"))
    links += [f"https://arxiv.org/abs/{arxiv}" for arxiv in _ARXIV_ID.findall(text)]
    return tuple(dict.fromkeys(links))


def first_authors(names: Sequence[str], complete: bool, most: int = 3) -> str:
    """The first few authors as people write them, with "et al." where there are more."""
    return ", ".join(names[:most]) + (" et al." if len(names) > most or (names and not complete) else "")


def _same_name(word: str, other: str) -> bool:
    return word == other or (min(len(word), len(other)) == 1 and word[0] == other[0])


def fold(text: str) -> str:
    """Text without case, accents, hyphens and full stops, for comparing people's names."""
    plain = unicodedata.normalize("NFKD", text.replace("-", " ").replace(".", " "))
    return "".join(c for c in plain if not unicodedata.combining(c)).casefold()
