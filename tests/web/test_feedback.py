import json
import stat

import pytest

from rag.errors import StorageError
from rag.web.feedback import FILE, keep
from tests.web.invented import an_answer
from tests.web.markup import HOSTILE


def kept(folder):
    return [json.loads(line) for line in (folder / FILE).read_bytes().decode().split("\n")[:-1]]


def test_a_rating_is_kept_with_all_that_made_the_answer(extractive, tmp_path):
    answer = extractive.answer("What does PDS do?")
    keep(tmp_path, answer, "up")
    (line,) = kept(tmp_path)
    assert line["rating"] == "up"
    assert line["question"] == "What does PDS do?"
    assert line["answer"] == answer.answer
    assert line["citations"] == [{"paper_id": c.paper_id, "quote": c.quote} for c in answer.citations] != []
    assert line["model"] is None
    for made in ("prompt_sha256", "index_sha256", "settings_sha256"):
        assert line[made] == getattr(answer, made) != ""
    assert line["time"].endswith("+00:00")


def test_each_rating_is_one_line_and_one_taken_back_says_so(tmp_path):
    for rating in ("up", "down", None):
        keep(tmp_path, an_answer("x", understood="What is x?"), rating)
    assert [line["rating"] for line in kept(tmp_path)] == ["up", "down", None]
    assert {(line["model"], line["understood"]) for line in kept(tmp_path)} == {("x", "What is x?")}


@pytest.mark.parametrize("text", [*HOSTILE, "漢字 Größe", 'a\n{"rating": "up"}\n'])
def test_any_answer_is_one_line_and_is_read_back(text, tmp_path):
    keep(tmp_path, an_answer(text), "down")
    (line,) = kept(tmp_path)
    assert line["question"] == line["answer"] == line["citations"][0]["quote"] == text


def test_only_its_owner_can_read_what_is_kept(tmp_path):
    keep(tmp_path / "new", an_answer("x"), "up")
    assert stat.S_IMODE((tmp_path / "new" / FILE).stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("a file")
    with pytest.raises(StorageError, match=FILE):
        keep(taken, an_answer("x"), "up")
    (tmp_path / FILE).mkdir()
    with pytest.raises(StorageError, match="mend its rights"):
        keep(tmp_path, an_answer("x"), "up")
