import errno
import gzip
import os
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rag.assistant import Assistant
from rag.errors import IndexUnfinished, RagError, StorageError, UsageError
from rag.index import PaperIndex
from rag.ingest import IngestReport
from rag.papers import Source
from rag.progress import silent
from rag.web import uploads
from rag.web.uploads import LABEL, MOST_BYTES, Reading, Shelf, listed, outcome, report
from tests.web.invented import a_paper
from tests.web.markup import HOSTILE, assert_only_text, assert_plain, read, spaced

ZORB = "Zorb is a tool for marbles. It sorts them."
QUUX = "Quux is a kettle. It boils water."
BLIP = "Blip is a lamp. It shines."
# More than are indexed at once.
FORTY = [f"System{i} is a tool for marbles of kind {i}. It sorts them." for i in range(40)]


class Killed(BaseException):
    """Stands for a process that ends in the midst of its work."""


def page_at(folder, *abstracts, name="page.txt"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("".join(f"Abstract: {abstract}\n" for abstract in abstracts), encoding="utf-8")
    return path


@pytest.fixture
def over(settings, embedder, tmp_path):
    """Makes assistants over an index of their own, as one process after another does."""
    made = []

    def make(progress=silent, folder="data"):
        here = settings.model_copy(update={"data_dir": tmp_path / folder, "mode": "extractive"})
        made.append(Assistant(here, progress))
        made[-1].embedder = embedder
        return made[-1]

    yield make
    for assistant in made:
        assistant.close()


@pytest.fixture
def assistant(over):
    """An assistant whose index is still to be made."""
    return over()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data" / LABEL


@pytest.fixture
def shelf(folder):
    return Shelf(folder)


@pytest.fixture
def given(tmp_path):
    """Puts a page where uploads lie before they are read, each in a folder of its own; reads it."""
    count = 0

    def give(*abstracts, name="page.txt"):
        nonlocal count
        count += 1
        return uploads.read(page_at(tmp_path / f"upload{count}", *abstracts, name=name))

    return give


def indexed(assistant):
    return {paper.abstract: [source.file for source in paper.sources] for paper in assistant.papers}


def files(folder):
    """All that lies there, hidden or not."""
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def until(task, done=0):
    """Progress that ends the process when it is told of this."""

    def progress(told, now=0, total=None):
        if told.startswith(task) and now == done:
            raise Killed

    return progress


# Reading ---------------------------------------------------------------------------------------


def test_a_page_is_read_without_being_kept(given, shelf):
    reading = given(ZORB, QUUX)
    assert reading.name == "page.txt"
    assert reading.error == ""
    assert [paper.abstract for paper in reading.papers] == [ZORB, QUUX]
    assert [source.file for paper in reading.papers for source in paper.sources] == [f"{LABEL}/page.txt"] * 2
    assert shelf.names() == []


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"Abstract: \xff\xfe\xfa", "page.txt is not UTF-8 text (line 1)"),
        (b"\x89PNG\r\n\x00\x00", "page.txt is a binary file"),
        (b"", "page.txt is empty"),
        (b"Dear diary,\nnothing happened.\n", "page.txt holds no abstracts"),
        (None, "can't be opened"),
    ],
    ids=["bytes", "binary", "empty", "prose", "gone"],
)
@pytest.mark.parametrize("through", ["folder", "link"])
def test_what_cannot_be_read_says_why_and_names_no_folder(content, error, through, tmp_path):
    real = tmp_path / "secret-folder"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    if content is not None:
        (real / "page.txt").write_bytes(content)
    reading = uploads.read((real if through == "folder" else tmp_path / "link") / "page.txt")
    assert reading.papers == ()
    assert error in reading.error
    assert str(tmp_path) not in reading.error
    assert "secret" not in reading.error
    assert "out of the folder" not in reading.error  # advice for the command line


