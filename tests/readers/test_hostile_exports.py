"""Exports that would swamp a reader, or are broken: told with file and line, and the rest is read."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from rag.errors import UsageError
from rag.readers import LeftOut, read_corpus, stream_corpus

Content = str | bytes

GOOD = '{"title": "Good", "abstract": "This one is read."}'
NEXT = '{"title": "Next", "abstract": "That one is read, too."}'
LAST = "@misc{b, abstract = {An abstract.}}"
MANY = 50 << 20
_ENTITIES = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
_LAUGHS = f'<!DOCTYPE PubmedArticleSet [<!ENTITY l0 "lol">{_ENTITIES}]>'


def article(text: str) -> str:
    return f"<PubmedArticleSet><PubmedArticle><MedlineCitation><Article><Abstract><AbstractText>{text}"


XML: dict[str, tuple[Callable[[], Content], int | None, str]] = {
    "a billion laughs": (lambda: f"{_LAUGHS}{article('&l9;')}", 0, "defines entities of its own"),
    "a file of the machine": (
        lambda: f'<!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>{article("&x;")}', 0, "defines entities"
    ),
    "an entity that nobody defined": (lambda: article("&x;"), 0, "line 1: it is not well-formed XML from here on"),
    "no end": (lambda: article("Text"), 0, "line 1: it is not well-formed"),
    "another kind": (lambda: "<html><body/></html>", 0, "XML of another kind"),
    "depth": (lambda: "<PubmedArticleSet>" + "<a>" * 500_000, 0, "nested too deeply"),
    "a text without an end": (lambda: article("a" * MANY), 0, "an entry is larger than 8 MiB"),
    "UTF-16": (lambda: article("a").encode("utf-16"), 0, "is UTF-16 text"),
}  # fmt: skip
JSON: dict[str, tuple[Callable[[], Content], int | None, str]] = {
    "depth": (lambda: "[" * 5_000_000, 0, "nested too deeply"),
    "depth in an entry": (lambda: f"[{GOOD}, " + '{"a":' * 500_000, 1, "nested too deeply"),
    "a long string": (lambda: f'[{GOOD}, {{"abstract": "{"a" * MANY}"}}]', 1, "an entry is larger than 8 MiB"),
    "a long number": (lambda: f'[{GOOD}, {{"year": {"9" * 100_000}}}]', 1, "record 2: it is not JSON from here on"),
    "no end": (lambda: f'[{GOOD}, {{"abstract": "The', 1, "record 2: it is not JSON from here on"),
    "something else": (lambda: '{"a": [1, 2, {"abstract": "deep"}]}', 0, "holds no list of papers"),
    "a long abstract": (lambda: f'[{GOOD}, {{"abstract": "{"ab " * 4000}"}}]', 1, "11,999 characters are no abstract"),
    "a longer one": (lambda: f'[{GOOD}, {{"abstract": "{"<p>" * 100_000}"}}]', 1, "300,000 characters are no abs"),
    "a long title": (lambda: f'[{{"abstract": "A.", "title": "{"T" * 1001}"}}, {GOOD}]', 1, "1,001 characters are no "),
    "nothing": (lambda: " \n", 0, "it is empty"),
}
LINES: dict[str, tuple[Callable[[], Content], int | None, str]] = {
    "depth": (lambda: f"{GOOD}\n{'[' * 500_000}\n{NEXT}", 2, "line 2: it is not JSON"),
    "a long line": (lambda: f'{GOOD}\n"{"a" * MANY}"\n{NEXT}', 2, "line 2: it is longer than 8 MiB"),
    "a long number": (lambda: f'{GOOD}\n{{"year": {"9" * 100_000}}}\n{NEXT}', 2, "line 2: it is not JSON"),
    "bytes that are no text": (lambda: GOOD.encode() + b'\n{"abstract": "\xff"}\n', 1, "line 2: it is not UTF-8"),
}
TABLE: dict[str, tuple[Callable[[], Content], int | None, str]] = {
    "a quotation mark without its pair": (
        lambda: 'title,abstract\nA,"' + "a,b\n" * 40_000 + "B,An abstract.\n", None, "a quotation mark may be missing"
    ),
    "no abstracts": (lambda: "title,year\nA,1999\n", 0, "no column is named abstract"),
    "a long line": (lambda: f"title,abstract\n{'a' * MANY}\nB,An abstract.\n", 1, "line 2: it is longer than 8 MiB"),
    "a row without an end": (
        lambda: "title,abstract\n" + ('"' + "a" * 50_000 + '\n",') * 200, 0, "an entry is larger than 8 MiB"
    ),
    "NULs": (lambda: "title,abstract\nA,B\0\n", 0, "is a binary file"),
}  # fmt: skip
BIBTEX: dict[str, tuple[Callable[[], Content], int | None, str]] = {
    "no end": (lambda: "@misc{a,\n" + "title = {\n" * 120_000 + LAST, 1, "line 1: the entry is larger than 1 MiB"),
    "a long line": (
        lambda: f"@misc{{a, title = {{{'a' * MANY}}}\n}}\n{LAST}",
        1,
        "line 1: the entry is larger than 1 MiB",
    ),
    "braces": (lambda: "@misc{a, abstract = " + "{" * 300_000 + f"\n{LAST}", 1, "line 1: the entry is broken"),
    "no entries": (lambda: "Dear diary,", 0, "holds no entry"),
    "UTF-16": (lambda: LAST.encode("utf-16"), 0, "is UTF-16 text"),
}
RIS: dict[str, tuple[Callable[[], Content], int | None, str]] = {
    "an entry of many lines": (
        lambda: "TY  - GEN\n" + "AB  - a\nb\n" * 120_000 + "ER  - \nTY  - GEN\nAB  - An abstract.",
        1, "line 1: the entry is larger than 1 MiB",
    ),
    "no entries": (lambda: "Dear diary,", 0, "holds no entry"),
}  # fmt: skip
PACKED: dict[str, tuple[Callable[[], Content], int | None, str]] = {
    "cut off": (lambda: gzip.compress(f"{GOOD}\n".encode() * 9)[:-20], None, "its packing is damaged"),
    "damaged": (lambda: b"\x1f\x8b\x08 and nothing of the kind", 0, "its packing is damaged"),
    "no gzip": (lambda: b"\x1f\x8b, and nothing of the kind", 0, "can't be read (Unknown compression method)"),
    "a bomb": (
        lambda: gzip.compress(f"{GOOD}\n".encode() + (b" " * 1000 + b"\n") * 40_000),
        1,
        "unpacks to far more than any text",
    ),
}
PACKED_PAGE: dict[str, tuple[Callable[[], Content], int | None, str]] = {
    "a page": (lambda: gzip.compress(b"Abstract: A text."), 0, "of no kind that is read: unpack it"),
}
HOSTILE = {
    f"{file}: {name}": (file, *case)
    for file, cases in {
        "a.xml": XML, "a.json": JSON, "a.jsonl": LINES, "a.csv": TABLE, "a.bib": BIBTEX, "a.ris": RIS,
        "a.jsonl.gz": PACKED, "a.txt.gz": PACKED_PAGE,
    }.items()
    for name, case in cases.items()
}  # fmt: skip


def written(folder: Path, content: Content, name: str) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hostile_or_broken_is_told_and_the_rest_is_read(name: str, tmp_path: Path) -> None:
    file, content, count, said = HOSTILE[name]
    papers = list(stream_corpus(written(tmp_path, content(), file), "x", left_out := LeftOut()))
    assert count is None or len(papers) == count
    assert said in left_out.problems[0]
    assert file in left_out.problems[0]
    assert len(left_out.problems[0]) < 1000


def test_what_unpacks_to_more_than_may_be_is_refused(tmp_path: Path) -> None:
    padded = GOOD.replace("}", f', "note": "{"a" * 100_000}"}}\n')
    path = written(tmp_path, gzip.compress(padded.encode() * 15), "a.jsonl.gz")
    with pytest.raises(UsageError, match=r"a\.jsonl\.gz unpacks to more than 1 MB: type `rag ingest`"):
        read_corpus(path, None, LeftOut(), 1 << 20)
    assert len(read_corpus(path, None, LeftOut(), 4 << 20)) == 1


def test_many_lines_take_no_more_memory_than_few(tmp_path: Path) -> None:
    """Papers come one by one, whatever the file's size."""

    def held(lines: int) -> int:
        path = written(tmp_path, "", "many.jsonl")
        with path.open("w", encoding="utf-8") as file:
            file.writelines(f'{{"title": "T{i}", "abstract": "Abstract {i}."}}\n' for i in range(lines))
        tracemalloc.start()
        assert sum(1 for _ in stream_corpus(path, "x", LeftOut())) == lines
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    held(10)  # what is imported and cached is no line's memory
    assert held(4_000) < held(400) + 1_000_000
