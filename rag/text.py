"""Text as people and models read it: sentences with their offsets, LaTeX made readable, words for search."""

from __future__ import annotations

import json
import logging
import math
import re
import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nltk.tokenize.punkt import PunktSentenceTokenizer
    from pylatexenc.latex2text import LatexNodes2Text

Span = tuple[int, int]

STOP_WORDS = frozenset(
    """a about an and are as at be been by can could did do does for from had has have how i in into is it its me of on
    or our paper papers than that the their them then there these they this those to was we were what when where which
    who whom why will with work works would you your""".split()
)
"""Words that say nothing of what a question or an abstract is about."""
# Abbreviations of research prose that Punkt takes for the end of a sentence.
_ABBREVIATIONS = ("al", "approx", "cf", "e.g", "eq", "eqs", "etc", "fig", "figs", "i.e", "ph.d", "resp", "sec", "vs",
                  "w.r.t", "a.k.a", "u.s", "d.c")  # fmt: skip
_CLOSED = re.compile(r"[)\]\"”']\.\s+(?=[A-Z])")
_LATEX = re.compile(
    r"\$(?!\s|\d[^$\\]*\$\d)(?:\\.|[^$\\]){1,200}?(?<!\s)\$"  # inline mathematics; "$5-$10" is money
    r"|\{\\[A-Za-z]+[^{}]*\}"  # {\sc Name}
    r"|\\[A-Za-z]+\*?(?:\{(?:[^{}]|\{[^{}]*\})*\})+"  # \textbf{Name}, \frac{1}{2}
    r"|\\[A-Za-z]+"  # \alpha
    r"|\\[%&_#${}]"  # escaped signs
)
_LINK = re.compile(r"\\(?:url|href)\{([^{}]*)\}(?:\{([^{}]*)\})?")
# Escape sequences that a terminal would obey, signs that turn round what follows them, tags that only a model sees.
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
# Abstracts are far shorter. A page of another kind must not make a question take minutes.
_MAX_CHARACTERS = 4000
_ACCENT = re.compile(
    r"""\\(?:['`^"~=.]\s?(?:\{\\?[^\W\d_]\}|\\[ij](?![A-Za-z])|[^\W\d_])"""  # \'e, \'{e}, \"{\i}
    r"|[uvHtcdbkr](?:\{\\?[^\W\d_]{1,2}\}|\s[^\W\d_](?![^\W\d_]))"  # \v{s}, \c c
    r"|(?:[oOlLij]|ss|ae|AE|oe|OE|aa|AA)(?![A-Za-z])(?:\{\}|\s)?)"  # \o, which takes the space after it
)
# What reference managers write for signs, and pylatexenc doesn't know.
_SIGNS = {"textless": "<", "textgreater": ">", "textbar": "|", "textunderscore": "_", "textasteriskcentered": "*",
          "textasciicircum": "^", "textbraceleft": "\ue000", "textbraceright": "\ue001"}  # fmt: skip
_SIGN = re.compile(rf"\\({'|'.join(_SIGNS)})(?![A-Za-z])(?:\{{\}}| )?")
_BRACES = str.maketrans({"{": None, "}": None, "\ue000": "{", "\ue001": "}"})
_TIE = re.compile(r"(?<=[A-Za-z.])~(?=[A-Za-z(\[\d])")
_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"  # Thai, Lao, kana, Han
_SCRIPTS_MEET = re.compile(rf"(?<=[A-Za-z\d])(?=[{_UNSPACED}])|(?<=[{_UNSPACED}])(?=[A-Za-z\d])")
_WORD = re.compile(r"[^\W_]+(?:[.\-+'’][^\W_]+)*\+*")


def sentence_spans(text: str) -> list[Span]:
    """Where the sentences of an abstract or an answer stand: ``(start, end)`` pairs in order, outer space left out.

    Punkt (Kiss and Strunk, 2006), untrained but for the abbreviations of papers; a
    piece that begins in lower case continues the sentence before it.
    """
    spans: list[Span] = []
    for start, end in _punkt().span_tokenize(text):
        start, end = _stripped(text, start, end)
        if start == end:
            continue
        if spans and text[start].islower() and text[spans[-1][1] - 1] == ".":
            spans[-1] = (spans[-1][0], end)
            continue
        for close in _CLOSED.finditer(text, start, end):
            spans.append((start, close.start() + 2))
            start = close.end()
        spans.append((start, end))
    return spans


