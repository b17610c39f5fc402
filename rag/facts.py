"""What can be compared exactly between a sentence and its quotes: numbers and names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rag.names import definitions
from rag.text import STOP_WORDS, readable, words

_UNITS = {
    "thousand": 1e3,
    "k": 1e3,
    "million": 1e6,
    "m": 1e6,
    "billion": 1e9,
    "b": 1e9,
    "bn": 1e9,
    "trillion": 1e12,
    "t": 1e12,
}
_COUNTED = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty""".split()
_SPELLED = {word: float(i) for i, word in enumerate(_COUNTED)} | {
    "thirty": 30.0,
    "forty": 40.0,
    "fifty": 50.0,
    "hundred": 100.0,
    "half": 0.5,
    "twice": 2.0,
    "double": 2.0,
    "triple": 3.0,
}
_NUMBER = re.compile(
    r"(?<![\w.])(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)(?:[\s-]?(?P<unit>thousand|million|billion|trillion|bn|[KMBT])\b)?",
    re.IGNORECASE,
)
_NAME_BEFORE = re.compile(r"[A-Za-z][\w.]*-[\w.\-]*$")
_NAME_LENGTH = 40
_FIGURE = re.compile(r"\d[\d,.]*(?:bn|[KMBTkmbt])?(?:-[a-z]+)?")
_NAME = re.compile(r"[^\W_](?:[\w.+\-]*[^\W_])?\+*")
# Zero and one are often mere words.
_SMALL = frozenset(_SPELLED[word] for word in ("zero", "one"))


def numbers(text: str) -> set[float]:
    """The numbers that a text states as figures, with "K", "million" and their like multiplied in: "3.8B" is 3.8e9.

    Digits inside names (GPT-4, Llama3) are part of the name, not a number.
    """
    plain = readable(text)
    return {
        value for start, value in _figures(plain) if not _NAME_BEFORE.search(plain, max(0, start - _NAME_LENGTH), start)
    }


def all_numbers(text: str) -> set[float]:
    """Every number a text could be read to hold: also spelled ones, digits in names, and figures without their unit."""
    plain = readable(text)
    bare = {float(digits.replace(",", "")) for digits in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", plain)}
    spelled = {_SPELLED[word] for word in re.findall(r"[a-z]+", plain.casefold()) if word in _SPELLED}
    return {value for _, value in _figures(plain)} | bare | spelled


def _figures(plain: str) -> Iterator[tuple[int, float]]:
    """Where figures stand and what they are worth."""
    for match in _NUMBER.finditer(plain):
        value = float(match["digits"].replace(",", ""))
        yield match.start(), round(value * _UNITS.get((match["unit"] or "").casefold(), 1.0), 6)


def unbacked_numbers(sentence: str, source: str) -> set[float]:
    """Figures of the sentence that the source does not hold. Zero and one pass."""
    return numbers(sentence) - all_numbers(source) - _SMALL


def names(text: str) -> set[str]:
    """Words that can only be names: a capital or a digit after the first letter, as in "LoRA", "GPT-4" or "MMLU"."""
    return {
        name
        for name in _NAME.findall(readable(text))
        if any(c.isupper() for part in name.split("-") for c in part[1:])
        or (name[0].isalpha() and any(c.isdigit() for c in name))
        if not _FIGURE.fullmatch(name)
    }


def unbacked_names(sentence: str, source: str) -> set[str]:
    """Names in the sentence that the source doesn't hold. Plurals, case and hyphens don't matter.

    Of a compound without digits one part is enough; "GPT-4" is not backed by "GPT-3". A short form that the sentence
    itself makes of the source's words, as in "a gradient estimator (GE)", needs no backing.
    """
    held = _parts(source)
    own = {short for long, short in definitions(sentence) if _parts(long) <= held | STOP_WORDS}
    return {name for name in names(sentence) if name not in own and not _held(name, held)}


def _held(name: str, held: set[str]) -> bool:
    whole = "".join(words(name.replace("-", ""))).removesuffix("s")
    if whole in held or re.sub(r"[.+]", "", whole) in held:
        return True
    parts = [part.removesuffix("s") for word in words(name) for part in word.split("-")]
    if not any(c.isdigit() for c in name):
        return any(part in held for part in parts if len(part) > 1)
    return all(part in held and not part.isdigit() for part in parts)


def _parts(text: str) -> set[str]:
    """The words of a text without plural "s", the parts of its compounds, and the compounds joined."""
    whole = words(text)
    parts = {part for word in whole for part in re.split(r"[-.]", word) if len(part) > 1}
    joined = (re.sub(r"[-.]", "", word) for word in whole)
    return {part.removesuffix("s") for part in parts.union(whole, joined)}