@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "device"])
def test_what_is_no_file_is_not_read(kind, tmp_path):
    secret = page_at(tmp_path / "secret-folder", ZORB)
    path = tmp_path / "page.txt"
    match kind:
        case "link":
            path.symlink_to(secret)
        case "folder":
            shutil.copytree(secret.parent, path)
        case "pipe":
            os.mkfifo(path)
        case "device":
            path = Path("/dev/zero")
    reading = uploads.read(path)
    assert reading.papers == ()
    assert reading.error == f"{path.name} is not a file: choose one."


def test_an_export_is_read_and_what_of_it_was_not_is_told(assistant, shelf, tmp_path):
    path = tmp_path / "secret-folder" / "library.jsonl"
    path.parent.mkdir()
    path.write_text(f'{{"abstract": "{ZORB}"}}\n{{\n{{"title": "No abstract"}}\n', encoding="utf-8")
    reading = uploads.read(path)
    assert [paper.abstract for paper in reading.papers] == [ZORB]
    assert reading.left_out == (
        "library.jsonl, line 2: it is not JSON: mend it or take it out.",
        "Left out: 1 entry or file not read; 1 entry without an abstract.",
    )
    told = read(outcome([reading], ())).text
    assert all(line in told for line in reading.left_out)
    assert shelf.add(assistant, [reading]) == IngestReport(added=1, total=1)
    assert indexed(assistant) == {ZORB: [f"{LABEL}/library.jsonl"]}


def test_what_unpacks_to_more_than_a_file_may_have_is_not_read(tmp_path):
    path = tmp_path / "library.jsonl.gz"
    more = [random.Random(i).randbytes(500_000).hex() for i in range(21)]
    path.write_bytes(gzip.compress("".join(f'{{"abstract": "{ZORB}", "more": "{text}"}}\n' for text in more).encode()))
    assert uploads.read(path) == Reading(
        path, error="library.jsonl.gz unpacks to more than 20 MB: type `rag ingest` for it instead."
    )


def test_of_many_titles_the_first_are_shown():
    told = read(outcome([Reading(Path("many.jsonl"), tuple(a_paper(f"Title {i}") for i in range(600)))], ())).text
    assert "Title 499" in told
    assert "Title 500" not in told
    assert told.endswith("and 100 more")


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = page_at(tmp_path, ZORB)
    with path.open("r+b") as file:
        file.truncate(MOST_BYTES)
    assert "binary" in uploads.read(path).error  # the hole that it is filled up with
    with path.open("r+b") as file:
        file.truncate(MOST_BYTES + 1)
    assert uploads.read(path) == Reading(path, error="page.txt is larger than 20 MB: type `rag ingest` for it instead.")


# Keeping ---------------------------------------------------------------------------------------


def test_what_is_added_is_kept_indexed_and_found(assistant, shelf, given, folder):
    reading = given(ZORB, QUUX)
    assert shelf.add(assistant, [reading, given("", name="empty.txt")]) == IngestReport(added=2, total=2)
    assert shelf.names() == ["page.txt"]
    assert (folder / "page.txt").read_bytes() == reading.path.read_bytes()
    assert [path.name for path in folder.iterdir()] == ["page.txt"]
    assert indexed(assistant) == {ZORB: [f"{LABEL}/page.txt"], QUUX: [f"{LABEL}/page.txt"]}
    assert assistant.search("marbles", 1).passages[0].text.startswith("Zorb")


def test_the_shelf_is_the_same_after_a_restart(assistant, shelf, given, folder):
    shelf.add(assistant, [given(ZORB, name="b.txt"), given(QUUX, name="a.txt")])
    assert Shelf.of(assistant.settings).names() == Shelf(folder).names() == ["a.txt", "b.txt"]


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("page.txt", "page (1).txt", "page (2).txt"),
        ("page", "page (1)", "page (2)"),
        ("a.tar.gz", "a.tar (1).gz", "a.tar (2).gz"),
        (".hidden", "hidden (1)", "hidden (2)"),
        ("page (1).txt", "page (1) (1).txt", "page (1) (2).txt"),
    ],
)
def test_a_file_whose_name_is_taken_gets_a_number(name, first, second, assistant, shelf, given):
    for abstract in (ZORB, QUUX, BLIP):
        assert shelf.add(assistant, [given(abstract, name=name)]).added == 1
    plain = name.lstrip(".")
    assert shelf.names() == sorted([plain, first, second])
    assert indexed(assistant) == {
        ZORB: [f"{LABEL}/{plain}"],
        QUUX: [f"{LABEL}/{first}"],
        BLIP: [f"{LABEL}/{second}"],
    }


