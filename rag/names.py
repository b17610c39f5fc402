"""Names: what papers call their systems, found in a question however they are typed there.

Names are mined from titles and abstracts: words that are written like names (a capital or a digit inside), what
stands before a title's colon, what an abstract introduces, and pairs of a long form and its short form in
brackets (Schwartz and Hearst, A simple algorithm for identifying abbreviation definitions in biomedical text,
PSB 2003). They are compared by their letters and digits alone.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path

from rapidfuzz import process
from rapidfuzz.distance import OSA

from rag.papers import Paper
from rag.text import STOP_WORDS, readable, spaced, words

_FILE = "names.json"
_TOKEN = re.compile(r"[^\W_]+(?:[.\-+][^\W_]+)*\+*")
_FIGURE = re.compile(r"\d[\d,.]*(?:bn|[KMBTkmbtx]|st|nd|rd|th|times)?(?:-[a-z]+)?")
_SHORT_FORM = re.compile(r"\(([A-Za-z][\w.\-+]{1,14})\)")
_INTRODUCED = re.compile(
    r"\b(?:named|called|dubbed|termed|coined|introduces?|presents?|proposes?|develops?|releases?)\s+(?:the\s+|an?\s+)?"
    r"([A-Z][\w.\-+]*(?:\s+[A-Z][\w.\-+]*){0,2})"
)
_CAPITALISED = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{2,}\w*(?![\w\-])")
_HEAD_WORDS = 4
_REMEMBERED = 1 << 15  # words, most of which come again and again
_LONGEST = 4  # words of a question that are read as one name
# How much is believed of a name that was found by a part of it, or written as a common word.
_BY_PART, _AS_COMMON_WORD = 0.8, 0.25
_MENTIONED = 0.5
# In a longer question a common word is most likely meant as the word.
_FEW_WORDS = 2


@lru_cache(_REMEMBERED)
def key(text: str) -> str:
    """A name's letters and digits, without case, accents, hyphens and space: "Foo-Net 2.1" is "foonet21"."""
    return "".join(re.findall(r"[^\W_]+", "".join(words(text))))


@lru_cache(_REMEMBERED)
def is_name(word: str) -> bool:
    """Whether a word is written like a name: a capital past the start of a part, or letters with digits."""
    inside = any(letter.isupper() for part in word.split("-") for letter in part[1:])
    mixed = any(c.isdigit() for c in word) and any(c.isalpha() for c in word)
    return (inside or mixed) and not _FIGURE.fullmatch(word)


def definitions(text: str) -> Iterator[tuple[str, str]]:
    """The pairs of a long form and its short form that a text defines as "long form (LF)"."""
    for match in _SHORT_FORM.finditer(text):
        short = match.group(1)
        if not any(letter.isupper() for letter in short):
            continue
        most = min(len(short) + 5, 2 * len(short))
        before = " ".join(text[: match.start()].rsplit(maxsplit=most)[-most:])
        at = len(before)
        for place in range(len(short) - 1, -1, -1):
            letter = short[place].casefold()
            if not letter.isalnum():
                continue
            at -= 1
            # Each letter of the short form, from the last, is found in the long one; the first begins a word there.
            while at >= 0 and (before[at].casefold() != letter or (place == 0 and at > 0 and before[at - 1].isalnum())):
                at -= 1
            if at < 0:
                break
        else:
            yield before[before.rfind(" ", 0, at + 1) + 1 :], short


def own_names(paper: Paper) -> set[str]:
    """What a paper calls its own: names in its title, names that it defines and names that it introduces."""
    title, abstract = readable(paper.title), readable(paper.abstract)
    head, colon, _ = title.partition(":")
    found = {head} if colon and len(head.split()) <= _HEAD_WORDS else set()
    tokens = _TOKEN.findall(title)
    found |= {token for token in tokens if is_name(token)}
    # "Quick FooNet" is also called qFooNet.
    found |= {before[0].lower() + token for before, token in pairwise(tokens) if is_name(token)}
    for long, short in definitions(f"{title}. {abstract}"):
        found |= {short} | ({long} if " " in long else set())
    for match in _INTRODUCED.finditer(abstract):
        first = match.group(1).split()[0]
        found |= {match.group(1)} | ({first} if is_name(first) else set())
    return found


def mentioned_names(paper: Paper) -> set[str]:
    """Every word of an abstract that is written like a name, or with a capital within a sentence."""
    abstract = readable(paper.abstract)
    return {token for token in _TOKEN.findall(abstract) if is_name(token)} | set(_CAPITALISED.findall(abstract))


@dataclass(frozen=True)
class Match:
    """A name that a question holds."""

    name: str
    """As the papers write it."""
    certainty: float
    """In (0, 1]: 1 where the letters agree, less for a slip, a part, or what may be a common word."""
    papers: Mapping[str, float]
    """The papers with that name and how far it is theirs, in (0, 1]: less if several call themselves so."""


