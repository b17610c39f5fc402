from hypothesis import given, settings
from hypothesis import strategies as st

from rag.citing import cite
from rag.evidence import Evidence, Quote
from rag.grounding import Grounded
from tests.abstracts import PAPERS

_quotes = st.sampled_from([quote for p in PAPERS for quote in Evidence([p], None).quotes])


@given(st.lists(st.tuples(st.text(min_size=1), st.lists(_quotes, min_size=1, max_size=3)), min_size=1, max_size=5))
@settings(deadline=None)
def test_citations_number_papers_in_order_of_first_use(sentences: list[tuple[str, list[Quote]]]) -> None:
    citations, cited = cite([Grounded(text, tuple(quotes), 1.0) for text, quotes in sentences])
    by_id = {p.paper_id: p for p in PAPERS}
    first_seen = list(dict.fromkeys(citation.n for citation in citations))
    assert first_seen == list(range(1, len(first_seen) + 1))
    assert len({(c.paper_id, c.start) for c in citations}) == len(citations)
    assert len({(c.n, c.paper_id) for c in citations}) == len({c.n for c in citations})
    for citation in citations:
        assert by_id[citation.paper_id].abstract[citation.start : citation.end] == citation.quote
        assert citation.title == by_id[citation.paper_id].title
    for sentence, (_, quotes) in zip(cited, sentences, strict=True):
        assert {(citations[i].paper_id, citations[i].start) for i in sentence.quotes} == {
            (quote.paper.paper_id, quote.start) for quote in quotes
        }
        assert set(sentence.citations) == {citations[i].n for i in sentence.quotes}
