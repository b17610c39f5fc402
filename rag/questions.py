"""Whether a question can be one, which papers it names, and its kind, which decides how it is answered.

prompts/README.md says how.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal

from rag.errors import UsageError
from rag.names import Match, NameTable, is_name, key
from rag.papers import Paper
from rag.text import STOP_WORDS, readable, words

Kind = Literal["what", "how", "fact", "yes-no", "described", "compare", "list"]

MAX_QUESTION = 4000
"""Characters of a question, or of a claim."""
# A name that is surer than this is meant; a title has at least so many words.
_CERTAIN, _TITLE_WORDS = 0.6, 3
# "What does it do" as a title would be in half of all questions.
_TELLING_WORDS = 2
_OWNERS = 2
_JOINS = re.compile(r"\b(?:and|or|than)\b", re.I)
_WORKS = r"(?:papers|works|studies|articles|publications|surveys|reviews|authors|groups|preprints)"
_THINGS = (
    r"(?:methods|approaches|techniques|models|systems|frameworks|algorithms|datasets|benchmarks|architectures|ways)"
)
_LIST_OF_WORKS = re.compile(
    rf"\b(?:which|what|list|name|show|find|give|any|all|are there|recommend|suggest)\b[^.?!]{{0,60}}\b{_WORKS}\b",
    re.I,
)
_LIST_OF_THINGS = re.compile(rf"^\W*(?:which|what|list|name|show|find|give)\b[^.?!,]{{0,60}}\b{_THINGS}\b", re.I)
_COMPARES = re.compile(
    r"\b(?:compar\w+|versus|vs\.?|differ\w*|as opposed to|in contrast|on the other hand|respectively|in each case|"
    r"in the (?:first|second|one|other)|former|latter|both|agree|disagree|common)\b",
    re.I,
)
_YES_NO = re.compile(r"^\W*(?:is|are|was|were|do|does|did|can|could|has|have|had|will|would|should)\b", re.I)
_HOW = re.compile(
    r"\b(?:why|explain|describe|mechanism|by what (?:means|procedure)|in what way|how(?!\s+(?:many|much|big|large|long|"
    r"fast|often|far|high|few|accurate|small|well|good|old|wide|deep|tall|strong)\b))\b",
    re.I,
)
_WHAT = re.compile(
    r"\bwhat(?:'s| is| are| was)\s+(?:the\s+)?[\w.\-+ ]{1,40}\??$|\bwhat (?:do|does|did)\b[^?]{1,60}\b(?:do|about)\b|"
    r"\b(?:tell me|summari[sz]e|overview|introduce|purpose|idea|gist|about|what is .{1,40} for)\b",
    re.I,
)


def named(question: str, papers: Sequence[Paper], table: NameTable) -> list[Paper]:
    """Those of the papers that a question names, by title or by what they call their own, in its order.

    One for each name: of several that share it, the first of ``papers``.
    """
    asked = f" {_plain(question)} "
    places: dict[Paper, int] = {}
    for paper in papers:
        held = [asked.find(f" {title} ") for title in _titles(paper)]
        if max(held, default=-1) >= 0:
            places[paper] = max(held)
    for match in _meant(question, table):
        owner = next((paper for paper in papers if paper.paper_id in match.papers), None)
        if owner is not None and not any(paper.paper_id in match.papers for paper in places):
            place = asked.find(f" {_plain(match.name)}")
            places[owner] = place if place >= 0 else len(asked)
    return sorted(places, key=lambda paper: places[paper])


def name_of(paper: Paper, question: str, table: NameTable) -> str:
    """What a question calls a paper, as the paper writes it: its name, or else its title."""
    names = [match.name for match in _meant(question, table) if paper.paper_id in match.papers]
    return names[0] if names else readable(paper.title)


def _meant(question: str, table: NameTable) -> list[Match]:
    """The names in a question that papers call their own. What isn't written like a name must stand there exactly.

    What more than two papers call their own is a term of the field, such as the abbreviation of a kind of network.
    """
    return [
        match
        for match in table.find(question)
        if key(match.name) not in table.mentioned
        and len(match.papers) <= _OWNERS
        and not match.name.islower()  # a defined term, such as "language model"
        and match.certainty >= (_CERTAIN if is_name(match.name) else 1.0)
    ]


def _titles(paper: Paper) -> Iterator[str]:
    """A title as a question may hold it: whole, and what stands before its colon; short ones are no titles."""
    title = readable(paper.title)
    for part in (title, title.partition(":")[0]):
        plain = _plain(part)
        said = plain.split()
        if len(said) >= _TITLE_WORDS and len(set(said) - STOP_WORDS) >= _TELLING_WORDS:
            yield plain


def _plain(text: str) -> str:
    return " ".join(words(text.replace("-", " ")))


def kind_of(question: str, named: int) -> Kind:
    """The kind of a question.

    :param named: how many of the indexed papers it names.
    """
    if named > 1 and (_COMPARES.search(question) or _JOINS.search(question)):
        return "compare"
    if _LIST_OF_WORKS.search(question) or (named == 0 and _LIST_OF_THINGS.search(question)):
        return "list"
    if named == 0:
        return "described"
    if _WHAT.search(question):
        return "what"
    if _HOW.search(question):
        return "how"
    return "yes-no" if _YES_NO.search(question) else "fact"


def checked_question(question: str, noun: str = "question") -> str:
    """The question, or what else ``noun`` calls it, with its space made single.

    :raises UsageError: if it is empty, too long, or holds control characters.
    """
    plain = " ".join(question.split())
    if not plain:
        example = 'rag check "PDS selects data"' if noun == "claim" else 'rag ask "What does PDS do?"'
        raise UsageError(f"The {noun} is empty: type one, as in {example}.")
    if len(plain) > MAX_QUESTION:
        raise UsageError(f"The {noun} has {len(plain):,} characters and at most {MAX_QUESTION:,} are read: shorten it.")
    for i, character in enumerate(plain):
        if not character.isprintable() and not "\u200b" <= character <= "\u200f":
            raise UsageError(
                f"The {noun} holds a control character (U+{ord(character):04X} at position {i + 1}): type it without."
            )
    return plain
