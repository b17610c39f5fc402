"""What is fed with anything: by tests/test_bad_input.py for seconds, by a fuzzer in tests/torture for an hour.

A target takes bytes. It must come to an end; nothing but a :class:`rag.errors.RagError`, or what the place that reads
them is documented to raise, may come out of the code that is fed, and what is read must keep its promises.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from unittest.mock import patch

from eval.gate import read_baseline
from eval.manifest import FILE as MANIFEST
from eval.manifest import Manifest
from eval.records import AnswerRecord, read_records
from rag import wire
from rag.answers import Answer
from rag.assistant import Assistant
from rag.batch import BadLine, Request, input_lines, read_requests, run_batch
from rag.chunking import spans
from rag.conversation import Turn, leans_on_history
from rag.errors import RagError, SettingsError, UsageError
from rag.export import as_bibtex, as_markdown, as_text
from rag.facts import unbacked_names, unbacked_numbers
from rag.filters import Filters
from rag.generation import tidy
from rag.lexical import LexicalIndex
from rag.metadata import Records
from rag.papers import Paper
from rag.questions import MAX_QUESTION, checked_question, kind_of, named
from rag.readers import CATALOGUE_FILE, MAX_ABSTRACT, LeftOut, read_corpus
from rag.resident import fingerprint
from rag.settings import load_settings
from rag.text import escaped, readable, sentence_spans, shortened, visible, words
from rag.web import abstract, table, uploads

PAGE = "A Sieve\n\nAbstract: We sort gravel by its sound.\n"


class Targets:
    """Each public method is one; they write into a folder of their own."""

    def __init__(self, folder: Path):
        self._folder = folder

    @classmethod
    def names(cls) -> list[str]:
        return sorted(name for name, made in vars(cls).items() if callable(made) and name[0] != "_" and name != "names")

    # Files ---------------------------------------------------------------------------------------

    def page(self, data: bytes) -> None:
        """A page, and all that is made of its papers before anybody asks."""
        path = self._written("page.txt", data)
        with suppress(RagError):
            papers = read_corpus(path, "label")
            text = data.decode("utf-8")
            for paper in papers:
                assert 0 < len(paper.abstract) <= MAX_ABSTRACT
                source = paper.sources[0]
                assert source.start == source.end or text[source.start : source.end] == paper.abstract
                assert Paper.model_validate_json(paper.model_dump_json()) == paper
                _shown(paper)
            lexical = LexicalIndex.of(papers)
            records = Records(papers, lexical.names.common)
            for paper in papers[:3]:
                lexical.scores(paper.title)
                lexical.names.find(paper.title[:MAX_QUESTION])
                named(paper.title, papers, lexical.names)
                records.wishes(f"papers by {', '.join(paper.authors)} since {paper.date}")
            table.drawn(papers, table.View(words="a", by="Authors"))
            uploads.outcome([uploads.read(path)], ())

    def export(self, data: bytes) -> None:
        """What a library or a database exported: a line with the end of its file's name, then what it holds."""
        kind, _, content = data.partition(b"\n")
        suffix = kind[:12].decode("ascii", errors="ignore").replace("/", "").replace("\0", "")
        left_out = LeftOut()
        with suppress(RagError):
            for paper in read_corpus(self._written(f"export{suffix}", content), "label", left_out):
                assert 0 < len(paper.abstract) <= MAX_ABSTRACT
                if paper.sources[0].start == paper.sources[0].end:  # of a page it is kept word for word
                    assert paper.abstract == " ".join(visible(paper.abstract).split())
                assert paper.date is None or re.fullmatch(r"[0-9]{4}(-[0-9]{2}){0,2}", paper.date)
                assert paper.url is None or paper.url.startswith(("http://", "https://"))
                assert Paper.model_validate_json(paper.model_dump_json()) == paper
                Filters(since="1900").select([paper])
                _shown(paper)
        assert all(visible(line).encode() for line in left_out.told())

    def titles(self, data: bytes) -> None:
        """A list of published titles beside a page."""
        self._written(CATALOGUE_FILE, data)
        with suppress(RagError):
            for paper in read_corpus(self._written("page.txt", PAGE.encode())):
                assert Paper.model_validate_json(paper.model_dump_json()) == paper
                _shown(paper)

    def settings(self, data: bytes) -> None:
        """A settings file."""
        self._written("settings.toml", data)
        with suppress(SettingsError), _only_in_environment(RAG_HOME=str(self._folder)):
            _used()

    def environment(self, data: bytes) -> None:
        """Variables, as in ``RETRIEVAL__PAPERS=5``, each ended by a NUL."""
        given = [entry.partition(b"=") for entry in data.split(b"\0")]
        named = {f"RAG_{os.fsdecode(name)}": os.fsdecode(value) for name, equals, value in given if equals}
        with suppress(SettingsError), _only_in_environment(**named):
            _used()

    def results(self, data: bytes) -> None:
        """What earlier runs are said to have written: results of a batch, records and a baseline of an evaluation."""
        output = self._written("out.jsonl", data)
        read_records(output, AnswerRecord)
        with suppress(RagError):
            read_baseline("full", output)
        self._written(MANIFEST, data)
        with suppress(RagError):
            Manifest.read(self._folder)
        requests: list[Request | BadLine] = [Request(i, "A question?", Filters()) for i in range(3)]
        stream = io.StringIO()
        run_batch(
            requests, lambda request: {"question": request.question}, output=output, stream=stream,
            is_current=lambda request, record: record.get("question") == request.question,
        )  # fmt: skip
        made = [json.loads(line) for line in output.read_text(encoding="utf-8").split("\n")[:-1]]
        assert [record["id"] for record in made] == [0, 1, 2]

    # What other processes send -----------------------------------------------------------------

    def batch(self, data: bytes) -> None:
        """The input of a batch, of questions and of claims."""
        for noun in ("question", "claim"):
            with suppress(UsageError):
                requests = read_requests(input_lines("-", io.BytesIO(data)), noun)
                stream = io.StringIO()
                run_batch(
                    requests, lambda request: {"question": request.question}, output=None, stream=stream,
                    is_current=lambda *_: False,
                )  # fmt: skip
                results = [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]
                assert [result["id"] for result in results] == [request.id for request in requests]
                assert visible(stream.getvalue()) == stream.getvalue()

    def wire(self, data: bytes) -> None:
        """A request to the resident server, and what it tells."""
        with suppress(wire.Broken, UsageError):
            request = wire.Request.read(data)
            assert wire.Request.read(request.packed()) == request
            checked_question(request.question)
            leans_on_history(request.question, False)
            _limited(request.filters)
        with suppress(wire.Broken, RagError):
            told = wire.read(data)
            assert wire.read(wire.packed(told)) == told

    # Text ----------------------------------------------------------------------------------------

    def text(self, data: bytes) -> None:
        """What is done with the text of abstracts, drafts and questions."""
        text = data.decode("utf-8", errors="surrogateescape")
        for cut in (sentence_spans(text), spans(text, 100)):
            edges = [edge for span in cut for edge in span]
            assert edges == sorted(edges)
            assert all(text[start:end].strip() == text[start:end] != "" for start, end in cut)
        assert bool(sentence_spans(text)) == bool(text.strip())
        assert visible(readable(text)) == readable(text)
        assert json.loads(escaped(json.dumps(text, ensure_ascii=False))) == text
        words(text)
        shortened(text)
        tidy(text)
        half = len(text) // 2
        unbacked_numbers(text[:half], text[half:])
        unbacked_names(text[:half], text[half:])
        kind_of(text, 1)
        with suppress(UsageError):
            assert 0 < len(checked_question(text)) <= MAX_QUESTION

    def question(self, data: bytes) -> None:
        """A question, an author to limit it to and an earlier question, a line each: the whole extractive path."""
        asked, author, earlier = [*data.decode("utf-8", errors="replace").split("\n", 2), "", ""][:3]
        history = [Turn(earlier, "It does.")] if earlier else []
        with suppress(UsageError):
            answer = self._assistant.answer(asked, Filters(author=author or None), history)
            papers = self._assistant.index.papers
            for citation in answer.citations:
                assert papers[citation.paper_id].abstract[citation.start : citation.end] == citation.quote
            assert answer.refused != bool(answer.sentences)
            assert Answer.model_validate_json(answer.model_dump_json()) == answer
            as_text(answer)
            as_markdown([(asked, answer)])

    @cached_property
    def _assistant(self) -> Assistant:
        return Assistant(load_settings(mode="extractive"))

    def _written(self, name: str, data: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(data)
        return path


def _shown(paper: Paper) -> None:
    as_bibtex([paper])
    abstract.page(paper)
    assert visible(paper.title) == paper.title


def _limited(filters: Filters) -> None:
    with suppress(RagError):
        filters.select([])
    paper = Paper(paper_id="0", title="A", title_source="page", abstract="B", authors=("C D",), date="2024")
    with suppress(RagError):
        filters.select([paper])


def _used() -> None:
    """What every command does with its settings first."""
    settings = load_settings()
    for place in (settings.index_dir, settings.models_dir, settings.conversation_file, settings.server_file):
        os.path.isfile(place)
    fingerprint(settings)


@contextmanager
def _only_in_environment(**variables: str) -> Iterator[None]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("RAG_")}
    with patch.dict(os.environ, others | {n: v for n, v in variables.items() if "=" not in n}, clear=True):
        yield


Target = Callable[[bytes], None]


def target(name: str, folder: Path) -> Target:
    """One of them."""
    found: Target = getattr(Targets(folder), name)
    return found
