"""What programs can call, through the page's API or as tools of the Model Context Protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rag.answers import Answer
from rag.assistant import Assistant
from rag.desk import Choice, Desk
from rag.filters import Filters
from rag.web import table


class Tools:
    """Each method is an endpoint of its name; its docstring is what an agent reads. What comes back is JSON."""

    def __init__(self, desk: Desk):
        self._desk = desk

    async def ask(
        self,
        question: str,
        papers: list[str] | None = None,
        author: str = "",
        since: str = "",
        until: str = "",
    ) -> dict[str, Any]:
        """Answer a question from the abstracts of the indexed research papers, every sentence backed by exact quotes.

        Takes 5 to 30 seconds. "refused" is true where the indexed papers don't say; then "nearest" names the closest
        ones. Otherwise "answer" is the text with [1] markers, and "citations" has title, URL and quote of each number.

        Args:
            question: The question, in any language; the answer is in English.
            papers: Only these papers may answer: ids, or the first digits of ids. All, if left out.
            author: Only papers of this author may answer, as in "Zhendong Wang".
            since: Only papers from this date on: 2023, 2023-05 or 2023-05-17.
            until: Only papers up to this date.
        """
        choice = Choice(Filters(tuple(papers or ()), author or None, since or None, until or None))
        async for event in self._desk.ask(question, choice):
            if isinstance(event, Answer):
                return event.model_dump(mode="json")
        raise AssertionError("ask ends with an answer")

    def search(
        self, question: str, count: int = 10, author: str = "", since: str = "", until: str = ""
    ) -> dict[str, Any]:
        """Find the passages of the indexed papers' abstracts that are nearest to a question, in well under a second.

        "confidence" in [0, 1] is how surely something indexed is about the question; each of "passages" has its
        paper's id and title, the text, where it stands in the abstract, and why it was found.

        Args:
            question: What to search for, in words or as a question.
            count: Passages of how many papers, 1 to 50.
            author: Only papers of this author.
            since: Only papers from this date on: 2023, 2023-05 or 2023-05-17.
            until: Only papers up to this date.
        """
        filters = Filters((), author or None, since or None, until or None)
        count = max(1, min(50, count))
        return self._desk.assistant.search(question, count, filters, closely=False).model_dump(mode="json")

    async def check(self, claim: str, paper: str = "", text: str = "") -> dict[str, Any]:
        """Check whether an indexed abstract, or a text that you give, states a claim. Takes 1 to 10 seconds.

        "supported" says whether it does, "support" in [0, 1] how surely, "why" is one of stated, contradicted and
        not_stated, and "quote" is the sentence that bears on the claim most.

        Args:
            claim: One statement, such as "PDS selects data by optimal control".
            paper: The id of the paper to check it against; all indexed papers, if left out.
            text: A text to check it against instead of an indexed paper.
        """

        def checked(assistant: Assistant) -> dict[str, Any]:
            made = assistant.check_text(claim, text) if text else assistant.check(claim, filters)
            return made.model_dump(mode="json")

        filters = Filters((paper,) if paper else ())
        return await self._desk.with_model(checked)

    def papers(
        self, words: str = "", author: str = "", since: str = "", until: str = "", count: int = 20
    ) -> list[dict[str, Any]]:
        """List the indexed papers by title, with authors, date, category, links and whole abstract.

        Args:
            words: Only papers that hold all of these words in title, authors, category, date or abstract.
            author: Only papers of this author.
            since: Only papers from this date on: 2023, 2023-05 or 2023-05-17.
            until: Only papers up to this date.
            count: At most so many, 1 to 1000.
        """
        filters = Filters((), author or None, since or None, until or None)
        chosen, _ = filters.select(self._desk.assistant.papers)
        found = table.selected(chosen, table.View(words=words))[: max(1, min(1000, count))]
        return [paper.model_dump(mode="json") for paper in found]

    def all(self) -> dict[Callable[..., Any], int]:
        """The endpoints, and how many calls of each are served at a time: programs must not fill the visitors' line."""
        return {self.ask: 1, self.search: 4, self.check: 1, self.papers: 4}
