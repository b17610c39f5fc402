"""What comes out: passages, quotes and answers, as the types that scripts see in JSON."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict

from rag.papers import Paper, TitleSource
from rag.questions import Kind
from rag.text import readable

RefusalReason = Literal["off_topic", "not_stated", "unsupported", "no_papers"]
WhyChecked = Literal["stated", "contradicted", "not_stated"]

REFUSALS: dict[RefusalReason, str] = {
    "off_topic": "The indexed papers don't say: none of their abstracts is about this "
    "(only abstracts were read, not the full papers).",
    "not_stated": "The indexed papers don't say: the abstracts nearest to the question don't state it "
    "(only abstracts were read, not the full papers).",
    "unsupported": "The indexed papers don't say: no sentence of an answer was backed by an abstract "
    "(only abstracts were read, not the full papers).",
    "no_papers": "The indexed papers don't say: no paper passes the filters.",
}
# How a refusal speaks of one paper.
_OF_ONE = (
    ("The indexed papers don't say", "The one paper that passes the filters doesn't say"),
    ("none of their abstracts is about this", "its abstract isn't about this"),
    ("the abstracts nearest to the question don't state it", "its abstract doesn't state it"),
    ("by an abstract", "by its abstract"),
    ("only abstracts were read, not the full papers", "only the abstract was read, not the full paper"),
)
TITLE_FROM: dict[TitleSource, str] = {
    "page": "from the page",
    "catalogue": "from the list of published titles",
    "derived": "made up from the abstract's first words",
}
SURE = 0.8
"""Calibrated support from which on a sentence is shown without a note."""
_COPIED_RUN = 8


def refusal(reason: RefusalReason, considered: int | None = None) -> str:
    """The one sentence that a refusal shows.

    :param considered: how many papers passed the filters; None where there were none, and all indexed papers speak.
    """
    said = REFUSALS[reason]
    if considered is None or reason == "no_papers":
        return said
    if considered > 1:
        return said.replace("The indexed papers", f"The {considered} papers that pass the filters")
    for all_of_them, one in _OF_ONE:
        said = said.replace(all_of_them, one)
    return said


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, protected_namespaces=())


class Why(_Frozen):
    """Why a passage was found: its ranks among all papers, and the names that it shares with the question."""

    dense_rank: int | None = None
    """By the cosine of its nearest passage."""
    token_rank: int | None = None
    """By late interaction: each token of the question with its most similar one."""
    lexical_rank: int | None = None
    """By shared runs of letters."""
    names: tuple[str, ...] = ()
    record: bool = False
    """Whether its authors, date or category are among those that the question asks for."""


class Passage(_Frozen):
    """A retrieved span: ``text == paper.abstract[start:end]``."""

    paper_id: str
    title: str
    text: str
    start: int
    end: int
    score: float
    why: Why


class Citation(_Frozen):
    """A quote behind an answer: ``quote == paper.abstract[start:end]``. ``n`` numbers papers in order of first use."""

    n: int
    paper_id: str
    title: str
    title_source: TitleSource
    authors: tuple[str, ...]
    authors_complete: bool
    date: str | None
    url: str | None
    quote: str
    start: int
    end: int

    @classmethod
    def of(cls, n: int, paper: Paper, start: int, end: int) -> Citation:
        return cls(
            n=n,
            paper_id=paper.paper_id,
            title=readable(paper.title),
            title_source=paper.title_source,
            authors=paper.authors,
            authors_complete=paper.authors_complete,
            date=paper.date,
            url=paper.url,
            quote=paper.abstract[start:end],
            start=start,
            end=end,
        )


class Sentence(_Frozen):
    """A sentence of an answer, the papers that it cites and how well their quotes support it, in [0, 1].

    ``quotes`` are the positions of its quotes in the answer's list of citations.
    """

    text: str
    citations: tuple[int, ...]
    quotes: tuple[int, ...]
    support: float
    extracted: bool = False
    """Whether it is a sentence of an abstract as it stands there, put in where the draft's own words failed."""

    @property
    def marked(self) -> str:
        """The sentence with its ``[1]`` markers before the full stop."""
        marks = " " + "".join(f"[{n}]" for n in self.citations) if self.citations else ""
        body = self.text.rstrip(".!?")
        return f"{body}{marks}{self.text[len(body) :] or '.'}"


