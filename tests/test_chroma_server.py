"""What is different where the index is on a Chroma server: it is changed in place, by whoever can reach it.

What is the same is tested with the folder's: ``test_index.py``, ``test_assistant.py``.
"""

import base64
import datetime
import gc
import http.client
import ipaddress
import os
import ssl
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rag.answers import Answer
from rag.assistant import Assistant
from rag.desk import Choice, Desk
from rag.embedding import Embedder
from rag.errors import IndexUnfinished, StoreUnavailable
from rag.index import LEXICAL, PaperIndex
from rag.ingest import ingest
from rag.lexical import LexicalIndex
from rag.settings import Chunking, Settings, Store
from rag.store import store_of
from rag.store.database import Database
from rag.tokens import FILE
from tests.chromas import beside, chroma_run, elsewhere, free_port, guarded, on_server, saying
from tests.command import Run, is_one_error
from tests.killing import Moment, Work
from tests.loops import run as run_loop
from tests.test_index import Breaking, Breaks, contents, paper
from tests.works import NEW, OLD, RAG, about, asked, index_contents, write_page

ROOT = Path(__file__).parent.parent
EIGHTY = [paper(f"System{i}") for i in range(80)]


@pytest.fixture
def here(settings: Settings, chroma: str, tmp_path: Path) -> Settings:
    """A new collection on the server."""
    made = on_server(settings, chroma, tmp_path / "client")
    return made.model_copy(update={"mode": "extractive"})


def options(settings: Settings) -> list[str]:
    return ["--store", str(settings.store.url), "--collection", settings.collection]


# The same index ----------------------------------------------------------------------------------


def test_it_is_the_index_that_a_folder_holds(indexed: Settings, indexed_on_server: Settings) -> None:
    with closing(PaperIndex.read(indexed)) as one, closing(PaperIndex.read(indexed_on_server)) as other:
        assert (one.sha256, one.papers, one.passages) == (other.sha256, other.papers, other.passages)
        assert np.abs(one.vectors - other.vectors).max() < 1e-6
        for paper_id in list(one.papers)[::40]:
            assert one.tokens.read(paper_id).ids.tolist() == other.tokens.read(paper_id).ids.tolist()


def test_another_machine_searches_and_answers_the_same(indexed_on_server: Settings, tmp_path: Path) -> None:
    """What is kept beside the server is made anew there, and used again."""
    asks = "Which works make attention sparse?"
    settings = indexed_on_server.model_copy(update={"mode": "extractive"})
    with closing(Assistant(settings)) as first, closing(Assistant(elsewhere(settings, tmp_path))) as second:
        assert second.search(asks, 10).passages == first.search(asks, 10).passages
        assert second.answer(asks).model_dump(exclude={"seconds"}) == first.answer(asks).model_dump(exclude={"seconds"})
        folder, sha256 = second.settings.index_dir, second.index.sha256
    assert LexicalIndex.load(folder / LEXICAL, sha256) is not None
    size = (folder / FILE).stat().st_size
    with closing(Assistant(elsewhere(settings, tmp_path))) as again:
        again.search(asks, 10)
    assert (folder / FILE).stat().st_size == size > 10_000_000


