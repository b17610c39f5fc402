import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rag.answers import Answer
from rag.assistant import Assistant
from rag.desk import Choice, Desk, Job, Line, Made
from rag.errors import Busy, RagError, UsageError
from rag.events import Doing, Drafting, Waiting, Working
from rag.filters import Filters
from rag.retrieval import Found
from tests.loops import run
from tests.says import Says

PDS = "What does PDS do?"


class Gated(Says):
    """Writes only while its gate is open, and notes how many write at once."""

    def __init__(self, draft: str) -> None:
        super().__init__(draft)
        self.gate = threading.Event()
        self.writing = self.most = 0

    def stream(self, *given: Any, **named: Any) -> Iterator[str]:
        self.writing += 1
        self.most = max(self.most, self.writing)
        try:
            for piece in super().stream(*given, **named):
                assert self.gate.wait(30)
                yield piece
        finally:
            self.writing -= 1


@pytest.fixture
def model() -> Gated:
    return Gated("PDS approximates optimal data selection by solving the PMP conditions.")


@pytest.fixture
def desk(extractive: Assistant, model: Gated) -> Desk:
    assistant = Assistant(extractive.settings.model_copy(update={"mode": "auto"}))
    assistant.__dict__["model"] = model
    return Desk(assistant)


async def first(events: Any, kind: type) -> Any:
    async for event in events:
        if isinstance(event, kind):
            return event
    raise AssertionError(f"no {kind.__name__}")


async def written(desk: Desk, model: Gated, stop: threading.Event | None = None) -> Any:
    """The further events of a question whose draft is being written, and goes on once the gate is open."""
    events = desk.ask(PDS, Choice(), stop=stop)
    async for event in events:
        if isinstance(event, Working) and event.stage == "Writing":
            break
    while not model.writing:
        await asyncio.sleep(0.01)
    return events


async def every(events: Any) -> list[Any]:
    return [event async for event in events]


# The line --------------------------------------------------------------------------------------------


def test_who_comes_first_is_served_first() -> None:
    line, order, told = Line(), [], {}
    threads = []
    for who in "abcd":
        threads.append(threading.Thread(target=_stands, args=(line, who, order, told)))
        threads[-1].start()
        _until(lambda who=who: who in told or who in order)
    for who in "abcd":
        _until(lambda who=who: order[-1:] == [who])
        line.leave(who)
    for thread in threads:
        thread.join(5)
    assert order == list("abcd")
    assert told["d"] == [3, 2, 1]


def test_who_goes_frees_the_place() -> None:
    line, order, told = Line(), [], {}
    gone = threading.Event()
    line.wait("a", lambda: False, lambda _: None)
    given_up = threading.Thread(
        target=lambda: order.append(line.wait("b", gone.is_set, told.setdefault("b", []).append))
    )
    given_up.start()
    _until(lambda: told["b"] == [1])
    threading.Thread(target=_stands, args=(line, "c", order, told)).start()
    _until(lambda: told.get("c") == [2])
    gone.set()
    given_up.join(5)
    assert order == [False]
    line.leave("b")
    _until(lambda: told["c"] == [2, 1])
    line.leave("a")
    _until(lambda: order == [False, "c"])


def test_a_full_line_is_busy() -> None:
    line = Line(most=1)
    assert line.wait("a", lambda: False, lambda _: None)
    with pytest.raises(Busy, match="ask again"):
        line.wait("b", lambda: False, lambda _: None)
    line.leave("a")
    assert line.wait("b", lambda: False, lambda _: None)


def test_leaving_without_a_place_is_no_mistake() -> None:
    Line().leave("a")


# The desk --------------------------------------------------------------------------------------------


def test_a_question_gives_its_events_and_its_answer(desk: Desk, model: Gated) -> None:
    model.gate.set()
    events = run(every(desk.ask(PDS, Choice())))
    kinds = [type(event) for event in events]
    assert kinds.index(Found) < kinds.index(Drafting) < kinds.index(Answer) == len(kinds) - 1
    assert not events[-1].refused


def test_others_are_searched_for_at_once_and_written_one_after_the_other(desk: Desk, model: Gated) -> None:
    async def asked() -> list[Any]:
        one = await written(desk, model)
        two, three = desk.ask(PDS, Choice()), desk.ask(PDS, Choice())
        assert [await first(two, Found), await first(two, Waiting)][1] == Waiting(1)
        assert [await first(three, Found), await first(three, Waiting)][1] == Waiting(2)
        model.gate.set()
        rest = await asyncio.gather(every(one), every(two), every(three))
        return [event for events in rest for event in events]

    events = run(asked())
    assert sum(isinstance(event, Answer) for event in events) == 3
    assert model.most == 1