def test_the_same_file_under_the_same_name_is_the_same_file(assistant, shelf, given):
    shelf.add(assistant, [given(ZORB), given(QUUX)])
    for abstract in (ZORB, QUUX):  # the second one's name has a number by now
        assert shelf.add(assistant, [given(abstract)]) == IngestReport(unchanged=2, total=2)
    assert shelf.names() == ["page (1).txt", "page.txt"]


def test_two_files_of_one_name_are_both_kept(assistant, shelf, given, folder):
    assert shelf.add(assistant, [given(ZORB), given(QUUX), given(ZORB)]) == IngestReport(added=2, total=2)
    assert indexed(assistant) == {ZORB: [f"{LABEL}/page.txt"], QUUX: [f"{LABEL}/page (1).txt"]}
    assert {name: content.decode() for name, content in files(folder).items()} == {
        "page.txt": f"Abstract: {ZORB}\n",
        "page (1).txt": f"Abstract: {QUUX}\n",
    }


def test_a_name_is_free_again_once_its_file_is_removed(assistant, shelf, given):
    shelf.add(assistant, [given(ZORB), given(QUUX)])
    shelf.remove(assistant, "page.txt")
    shelf.add(assistant, [given(BLIP)])
    assert shelf.names() == ["page (1).txt", "page.txt"]
    assert indexed(assistant) == {QUUX: [f"{LABEL}/page (1).txt"], BLIP: [f"{LABEL}/page.txt"]}


def test_other_files_stay_when_one_is_added_or_removed(assistant, shelf, given):
    shelf.add(assistant, [given(ZORB, name="a.txt")])
    shelf.add(assistant, [given(QUUX, name="b.txt")])
    assert shelf.names() == ["a.txt", "b.txt"]
    assert shelf.remove(assistant, "a.txt") == IngestReport(removed=1, unchanged=1, total=1)
    assert shelf.names() == ["b.txt"]
    assert indexed(assistant) == {QUUX: [f"{LABEL}/b.txt"]}


def test_papers_that_also_stand_elsewhere_stay(assistant, shelf, given, tmp_path):
    assistant.ingest([page_at(tmp_path / "mine", ZORB)], label="mine")
    shelf.add(assistant, [given(ZORB, QUUX, name="a.txt"), given(QUUX, BLIP, name="b.txt")])
    assert indexed(assistant)[ZORB] == [f"{LABEL}/a.txt", "mine/page.txt"]
    shelf.remove(assistant, "a.txt")
    assert indexed(assistant) == {
        ZORB: ["mine/page.txt"],
        QUUX: [f"{LABEL}/b.txt"],
        BLIP: [f"{LABEL}/b.txt"],
    }


def test_the_last_file_can_be_removed(assistant, shelf, given):
    shelf.add(assistant, [given(ZORB)])
    assert shelf.remove(assistant, "page.txt") == IngestReport(removed=1, total=0)
    assert shelf.names() == assistant.papers == assistant.told() == []
    assert assistant.answer("What does Zorb do?").refused


def test_what_a_stopped_copy_left_is_no_file_of_the_shelf(assistant, shelf, given, folder):
    shelf.add(assistant, [given(ZORB)])
    (folder / ".other.txt.new").write_text("half")
    (folder / "folder").mkdir()
    assert shelf.names() == ["page.txt"]


def test_where_nothing_could_be_read_nothing_is_indexed(assistant, shelf, given):
    for readings in ([], [given("")]):
        with pytest.raises(UsageError, match="No abstract"):
            shelf.add(assistant, readings)
    assert not assistant.settings.index_dir.exists()  # above all not the shipped pages
    assert shelf.names() == []


