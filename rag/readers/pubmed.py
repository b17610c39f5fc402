"""PubMed's XML: the export of a search, and the baseline's files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rag.readers.dates import iso_date, iso_parts
from rag.readers.entry import Entry
from rag.readers.left_out import Found
from rag.readers.markup import raised
from rag.readers.opened import Opened, TooMuch

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_DEEPEST = 100


def read(file: Opened) -> Iterator[Found]:
    """A record an article. No entity is expanded but the five of XML, and nothing is fetched."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, iterparse

    record = deep = 0
    root: Element | None = None
    try:
        for event, element in iterparse(file, ("start", "end")):
            if event == "start":
                deep += 1
                if deep > _DEEPEST:
                    raise TooMuch("it is nested too deeply")
                if root is None:
                    root = element
                    if root.tag not in ("PubmedArticleSet", "PubmedArticle"):
                        yield file.problem("it is XML of another kind than PubMed's PubmedArticleSet.", ends=True)
                        return
                continue
            deep -= 1
            if element.tag in ("PubmedArticle", "PubmedBookArticle"):
                record += 1
                yield _entry(element).record(file, record)
                root.clear()  # type: ignore[union-attr]
                file.next_entry()
    except ParseError as error:
        line, column = error.position
        yield file.problem(f"it is not well-formed XML from here on (column {column}).", line=line, ends=True)
    except DefusedXmlException:
        yield file.problem("it defines entities of its own, which are not read: export it again.", ends=True)


def _entry(article: Element) -> Entry:
    found = article.find("MedlineCitation/Article")
    about = found if found is not None else article.find("BookDocument")
    if about is None:
        return Entry()
    parts = [(part.get("Label", ""), _text(part)) for part in about.findall("Abstract/AbstractText")]
    labelled = [f"{label}: {text}" if label and label != "UNLABELLED" else text for label, text in parts if text]
    authors = about.find("AuthorList")
    days = [about.find(path) for path in ("Journal/JournalIssue/PubDate", "Book/PubDate", "ArticleDate")]
    doi = _said(article, "PubmedData/ArticleIdList/ArticleId[@IdType='doi']")
    number = _said(article, ".//PMID")
    return Entry(
        title=_said(about, "ArticleTitle") or _said(about, "VernacularTitle") or _said(about, "Book/BookTitle"),
        abstract=" ".join(labelled),
        authors=tuple(filter(None, map(_name, authors if authors is not None else ()))),
        authors_complete=authors is None or authors.get("CompleteYN", "Y") == "Y",
        date=next(filter(None, map(_date, days)), None),
        doi=doi or _said(about, "ELocationID[@EIdType='doi']"),
        url=f"https://pubmed.ncbi.nlm.nih.gov/{number}/" if number.isdigit() else "",
    )


def _name(author: Element) -> str:
    if together := _said(author, "CollectiveName"):
        return together
    given = _said(author, "ForeName") or _said(author, "Initials")
    return " ".join(filter(None, [given, _said(author, "LastName"), _said(author, "Suffix")]))


def _date(found: Element | None) -> str | None:
    if found is None:
        return None
    return iso_parts(*(_said(found, part) for part in ("Year", "Month", "Day"))) or iso_date(
        _said(found, "MedlineDate")
    )


def _said(element: Element, path: str) -> str:
    return _text(element.find(path))


def _text(element: Element | None) -> str:
    """What an element says, without its markup."""
    if element is None:
        return ""
    pieces = [element.text or ""]
    for part in element:
        inner = _text(part)
        exponent = part.tag == "sup" and all(sign in "0123456789+-−" for sign in inner)
        pieces += [raised(inner) if exponent else inner, part.tail or ""]
    return " ".join("".join(pieces).split())