def test_token_vectors_that_are_damaged_are_made_again(here: Settings, embedder: Embedder) -> None:
    ingest(here, EIGHTY[:5], embedder=embedder)
    ids = {p.paper_id: len(p.abstract) for p in EIGHTY[:5]}

    def read() -> list[int]:
        with closing(PaperIndex.read(here)) as index:
            return [len(index.tokens.read(paper_id).ids) for paper_id in ids]

    whole, before = (here.index_dir / FILE).read_bytes(), read()
    assert min(before) > 3
    torn = whole[: len(whole) // 3] + bytes(len(whole) - len(whole) // 3)
    for damaged in (b"damaged " * 1000, b"", torn):
        (here.index_dir / FILE).write_bytes(damaged)
        assert read() == before
    (here.index_dir / FILE).unlink()
    assert read() == before


# Stopped, killed, at once ------------------------------------------------------------------------


def test_a_first_ingest_that_was_stopped_goes_on(here: Settings, embedder: Embedder) -> None:
    breaking = Breaking(embedder)
    with pytest.raises(Breaks):
        ingest(here, EIGHTY, embedder=breaking, scope=["pages/"])  # type: ignore[arg-type]
    with pytest.raises(IndexUnfinished, match=r"is not whole yet.*type `rag --store .* ingest` again") as caught:
        PaperIndex.open(here)
    assert caught.value.scope == "pages/"
    ingest(here, EIGHTY, embedder=breaking, scope=["pages/"])  # type: ignore[arg-type]
    assert len(breaking.seen) == len(set(breaking.seen)) == 80  # nothing is done twice
    ingest(beside(here, "undisturbed"), EIGHTY, embedder=embedder)
    assert contents(here) == contents(beside(here, "undisturbed"))


@pytest.mark.parametrize(("step", "left_out"), [("write_papers", 0), ("_delete_passages", 16)])
def test_who_reads_while_it_changes_takes_what_is_whole(
    step: str, left_out: int, here: Settings, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the third batch: before its papers are written, or between its old passages and the new ones."""
    ingest(here, EIGHTY, embedder=embedder, scope=["pages/"])
    retitled = [p.model_copy(update={"title": f"{p.title}, again"}) for p in EIGHTY]
    done, calls = getattr(Database, step), []

    def stopping(self: Database, *given: object) -> None:
        calls.append(given)
        if len(calls) < 3 or step == "_delete_passages":
            done(self, *given)
        if len(calls) == 3:
            raise Breaks

    with monkeypatch.context() as patch:
        patch.setattr(Database, step, stopping)
        with pytest.raises(Breaks):
            ingest(here, retitled, embedder=embedder, scope=["pages/"])
    with closing(PaperIndex.read(here)) as index:
        assert index.papers == {p.paper_id: p for p in [*retitled[:64], *EIGHTY[64 : 80 - left_out]]}
        assert {passage.paper_id for passage in index.passages} == index.papers.keys()
        assert len(index.vectors) == len(index.passages)
        half = index.sha256
    assert asked(here, "System3").index_sha256 == half
    assert ingest(here, retitled, embedder=embedder, scope=["pages/"]).replaced == 16
    ingest(beside(here, "undisturbed"), retitled, embedder=embedder)
    assert contents(here) == contents(beside(here, "undisturbed"))


def test_a_rebuild_that_was_stopped_loses_nothing_and_is_ended_by_the_next_ingest(
    here: Settings, embedder: Embedder
) -> None:
    long = [paper(f"System{i}", text="Another sentence says more about it. " * 20) for i in range(80)]
    ingest(here, long, embedder=embedder)
    finer = here.model_copy(update={"chunking": Chunking(characters=200)})
    with pytest.raises(Breaks):
        ingest(finer, [], embedder=Breaking(embedder), scope=[], rebuild=True)  # type: ignore[arg-type]
    with closing(PaperIndex.open(finer)) as index:
        assert len(index.papers) == 80
    report = ingest(finer, [], embedder=embedder, scope=[])
    assert (report.replaced, report.total) == (80, 80)
    undisturbed = beside(finer, "undisturbed")
    ingest(undisturbed, long, embedder=embedder)
    assert contents(finer) == contents(undisturbed)


@pytest.mark.parametrize("same_machine", [True, False])
def test_one_that_is_killed_is_taken_over_and_ends_the_same(
    same_machine: bool, here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.txt"
    write_page(page, OLD)
    with closing(Assistant(here)) as first:
        first.ingest([page])
    write_page(page, NEW)
    work = Work([*RAG, *options(here), "ingest", page], {"RAG_DATA_DIR": str(here.data_dir), "RAG_MODE": "extractive"})
    at = work.killed(Moment(2, 0))
    assert (at or "").startswith("Indexing")
    assert asked(here, "System3").citations
    monkeypatch.setattr("rag.store.lock._STALE", 600.0 if same_machine else 1.0)
    again = here if same_machine else elsewhere(here, tmp_path / "other")
    with closing(Assistant(again)) as second:
        second.ingest([page])
    with closing(Assistant(beside(here, "undisturbed"))) as whole:
        whole.ingest([page])
    assert index_contents(here, "Gadget7")[:-1] == index_contents(beside(here, "undisturbed"), "Gadget7")[:-1]


def test_two_machines_that_ingest_at_once_lose_nothing(here: Settings, tmp_path: Path) -> None:
    for name, names in (("a", OLD), ("b", NEW)):
        write_page(tmp_path / f"{name}.txt", names)
    both = [
        subprocess.Popen(
            [*RAG, *options(here), "ingest", str(tmp_path / f"{name}.txt")],
            cwd=ROOT,
            env=os.environ | {"RAG_DATA_DIR": str(tmp_path / name)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in "ab"
    ]
    ended = [(*process.communicate(), process.returncode) for process in both]
    assert [status for *_, status in ended] == [0, 0], ended
    one = beside(here, "one")
    with closing(Assistant(one)) as assistant:
        for name in "ab":
            assistant.ingest([tmp_path / f"{name}.txt"])
    assert index_contents(here, "System3") == index_contents(one, "System3")


def test_a_chat_takes_up_what_another_machine_ingested_and_outlives_the_server(
    settings: Settings, tmp_path: Path
) -> None:
    page = tmp_path / "page.txt"
    write_page(page, OLD)
    port = free_port()
    with chroma_run(tmp_path / "chroma", port) as url:
        here = settings.model_copy(
            update={"data_dir": tmp_path / "client", "store": Store(url=url), "mode": "extractive"}
        )
        with closing(Assistant(here)) as first:
            first.ingest([page])
        desk = Desk(Assistant(here))

        async def answer(name: str) -> Answer:
            events = [event async for event in desk.ask(f"What does {name} sort?", Choice(mode="extractive"))]
            last: Answer = events[-1]
            return last

        assert run_loop(answer("System3")).citations[0].quote in about("System3")
        write_page(page, NEW)
        with closing(Assistant(elsewhere(here, tmp_path / "other"))) as other:
            other.ingest([page])
        new = run_loop(answer("Gadget7"))
        assert new.citations[0].quote in about("Gadget7")
    assert run_loop(answer("Gadget7")).citations == new.citations  # the server has gone
    with chroma_run(tmp_path / "chroma", port):
        assert asked(here, "Gadget7").citations == new.citations


# How it is reached -------------------------------------------------------------------------------

TOKEN, PASSWORD = "tok-8d1f", "pass-77e2"


def by_token(headers: http.client.HTTPMessage) -> bool:
    return headers["Authorization"] == f"Bearer {TOKEN}" and headers["X-Chroma-Token"] == TOKEN


def by_password(headers: http.client.HTTPMessage) -> bool:
    return bool(headers["Authorization"] == f"Basic {base64.b64encode(f'me:{PASSWORD}'.encode()).decode()}")


@pytest.mark.parametrize(
    ("lets_in", "right", "wrong"),
    [
        (by_token, {"token": TOKEN}, {"token": "another"}),
        (by_password, {"user": "me", "password": PASSWORD}, {"user": "me", "password": "another"}),
        (by_token, {"token": TOKEN}, {}),
    ],
)
def test_a_token_or_password_opens_it_and_is_never_told(
    lets_in: Callable[[http.client.HTTPMessage], bool],
    right: dict[str, str],
    wrong: dict[str, str],
    here: Settings,
    embedder: Embedder,
) -> None:
    with guarded(str(here.store.url), lets_in) as url:
        inside, outside = (
            here.model_copy(update={"store": Store(url=url, **given)})
            for given in (right, wrong)  # type: ignore[arg-type]
        )
        ingest(inside, EIGHTY[:3], embedder=embedder)
        assert len(contents(inside)[1]) == 3
        with pytest.raises(StoreUnavailable, match=r"doesn't let us in \(401\): set RAG_STORE__TOKEN") as caught:
            PaperIndex.read(outside)
        for secret in (TOKEN, PASSWORD, "another"):
            assert secret not in str(caught.value) + repr(inside) + repr(outside) + inside.model_dump_json()


def test_a_server_that_is_away_or_is_none_is_one_clear_error(
    run: Run, here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        saying(200, b'"0.5.23"') as old,
        saying(200, b"<html>hello</html>") as page,
        saying(404) as nothing,
        saying(410, b'{"error":"Unimplemented"}') as gone,
        saying(502, b"<html>bad gateway</html>") as broken,
        saying(307, Location="http://127.0.0.1:1/") as moved,
    ):
        for url, said in (
            (f"http://127.0.0.1:{free_port()}", "can't be reached"),
            (old, "no Chroma server of version 1"),
            (page, "no Chroma server of version 1"),
            (nothing, "no Chroma server of version 1"),
            (gone, "no Chroma server of version 1"),
            (broken, "fails (502)"),
            (moved, "fails (307)"),
        ):
            for command in (["ask", "What does System3 sort?"], ["ingest"], ["collections"]):
                told = run("--store", url, *command)
                assert told.status == 1, (url, command)
                assert is_one_error(told), told.err
                assert said in " ".join(told.err.split()), told.err


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://127.0.0.1", "http://", "http://me:secret@host", "http://h:x"])
def test_an_address_that_is_none_is_refused(url: str, run: Run) -> None:
    told = run("--store", url, "papers")
    assert told.status == 2
    assert is_one_error(told)
    assert "'store.url' is not usable" in told.err
    assert "secret" not in told.err


def test_a_page_that_looks_again_and_again_keeps_nothing_open(here: Settings, embedder: Embedder) -> None:
    from chromadb.api.shared_system_client import SharedSystemClient

    ingest(here, EIGHTY[:3], embedder=embedder)

    def held() -> tuple[int, int]:
        gc.collect()
        return len(SharedSystemClient._identifier_to_system), len(psutil.Process().net_connections("tcp"))

    store, before = store_of(here), held()
    for _ in range(5):
        store.stamp()
        PaperIndex.read(here).close()
    assert held() == before


def test_one_way_in_is_enough(run: Run, monkeypatch: pytest.MonkeyPatch, chroma: str) -> None:
    for given in ({"TOKEN": "x", "USER": "me", "PASSWORD": "y"}, {"USER": "me"}, {"PASSWORD": "y"}):
        with monkeypatch.context() as patch:
            for name, value in given.items():
                patch.setenv(f"RAG_STORE__{name}", value)
            told = run("--store", chroma, "papers")
        assert (told.status, is_one_error(told)) == (2, True)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """For 127.0.0.1, of an authority of its own; the certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = datetime.datetime.now(datetime.UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return tmp_path / "cert.pem", tmp_path / "key.pem"


def test_over_tls_the_certificate_is_checked(
    certificate: tuple[Path, Path], here: Settings, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with guarded(str(here.store.url), lambda _: True, context) as url:
        assert url.startswith("https://")
        over = here.model_copy(update={"store": Store(url=url)})
        with pytest.raises(StoreUnavailable, match=r"certificate of the server at .* is not trusted.*SSL_CERT_FILE"):
            PaperIndex.read(over)
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        ingest(over, EIGHTY[:3], embedder=embedder)
        assert len(contents(over)[1]) == 3
        plain = here.model_copy(update={"store": Store(url=url.replace("https", "http"))})
        with pytest.raises(StoreUnavailable, match="can't be reached"):
            PaperIndex.read(plain)


def test_the_commands_are_the_same(run: Run, here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_DATA_DIR", str(here.data_dir))
    write_page(tmp_path / "page.txt", OLD)
    before = options(here)
    missing = run(*before, "ask", "What does System3 sort?")
    assert (missing.status, is_one_error(missing)) == (2, True)
    assert f"There is no collection {here.collection}" in missing.err
    assert run(*before, "ingest", str(tmp_path / "page.txt")).out.startswith("40 papers: 40 added")
    assert run(*before, "ingest", str(tmp_path / "page.txt")).out.startswith("40 papers: 0 added")
    assert about("System3").split(".")[0] in run(*before, "ask", "What does System3 sort?").out
    assert run(*before, "search", "System3 marbles").status == 0
    assert len(run(*before, "papers").out.splitlines()) == 40
    assert "index of 40 papers" in run(*before, "doctor").out
    assert run(*before, "ingest", "--rebuild", str(tmp_path / "page.txt")).out.startswith("40 papers: 0 added, 40 repl")


@pytest.mark.llm
def test_the_real_model_answers_from_it(indexed_on_server: Settings, generating: Assistant) -> None:
    with closing(generating.reopening(lambda *_: None, PaperIndex.read(indexed_on_server))) as there:
        for question in ("What does PDS do?", "What is the capital of France?"):
            answer = there.answer(question).model_dump(exclude={"seconds"})
            assert answer == generating.answer(question).model_dump(exclude={"seconds"})
