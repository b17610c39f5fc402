from dataclasses import replace
from pathlib import Path

import pytest

from rag.assistant import Assistant
from rag.errors import RagError, StorageError, UsageError
from rag.index import IngestReport
from rag.papers import Source
from rag.web import uploads
from rag.web.uploads import LABEL, MOST_BYTES, Reading, Shelf, listed, outcome, report
from tests.web.invented import a_paper
from tests.web.markup import HOSTILE, assert_only_text, assert_plain, read, spaced

ZORB = "Zorb is a tool for marbles. It sorts them."
QUUX = "Quux is a kettle. It boils water."
BLIP = "Blip is a lamp. It shines."


def page_at(folder, *abstracts, name="page.txt"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("".join(f"Abstract: {abstract}\n" for abstract in abstracts), encoding="utf-8")
    return path


@pytest.fixture
def assistant(settings, embedder, tmp_path):
    """An assistant whose index is still to be made."""
    made = Assistant(settings.model_copy(update={"data_dir": tmp_path / "data", "mode": "extractive"}))
    made.embedder = embedder
    yield made
    made.close()


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path / "data" / LABEL)


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


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = page_at(tmp_path, ZORB)
    with path.open("r+b") as file:
        file.truncate(MOST_BYTES)
    assert "binary" in uploads.read(path).error  # the hole that it is filled up with
    with path.open("r+b") as file:
        file.truncate(MOST_BYTES + 1)
    assert uploads.read(path) == Reading(path, error="page.txt is larger than 20 MB: type `rag ingest` for it instead.")


# Keeping ---------------------------------------------------------------------------------------


def test_what_is_added_is_kept_indexed_and_found(assistant, shelf, given):
    reading = given(ZORB, QUUX)
    assert shelf.add(assistant, [reading, given("", name="empty.txt")]) == IngestReport(added=2, total=2)
    assert shelf.names() == ["page.txt"]
    assert (shelf.folder / "page.txt").read_bytes() == reading.path.read_bytes()
    assert [path.name for path in shelf.folder.iterdir()] == ["page.txt"]
    assert indexed(assistant) == {ZORB: [f"{LABEL}/page.txt"], QUUX: [f"{LABEL}/page.txt"]}
    assert assistant.search("marbles", 1).passages[0].text.startswith("Zorb")


def test_the_shelf_is_the_same_after_a_restart(assistant, shelf, given):
    shelf.add(assistant, [given(ZORB, name="b.txt"), given(QUUX, name="a.txt")])
    assert Shelf(shelf.folder).names() == ["a.txt", "b.txt"]


def test_a_file_of_the_same_name_takes_the_place_of_the_first(assistant, shelf, given):
    shelf.add(assistant, [given(QUUX, ZORB)])
    assert shelf.add(assistant, [given(QUUX, BLIP)]) == IngestReport(added=1, removed=1, unchanged=1, total=2)
    assert indexed(assistant).keys() == {QUUX, BLIP}
    assert shelf.names() == ["page.txt"]


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


def test_what_a_stopped_copy_left_is_no_file_of_the_shelf(assistant, shelf, given):
    shelf.add(assistant, [given(ZORB)])
    (shelf.folder / ".other.txt.new").write_text("half")
    (shelf.folder / "folder").mkdir()
    assert shelf.names() == ["page.txt"]


def test_where_nothing_could_be_read_nothing_is_indexed(assistant, shelf, given):
    for readings in ([], [given("")]):
        with pytest.raises(UsageError, match="No abstract"):
            shelf.add(assistant, readings)
    assert not assistant.settings.index_dir.exists()  # above all not the shipped pages
    assert shelf.names() == []


def test_two_files_of_one_name_do_not_hide_each_other(assistant, shelf, given):
    with pytest.raises(UsageError, match="same name"):
        shelf.add(assistant, [given(ZORB), given(QUUX)])
    assert shelf.names() == []


def test_a_shelf_that_cannot_be_written_is_one_clear_error(assistant, shelf, given):
    shelf.folder.parent.mkdir()
    shelf.folder.write_text("a file in its place")
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


@pytest.mark.parametrize("name", ["", ".", "..", "a/..", "/"])
def test_what_is_no_name_is_refused_before_anything_is_written(name, assistant, shelf, given):
    good = given(ZORB)
    with pytest.raises(UsageError, match="is not a name for a file"):
        shelf.add(assistant, [good, replace(good, path=Path(name))])
    assert not shelf.folder.exists()


@pytest.mark.parametrize(
    "name", ["../mine.txt", "../added/page.txt", "", ".", "..", "other.txt", "PAGE.TXT", "page.txt/", ".page.txt.new"]
)
def test_only_files_of_the_shelf_can_be_removed(name, assistant, shelf, given):
    shelf.add(assistant, [given(ZORB)])
    mine = page_at(shelf.folder.parent, QUUX, name="mine.txt")
    (shelf.folder / ".page.txt.new").write_text("half")
    with pytest.raises(UsageError, match="There is no added file"):
        shelf.remove(assistant, name)
    assert mine.exists()
    assert shelf.names() == ["page.txt"]
    assert indexed(assistant).keys() == {ZORB}


def test_nothing_can_be_removed_before_anything_was_added(assistant, shelf):
    with pytest.raises(RagError, match="There is no added file"):
        shelf.remove(assistant, "page.txt")


# What is shown ---------------------------------------------------------------------------------


def added(title, i=0, name="a.txt"):
    return a_paper(title, i, sources=(Source(file=f"{LABEL}/{name}", start=0, end=1, record=1),))


BLOCKS = {
    "outcome": lambda text: outcome([Reading(Path("x") / text.replace("/", "|"), (a_paper(text),))], ()),
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
