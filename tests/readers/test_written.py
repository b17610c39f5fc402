"""What anybody may have written: each format holds the same entries, and says the same of them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag.readers import LeftOut, stream_corpus
from tests.readers.test_formats import written

_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z", "M")), min_size=1, max_size=12).filter(
    lambda word: not set(word) & set("<>&{}\\$%#_~^@\"`'-|")
)
_TEXTS = st.lists(_WORDS, min_size=2, max_size=12).map(" ".join)
_NAME = st.from_regex(r"\A[A-ZÀ-Ö][a-zß-ö]{1,9}\Z").filter(lambda name: name not in ("And", "Others"))
_ENTRIES = st.lists(
    st.tuples(_TEXTS, _TEXTS.map("We say: {}.".format), st.lists(st.tuples(_NAME, _NAME), max_size=3),
              st.dates(min_value=date(1600, 1, 1), max_value=date(2099, 12, 31))),
    min_size=1, max_size=4,
)  # fmt: skip
Entries = list[tuple[str, str, list[tuple[str, str]], date]]


def _bib(entries: Entries) -> str:
    return "\n".join(
        f"@article{{k{i},\n  title = {{{title}}},\n  abstract = {{{abstract}}},\n  date = {{{day}}},\n  "
        f"author = {{{' and '.join(f'{family}, {given}' for family, given in names)}}}\n}}"
        for i, (title, abstract, names, day) in enumerate(entries)
    )


def _ris(entries: Entries) -> str:
    return "".join(
        "\n".join(["TY  - JOUR", f"TI  - {title}", *(f"AU  - {family}, {given}" for family, given in names),
                   f"DA  - {day:%Y/%m/%d}", f"AB  - {abstract}", "ER  - \n"])
        for title, abstract, names, day in entries
    )  # fmt: skip


def _objects(entries: Entries) -> Iterator[dict[str, Any]]:
    for title, abstract, names, day in entries:
        yield {"title": title, "abstract": abstract, "authors": [f"{given} {family}" for family, given in names],
               "date": day.isoformat()}  # fmt: skip


def _csv(entries: Entries) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(
        [["Title", "Abstract", "Authors", "Date"],
         *([title, abstract, "; ".join(f"{family}, {given}" for family, given in names), day.isoformat()]
           for title, abstract, names, day in entries)]
    )  # fmt: skip
    return out.getvalue()


def _arxiv(entries: Entries) -> str:
    return "\n".join(
        json.dumps({"id": "2301.00001", "title": title, "abstract": f"  {abstract}\n",
                    "authors_parsed": [[family, given, ""] for family, given in names],
                    "versions": [{"version": "v1", "created": f"{day:%a, %d %b %Y} 10:00:00 GMT"}]})
        for title, abstract, names, day in entries
    )  # fmt: skip


def _xml(entries: Entries) -> str:
    articles = "".join(
        f"<PubmedArticle><MedlineCitation><PMID>1</PMID><Article><Journal><JournalIssue><PubDate><Year>{day.year}</Year>"
        f"<Month>{day:%b}</Month><Day>{day.day}</Day></PubDate></JournalIssue></Journal><ArticleTitle>{title}"
        f"</ArticleTitle><Abstract><AbstractText>{abstract}</AbstractText></Abstract><AuthorList>"
        + "".join(
            f"<Author><LastName>{family}</LastName><ForeName>{given}</ForeName></Author>" for family, given in names
        )
        + "</AuthorList></Article></MedlineCitation></PubmedArticle>\n"
        for title, abstract, names, day in entries
    )
    return f"<?xml version='1.0'?>\n<PubmedArticleSet>{articles}</PubmedArticleSet>"


WRITERS = {
    "a.bib": _bib, "a.ris": _ris, "a.csv": _csv, "a.xml": _xml, "arxiv.json": _arxiv,
    "a.json": lambda entries: json.dumps(list(_objects(entries))),
    "a.jsonl": lambda entries: "\n".join(map(json.dumps, _objects(entries))),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
@given(entries=_ENTRIES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(name: str, entries: Entries, tmp_path: Path) -> None:
    left_out = LeftOut()
    papers = list(stream_corpus(written(tmp_path, WRITERS[name](entries), name), "x", left_out))
    assert not left_out
    assert [(paper.title, paper.abstract, paper.date) for paper in papers] == [
        (title, abstract, day.isoformat()) for title, abstract, _, day in entries
    ]
    assert [list(paper.authors) for paper in papers] == [
        [f"{given} {family}" for family, given in names] for _, _, names, _ in entries
    ]