def test_eight_at_once_are_answered_in_the_order_in_which_they_came(desk: Desk, model: Gated) -> None:
    order: list[int] = []

    async def rest(number: int, events: Any) -> None:
        await first(events, Answer)
        order.append(number)

    async def asked() -> None:
        one = await written(desk, model)
        others = [desk.ask(PDS, Choice()) for _ in range(7)]
        for before, other in enumerate(others, start=1):
            assert await first(other, Waiting) == Waiting(before)
        resting = [asyncio.create_task(rest(number, events)) for number, events in enumerate([one, *others])]
        await asyncio.sleep(0)  # all of them listen
        model.gate.set()
        await asyncio.gather(*resting)

    run(asked())
    assert order == list(range(8))
    assert model.most == 1


def test_who_stops_listening_lets_the_next_one_in(desk: Desk, model: Gated) -> None:
    async def asked() -> Any:
        one = await written(desk, model)
        two = desk.ask(PDS, Choice())
        await first(two, Waiting)
        await one.aclose()
        model.gate.set()
        return await first(two, Answer)

    assert not run(asked()).refused


def test_a_stop_is_obeyed_while_the_model_is_busy(desk: Desk, model: Gated) -> None:
    stop = threading.Event()

    async def asked() -> float:
        events = await written(desk, model, stop)
        begun = time.monotonic()
        stop.set()
        assert not [event async for event in events if isinstance(event, Answer)]
        return time.monotonic() - begun

    assert run(asked()) < 1
    model.gate.set()


def test_a_mistake_comes_as_the_error_that_it_is(desk: Desk) -> None:
    with pytest.raises(UsageError, match="empty"):
        run(every(desk.ask("  ", Choice())))
    with pytest.raises(UsageError, match="No indexed paper"):
        run(every(desk.ask(PDS, Choice(Filters(("ffff",))))))


def test_what_nobody_foresaw_is_logged_and_said_in_a_sentence(
    desk: Desk, model: Gated, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(*_: Any, **__: Any) -> Iterator[str]:
        raise ZeroDivisionError("secret path /root/x")

    model.stream = breaks  # type: ignore[method-assign]
    with pytest.raises(RagError) as raised:
        run(every(desk.ask(PDS, Choice())))
    assert "secret" not in str(raised.value)
    assert "ZeroDivisionError" in caplog.text
    model.gate.set()
    del model.stream
    assert run(first(desk.ask(PDS, Choice()), Answer))  # the place is free again


def test_a_full_desk_says_that_it_is_busy(extractive: Assistant, model: Gated) -> None:
    assistant = Assistant(extractive.settings.model_copy(update={"mode": "auto"}))
    assistant.__dict__["model"] = model
    desk = Desk(assistant, Line(most=1))

    async def asked() -> None:
        one = await written(desk, model)
        with pytest.raises(Busy):
            await every(desk.ask(PDS, Choice()))
        await one.aclose()

    run(asked())
    model.gate.set()


def test_questions_that_need_no_model_never_wait(desk: Desk, model: Gated) -> None:
    async def asked() -> Answer:
        one = await written(desk, model)
        answer: Answer = await asyncio.wait_for(first(desk.ask(PDS, Choice(mode="extractive")), Answer), 20)
        await one.aclose()
        return answer

    assert run(asked()).mode == "extractive"
    model.gate.set()


def test_a_choice_changes_what_it_names_and_no_more(desk: Desk) -> None:
    settings = desk.assistant.settings
    assert Choice().settings(settings) == settings
    changed = Choice(model="qwen2.5-coder-0.5b-instruct", mode="extractive", papers=7).settings(settings)
    assert (changed.model, changed.mode, changed.retrieval.papers) == ("qwen2.5-coder-0.5b-instruct", "extractive", 7)
    assert changed.retrieval.candidates == settings.retrieval.candidates


def test_work_with_the_model_waits_for_its_turn(desk: Desk) -> None:
    assert run(desk.with_model(lambda assistant: len(assistant.papers))) == 255


def test_a_change_reports_itself_and_ends_with_what_it_made(desk: Desk) -> None:
    def work(assistant: Assistant) -> str:
        assistant._progress("Indexing", 3, 4)
        return "made"

    before = desk.assistant
    events = run(every(desk.change(work)))
    assert events[0] == Doing("Indexing", 0.75)
    assert events[-1] == Made("made")
    assert desk.assistant is not before
    assert len(desk.assistant.papers) == 255
    assert desk.assistant.__dict__["model"] is before.__dict__["model"]


def test_a_change_that_fails_leaves_what_was_there(desk: Desk) -> None:
    def fails(_: Assistant) -> None:
        raise UsageError("no")

    before = desk.assistant
    with pytest.raises(UsageError):
        run(every(desk.change(fails)))
    assert desk.assistant is before


def test_progress_without_a_total_has_no_share() -> None:
    told: list[Any] = []
    job = Job(told.append)
    job.progress("Loading")
    job.progress("Loading", 5, 4)
    assert told == [Doing("Loading", None), Doing("Loading", 1.0)]


def _stands(line: Line, who: str, order: list[Any], told: dict[str, list[int]]) -> None:
    if line.wait(who, lambda: False, told.setdefault(who, []).append):
        order.append(who)


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)
