"""Several processes at one index: two that change it, and one that answers meanwhile."""

import os
import subprocess
import threading
from contextlib import closing
from pathlib import Path

import pytest

from rag.answers import Answer
from rag.assistant import Assistant
from rag.desk import Choice, Desk
from rag.settings import Settings
from tests.loops import run
from tests.works import NEW, OLD, RAG, about, asked, index_contents, over, write_page

ROOT = Path(__file__).parent.parent


def ingesting(data: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    """``rag ingest`` in a process of its own."""
    return subprocess.Popen(
        [*RAG, "ingest", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"RAG_DATA_DIR": str(data)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("pages", [("a.txt", "b.txt"), ("a.txt", "a.txt")])
def test_two_ingests_at_once_are_as_one_after_the_other(
    pages: tuple[str, str], settings: Settings, tmp_path: Path
) -> None:
    write_page(tmp_path / "a.txt", OLD)
    write_page(tmp_path / "b.txt", NEW)
    both = [ingesting(tmp_path / "data", tmp_path / name) for name in pages]
    ended = [(*process.communicate(), process.returncode) for process in both]
    assert [status for *_, status in ended] == [0, 0], ended
    with closing(Assistant(over(settings, tmp_path / "one"))) as assistant:
        for name in pages:
            assistant.ingest([tmp_path / name])
    at_once, one = (index_contents(over(settings, tmp_path / name), "System3") for name in ("data", "one"))
    assert at_once == one


def test_a_chat_goes_on_answering_while_another_process_changes_the_index(settings: Settings, tmp_path: Path) -> None:
    page, data = tmp_path / "page.txt", tmp_path / "data"
    write_page(page, OLD)
    first = Assistant(over(settings, data))
    first.ingest([page])
    desk = Desk(first)
    first.told()
    write_page(page, NEW)
    done = threading.Event()
    failures: list[str] = []

    def change() -> None:
        try:
            for how in ([], ["--rebuild"]):
                process = ingesting(data, *how, page)
                _, said = process.communicate()
                if process.returncode:
                    failures.append(said)
        finally:
            done.set()

    async def answer(name: str) -> Answer:
        events = [event async for event in desk.ask(f"What does {name} sort?", Choice(mode="extractive"))]
        last: Answer = events[-1]
        return last

    changing = threading.Thread(target=change)
    changing.start()
    hashes = set()
    while not done.is_set():
        # System3 stands in both; one that is asked of another process has nothing in memory.
        for told in (run(answer("System3")), asked(over(settings, data), "System3")):
            assert {citation.quote in about("System3") for citation in told.citations} == {True}, told
            hashes.add(told.index_sha256)
    changing.join()
    assert not failures
    new = run(answer("Gadget7"))
    assert {citation.quote in about("Gadget7") for citation in new.citations} == {True}
    assert desk.assistant.notices == []
    assert len(hashes | {new.index_sha256}) == 2  # that before and that after, and nothing in between
