"""One question and the papers found for it on their way to sentences with proof, or to a refusal.

Which abstracts answer? What kind of question is it? Write from one abstract at a time, so that no figure changes
sides; match each sentence to quotes and check it; mend what fails; refuse where nothing is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rag import log
from rag.answers import Dropped, RefusalReason
from rag.chat import Message
from rag.checking import Checker
from rag.clock import Limit
from rag.embedding import Embedder
from rag.events import Drafting, Working
from rag.evidence import Evidence, Quote
from rag.generation import tidy
from rag.grounding import Grounded, ground
from rag.llm import LanguageModel
from rag.names import NameTable
from rag.papers import Paper
from rag.prompts import Prompt
from rag.questions import Kind, kind_of, name_of, named
from rag.reading import Outlook, Reader, Text
from rag.settings import Grounding
from rag.text import readable

LISTED = 12
"""How many papers are read to see whether they belong into a list."""
_COMPARED = 4
# From how probable an outlook on a paper counts: to stand in a list, and to tell its side of a comparison that another
# paper answers. Chosen, as min_answers, on cross-validated training questions.
_FITS, _OWN_SIDE = 0.35, 0.05
# No further paper is read after one that answers so probably, or after the nearest ones if they do so improbably.
# Chosen on development questions, of which none gets another paper by it.
_CLEAR, _HOPELESS, _NEAREST = 0.6, 0.02, 3
# Nor is a list's next paper, after so many that answer so improbably.
_FAR, _FAR_IN_A_ROW = 0.05, 4
# A description in other words than the abstract's looks less like a question that it answers.
_UNNAMED = 0.1
# A sentence of an abstract takes the place of one that it is as near to as this.
_NEAR = 0.5
# Questions that one sentence of an abstract rarely answers.
_EXPLAINING = ("what", "how", "described", "compare")
_NOT_SO = "That is not so. According to the abstract,"
_CORRECTION = "The abstract says otherwise: "


@dataclass(frozen=True)
class Tools:
    """What an answer is made with."""

    model: LanguageModel
    embedder: Embedder | None
    reader: Reader
    checker: Checker
    prompts: Mapping[str, Prompt]
    names: NameTable
    grounding: Grounding


@dataclass
class Outcome:
    """What came of a question: checked sentences, or the reason why there are none."""

    kind: Kind | None
    kept: list[Grounded] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    draft: str = ""
    rewritten: str = ""
    """What was written again from the supporting sentences, where a draft failed as a whole."""
    reason: RefusalReason | None = None
    written_at: float | None = None
    """When the first words were there, by the clock of ``time.perf_counter``."""
    checking: float = 0.0
    """Seconds of checking."""


class Answering:
    """One question on its way to an answer."""

    def __init__(
        self,
        question: str,
        papers: Sequence[Paper],
        tools: Tools,
        stopped: Callable[[], bool] = lambda: False,
        limit: Limit | None = None,
    ):
        """:param papers: what retrieval found, best first. :param stopped: once true, no more is written.

        :param limit: once it is over, no further step is begun; by default it never is.
        """
        self._question = question
        self._tools = tools
        self._stopped = stopped
        self._limit = limit or Limit()
        self._outlooks: dict[Paper, Outlook] = {}
        self.consider(papers)

    def consider(self, papers: Sequence[Paper]) -> None:
        """Go on with these papers, best first; what was read of them already isn't read again."""
        self._papers = papers
        self._named = named(self._question, papers, self._tools.names)
        self._kind = kind_of(self._question, len(self._named))
        self.outcome = Outcome(self._kind)

    def is_clear(self) -> bool:
        """Whether the nearest paper answers so clearly that there is no need to search any better."""
        return self._kind not in ("compare", "list") and self._speaks(self._near(1)[0]) >= _CLEAR

    def run(self, count: int) -> Iterator[Working | Drafting]:
        """Work on it; :attr:`outcome` holds what came of it in the end.

        :param count: how many of the papers may answer a question that isn't for a list.
        :raises TimedOut: if it takes longer than the limit allows.
        """
        outcome = self.outcome
        yield Working("Reading the nearest abstracts")
        if self._kind == "list":
            outcome.kept = [self._listed(paper) for paper in self._fitting()]
            outcome.reason = None if outcome.kept else "not_stated"
            return
        chosen = self._compared() if self._kind == "compare" else self._best(count)
        for paper, prompt, sure in chosen:
            yield from self._write_about(paper, prompt, sure)
        if not outcome.kept:
            outcome.reason = "unsupported" if chosen else "not_stated"

    # Choosing ----------------------------------------------------------------------------------

    def _outlook(self, paper: Paper) -> Outlook:
        if paper not in self._outlooks:
            (self._outlooks[paper],) = self._read([Text.of(paper)])
        return self._outlooks[paper]

    def _read(self, texts: Sequence[Text]) -> list[Outlook]:
        self._limit.check()
        with log.stage("read", texts=len(texts)):
            return self._tools.reader.outlooks(self._question, texts)

    def _speaks(self, paper: Paper) -> float:
        """The probability that its abstract answers or corrects."""
        return 1 - self._outlook(paper).silent

    def _near(self, count: int) -> list[Paper]:
        """The papers that may answer: those that are named, then the best found."""
        return list(dict.fromkeys([*self._named, *self._papers[:count]]))[:count]

    def _worth_reading(self, count: int) -> list[Paper]:
        """The papers that may answer, up to one that clearly does; few, if these have nothing to do with it."""
        read: list[Paper] = []
        for paper in self._near(count):
            read.append(paper)
            best = max(map(self._speaks, read))
            if best >= _CLEAR or (best < _HOPELESS and len(read) >= _NEAREST):
                break
        return read

    def _fitting(self) -> list[Paper]:
        """The papers that belong into a list, up to where several in a row have nothing to do with it."""
        fitting, far = [], 0
        for paper in self._papers[:LISTED]:
            answers = self._outlook(paper).answers
            if answers >= _FITS:
                fitting.append(paper)
            far = far + 1 if answers < _FAR else 0
            if far == _FAR_IN_A_ROW:
                break
        return fitting

    def _compared(self) -> list[tuple[Paper, str, bool]]:
        """The papers that a comparison names, if one of them answers; the others tell their side as far as they can."""
        said = [(paper, self._speaks(paper)) for paper in self._named[:_COMPARED]]
        least = self._tools.grounding.min_answers
        if max(speaks for _, speaks in said) < least:
            return []
        return [(paper, "compare", speaks >= least) for paper, speaks in said if speaks >= min(_OWN_SIDE, least)]

    def _best(self, count: int) -> list[tuple[Paper, str, bool]]:
        """The paper that answers the question, or corrects it; none where no abstract does."""
        paper = max(self._worth_reading(count), key=self._speaks)
        outlook, speaks = self._outlook(paper), self._speaks(paper)
        least = self._tools.grounding.min_answers
        if speaks < (least if self._named else min(_UNNAMED, least)):
            return []
        prompt = "correct" if outlook.corrects > outlook.answers else str(self._kind)
        return [(paper, prompt, speaks >= least)]

    # Writing -----------------------------------------------------------------------------------

    def _write_about(self, paper: Paper, prompt: str, sure: bool) -> Iterator[Working | Drafting]:
        """Write from one abstract, check, and mend.

        :param sure: whether the abstract surely answers, so that its own words will do where the model's fail.
        """
        evidence = Evidence([paper], self._tools.embedder)
        name = name_of(paper, self._question, self._tools.names)
        values = {"name": name} if prompt == "compare" else {}
        begin = {"compare": name, "correct": _NOT_SO}.get(prompt, "")
        draft = yield from self._draft(self._filled(prompt, Text.of(paper), **values), begin)
        kept = yield from self._checked(draft, evidence)
        if not kept and not self._stopped():
            telling = self._telling(evidence, correct=prompt == "correct")
            if prompt != "correct":
                text = Text(paper.title, " ".join(quote.text for quote in sorted(telling, key=lambda q: q.start)))
                again = yield from self._draft(self._filled("repair", text), again=True)
                kept = yield from self._checked(again, evidence)
            if not kept and sure:
                best = telling[: 2 if prompt in _EXPLAINING else 1]
                kept = [Grounded.extract(quote) for quote in sorted(best, key=lambda q: q.start)]
        if kept and prompt == "correct":
            kept[0] = replace(kept[0], text=_CORRECTION + kept[0].text)
        self.outcome.kept += kept

    def _filled(self, prompt: str, text: Text, **values: str) -> list[Message]:
        return text.fill(self._tools.prompts[prompt], question=self._question, **values)

    def _draft(
        self, messages: list[Message], begin: str = "", *, again: bool = False
    ) -> Generator[Working | Drafting, None, str]:
        yield Working("Writing again from what is supported" if again else "Writing")
        earlier = self.outcome.rewritten if again else self.outcome.draft
        before = f"{earlier}\n" if earlier else ""
        written = ""
        with log.stage("write", again=again) as noted:
            self._limit.check()
            for piece in self._tools.model.stream(messages, self._limit.or_once(self._stopped), begin=begin):
                self.outcome.written_at = self.outcome.written_at or time.perf_counter()
                written += piece
                noted["characters"] = len(written)
                yield Drafting(before + written)
            self._limit.check()
        if again:
            self.outcome.rewritten = before + written
        else:
            self.outcome.draft = before + written
        return tidy(written.removeprefix(_NOT_SO))

    def _checked(self, draft: str, evidence: Evidence) -> Generator[Working | Drafting, None, list[Grounded]]:
        """The sentences of a draft that are supported, and in the place of others what the abstract says there."""
        yield Working("Checking")
        begun = time.perf_counter()
        least = self._tools.grounding.min_support
        with log.stage("check") as noted:
            grounded = ground(draft, evidence, self._tools.checker)
            kept = [sentence for sentence in grounded if sentence.support >= least]
            noted.update(sentences=len(grounded), supported=len(kept))
        self.outcome.dropped += [Dropped(text=s.text, support=s.support) for s in grounded if s.support < least]
        self.outcome.checking += time.perf_counter() - begun
        return _mended(grounded, kept, evidence) if kept else []

    def _telling(self, evidence: Evidence, correct: bool) -> list[Quote]:
        """The two sentences of an abstract that answer the question best by themselves, or correct it; best first."""
        quotes = evidence.quotes
        read = self._read([Text(quote.paper.title, quote.text) for quote in quotes])
        order = sorted(range(len(quotes)), key=lambda i: (-(read[i].corrects if correct else read[i].answers), i))
        return [quotes[i] for i in order[:2]]

    def _listed(self, paper: Paper) -> Grounded:
        """A paper as it stands in a list: its title, and the sentence that shows why it is there."""
        quote = Evidence([paper], self._tools.embedder).telling(self._question)
        return Grounded(f"{readable(paper.title)}: {readable(quote.text)}", (quote,), 1.0, extracted=True)


def _mended(grounded: Sequence[Grounded], kept: Sequence[Grounded], evidence: Evidence) -> list[Grounded]:
    """The kept sentences, and in the place of the others what the abstract says there, if nothing kept rests on it."""
    quoted = {quote for sentence in kept for quote in sentence.quotes}
    mended = []
    for sentence in grounded:
        if sentence in kept:
            mended.append(sentence)
            continue
        quote, near = evidence.nearest(sentence.text)
        if near >= _NEAR and quote not in quoted:
            quoted.add(quote)
            mended.append(Grounded.extract(quote))
    return mended
