"""Papers and answers that hold a text wherever a page, a model or a user could have written one."""

from rag.answers import Answer, Citation, ModelUsed, Nearest, Seconds, Sentence
from rag.papers import Paper, Source

URL = "https://arxiv.org/abs/2403.02884"


def a_paper(title, i=0, **known):
    values = {"paper_id": f"{i:016x}", "title": title, "title_source": "page", "abstract": "We show it.", **known}
    return Paper.model_validate(values)


def filled(text):
    """A paper with a text in every field."""
    source = Source(file=text, start=0, end=len(text), record=1)
    known = {
        "abstract": text,
        "authors": (text, text),
        "listed_on": (text,),
        "affiliations": (text,),
        "sources": (source,),
    }
    return a_paper(text, **known, date="2024", date_text=text, category=text, url=text, links=(text + "1",))


def citation(n, text, i=0, **known):
    values = {
        "n": n,
        "paper_id": f"{i:016x}",
        "title": text,
        "title_source": "page",
        "authors": (text, text),
        "authors_complete": True,
        "date": "2024-03",
        "url": URL,
        "quote": text,
        "start": 0,
        "end": len(text),
        **known,
    }
    return Citation.model_validate(values)


def sentence(text, citations=(1, 2), quotes=(0, 1), support=0.876, extracted=False):
    return Sentence(text=text, citations=citations, quotes=quotes, support=support, extracted=extracted)


def an_answer(text, *, refused=False, citations=None, **known):
    """An answer of one sentence that rests on all of the citations, or a refusal."""
    quoted = citations or (citation(1, text), citation(2, text, 1, title_source="catalogue"))
    said = sentence(text, tuple(dict.fromkeys(c.n for c in quoted)), tuple(range(len(quoted))))
    values = {
        "question": text,
        "answer": text,
        "refused": refused,
        "refusal_reason": "not_stated" if refused else None,
        "nearest": (Nearest(paper_id="0" * 16, title=text, url=None),) if refused else (),
        "sentences": () if refused else (said,),
        "citations": () if refused else quoted,
        "passages": (),
        "mode": "generated",
        "copied": 0.0,
        "draft": text,
        "model": ModelUsed(name=text, sha256=None, pinned=False),
        "prompt_sha256": "a",
        "index_sha256": "b",
        "settings_sha256": "c",
        "seconds": Seconds(total=12.34),
        **known,
    }
    return Answer.model_validate(values)
