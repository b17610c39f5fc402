"""An entry of a structured file, made a record: cleaned, bounded, and linked by what identifies it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rag.papers import Record
from rag.readers.left_out import Found, NoAbstract
from rag.readers.markup import kept, plain, without_label
from rag.readers.opened import Opened

MAX_ABSTRACT = 10_000
"""Characters; abstracts are far shorter, and a text of another kind would make each question slow that finds it."""
MAX_TITLE = 1000
MAX_RAW = 3 * MAX_ABSTRACT
"""Characters of a text of which markup is still taken out."""
_MAX_NAME, _MAX_CATEGORY, _MAX_URL = 200, 100, 2000
_SHORT = 50
_DOI = re.compile(r"\b10\.\d{4,9}/[^\s\"<>{}|\\^`]{1,200}")
_ARXIV_ID = r"(\d\d(?:0[1-9]|1[0-2])\.\d{4,5}|[a-z][a-z-]{1,9}(?:\.[a-z]{2})?/\d{7})(?:v\d{1,3})?(?![\w/])"
_ARXIV = re.compile(_ARXIV_ID, re.IGNORECASE | re.ASCII)
_ARXIV_NAMED = re.compile(rf"arxiv(?:\.org/(?:abs|pdf)/|\.|\s*:\s*){_ARXIV_ID}", re.IGNORECASE | re.ASCII)
_URL = re.compile(rf"https?://[^\s<>\"{{}}|\\^`]{{1,{_MAX_URL}}}", re.IGNORECASE)
_SAYS_NONE = re.compile(
    r"\W*(?:no abstract(?: is)?(?: available)?|abstract (?:not|un)\s?available|n/?a|none|null)?\W*", re.IGNORECASE
)


@dataclass(frozen=True)
class Entry:
    """What a file says of a paper, as it says it. Markup is taken out of the texts, identifiers are looked for."""

    title: str = ""
    abstract: str = ""
    authors: tuple[str, ...] = ()
    authors_complete: bool = True
    date: str | None = None
    """YYYY, YYYY-MM or YYYY-MM-DD."""
    category: str = ""
    doi: str = ""
    arxiv: str = ""
    """An arXiv id, or a text in which one stands after "arXiv"."""
    url: str = ""

    def record(self, file: Opened, number: int, line: int | None = None) -> Found:
        """The record of this entry, or why there is none.

        :param number: of the entry in its file, from 1. :param line: where it stands, if that is known.
        """
        texts = {}
        for what, text, most in (("abstract", self.abstract, MAX_ABSTRACT), ("title", self.title, MAX_TITLE)):
            texts[what] = plain(text) if len(text) <= MAX_RAW else text
            if len(texts[what]) > most:
                return file.problem(
                    f"{len(texts[what]):,} characters are no {what} (at most {most:,}): shorten it, or take the entry "
                    f"out.",
                    line=line,
                    record=None if line else number,
                )
        abstract = without_label(texts["abstract"])
        if len(abstract) < _SHORT and _SAYS_NONE.fullmatch(abstract):
            return NoAbstract()
        authors = tuple(filter(None, map(plain, self.authors)))
        names = tuple(name for name in authors if len(name) <= _MAX_NAME)
        url = kept(self.url.strip())
        doi = doi_in(kept(self.doi)) or (doi_in(url) if "doi.org/" in url else None)
        return Record(
            file.source(number),
            abstract,
            title=texts["title"] or None,
            authors=names,
            authors_complete=self.authors_complete and len(names) == len(authors),
            date=self.date,
            category=plain(self.category[:_MAX_CATEGORY]) or None,
            arxiv=arxiv_in(self.arxiv) or arxiv_in(url) or arxiv_in(doi or ""),
            doi=doi,
            url=url if _URL.fullmatch(url) else None,
        )


def doi_in(text: str) -> str | None:
    """The DOI in a text, in lower case as its registries compare it."""
    found = _DOI.search(text[:_MAX_URL])
    if not found:
        return None
    doi = found[0].rstrip(".,;:]").lower()
    return doi.rstrip(").") if doi.count(")") > doi.count("(") else doi


def arxiv_in(text: str) -> str | None:
    """The arXiv id that a text is, or that it names; without its version."""
    text = text[:_MAX_URL].strip()
    found = _ARXIV.fullmatch(text) or _ARXIV_NAMED.search(text)
    return found[1] if found else None