def test_a_shelf_that_cannot_be_written_is_one_clear_error(assistant, shelf, given, folder):
    folder.parent.mkdir()
    folder.write_text("a file in its place")
    with pytest.raises(StorageError, match="can't be kept"):
        shelf.add(assistant, [given(ZORB)])


# Names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (".hidden", "hidden"),
        ("...x.txt", "x.txt"),
        ("a b 漢字.txt", "a b 漢字.txt"),
        ("<img src=x onerror=alert(1)>.txt", "<img src=x onerror=alert(1)>.txt"),
        ("-rf.txt", "-rf.txt"),
        ("~root", "~root"),
        ("$(id);`id`.txt", "$(id);`id`.txt"),
        ("x" * 200 + ".txt", "x" * 116 + ".txt"),
        ("x" * 100 + "." * 117 + "txt", "txt"),
    ],
)
def test_a_file_of_any_name_stays_on_the_shelf_and_can_be_removed(name, kept, assistant, shelf, given):
    shelf.add(assistant, [given(ZORB, name=name)])
    assert shelf.names() == [kept]
    assert indexed(assistant) == {ZORB: [f"{LABEL}/{kept}"]}
    (remove,) = read(listed(shelf.names(), assistant.papers)).pressed("remove")
    shelf.remove(assistant, remove.data["name"])
    assert shelf.names() == assistant.papers == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/..",
        "/",
        "a\0b.txt",
        "titles.json",
        ".titles.json",
        "...titles.json",
        "." * 200 + "titles.json",
    ],
)
def test_what_is_no_name_for_a_page_is_refused_and_nothing_is_kept(name, assistant, shelf, given, folder):
    good = given(ZORB)
    with pytest.raises(UsageError, match="is not a name for a page"):
        shelf.add(assistant, [good, replace(good, path=Path(name))])
    assert files(folder) == {}
    assert not assistant.settings.index_dir.exists()


@pytest.mark.parametrize("name", ["titles.json", ".titles.json", "..titles.json"])
def test_titles_for_the_papers_of_others_are_not_read(name, given):
    reading = given(ZORB, name=name)
    assert reading.papers == ()
    assert "is not a name for a page" in reading.error


@pytest.mark.parametrize("name", ["Xtitles.json", "titles.json.txt", "titles (1).json"])
def test_a_name_that_is_like_that_of_the_titles_is_one_like_any_other(name, assistant, shelf, tmp_path):
    (tmp_path / name).write_text(f'{{"abstract": "{ZORB}"}}')
    shelf.add(assistant, [uploads.read(tmp_path / name)])
    assert shelf.names() == [name]


@pytest.mark.parametrize(
    "name", ["../mine.txt", "../added/page.txt", "", ".", "..", "other.txt", "PAGE.TXT", "page.txt/", ".page.txt.new"]
)
def test_only_files_of_the_shelf_can_be_removed(name, assistant, shelf, given, folder):
    shelf.add(assistant, [given(ZORB)])
    mine = page_at(folder.parent, QUUX, name="mine.txt")
    (folder / ".page.txt.new").write_text("half")
    with pytest.raises(UsageError, match="There is no added file"):
        shelf.remove(assistant, name)
    assert mine.exists()
    assert shelf.names() == ["page.txt"]
    assert indexed(assistant).keys() == {ZORB}


def test_nothing_can_be_removed_before_anything_was_added(assistant, shelf):
    with pytest.raises(RagError, match="There is no added file"):
        shelf.remove(assistant, "page.txt")


# When something goes wrong ------------------------------------------------------------------------

MOMENTS = [("Reading", 0), ("Indexing 2", 0), ("Indexing 2", 2), ("Indexing words", 0)]


@pytest.mark.parametrize("moment", MOMENTS)
def test_when_a_file_cannot_be_indexed_it_is_not_kept_and_what_was_there_stays(moment, over, shelf, given, folder):
    first = over()
    shelf.add(first, [given(ZORB)])
    before = first.index.sha256, indexed(first), files(folder)
    first.close()
    with pytest.raises(Killed):
        shelf.add(over(until(*moment)), [given(ZORB), given(QUUX), given(BLIP, name="b.txt")])
    assert files(folder) == before[2]
    again = over()
    shelf.mend(again)
    assert (again.index.sha256, indexed(again), files(folder)) == before


