import errno
import io
import json

import pytest

from rag.batch import BadLine, Request, read_requests, run_batch
from rag.errors import ModelUnavailable, StorageError, UsageError
from rag.filters import Filters

QUESTIONS = ["What does LoRA do?", "Was ist “größer”?", "Wie geht's?", "漢字 🙂?"]
REQUESTS = [Request(f"q{i}", question, Filters()) for i, question in enumerate(QUESTIONS)]


class Bench:
    """Runs batches whose work is to shout the question, and remembers what was worked on."""

    def __init__(self, output, make="v1"):
        self.output, self.make, self.worked, self.failing, self.stop_after = output, make, [], set(), None

    def work(self, request):
        if len(self.worked) == self.stop_after:
            raise KeyboardInterrupt
        self.worked.append(request.id)
        if request.id in self.failing:
            raise ModelUnavailable("No model: fetch one.")
        return {"question": request.question, "answer": request.question.upper(), "make": self.make}

    def is_current(self, request, record):
        return record.get("question") == request.question and record.get("make") == self.make

    def run(self, requests=REQUESTS, stream=None, **options):
        return run_batch(requests, self.work, output=self.output, stream=stream, is_current=self.is_current, **options)

    def records(self):
        return [json.loads(line) for line in self.output.read_text(encoding="utf-8").split("\n")[:-1]]


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out.jsonl"


def lines(*objects):
    return [json.dumps(each) for each in objects]


def test_a_line_without_an_id_gets_its_line_number():
    requests = read_requests(lines({"question": "a"}, {"question": "b", "id": "x"}, {"question": "c", "id": None}))
    assert [request.id for request in requests] == [1, "x", 3]


def test_ids_keep_their_type():
    assert [r.id for r in read_requests(lines({"question": "a", "id": "7"}, {"question": "b", "id": 7}))] == ["7", 7]


@pytest.mark.parametrize("second", [{"question": "b", "id": "x"}, {"id": "x"}])
def test_duplicate_ids_are_refused_with_both_lines(second):
    with pytest.raises(UsageError, match=r"Lines 1 and 3 .* 'x'"):
        read_requests(lines({"question": "a", "id": "x"}, {"question": "b"}, second))


def test_an_id_may_not_be_the_number_of_another_line_without_one():
    with pytest.raises(UsageError, match="Lines 1 and 2"):
        read_requests(lines({"question": "a", "id": 2}, {"question": "b"}))


def test_an_empty_batch_has_no_requests():
    assert read_requests([]) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "Line 1 is not JSON"),
        ("{", "Line 1 is not JSON"),
        ("[" * 100_000, "Line 1 is not JSON"),
        ("[]", "Line 1 is not a JSON object"),
        ('"question"', "Line 1 is not a JSON object"),
        ('{"id": 1.5, "question": "a"}', "The id in line 1"),
        ('{"id": true, "question": "a"}', "The id in line 1"),
        ('{"id": ["x"], "question": "a"}', "The id in line 1"),
        ("{}", "Line 1 has no question"),
        ('{"question": 7}', "Line 1 has no question"),
        ('{"question": "a", "filters": []}', '"filters" must be an object'),
        ('{"question": "a", "filters": {"before": "2024"}}', '"filters" must be an object'),
        ('{"question": "a", "filters": {"author": 7}}', "must be strings"),
        ('{"question": "a", "filters": {"paper": 7}}', "must be strings"),
        ('{"question": "a", "filters": {"paper": ["x", 7]}}', "must be strings"),
        ('{"question": "a", "filters": {"until": 2024}}', "must be strings"),
        ('{"question": "a", "filters": {"since": "May"}}', "'May' is not a date"),
        ('{"question": "a", "filters": {"since": "2024", "until": "2023"}}', "since 2024 and until 2023"),
    ],
)
def test_a_bad_line_says_what_is_wrong_and_the_rest_is_read(line, message):
    bad, good = read_requests([line, '{"question": "b"}'])
    assert isinstance(bad, BadLine)
    assert bad.id == 1
    assert message in bad.message
    assert good == Request(2, "b", Filters())


