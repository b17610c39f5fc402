import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from rag.embedding import Embedder, Tokens, Vectors
from rag.errors import IndexMismatch, IndexMissing, IndexUnfinished, StorageError
from rag.index import PaperIndex
from rag.ingest import IngestReport, ingest
from rag.lexical import LexicalIndex
from rag.papers import Paper, Record, Source, papers_from
from rag.settings import Chunking, Settings
from tests.chromas import beside, on_server

REBUILD = r"type `rag( --store \S+ --collection \S+)? ingest --rebuild`"


def paper(name: str, file: str = "pages/a.txt", text: str = "") -> Paper:
    abstract = f"{name} is a system. It does what {name} does, and does it well. {text}".strip()
    source = Source(file=file, start=0, end=len(abstract), record=1)
    return papers_from([Record(source, abstract, title=f"{name}: a paper")])[0]


@pytest.fixture
def folder(settings: Settings, tmp_path: Path) -> Settings:
    return settings.model_copy(update={"data_dir": tmp_path})


@pytest.fixture(params=["folder", "server"])
def here(request: pytest.FixtureRequest, folder: Settings, tmp_path: Path) -> Settings:
    """Where no index is yet."""
    return folder if request.param == "folder" else on_server(folder, request.getfixturevalue("chroma"), tmp_path)


@pytest.fixture(params=["indexed", "indexed_on_server"])
def shipped(request: pytest.FixtureRequest) -> Settings:
    """The shipped pages, wherever their index is."""
    there: Settings = request.getfixturevalue(request.param)
    return there


def contents(settings: Settings) -> tuple[str, list[Paper], list[tuple[str, int, int]]]:
    index = PaperIndex.open(settings)
    try:
        found = [(p.paper_id, p.start, p.end) for p in index.passages]
        return index.sha256, list(index.papers.values()), found
    finally:
        index.close()


def test_the_shipped_pages_make_255_papers_whose_passages_are_their_words(shipped: Settings) -> None:
    index = PaperIndex.open(shipped)
    assert len(index.papers) == 255
    for passage in index.passages:
        assert index.papers[passage.paper_id].abstract[passage.start : passage.end] == passage.text
    covered = dict.fromkeys(index.papers, 0)
    for passage in index.passages:
        covered[passage.paper_id] += len(passage.text.split())
    assert all(count == len(index.papers[paper_id].abstract.split()) for paper_id, count in covered.items())
    index.close()


def test_ingest_twice_changes_nothing(here: Settings, embedder: Embedder) -> None:
    papers = [paper("Foo"), paper("Bar", "pages/b.txt")]
    assert ingest(here, papers, embedder=embedder, scope=["pages/"]) == IngestReport(added=2, total=2)
    before = contents(here)
    assert ingest(here, papers, embedder=embedder, scope=["pages/"]) == IngestReport(unchanged=2, total=2)
    assert contents(here) == before


def test_what_is_gone_from_the_source_is_dropped_and_what_changed_replaced(here: Settings, embedder: Embedder) -> None:
    ingest(here, [paper("Foo"), paper("Bar")], embedder=embedder, scope=["pages/a.txt"])
    changed = paper("Bar").model_copy(update={"title": "Bar, renamed"})
    report = ingest(here, [changed, paper("Baz")], embedder=embedder, scope=["pages/a.txt"])
    assert report == IngestReport(added=1, replaced=1, removed=1, total=2)
    _, papers, passages = contents(here)
    assert {p.title for p in papers} == {"Bar, renamed", "Baz: a paper"}
    assert {paper_id for paper_id, *_ in passages} == {p.paper_id for p in papers}


def test_other_sources_are_left_alone_and_joined(here: Settings, embedder: Embedder) -> None:
    ingest(here, [paper("Foo"), paper("Bar")], embedder=embedder, scope=["pages/a.txt"])
    ingest(here, [paper("Foo", "other.txt")], embedder=embedder, scope=["other.txt"])
    _, papers, _ = contents(here)
    foo = next(p for p in papers if p.title.startswith("Foo"))
    assert [s.file for s in foo.sources] == ["other.txt", "pages/a.txt"]
    ingest(here, [], embedder=embedder, scope=["pages/a.txt"])
    _, papers, _ = contents(here)
    assert [(p.title, [s.file for s in p.sources]) for p in papers] == [("Foo: a paper", ["other.txt"])]


def test_the_same_papers_make_the_same_index_hash_in_whatever_order(here: Settings, embedder: Embedder) -> None:
    ingest(here, [paper("Foo")], embedder=embedder)
    ingest(here, [paper("Foo"), paper("Bar", "b")], embedder=embedder)
    first, *_ = contents(here)
    other = beside(here, "other")
    ingest(other, [paper("Bar", "b"), paper("Foo")], embedder=embedder)
    assert contents(other)[0] == first
    ingest(other, [paper("Foo")], embedder=embedder)
    assert contents(other)[0] != first