class Dropped(_Frozen):
    """A sentence of the draft that is not shown, because its best quotes support it too little."""

    text: str
    support: float


class Nearest(_Frozen):
    """A paper offered beside a refusal."""

    paper_id: str
    title: str
    url: str | None


class ModelUsed(_Frozen):
    """The model that wrote the answer; ``sha256`` is None for weights of the user's own, which nobody published."""

    name: str
    sha256: str | None
    pinned: bool


class Seconds(_Frozen):
    """Wall-clock time by stage."""

    complete: float | None = None
    """Completing a follow-up from the conversation."""
    retrieve: float = 0.0
    reread: float | None = None
    """The model's second look at the nearest papers, where the search was unsure."""
    first_token: float | None = None
    generate: float = 0.0
    ground: float = 0.0
    total: float = 0.0


class Answer(_Frozen):
    """The result of one question. A refusal is a result too: ``refused``, with a reason and the nearest papers."""

    id: str | int | None = None
    question: str
    understood: str | None = None
    """The question as a follow-up was completed from the conversation; None where it stands alone."""
    kind: Kind | None = None
    """What kind of question it was taken for; None where nothing was written."""
    answer: str
    refused: bool
    refusal_reason: RefusalReason | None
    nearest: tuple[Nearest, ...]
    sentences: tuple[Sentence, ...]
    citations: tuple[Citation, ...]
    passages: tuple[Passage, ...]
    mode: Literal["generated", "extractive"]
    copied: float
    draft: str
    rewritten: str = ""
    """What was written again from the supporting sentences, where a draft failed as a whole."""
    dropped: tuple[Dropped, ...] = ()
    model: ModelUsed | None
    prompt_sha256: str
    index_sha256: str
    settings_sha256: str
    seconds: Seconds

    def note(self, sentence: Sentence) -> str:
        """What a reader should know of one of its sentences: its support is not beyond doubt, its words the abstract's.

        Nothing where that goes without saying, as where all sentences are extracted.
        """
        if sentence.support < SURE:
            return f"support {sentence.support:.0%}"
        return "quoted" if sentence.extracted and self.mode == "generated" else ""


class CheckResult(_Frozen):
    """Whether a paper's abstract, or a text of the user's own, states a claim.

    ``quote == abstract[start:end]``, the sentence that bears on the claim most. ``paper_id`` is None for a text.
    """

    id: str | int | None = None
    claim: str
    support: float
    """In [0, 1], calibrated: of claims with .8, four of five are stated."""
    supported: bool
    threshold: float
    paper_id: str | None
    title: str | None
    quote: str
    start: int
    end: int
    why: WhyChecked
    model: ModelUsed
    prompt_sha256: str
    index_sha256: str
    settings_sha256: str
    seconds: Seconds


class SearchResult(_Frozen):
    """Passages for a question, and how sure retrieval is that something in the index is about it, in [0, 1]."""

    id: str | int | None = None
    question: str
    confidence: float
    passages: tuple[Passage, ...]
    index_sha256: str
    settings_sha256: str
    seconds: Seconds


def copied_share(answer: str, abstracts: list[str]) -> float:
    """The share of an answer's words that lie in runs of eight or more words taken from one of the abstracts."""
    said = _bare_words(answer)
    if not said:
        return 0.0
    runs = set()
    for abstract in abstracts:
        source = _bare_words(abstract)
        runs |= {tuple(source[i : i + _COPIED_RUN]) for i in range(len(source) - _COPIED_RUN + 1)}
    copied: set[int] = set()
    for i in range(len(said) - _COPIED_RUN + 1):
        if tuple(said[i : i + _COPIED_RUN]) in runs:
            copied.update(range(i, i + _COPIED_RUN))
    return len(copied) / len(said)


def _bare_words(text: str) -> list[str]:
    return re.findall(r"\w+", readable(text).casefold())
