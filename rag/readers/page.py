"""A text file cut into lines that know where they stand."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rag.errors import PageError
from rag.files import read_at_most
from rag.papers import Source

MAX_BYTES = 256 * 1024 * 1024
MAX_LINES = 1_000_000
_LINE = re.compile(r"[^\r\n]+")
# A title is shorter than an abstract on every page seen: 147 characters at most against 602 at least.
_PROSE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Line:
    """A line that isn't blank, stripped: ``text[start:end]`` of the file is ``self.text``."""

    number: int
    start: int
    text: str

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def is_prose(self) -> bool:
        """Whether the line is long enough to be an abstract rather than a title or page furniture."""
        return len(self.text) >= _PROSE_CHARACTERS

    def rest(self, skip: int) -> Line:
        """The line after its first ``skip`` characters, stripped again."""
        text = self.text[skip:].lstrip()
        return Line(self.number, self.end - len(text), text)


@dataclass(frozen=True)
class Page:
    """A page: the name its records carry, and its lines that aren't blank."""

    label: str
    lines: tuple[Line, ...]

    @classmethod
    def load(cls, path: Path, label: str) -> Page:
        """Read a UTF-8 file. :raises PageError: if it is empty, binary, too large or in another encoding."""
        try:
            data = read_at_most(path, MAX_BYTES)
        except OSError as error:
            raise PageError(
                f"{path} can't be read ({error.strerror}): mend that or take it out of the folder."
            ) from error
        if data is None:
            raise PageError(f"{path} is larger than {MAX_BYTES >> 20} MiB: split it into smaller pages.")
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise PageError(f"{path} is UTF-16 text: save it as UTF-8 or take it out.")
        if b"\0" in data:
            line = data[: data.index(b"\0")].count(b"\n") + 1
            raise PageError(f"{path} is a binary file (a NUL byte in line {line}): take it out of the folder.")
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise PageError(f"{path} is not UTF-8 text (line {line}): save it as UTF-8 or take it out.") from error
        if max(data.count(b"\n"), data.count(b"\r")) > MAX_LINES:
            raise PageError(f"{path} has more than {MAX_LINES:,} lines: split it into smaller pages.")
        if not text.strip("\ufeff \t\r\n"):
            raise PageError(f"{path} is empty: take it out of the folder.")
        return cls(label, tuple(_lines(text)))

    def number(self, start: int) -> int:
        """The number of the line in which a character stands."""
        return next(line.number for line in self.lines if line.start <= start < line.end)

    def source(self, line: Line, record: int) -> Source:
        return Source(file=self.label, start=line.start, end=line.end, record=record)


def _lines(text: str) -> Iterator[Line]:
    number, counted = 1, 0
    for match in _LINE.finditer(text):
        number += text.count("\n", counted, match.start())
        counted = match.start()
        stripped = match.group().strip("\ufeff \t\u00a0\u200b")
        if stripped:
            yield Line(number, match.start() + match.group().index(stripped), stripped)