def test_a_bad_line_keeps_an_id_of_its_own():
    assert read_requests(['{"id": "x"}'])[0].id == "x"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, Filters()),
        ({}, Filters()),
        ({"paper": "abcd"}, Filters(("abcd",))),
        ({"paper": ["abcd", "ef01"]}, Filters(("abcd", "ef01"))),
        ({"author": "Chen", "since": "2023-05"}, Filters((), "Chen", "2023-05")),
        ({"since": "2023", "until": "2024-06"}, Filters(since="2023", until="2024-06")),
        ({"author": None, "paper": None, "since": "", "until": ""}, Filters()),
    ],
)
def test_a_line_may_carry_filters(given, expected):
    assert read_requests(lines({"question": "a", "filters": given}))[0].filters == expected


def test_results_come_in_input_order_with_their_ids(output):
    assert Bench(output).run() == 0
    assert [(r["id"], r["answer"]) for r in Bench(output).records()] == [
        (f"q{i}", question.upper()) for i, question in enumerate(QUESTIONS)
    ]


def test_without_an_output_results_go_to_the_stream():
    stream = io.StringIO()
    assert Bench(None).run(stream=stream) == 0
    assert [json.loads(line)["id"] for line in stream.getvalue().splitlines()] == ["q0", "q1", "q2", "q3"]
    assert not stream.closed


def test_a_bad_line_and_a_failure_give_error_lines_and_the_rest_goes_on(output):
    bench = Bench(output)
    bench.failing = {"q1"}
    assert bench.run([REQUESTS[0], BadLine(2, "Line 2 is not JSON."), *REQUESTS[1:]]) == 2
    records = bench.records()
    assert [record["id"] for record in records] == ["q0", 2, "q1", "q2", "q3"]
    assert records[1]["error"] == {"code": "bad_line", "message": "Line 2 is not JSON."}
    assert records[2]["error"] == {"code": "model_unavailable", "message": "No model: fetch one."}
    assert "answer" not in records[2]


def test_a_question_that_is_no_valid_unicode_does_not_stop_the_batch(output):
    requests = read_requests(['{"question": "\\ud800?", "id": "a"}', '{"question": "b", "id": "b"}'])
    Bench(output).run(requests)
    assert [record["id"] for record in Bench(output).records()] == ["a", "b"]


def test_an_empty_batch_gives_an_empty_file(output):
    assert Bench(output).run([]) == 0
    assert output.read_bytes() == b""


def test_the_file_keeps_other_scripts_readable(output):
    Bench(output).run()
    assert "漢字" in output.read_text(encoding="utf-8")


def test_nothing_but_the_output_is_left_behind(output):
    Bench(output).run()
    assert list(output.parent.iterdir()) == [output]


def test_a_finished_batch_is_kept_byte_for_byte(output):
    Bench(output).run()
    before = output.read_bytes()
    again = Bench(output)
    assert again.run() == 0
    assert again.worked == []
    assert output.read_bytes() == before


def test_torn_at_any_byte_it_does_only_the_rest_and_ends_the_same(output):
    Bench(output).run()
    whole = output.read_bytes()
    for size in range(len(whole) + 1):
        output.write_bytes(whole[:size])
        bench = Bench(output)
        bench.run()
        assert output.read_bytes() == whole
        assert bench.worked == ["q0", "q1", "q2", "q3"][whole[:size].count(b"\n") :]


@pytest.mark.parametrize("done", range(len(REQUESTS)))
def test_stopped_after_any_line_it_leaves_whole_lines_and_goes_on(output, done):
    stopped = Bench(output)
    stopped.stop_after = done
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    assert [record["id"] for record in stopped.records()] == [f"q{i}" for i in range(done)]
    resumed = Bench(output)
    resumed.run()
    assert stopped.worked + resumed.worked == ["q0", "q1", "q2", "q3"]
    assert [record["id"] for record in resumed.records()] == ["q0", "q1", "q2", "q3"]


def test_results_of_another_make_are_made_again(output):
    Bench(output, make="v0").run()
    bench = Bench(output)
    bench.run()
    assert bench.worked == ["q0", "q1", "q2", "q3"]
    assert {record["make"] for record in bench.records()} == {"v1"}


def test_a_changed_question_is_asked_again_and_its_neighbours_are_kept(output):
    Bench(output).run()
    changed = [REQUESTS[0], Request("q1", "Why?", Filters()), *REQUESTS[2:]]
    bench = Bench(output)
    bench.run(changed)
    assert bench.worked == ["q1"]
    assert [record["question"] for record in bench.records()] == [request.question for request in changed]


def test_a_reordered_and_shortened_input_reorders_and_drops_results(output):
    Bench(output).run()
    bench = Bench(output)
    bench.run([REQUESTS[3], REQUESTS[1]])
    assert bench.worked == []
    assert [record["id"] for record in bench.records()] == ["q3", "q1"]