def test_a_page_that_cannot_be_read_any_more_is_not_kept(assistant, shelf, given, folder):
    shelf.add(assistant, [given(ZORB)])
    before = assistant.index.sha256
    bad = given(QUUX)
    bad.path.write_bytes(b"\x00binary")
    with pytest.raises(RagError, match="binary"):
        shelf.add(assistant, [given(BLIP), bad])
    assert shelf.names() == ["page.txt"]
    assert indexed(assistant).keys() == {ZORB}
    assert assistant.index.sha256 == before


def test_a_full_disk_leaves_what_was_there(assistant, shelf, given, folder, monkeypatch):
    shelf.add(assistant, [given(ZORB)])
    before = files(folder)
    whole = shutil.copyfile

    def full(source, target):
        if "b.txt" not in target.name:
            return whole(source, target)
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(StorageError, match=r"can't be kept \(No space left on device\)"):
        shelf.add(assistant, [given(QUUX), given(BLIP, name="b.txt")])
    assert files(folder) == before
    assert indexed(assistant).keys() == {ZORB}


def test_what_an_add_that_failed_left_does_not_stay_when_another_is_made(over, shelf, given):
    """As in a page that goes on being served after it."""
    first = over()
    shelf.add(first, [given(ZORB)])
    first.close()
    with pytest.raises(Killed):
        shelf.add(over(until("Indexing 40", 32)), [given(*FORTY, name="b.txt")])
    again = over()
    shelf.add(again, [given(QUUX, name="c.txt")])
    assert indexed(again) == {ZORB: [f"{LABEL}/page.txt"], QUUX: [f"{LABEL}/c.txt"]}


# After a process was killed ------------------------------------------------------------------------


@pytest.fixture
def killed(monkeypatch):
    """Runs what ends in the midst of its work; a process that is killed clears nothing away."""

    def run(work, *given):
        with monkeypatch.context() as patch:
            patch.setattr(Shelf, "_drop", lambda *_: None)
            with pytest.raises(Killed):
                work(*given)

    return run


@pytest.fixture
def undisturbed(over, tmp_path):
    """The index, by hash and content, after these were added one after another."""

    def make(*steps):
        assistant = over(folder="undisturbed")
        for readings in steps:
            Shelf.of(assistant.settings).add(assistant, readings)
        return assistant.index.sha256, indexed(assistant)

    return make


@pytest.mark.parametrize("moment", MOMENTS[1:])
def test_an_add_that_was_cut_off_is_finished(moment, over, shelf, given, killed, undisturbed):
    before, added = [given(ZORB)], [given(ZORB, QUUX, name="b.txt"), given(BLIP)]
    first = over()
    shelf.add(first, before)
    first.close()
    # Zorb is changed too: it stands in another file now.
    killed(shelf.add, over(until(moment[0].replace("2", "3"), 3 if moment[1] else 0)), added)
    again = over()
    assert indexed(again).keys() == {ZORB}
    shelf.mend(again)
    assert (again.index.sha256, indexed(again)) == undisturbed(before, added)
    assert shelf.names() == ["b.txt", "page (1).txt", "page.txt"]
    assert again.search("boils water", 1).passages[0].text.startswith("Quux")
    assert again.notices == []


@pytest.mark.parametrize("name", ["page.txt", "two\u2028lines\x85.txt"])
def test_an_add_that_was_cut_off_between_two_parts_is_finished(name, over, shelf, given, killed, undisturbed):
    added = [given(*FORTY, name=name)]
    killed(shelf.add, over(until("Indexing 40", 32)), added)
    again = over()
    with pytest.raises(IndexUnfinished) as caught:
        PaperIndex.open(again.settings)
    assert caught.value.scope == f"{LABEL}/{name}"
    shelf.mend(again)
    assert (again.index.sha256, indexed(again)) == undisturbed(added)
    assert len(again.papers) == 40