def _stripped(text: str, start: int, end: int) -> Span:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip()) if piece.strip() else end


def group(spans: Sequence[Span], characters: int) -> list[Span]:
    """Join neighbouring sentences into spans of at most ``characters``, as even in length as whole sentences allow."""
    if not spans:
        return []
    length = spans[-1][1] - spans[0][0]
    even = length / math.ceil(length / characters)
    groups: list[Span] = []
    start = end = spans[0][0]
    for _, sentence_end in spans:
        full = end > start and (sentence_end - start > characters or end - start >= even * 0.8)
        if full:
            groups.append((start, end))
            start = next(s for s, e in spans if e == sentence_end)
        end = sentence_end
    return [*groups, (start, end)]


def readable(text: str) -> str:
    """The text with its LaTeX turned into plain Unicode, for display only: offsets do not carry over.

    Only what is LaTeX for certain is touched: in "94.8% on MATH" and "~400B" the signs mean themselves.
    """
    if "\\" in text or "$" in text:
        text = _LATEX.sub(lambda match: _plain(match.group()), text)
    return visible(_TIE.sub(" ", text))


def from_latex(text: str) -> str:
    """A field of BibTeX as plain Unicode: accents, signs, commands, and braces that only keep capitals."""
    if not any(sign in text for sign in "\\{}$`'-"):
        return text
    text = text.replace("\\{", "\ue000").replace("\\}", "\ue001")  # the braces that are meant
    text = _SIGN.sub(lambda match: _SIGNS[match[1]], text)
    text = re.sub(r"\\[ ,;:!/]|\\\\", " ", _ACCENT.sub(lambda match: _plain(match.group()), text))
    text = text.replace("\\-", "").replace("---", "—").replace("--", "–")
    if "``" in text:
        text = text.replace("``", "“").replace("''", "”")
    return readable(text).translate(_BRACES)


def visible(text: str) -> str:
    """The text without what nobody sees and a terminal, a page or a model would obey; line ends and tabs stay."""
    return _UNSEEN.sub("", text)


def escaped(written: str) -> str:
    """The same JSON, in which what :func:`visible` leaves out is escaped."""
    return _UNSEEN.sub(lambda match: json.dumps(match.group())[1:-1], written)


def shortened(text: str) -> str:
    """The text, cut at a word if it is much longer than an abstract."""
    return text if len(text) <= _MAX_CHARACTERS else text[:_MAX_CHARACTERS].rsplit(" ", 1)[0] + " …"


def words(text: str) -> list[str]:
    """The words of a text, folded to lower case and without accents. "2.5-Zorbs" and "v1.58" stay whole."""
    plain = unicodedata.normalize("NFKD", spaced(readable(text)))
    plain = "".join(c for c in plain if not unicodedata.combining(c)).casefold().replace("’", "'")
    return [word.removesuffix("'s") for word in _WORD.findall(plain)]


def spaced(text: str) -> str:
    """The text with a space wherever Latin letters or digits touch a script that is written without spaces."""
    return _SCRIPTS_MEET.sub(" ", unicodedata.normalize("NFKC", text))


@lru_cache(1000)  # most are the same few accents
def _plain(latex: str) -> str:
    link = _LINK.fullmatch(latex)
    if link:
        return link.group(2) or link.group(1)
    try:
        plain: str = _latex().latex_to_text(latex).strip()
    except Exception:  # pylatexenc raises whatever its macros' formatting raises, on input that is not quite LaTeX
        plain = ""
    if plain and "%s" not in plain:
        return plain
    # A macro that it doesn't know: what stands in its braces, or else its name, is the best that can be shown.
    return " ".join(re.findall(r"\{([^{}\\]*)\}", latex)) or "".join(re.findall(r"\\([A-Za-z]+)", latex)) or latex


@cache
def _latex() -> LatexNodes2Text:
    from pylatexenc.latex2text import LatexNodes2Text

    # Of what is not quite LaTeX it warns once a sign, and an abstract may hold thousands.
    logging.getLogger("pylatexenc").setLevel(logging.CRITICAL)
    return LatexNodes2Text(math_mode="text")


@cache
def _punkt() -> PunktSentenceTokenizer:
    from nltk.tokenize.punkt import PunktSentenceTokenizer

    tokenizer = PunktSentenceTokenizer()
    tokenizer._params.abbrev_types.update(_ABBREVIATIONS)
    return tokenizer
