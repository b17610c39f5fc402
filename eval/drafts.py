"""What the assistant asked its model to write, told from its answer: so that a peer can be asked for the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rag.answers import Answer
from rag.assistant import Assistant
from rag.chat import Message
from rag.papers import Paper
from rag.prompts import Prompt
from rag.questions import name_of, named
from rag.reading import Text

NOT_SO = "That is not so. According to the abstract,"
"""How the assistant lets a correction begin."""
# What is asked where the assistant wrote nothing, as in a list or a refusal.
_UNDRAFTED = "fact"


@dataclass(frozen=True)
class Draft:
    """One draft: the conversation it replied to, how the reply was begun for the model, and what the model added."""

    messages: Sequence[Message]
    begin: str
    text: str


def drafts(answer: Answer, assistant: Assistant) -> list[Draft]:
    """The drafts behind an answer, in order: one, for a comparison one a paper, or none.

    Always with the whole abstract of the paper that the answer cites first; of the nearest one, if nothing was kept.
    What was written again after a failed check is left out.
    """
    if not answer.draft:
        return []
    if answer.kind == "compare":
        sides = list(_sides(answer, assistant))
        if sides:
            return sides
    begin = NOT_SO if answer.draft.startswith(NOT_SO) else ""
    prompt = "correct" if begin else "fact" if answer.kind in (None, "list", "compare") else str(answer.kind)
    paper = _papers(answer, assistant)[0]
    return [Draft(_asked(answer, paper, prompt), begin, answer.draft.removeprefix(begin))]


def asked(answer: Answer, assistant: Assistant) -> Draft:
    """The first draft's prompt; where nothing was drafted, that of a plain question about the nearest paper."""
    made = drafts(answer, assistant)
    return made[0] if made else Draft(_asked(answer, _papers(answer, assistant)[0], _UNDRAFTED), "", "")


def _sides(answer: Answer, assistant: Assistant) -> Iterator[Draft]:
    """A comparison's draft in parts: each begins, on a line of its own, with the name of the paper it is about."""
    question, names = _question(answer), assistant.index.lexical.names
    near = dict.fromkeys([*_papers(answer, assistant), *assistant.papers])
    text, end = f"\n{answer.draft}", 0
    places: list[tuple[int, str, Paper]] = []
    for paper in named(question, list(near), names):
        name = name_of(paper, question, names)
        place = text.find(f"\n{name}", end)
        if place >= 0:
            places.append((place, name, paper))
            end = place + 1 + len(name)
    ends = [place for place, _, _ in places[1:]] + [len(text)]
    for (place, name, paper), until in zip(places, ends, strict=True):
        yield Draft(_asked(answer, paper, "compare", name=name), name, text[place + 1 + len(name) : until])


def _asked(answer: Answer, paper: Paper, prompt: str, **values: str) -> list[Message]:
    return Text.of(paper).fill(Prompt.load(prompt), question=_question(answer), **values)


def _question(answer: Answer) -> str:
    return answer.understood or answer.question


def _papers(answer: Answer, assistant: Assistant) -> list[Paper]:
    """The papers of an answer: those that it cites in their order, then the others that were found, best first."""
    ids = [*(citation.paper_id for citation in answer.citations), *(passage.paper_id for passage in answer.passages)]
    return [assistant.index.papers[id_] for id_ in dict.fromkeys(ids)]
