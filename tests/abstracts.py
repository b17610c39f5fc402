"""Two invented papers for tests of evidence, checking and answering."""

from rag.papers import Paper, Record, Source, papers_from

ZORB = "We introduce Zorb, a tool for marbles. Zorb sorts 1,200 marbles a second, 3 times more than Blip. It is free."
QUUX = "Quux is a kettle for laboratories. It boils 2.5 litres of water in 40 seconds."


def paper(abstract: str, title: str) -> Paper:
    source = Source(file="page", start=0, end=len(abstract), record=1)
    return papers_from([Record(source, abstract, title=title)])[0]


PAPERS = [paper(ZORB, "Zorb: Sorting Marbles"), paper(QUUX, "A Kettle for Science")]
