"""Asks the questions that were written last: ``python -m eval.fresh [COUNT]``, ten to thirty seconds each.

Their author knew neither code nor training set, and wrote down key facts but no evidence: that is why they are not
among the gold. In the order of a seeded shuffle, so that the first COUNT are a fair sample.
"""

from __future__ import annotations

import random
import sys

from rag.assistant import Assistant
from rag.settings import load_settings

from .data import HERE, load_questions, seed_papers
from .intervals import Share, ratio
from .metrics import facts_said
from .report import shown
from .systems import of_answer


def main() -> None:
    """Ask, and print what became of each and of all."""
    questions = load_questions(HERE / "fresh.jsonl")
    random.Random(5).shuffle(questions)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else len(questions)
    assistant, papers = Assistant(load_settings(mode="generated")), seed_papers()
    shares: dict[str, dict[str, Share]] = {"correct": {}, "false refusals": {}, "right refusals": {}}
    for question in questions[:count]:
        record = of_answer(question.id, assistant.answer(question.question), assistant)
        if question.papers:
            right = not record.refused and all(facts_said(record, question, papers))
            shares["correct"][question.id] = (float(right), 1.0)
            shares["false refusals"][question.id] = (float(record.refused), 1.0)
        else:
            right = record.refused
            shares["right refusals"][question.id] = (float(right), 1.0)
        print(
            "right" if right else "WRONG", question.kind, question.question, "->", record.answer, sep="  ", flush=True
        )
    for name, part in shares.items():
        print(name, shown(ratio(part)))


if __name__ == "__main__":
    main()
