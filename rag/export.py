"""What people take away from the chat page: an answer as text, a conversation as Markdown, papers as BibTeX."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import chain, count, product
from string import ascii_lowercase
from typing import TYPE_CHECKING
from urllib.parse import quote

from rag import __version__
from rag.answers import TITLE_FROM, Answer, Citation, ModelUsed
from rag.names import is_name
from rag.papers import Paper, first_authors, fold
from rag.text import STOP_WORDS, readable, visible, words

if TYPE_CHECKING:
    from bibtexparser.model import Field
    from pylatexenc.latexencode import UnicodeToLatexEncoder

_EXTRACTED = "(sentences extracted from the abstracts; no model wrote this)"
_NEAREST = "Nearest papers:"
_MARKUP = re.compile(
    r"(?P<markers>(?:\[\d+\])+(?![(\[:]))"  # [1][2] alone is text
    r"|(?P<ordinal>^\d{1,9}(?=[.)](?:\s|$)))"
    r"|^[-+](?=[-\s]|$)|^>|^\#(?=\#{0,5}(?:\s|$))|(?<!\S)\#(?=\#*$)"  # what begins a block, or ends a heading
    r"|[`*<\[\]]|\\(?![^\W_])|&(?=#?\w+;)"
    r"|(?<![^\W_])_|_(?![^\W_])"  # snake_case is text
    r"|(?<=\S)[~$]"  # no CommonMark, but on GitHub it ends what is struck out, or mathematics
)
_ARXIV = re.compile(r"https?://arxiv\.org/abs/(.+)")
_WORD = re.compile(r"([^\W_]+(?:[.\-+][^\W_]+)*\+*)")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# BibTeX counts every brace, escaped or not, and tools may write a value again in double quotes.
_FOR_BIBTEX = {ord("{"): r"\ensuremath{\lbrace}", ord("}"): r"\ensuremath{\rbrace}", ord('"'): '{"}'}
# Signs that LaTeX, or who reads it, takes for others or for a space; and pairs of signs that become one.
_NAMED = {
    ord(sign): rf"\text{name}{{}}"
    for sign, name in (
        ("{", "braceleft"), ("}", "braceright"), ("~", "asciitilde"),
        ("‘", "quoteleft"), ("’", "quoteright"), ("“", "quotedblleft"), ("”", "quotedblright"),
    )
}  # fmt: skip
_JOINED = re.compile(r"-(?=-)|`(?=`)|'(?=')|[!?](?=`)")


def as_text(answer: Answer) -> str:
    """An answer as plain text: what was said, then each cited paper with its quotes. A refusal: the nearest papers."""
    blocks = [_said(answer)]
    if answer.nearest:
        near = [f"- {_reference(paper.url, paper.title)}" for paper in answer.nearest]
        blocks.append("\n".join([_NEAREST, *near]))
    if _was_extracted(answer):
        blocks.append(_EXTRACTED)
    for quotes in _by_paper(answer.citations):
        first = quotes[0]
        about = f"[{first.n}] {_reference(first.url, first.title, *_about(first))}"
        said = [f"    “{_line(readable(citation.quote))}”" for citation in quotes]
        blocks.append("\n".join([about, *said]))
    return visible("\n\n".join(blocks))


def as_markdown(exchanges: Sequence[tuple[str, Answer | str]]) -> str:
    """A conversation as Markdown. Nothing that a paper, a model or a user wrote becomes markup in it.

    :param exchanges: each question with its answer, or with the reason why there is none.
    """
    blocks = ["# Questions and answers"]
    for question, answer in exchanges:
        blocks.append(f"## {_escaped(question)}")
        blocks += [f"({_escaped(answer)})"] if isinstance(answer, str) else _answer_blocks(answer)
    models = dict.fromkeys(answer.model for _, answer in exchanges if not isinstance(answer, str) and answer.model)
    blocks += ["---", f"Made by {', '.join([f'PaperTrail {__version__}', *map(_model, models)])}."]
    return "\n\n".join(blocks) + "\n"


def as_bibtex(papers: Sequence[Paper], *, abstracts: bool = False) -> str:
    """The papers as BibTeX entries in ASCII, but for scripts that LaTeX has no commands for.

    :param abstracts: whether each abstract comes too, so that LaTeX shows its very signs, and the day of the date.
    """
    from bibtexparser.entrypoint import write_string
    from bibtexparser.library import Library
    from bibtexparser.model import Entry

    entries: dict[str, Entry] = {}
    for paper in papers:
        key = next(key for key in map(_key(paper).__add__, _suffixes()) if key not in entries)
        entries[key] = Entry("misc", key, [*_fields(paper), *(_further(paper) if abstracts else ())])
    return write_string(Library(list(entries.values())))


# Text and Markdown -----------------------------------------------------------------------------


def _answer_blocks(answer: Answer) -> list[str]:
    blocks = [f"Understood as: {_escaped(answer.understood)}"] if answer.understood else []
    if answer.kind == "list" and not answer.refused:
        blocks.append("\n".join(f"- {_escaped(said)}" for said in _sentences(answer)))
    else:
        blocks.append(_escaped(_said(answer)))
    if answer.nearest:
        near = [f"- {_link(paper.title, paper.url)}" for paper in answer.nearest]
        blocks += [_NEAREST, "\n".join(near)]
    if _was_extracted(answer):
        blocks.append(_EXTRACTED)
    for quotes in _by_paper(answer.citations):
        first = quotes[0]
        blocks.append(f"[{first.n}] {_stopped(_link(first.title, first.url), *map(_escaped, _about(first)))}")
        blocks += [f"> {_escaped(readable(citation.quote))}" for citation in quotes]
    return blocks


def _said(answer: Answer) -> str:
    if answer.refused:
        return answer.answer
    if answer.kind == "list":
        return "\n".join(f"- {said}" for said in _sentences(answer))
    return " ".join(_sentences(answer))


def _sentences(answer: Answer) -> list[str]:
    notes = [f" ({note})" if (note := answer.note(sentence)) else "" for sentence in answer.sentences]
    return [f"{sentence.marked}{note}" for sentence, note in zip(answer.sentences, notes, strict=True)]


def _by_paper(citations: Sequence[Citation]) -> list[list[Citation]]:
    numbers = dict.fromkeys(citation.n for citation in citations)
    return [[citation for citation in citations if citation.n == n] for n in numbers]


def _was_extracted(answer: Answer) -> bool:
    return answer.mode == "extractive" and not answer.refused


def _about(citation: Citation) -> list[str]:
    by = first_authors(citation.authors, citation.authors_complete) if citation.authors else None
    return [part for part in (by, citation.date) if part]


def _reference(url: str | None, *parts: str) -> str:
    return " ".join(filter(None, [_stopped(*map(_line, parts)), url]))


def _stopped(*parts: str) -> str:
    """The parts as sentences."""
    return " ".join(part if part.endswith((".", "?", "!", "…")) else f"{part}." for part in parts)


def _line(text: str) -> str:
    return " ".join(visible(text).split())


def _escaped(text: str) -> str:
    """Text on one line, with a backslash before each sign that Markdown or HTML would read something into."""
    return _MARKUP.sub(_escape, _line(text))


def _escape(sign: re.Match[str]) -> str:
    if sign["markers"]:
        return sign.group()
    return f"{sign.group()}\\" if sign["ordinal"] else f"\\{sign.group()}"


def _link(title: str, url: str | None) -> str:
    return f"[{_escaped(title)}]({_quoted(url)})" if url else _escaped(title)


def _quoted(url: str) -> str:
    """A link in which no sign means anything to Markdown or BibTeX."""
    return quote(url, safe=":/?#&=%+,@~")


def _model(model: ModelUsed) -> str:
    return _escaped(model.name) + (f" (sha256 {model.sha256})" if model.pinned else "")


# BibTeX ----------------------------------------------------------------------------------------


def _key(paper: Paper) -> str:
    """The first author's surname, the year and the title's first word that says something."""
    surname = paper.authors[0].partition(",")[0].split()[-1:] if paper.authors else []
    telling = [_ascii(word) for word in words(paper.title) if word not in STOP_WORDS]
    word = next(filter(None, telling), "")
    return "".join([*map(_ascii, surname), (paper.date or "")[:4], word]) or "paper"


def _ascii(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", fold(text))


def _suffixes() -> chain[str]:
    """Nothing, then a, b, c and on to z, aa, ab."""
    return chain([""], ("".join(letters) for length in count(1) for letters in product(ascii_lowercase, repeat=length)))


def _fields(paper: Paper) -> list[Field]:
    from bibtexparser.model import Field

    fields = [Field("title", _title(paper))]
    if paper.authors:
        others = [] if paper.authors_complete else ["others"]
        fields.append(Field("author", " and ".join([*map(_author, paper.authors), *others])))
    if paper.date:
        fields.append(Field("year", paper.date[:4]))
    if paper.date and len(paper.date) > 4:
        # The months' names are macros, so that each style may write them as it does.
        fields.append(Field("month", _MONTHS[int(paper.date[5:7]) - 1], enclosing="no-enclosing"))
    if paper.url:
        arxiv = _ARXIV.fullmatch(_quoted(paper.url))
        if arxiv:
            fields += [Field("eprint", arxiv[1]), Field("archivePrefix", "arXiv")]
        fields.append(Field("url", _quoted(paper.url)))
    if paper.doi:
        fields.append(Field("doi", _quoted(paper.doi)))
    if paper.title_source == "derived":
        fields.append(Field("note", f"Title {TITLE_FROM['derived']}"))
    return fields


def _further(paper: Paper) -> list[Field]:
    """What is no reference, but lets the paper be indexed again as it is."""
    from bibtexparser.model import Field

    day = [Field("day", paper.date[8:])] if paper.date and len(paper.date) > len("2024-03") else []
    return [*day, Field("abstract", _latex(as_it_is=True).unicode_to_latex(_line(paper.abstract)))]


def _author(name: str) -> str:
    """A name; in braces where BibTeX would take a word of it for what stands between names."""
    written = _latex().unicode_to_latex(_line(name))
    return f"{{{written}}}" if re.search(r"\b(and|others)\b", name, re.IGNORECASE) else written


def _title(paper: Paper) -> str:
    """The title as LaTeX; words whose capitals no style may take away are in braces."""
    pieces = _WORD.split(unicodedata.normalize("NFC", _line(readable(paper.title))))
    written = map(_latex().unicode_to_latex, pieces)
    return "".join(f"{{{text}}}" if _has_capitals(piece) else text for piece, text in zip(pieces, written, strict=True))


def _has_capitals(word: str) -> bool:
    """Whether a word has capitals beside those of a title's words: "BERT", "128K", "GPT-4", "U-shaped"."""
    alone = word != "A" and any(len(part) == 1 and part.isupper() for part in word.split("-"))
    inside = any(letter.isupper() for part in word.split("-") for letter in part[1:])
    return alone or inside or is_name(word)


@cache
def _latex(as_it_is: bool = False) -> UnicodeToLatexEncoder:
    """:param as_it_is: whether no two signs may become one, as hyphens do a dash, and each has a name of its own."""
    from pylatexenc.latexencode import RULE_DICT, RULE_REGEX, UnicodeToLatexConversionRule, UnicodeToLatexEncoder

    apart = UnicodeToLatexConversionRule(RULE_REGEX, [(_JOINED, r"\g<0>{}")])
    named = UnicodeToLatexConversionRule(RULE_DICT, _NAMED)
    return UnicodeToLatexEncoder(
        conversion_rules=[
            *([apart, named] if as_it_is else []),
            UnicodeToLatexConversionRule(RULE_DICT, _FOR_BIBTEX),
            "defaults",
        ],
        # {\'e} and not \'e: only so does BibTeX take it for one letter.
        replacement_latex_protection="braces-almost-all",
        unknown_char_warning=False,
    )