def test_other_chunking_is_refused_until_the_index_is_rebuilt(here: Settings, embedder: Embedder) -> None:
    long = paper("Foo", text="Another sentence says more about it. " * 20)
    ingest(here, [long], embedder=embedder)
    _, papers, passages = contents(here)
    changed = here.model_copy(update={"chunking": Chunking(characters=200)})
    with pytest.raises(IndexMismatch, match=REBUILD):
        PaperIndex.open(changed)
    with pytest.raises(IndexMismatch, match=REBUILD):
        ingest(changed, [long], embedder=embedder)
    assert contents(here)[2] == passages
    ingest(changed, [], embedder=embedder, scope=[], rebuild=True)  # from what the index itself holds
    _, rebuilt, finer = contents(changed)
    assert rebuilt == papers
    assert len(finer) > len(passages)


def test_an_index_of_another_version_names_the_command(
    here: Settings, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("rag.store.database._SCHEMA", 1)
        ingest(here, [paper("Foo")], embedder=embedder)
    with pytest.raises(IndexMismatch, match=f"another version of PaperTrail: {REBUILD}"):
        PaperIndex.open(here)
    assert ingest(here, [paper("Foo")], embedder=embedder, rebuild=True).total == 1
    PaperIndex.open(here).close()


class Breaks(BaseException):
    """Stands for a process that is stopped."""


class Breaking:
    """An embedder in whose third call the process is stopped."""

    def __init__(self, embedder: Embedder):
        self._embedder = embedder
        self.seen: list[str] = []
        self._calls = 0

    def in_bulk(self) -> "Breaking":
        return self

    def with_tokens(self, texts: Sequence[str]) -> tuple[Vectors, list[Tokens]]:
        self._calls += 1
        if self._calls == 3:
            raise Breaks
        self.seen += texts
        return self._embedder.with_tokens(texts)


def test_an_ingest_that_was_stopped_goes_on(folder: Settings, embedder: Embedder) -> None:
    papers = [paper(f"System{i}") for i in range(80)]
    breaking = Breaking(embedder)
    with pytest.raises(Breaks):
        ingest(folder, papers, embedder=breaking, scope=["pages/"])  # type: ignore[arg-type]
    with pytest.raises(IndexUnfinished, match=r"There is no index in .* yet: type `rag ingest` again") as caught:
        PaperIndex.open(folder)
    assert caught.value.scope == "pages/"
    ingest(folder, papers, embedder=breaking, scope=["pages/"])  # type: ignore[arg-type]
    assert len(breaking.seen) == len(set(breaking.seen)) == 80  # nothing is done twice
    undisturbed = folder.model_copy(update={"data_dir": folder.index_dir.parent / "other"})
    ingest(undisturbed, papers, embedder=embedder)
    assert contents(folder) == contents(undisturbed)


def test_while_an_ingest_is_stopped_the_index_is_as_it_was(folder: Settings, embedder: Embedder) -> None:
    ingest(folder, [paper("Foo")], embedder=embedder, scope=["pages/a.txt"])
    before = contents(folder)
    papers = [paper(f"System{i}") for i in range(80)]
    for rebuild in (False, True):
        with pytest.raises(Breaks):
            ingest(folder, papers, embedder=Breaking(embedder), rebuild=rebuild)  # type: ignore[arg-type]
        assert contents(folder) == before
    assert ingest(folder, [paper("Foo")], embedder=embedder, scope=["pages/a.txt"]).unchanged == 1
    assert sorted(path.name for path in folder.index_dir.parent.iterdir()) == [".index.lock", "index"]


def test_stopped_while_one_index_takes_the_others_place_the_old_one_is_put_back(
    folder: Settings, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(folder, [paper("Foo")], embedder=embedder)
    before = contents(folder)
    replace = os.replace

    def stop(source: Path, target: Path) -> None:
        if target == folder.index_dir:
            raise Breaks
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", stop)
        with pytest.raises(Breaks):
            ingest(folder, [paper("Bar")], embedder=embedder)
    assert not folder.index_dir.exists()
    assert contents(folder) == before
    assert ingest(folder, [paper("Bar")], embedder=embedder).added == 1
    assert sorted(path.name for path in folder.index_dir.parent.iterdir()) == [".index.lock", "index"]


def test_what_a_stopped_ingest_left_is_gone_after_the_next(
    here: Settings, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(here, [paper("Foo")], embedder=embedder, scope=["pages/a.txt"])
    with monkeypatch.context() as patch:

        def stop(*_: object) -> None:
            raise Breaks

        patch.setattr("rag.tokens.TokenStore.write", stop)
        with pytest.raises(Breaks):  # its passages are in, the paper is not
            ingest(here, [paper("Bar", "pages/b.txt")], embedder=embedder, scope=["pages/b.txt"])
    changed = paper("Foo").model_copy(update={"title": "Foo, renamed"})
    ingest(here, [changed], embedder=embedder, scope=["pages/a.txt"])
    _, papers, passages = contents(here)
    assert {paper_id for paper_id, *_ in passages} == {p.paper_id for p in papers} == {changed.paper_id}


def test_no_index_and_a_damaged_index_name_the_command_that_mends_them(folder: Settings, embedder: Embedder) -> None:
    with pytest.raises(IndexMissing, match="type `rag ingest`"):
        PaperIndex.open(folder)
    ingest(folder, [paper("Foo")], embedder=embedder)
    database = folder.index_dir / "chroma.sqlite3"
    whole = database.read_bytes()
    third = len(whole) // 3
    database.write_bytes(whole[:third] + b"\xff" * third + whole[2 * third :])
    with pytest.raises(IndexMissing, match="rag ingest --rebuild"):
        contents(folder)
    database.write_bytes(b"damaged " * 1000)
    with pytest.raises(IndexMissing, match="rag ingest --rebuild"):
        PaperIndex.open(folder)
    ingest(folder, [paper("Foo")], embedder=embedder, rebuild=True)
    assert len(contents(folder)[1]) == 1


def test_an_index_folder_that_cannot_be_written_is_one_clear_error(settings: Settings, embedder: Embedder) -> None:
    here = settings.model_copy(update={"data_dir": Path("/sys/papertrail")})
    with pytest.raises(StorageError, match="RAG_DATA_DIR"):
        ingest(here, [paper("Foo")], embedder=embedder)


def test_vectors_and_tokens_are_those_of_the_passages_under_their_titles(shipped: Settings, embedder: Embedder) -> None:
    index = PaperIndex.open(shipped)
    chosen = range(0, len(index.passages), 40)
    texts = [f"{index.papers[index.passages[i].paper_id].title}\n{index.passages[i].text}" for i in chosen]
    alike = index.vectors[list(chosen)] @ embedder(texts).T  # an ingest embeds in bytes where that is fast
    assert alike.diagonal().min() > 0.99
    assert (alike.argmax(axis=1) == range(len(chosen))).all()
    for paper_id in list(index.papers)[::50]:
        own = [p for p in index.passages if p.paper_id == paper_id]
        _, tokens = embedder.with_tokens([f"{index.papers[paper_id].title}\n{p.text}" for p in own])
        assert index.tokens.read(paper_id).ids.tolist() == [id_ for read in tokens for id_ in read.ids.tolist()]
    index.close()


def test_the_lexical_index_and_the_tokens_follow_what_is_ingested(here: Settings, embedder: Embedder) -> None:
    ingest(here, [paper("Foo"), paper("Bar")], embedder=embedder)
    ingest(here, [paper("Foo"), paper("Quux")], embedder=embedder)
    index = PaperIndex.open(here)
    saved = LexicalIndex.load(here.index_dir / "lexical", index.sha256)
    assert saved is not None
    assert set(saved.paper_ids) == set(index.papers) == {paper("Foo").paper_id, paper("Quux").paper_id}
    assert saved.names.find("quux")
    assert not saved.names.find("Bar")
    assert len(index.tokens.read(paper("Quux").paper_id).ids)
    assert not len(index.tokens.read(paper("Bar").paper_id).ids)
    index.close()


@pytest.mark.parametrize("change", ["missing", "damaged", "stale"])
def test_a_lexical_index_of_other_papers_is_made_anew(change: str, here: Settings, embedder: Embedder) -> None:
    ingest(here, [paper("Foo")], embedder=embedder)
    folder = here.index_dir / "lexical"
    stale = (folder / "made_of.json").read_bytes()
    ingest(here, [paper("Foo"), paper("Quux")], embedder=embedder)
    if change == "missing":
        shutil.rmtree(folder)
    elif change == "damaged":
        (folder / "vocab.index.json").write_bytes(b"{")
    else:
        (folder / "made_of.json").write_bytes(stale)
    index = PaperIndex.open(here)
    assert len(index.lexical.paper_ids) == 2
    assert index.lexical.names.find("quux")
    index.close()


def test_damaged_token_vectors_name_the_command_that_mends_them(folder: Settings, embedder: Embedder) -> None:
    ingest(folder, [paper("Foo")], embedder=embedder)
    file = folder.index_dir / "tokens.sqlite3"
    whole = file.read_bytes()
    for damaged in (b"damaged " * 1000, None, whole[: len(whole) // 2]):
        file.unlink()
        if damaged is not None:
            file.write_bytes(damaged)
        index = PaperIndex.open(folder)
        with pytest.raises(IndexMissing, match="rag ingest --rebuild"):
            _ = [index.tokens.read(paper_id) for paper_id in index.papers]
        index.close()