def test_errors_are_tried_again(output):
    failing = Bench(output)
    failing.failing = {"q0", "q2"}
    assert failing.run() == 2
    bench = Bench(output)
    bench.is_current = lambda request, record: True
    assert bench.run() == 0
    assert bench.worked == ["q0", "q2"]
    assert [record["id"] for record in bench.records()] == ["q0", "q1", "q2", "q3"]


def test_a_bad_line_stays_an_error_when_started_again(output):
    for _ in range(2):
        assert Bench(output).run([BadLine(1, "Line 1 is not JSON."), *REQUESTS]) == 1
    assert [record["id"] for record in Bench(output).records()] == [1, "q0", "q1", "q2", "q3"]


def test_a_bad_line_is_not_answered_by_an_earlier_result(output):
    Bench(output).run()
    assert Bench(output).run([BadLine("q0", "Line 1 has no question (a string)."), *REQUESTS[1:]]) == 1
    assert "error" in Bench(output).records()[0]


@pytest.mark.parametrize("noise", ["not JSON\n", "[]\n", '{"id": null}\n', '{"id": ["q0"]}\n', "\n", "\xff\n"])
def test_foreign_lines_in_the_output_are_dropped(output, noise):
    Bench(output).run()
    whole = output.read_bytes()
    output.write_bytes(noise.encode("latin-1") + whole)
    bench = Bench(output)
    bench.run()
    assert bench.worked == []
    assert output.read_bytes() == whole


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"])
def test_line_separators_inside_a_result_do_not_tear_it(output, separator):
    requests = [Request("q", f"What{separator}now?", Filters())]
    Bench(output).run(requests)
    again = Bench(output)
    again.run(requests)
    assert again.worked == []


@pytest.mark.parametrize("place", ["", "missing/out.jsonl", "file/out.jsonl"])
def test_an_output_that_cannot_be_written_is_named_before_any_work(tmp_path, place):
    (tmp_path / "file").write_text("")
    bench = Bench(tmp_path / place)
    with pytest.raises(StorageError, match="name another --output"):
        bench.run()
    assert bench.worked == []
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


class Broken(io.StringIO):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def flush(self):
        raise self.error


def test_a_full_disk_is_reported_as_such():
    with pytest.raises(StorageError, match="No space left"):
        Bench(None).run(stream=Broken(OSError(errno.ENOSPC, "No space left on device")))


def test_a_closed_pipe_is_left_to_the_command_line():
    with pytest.raises(BrokenPipeError):
        Bench(None).run(stream=Broken(BrokenPipeError()))


def test_progress_counts_the_lines_and_those_done_before(output):
    stopped = Bench(output)
    stopped.stop_after = 2
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    seen = []
    Bench(output).run(progress=lambda *step: seen.append(step))
    assert {task for task, _, _ in seen} == {"4 lines, 2 of them done before"}
    assert [done for _, done, _ in seen] == [0, 1, 2, 3, 4]
    assert {total for _, _, total in seen} == {4}


def test_results_behind_an_edited_line_outlive_an_interruption(tmp_path):
    output = tmp_path / "out.jsonl"

    def rows(first):
        return read_requests(lines({"question": first}, *({"question": f"q{i}"} for i in range(5))))

    def run(requests, work):
        return run_batch(requests, work, output=output, stream=io.StringIO(), is_current=is_current)

    def is_current(request, record):
        return record["question"] == request.question

    def interrupted(request):
        raise KeyboardInterrupt

    worked = []

    def work(request):
        worked.append(request.question)
        return {"question": request.question}

    run(rows("old"), work)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(rows("new"), interrupted)
    worked.clear()
    run(rows("new"), work)
    assert worked == ["new"]
    assert [json.loads(line)["question"] for line in output.read_text().splitlines()] == [
        "new",
        *(f"q{i}" for i in range(5)),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.jsonl").touch()
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "real.jsonl")
    requests = read_requests(lines({"question": "a"}))
    run_batch(
        requests,
        lambda request: {"question": request.question},
        output=tmp_path / "link.jsonl",
        stream=io.StringIO(),
        is_current=lambda *_: True,
    )
    assert (tmp_path / "link.jsonl").is_symlink()
    assert json.loads((tmp_path / "real.jsonl").read_text())["question"] == "a"