@dataclass(frozen=True)
class NameTable:
    """The names of all papers."""

    written: Mapping[str, str]
    """How a name is written, by its key."""
    owners: Mapping[str, tuple[str, ...]]
    """The papers that call themselves so, by key; for a name that none calls itself, those that mention it."""
    mentioned: frozenset[str]
    """The keys of names that no paper calls itself."""
    common: frozenset[str]
    """Keys of words that the abstracts also hold in lower case: "list", "based"."""

    @classmethod
    def of(cls, papers: Sequence[Paper]) -> NameTable:
        """The names of these papers. A few milliseconds a paper."""
        written: dict[str, str] = {}
        own: defaultdict[str, list[str]] = defaultdict(list)
        other: defaultdict[str, list[str]] = defaultdict(list)
        common: set[str] = set()
        for paper in papers:
            for names, holders in ((own_names(paper), own), (mentioned_names(paper), other)):
                for name in sorted(names):
                    at = key(name)
                    if len(at) > 1 and not at.isdigit() and paper.paper_id not in holders[at][-1:]:
                        written.setdefault(at, name)
                        holders[at].append(paper.paper_id)
            lower = (token for token in _TOKEN.findall(readable(paper.abstract)) if token.islower())
            common |= {key(word) for token in lower for word in (token, *token.split("-"))}
        owners = {name: tuple(own[name] or other[name]) for name in written}
        return cls(written, owners, frozenset(name for name in written if not own[name]), frozenset(common))

    def save(self, folder: Path) -> None:
        """Write the table into a folder."""
        fields = {
            "written": dict(self.written),
            "owners": dict(self.owners),
            "mentioned": sorted(self.mentioned),
            "common": sorted(self.common),
        }
        (folder / _FILE).write_text(json.dumps(fields), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> NameTable:
        """Read what :meth:`save` wrote."""
        fields = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        owners = {name: tuple(holders) for name, holders in fields["owners"].items()}
        return cls(fields["written"], owners, frozenset(fields["mentioned"]), frozenset(fields["common"]))

    def find(self, question: str) -> list[Match]:
        """The names in a question, whatever their case, hyphens, spaces and small slips."""
        tokens = _TOKEN.findall(spaced(readable(question)))
        said = [token for token in tokens if token.casefold() not in STOP_WORDS]
        found: dict[str, float] = {}
        read: set[int] = set()
        for length in range(_LONGEST, 0, -1):
            for start in range(len(tokens) - length + 1):
                span = tokens[start : start + length]
                name = "".join(map(key, span))
                if name not in self.owners or read.issuperset(range(start, start + length)):
                    continue
                if name in STOP_WORDS or all(token in STOP_WORDS for token in span):  # "of a" is no OFA
                    continue
                sure = length > 1 or name not in self.common or is_name(span[0])
                if not sure and len(said) > _FEW_WORDS:
                    continue
                found[name] = max(found.get(name, 0.0), 1.0 if sure else _AS_COMMON_WORD)
                if sure:
                    read |= set(range(start, start + length))
        for i, token in enumerate(tokens):
            if i not in read and (whole := self._parts.get(key(token))):
                found |= {name: max(found.get(name, 0.0), _BY_PART) for name in whole}
                read.add(i)
        for length in (2, 1):
            for start in range(len(tokens) - length + 1):
                if not read & set(range(start, start + length)):
                    for name, certainty in self._misspelt(tokens[start : start + length]):
                        found[name] = max(found.get(name, 0.0), certainty)
        matches = [Match(self.written[name], certainty, self._share(name)) for name, certainty in found.items()]
        return sorted(matches, key=lambda match: (-match.certainty, match.name))

    def _share(self, name: str) -> dict[str, float]:
        owners, all_ = self.owners[name], len(self._papers)
        rarity = 1 - math.log(len(owners)) / math.log(all_) if all_ > 1 else 1.0
        share = max(rarity, 0.01) * (_MENTIONED if name in self.mentioned else 1.0)
        return dict.fromkeys(owners, share)

    def _misspelt(self, span: Sequence[str]) -> Iterator[tuple[str, float]]:
        """Names within one slip of these words, or two if they are long; digits must agree."""
        asked = "".join(map(key, span))
        if len(asked) < 5 or all(key(token) in self.common or len(token) < 2 for token in span):
            return
        most = 1 if len(asked) < 8 else 2
        near = [
            name for length in range(len(asked) - most, len(asked) + most + 1) for name in self._keys.get(length, ())
        ]
        for name, slips, _ in process.extract(asked, near, scorer=OSA.distance, score_cutoff=most, limit=5):
            if len(name) > 3 and re.sub(r"\D", "", name) == re.sub(r"\D", "", asked):
                yield name, (0.9 if len(asked) > 5 else 0.75) - 0.25 * slips

    @cached_property
    def _papers(self) -> set[str]:
        return {paper_id for owners in self.owners.values() for paper_id in owners}

    @cached_property
    def _keys(self) -> dict[int, list[str]]:
        """Names that a slip may lead to, by length; a word that only stands with a capital is too near to others."""
        keys: defaultdict[int, list[str]] = defaultdict(list)
        for name in self.owners:
            if name not in self.mentioned or is_name(self.written[name]):
                keys[len(name)].append(name)
        return dict(keys)

    @cached_property
    def _parts(self) -> dict[str, list[str]]:
        """Names by those of their parts that are no words or names of their own: "zorbs" leads to "2.5-Zorbs"."""
        parts: defaultdict[str, list[str]] = defaultdict(list)
        for name, written in self.written.items():
            pieces = {key(piece) for piece in re.split(r"[\s\-.]+", written)}
            for piece in pieces if len(pieces) > 1 else ():
                if len(piece) > 2 and not piece.isdigit() and piece not in self.common and piece not in self.owners:
                    parts[piece].append(name)
        return dict(parts)