@pytest.mark.parametrize("moment", [("Indexing 1", 0), ("Indexing 1", 1), ("Indexing words", 0)])
def test_a_removal_that_was_cut_off_leaves_the_file_and_its_papers(moment, over, shelf, given, killed):
    first = over()
    shelf.add(first, [given(ZORB, QUUX, name="a.txt"), given(ZORB, BLIP, name="b.txt")])
    before = first.index.sha256, indexed(first)
    first.close()
    killed(shelf.remove, over(until(*moment)), "a.txt")
    again = over()
    shelf.mend(again)
    assert (again.index.sha256, indexed(again)) == before
    assert shelf.names() == ["a.txt", "b.txt"]
    shelf.remove(again, "a.txt")  # as was wanted
    assert indexed(again) == {ZORB: [f"{LABEL}/b.txt"], BLIP: [f"{LABEL}/b.txt"]}


def test_what_was_added_from_files_that_are_gone_by_now_is_dropped(over, shelf, given, killed, undisturbed, folder):
    before, kept = [given(ZORB)], [given(QUUX, name="b.txt")]
    first = over()
    shelf.add(first, before)
    first.close()
    killed(shelf.add, over(until("Indexing words")), [*kept, given(BLIP, name="c.txt")])
    (folder / "c.txt").unlink()
    again = over()
    shelf.mend(again)
    assert (again.index.sha256, indexed(again)) == undisturbed(before, kept)


_KILLED = """
import os, sys
from pathlib import Path
from rag.assistant import Assistant
from rag.settings import load_settings
from rag.web import uploads

def progress(task, done=0, total=None):
    if task == "Indexing 1 papers" and done:
        os.kill(os.getpid(), 9)

settings = load_settings(data_dir=Path(sys.argv[1]), mode="extractive")
uploads.Shelf.of(settings).add(Assistant(settings, progress), [uploads.read(Path(sys.argv[2]))])
"""


def test_an_add_in_a_process_that_was_really_killed_is_finished(over, shelf, given, undisturbed, tmp_path):
    before, added = [given(ZORB)], [given(QUUX, name="b.txt")]
    first = over()
    shelf.add(first, before)
    first.close()
    ended = subprocess.run([sys.executable, "-c", _KILLED, tmp_path / "data", added[0].path], check=False)
    assert ended.returncode == -9
    again = over()
    shelf.mend(again)
    assert (again.index.sha256, indexed(again)) == undisturbed(before, added)


def test_an_ingest_of_others_that_was_cut_off_is_left_to_them(over, shelf, given, tmp_path):
    first = over()
    shelf.add(first, [given(ZORB)])
    first.close()
    with pytest.raises(Killed):
        over(until("Indexing 1", 1)).ingest([page_at(tmp_path / "mine", QUUX)], label="mine")
    told = []
    again = over(lambda *progress: told.append(progress))
    shelf.mend(again)
    assert told == []
    assert indexed(again).keys() == {ZORB}
    again.ingest([tmp_path / "mine" / "page.txt"], label="mine")
    assert indexed(again).keys() == {ZORB, QUUX}


def test_files_of_which_nothing_is_indexed_are_indexed_at_the_next_start(over, shelf, given, folder):
    """Killed before it was begun, or the index was damaged and made anew."""
    first = over()
    shelf.add(first, [given(ZORB)])
    before = indexed(first)
    page_at(folder, QUUX, name="b.txt")
    shelf.mend(first)
    assert indexed(first) == {ZORB: [f"{LABEL}/page.txt"], QUUX: [f"{LABEL}/b.txt"]}
    shelf.remove(first, "b.txt")
    (first.settings.index_dir / "chroma.sqlite3").write_bytes(b"damaged" * 1000)
    again = over()
    again.ingest([page_at(folder.parent / "mine", BLIP)], label="mine", rebuild=True)
    assert indexed(again).keys() == {BLIP}
    shelf.mend(again)
    assert indexed(again) == before | {BLIP: ["mine/page.txt"]}


