"""Sixteen visitors at once: nobody gets another's answer, nobody waits for ever, and nothing is left behind.

`make torture` does the same for longer, and with the real model.
"""

from collections.abc import Iterator

import pytest

from rag.settings import Settings
from tests.faked import SLOWLY
from tests.loops import run
from tests.visitors import Chat, Load, burst, chat, eventually, load

# One of each kind; none leans on the one before.
MIXED = (
    "What does PDS do?",
    "How does MegaScale work?",
    "Which papers are about neural machine translation between many languages?",
    "What does AdaLoRA do?",
    "Which team won the football world championship in Paris?",
    "What does LongVILA do?",
)
HELD = 32
"""So many stand in the line at most."""


@pytest.fixture(scope="module")
def page(indexed: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chat]:
    folder = tmp_path_factory.mktemp("chat")
    with chat(indexed, folder, RAG_LOG__FILE=str(folder / "log")) as page:
        yield page


@pytest.fixture(scope="module")
def loaded(page: Chat) -> Load:
    return run(load(page, MIXED, seconds=20, most=500))


def test_everybody_gets_the_answer_that_the_question_gets_alone(loaded: Load) -> None:
    assert len(set(loaded.alone.values())) == len(MIXED)
    assert "The indexed papers don't say" in loaded.alone[MIXED[4]]
    assert loaded.crossed == []
    assert len(loaded.waits) >= 14  # sixteen clients, and two of their first visitors vanish
    assert loaded.vanished > 0


def test_who_is_too_many_is_told_so_while_the_others_wait(page: Chat, loaded: Load) -> None:
    shown = run(burst(page, f"What does PDS do {SLOWLY}?", MIXED[0], clients=40, held=HELD))
    busy = [html for html in shown if f"{HELD} questions are waiting already: ask again in a minute" in html]
    assert len(busy) == 40 - (HELD - 1)  # the slow question stands there too
    assert [html for html in shown if html not in busy] == [loaded.alone[MIXED[0]]] * (HELD - 1)


def test_nothing_is_left_behind(page: Chat, loaded: Load) -> None:
    eventually(lambda: page.asking() == 0)
    eventually(lambda: len(page.process.net_connections()) <= 2)  # those that are listened at
    assert page.process.num_fds() < 200
    assert "Traceback" not in page.said.read_text()


def test_the_log_knows_each_question_and_no_word_of_it(page: Chat, loaded: Load) -> None:
    text = (page.said.parent / "log").read_text()
    assert text.count('"event": "answer"') >= len(loaded.waits) + len(MIXED)
    assert not any(name in text for name in ("PDS", "MegaScale", "championship"))
