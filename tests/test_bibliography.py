"""What is taken along is what is indexed, in every format."""

import csv
import io
import json
from pathlib import Path

import bibtexparser
import pytest
import rispy
from pylatexenc.latex2text import LatexNodes2Text

from rag.bibliography import FORMATS, format_of, write
from rag.errors import StorageError, UsageError
from rag.papers import Paper, paper_id
from rag.readers import read_corpus
from rag.text import visible
from tests.disks import limited
from tests.hostile import CASES

CORPUS = read_corpus(Path(__file__).parent.parent / "seeds")
HOSTILE = [
    Paper(paper_id=paper_id(case.text), title=case.text, title_source="page", abstract=case.text, authors=(case.text,))
    for case in CASES.values()
]


def written(name: str, papers: list[Paper]) -> str:
    return "".join(FORMATS[name](papers))


def read_back(name: str, text: str) -> list[dict[str, str]]:
    """Title, abstract and date of each record, as a parser of the format finds them."""
    if name == "bibtex":
        library = bibtexparser.parse_string(text)
        assert not library.failed_blocks
        plain = LatexNodes2Text(math_mode="text").latex_to_text
        months = dict(zip("jan feb mar apr may jun jul aug sep oct nov dec".split(), range(1, 13), strict=True))
        found = []
        for entry in library.entries:
            field = {key: str(value.value) for key, value in entry.fields_dict.items()}
            month = f"{months[field['month']]:02}" if "month" in field else None
            # pylatexenc knows no name for braces, and reads its own circumflex as an accent.
            abstract = field["abstract"].replace(r"\textbraceleft{}", r"\{").replace(r"\textbraceright{}", r"\}")
            found.append(
                {
                    "title": plain(field["title"]),
                    "abstract": plain(abstract).replace("ˆ", "^"),
                    "date": "-".join(filter(None, [field.get("year"), month, field.get("day")])),
                }
            )
        return found
    if name == "ris":
        return [
            record | {"date": record.get("date", record.get("year", "")).rstrip("/").replace("/", "-")}
            for record in rispy.loads(text)
        ]
    if name == "csv":
        return list(csv.DictReader(io.StringIO(text)))
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("name", FORMATS)
def test_every_paper_is_read_back_under_its_id_with_its_date(name: str) -> None:
    found = read_back(name, written(name, CORPUS))
    assert [paper_id(record["abstract"]) for record in found] == [paper.paper_id for paper in CORPUS]
    for record, paper in zip(found, CORPUS, strict=True):
        assert (record["date"] or "") == (paper.date or "")
        assert record["title"]


def test_json_lines_hold_all_that_is_known_but_where_it_was_read() -> None:
    back = [Paper.model_validate_json(line) for line in written("jsonl", CORPUS).splitlines()]
    assert back == [paper.model_copy(update={"sources": ()}) for paper in CORPUS]


@pytest.mark.parametrize("name", FORMATS)
def test_what_was_taken_along_can_be_ingested(name: str, tmp_path: Path) -> None:
    ending = next(
        ending for ending in (".bib", ".ris", ".jsonl", ".csv") if format_of(None, Path("a" + ending)) == name
    )
    (tmp_path / f"papers{ending}").write_text(written(name, CORPUS), encoding="utf-8")
    back = {paper.paper_id: paper for paper in read_corpus(tmp_path)}
    assert back.keys() == {paper.paper_id for paper in CORPUS}
    for paper in CORPUS:
        assert back[paper.paper_id].date == paper.date
        assert back[paper.paper_id].authors == paper.authors
        title = paper.title.replace(" -- ", " – ") if name == "bibtex" else paper.title
        assert back[paper.paper_id].title == title


@pytest.mark.parametrize("name", FORMATS)
def test_no_text_breaks_its_record_or_reaches_a_terminal(name: str) -> None:
    text = written(name, [*HOSTILE, CORPUS[0]])
    assert visible(text.replace("\n", "")) == text.replace("\n", "")
    found = read_back(name, text)
    assert len(found) == len(HOSTILE) + 1
    assert paper_id(found[-1]["abstract"]) == CORPUS[0].paper_id


def test_nothing_in_a_table_is_a_formula() -> None:
    formulas = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\x07=1"]
    papers = [CORPUS[0].model_copy(update={"title": text, "abstract": text, "authors": (text,)}) for text in formulas]
    for row in csv.reader(io.StringIO(written("csv", papers))):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in row)


def test_a_reference_has_names_as_ris_wants_them_and_says_what_is_made_up() -> None:
    known = {"authors": ("Zoë Quux", "Al van der Blip", "OpenQuux"), "authors_complete": False, "date": "2024-03-05"}
    paper = CORPUS[0].model_copy(update=known | {"title_source": "derived", "title": "[untitled] We boil", "url": None})
    assert written("ris", [paper]).splitlines() == [
        "TY  - GEN",
        f"ID  - {paper.paper_id}",
        "TI  - [untitled] We boil",
        "AU  - Quux, Zoë",
        "AU  - van der Blip, Al",
        "AU  - OpenQuux",
        "PY  - 2024",
        "DA  - 2024/03/05/",
        "N1  - Title made up from the abstract's first words",
        "N1  - The list of authors goes on",
        f"AB  - {' '.join(paper.abstract.split())}",
        "ER  - ",
        "",
    ]


@pytest.mark.parametrize(
    ("name", "output", "format_"),
    [
        (None, None, "jsonl"),
        (None, "a.BIB", "bibtex"),
        (None, "a.ris", "ris"),
        ("csv", "a.txt", "csv"),
        ("BibTeX", "a.csv", "bibtex"),
    ],
)
def test_a_format_is_named_or_told_by_the_ending(name: str | None, output: str | None, format_: str) -> None:
    assert format_of(name, Path(output) if output else None) == format_


@pytest.mark.parametrize(("name", "output"), [("pdf", None), (None, "papers.txt"), (None, "papers")])
def test_what_is_no_format_is_a_usage_error(name: str | None, output: str | None) -> None:
    with pytest.raises(UsageError, match=r"bibtex, ris, jsonl or csv|\.bib, \.ris, \.jsonl or \.csv"):
        format_of(name, Path(output) if output else None)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "papers.jsonl"
    with limited(10_000), pytest.raises(StorageError, match="make room"):
        write(file, FORMATS["jsonl"](CORPUS))
    assert not list(tmp_path.iterdir())
    write(file, FORMATS["jsonl"](CORPUS))
    assert file.read_text(encoding="utf-8") == written("jsonl", CORPUS)
    with pytest.raises(UsageError, match="is there already"):
        write(file, iter(["less"]))
    assert file.read_text(encoding="utf-8") == written("jsonl", CORPUS)
    with pytest.raises(StorageError, match="can't be written"):
        write(tmp_path / "nowhere" / "papers.bib", iter(["x"]))