def test_an_index_that_is_whole_is_left_as_it_is(over, shelf, given, tmp_path):
    first = over()
    first.ingest([page_at(tmp_path / "mine", QUUX)], label="mine")
    shelf.add(first, [given(ZORB)])
    before = first.index.sha256, indexed(first)
    first.close()
    told = []
    again = over(lambda *progress: told.append(progress))
    shelf.mend(again)
    assert told == []
    assert (again.index.sha256, indexed(again)) == before


@pytest.mark.parametrize("content", [None, b"not a database" * 100], ids=["none", "damaged"])
def test_where_there_is_no_index_to_mend_none_is_made(content, assistant, shelf):
    database = assistant.settings.index_dir / "chroma.sqlite3"
    if content:
        database.parent.mkdir(parents=True)
        database.write_bytes(content)
    shelf.mend(assistant)
    assert database.exists() == bool(content)
    assert not content or database.read_bytes() == content


# What is shown ---------------------------------------------------------------------------------


def added(title, i=0, name="a.txt"):
    return a_paper(title, i, sources=(Source(file=f"{LABEL}/{name}", start=0, end=1, record=1),))


BLOCKS = {
    "outcome": lambda text: outcome([Reading(Path("x") / text.replace("/", "|"), (a_paper(text),))], ()),
    "left out": lambda text: outcome([Reading(Path("x"), (a_paper(text),), left_out=(text, text))], ()),
    "unread": lambda text: outcome([Reading(Path("x") / text.replace("/", "|"), error=text)], ()),
    "listed": lambda text: listed([text], [added(text, name=text)]),
}


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("text", HOSTILE)
def test_no_name_or_title_adds_a_tag_or_an_attribute(block, text):
    assert_only_text(BLOCKS[block], text)
    assert_plain(BLOCKS[block], text)


def test_what_was_read_is_told_file_by_file():
    readings = [
        Reading(Path("one.txt"), (a_paper("Zorb"),)),
        Reading(Path("two.txt"), (a_paper("Zorb"), a_paper(r"{\sc Ofa} wins", 1), a_paper("Blip", 2))),
        Reading(Path("bad.txt"), error="bad.txt is empty."),
    ]
    reader = read(outcome(readings, {f"{0:016x}", f"{2:016x}"}))
    assert [item.text for item in reader.elements if set(item.classes) & {"pt-read", "pt-unread"}] == [
        "one.txt: 1 paper, 1 of them indexed beforeTitlesZorb",
        "two.txt: 3 papers, 2 of them indexed beforeTitlesZorbOfa winsBlip",
        "bad.txt was not read. bad.txt is empty.",
    ]
    assert "indexed before" not in read(outcome(readings, ())).text


def test_added_files_are_listed_with_their_papers_to_open_and_remove():
    papers = [added("Zorb"), added("Quux", 1), added("Blip", 2, "b.txt"), a_paper("Elsewhere", 3)]
    reader = read(listed(["a.txt", "b.txt", "gone.txt"], papers))
    assert spaced(reader.text) == spaced(
        "a.txt: 2 papers RemoveTitlesZorbQuuxb.txt: 1 paper RemoveTitlesBlipgone.txt: 0 papers RemoveTitles"
    )
    assert [button.data for button in reader.pressed("remove")] == [
        {"name": "a.txt"},
        {"name": "b.txt"},
        {"name": "gone.txt"},
    ]
    assert reader.pressed("remove")[0].attributes["aria-label"] == "Remove a.txt"
    assert [button.data["paper"] for button in reader.pressed("open")] == [f"{i:016x}" for i in range(3)]


def test_an_empty_shelf_says_so():
    assert read(listed([], [a_paper("Zorb")])).text == "Nothing has been added yet."


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (IngestReport(total=255), "Nothing changed: 255 papers indexed now."),
        (IngestReport(added=2, total=257), "2 added: 257 papers indexed now."),
        (
            IngestReport(added=1, replaced=2, removed=3, unchanged=4, total=7),
            "1 added, 2 renewed, 3 removed, 4 unchanged: 7 papers indexed now.",
        ),
    ],
)
def test_a_change_says_what_it_did(made, said):
    (done,) = read(report(made)).of(".pt-done")
    assert done.text == done.data["status"] == said
