"""A file that is being read piece by piece: unpacked if it is gzip'd, and never more of it at once than may be."""

from __future__ import annotations

import codecs
import gzip
import io
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from rag.errors import UsageError
from rag.papers import Source
from rag.readers.left_out import Problem

MAX_RECORD = 8 << 20
"""Bytes of one entry, or of one line."""
MAX_ENTRY = 1 << 20
"""The same of what a library parses slowly; thousands of authors fit."""
_MAX_LINE_PASSED = 256 << 20
_GZIP = b"\x1f\x8b"
_HEAD = 1 << 18
# Text is packed to a tenth. What is packed to less than this, once it is more than so much, is no text.
_PACKED_TO, _PACKED_BYTES = 200, 16 << 20


class TooMuch(Exception):
    """An entry, or a whole file, is larger than anything that is read; the message says so."""


class Opened:
    """An open file. What its bytes are is for the formats to say."""

    def __init__(self, path: Path, label: str, most: int | None = None):
        """:param most: bytes that it may unpack to; more is a UsageError. :raises OSError: if it can't be opened."""
        self.path = path
        self.label = label
        self._raw = path.open("rb")
        self.packed = self._raw.read(2) == _GZIP
        self._raw.seek(0)
        self._file = io.BufferedReader(_Unpacked(self._raw, self.packed, most), _HEAD)
        self._since = 0

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._raw.close()

    @cached_property
    def head(self) -> bytes:
        """Its first bytes, without a byte order mark; reading goes on behind the mark.

        :raises OSError, EOFError, zlib.error: if it can't be unpacked.
        """
        if self._file.peek(len(codecs.BOM_UTF8)).startswith(codecs.BOM_UTF8):
            self._file.read(len(codecs.BOM_UTF8))
        return self._file.peek(_HEAD)

    def read(self, size: int = _HEAD) -> bytes:
        """The next bytes. :raises TooMuch: if they belong to an entry that is too large."""
        data = self._file.read1(size)
        self.count(len(data))
        return data

    def lines(self) -> Iterator[tuple[int, bytes | None]]:
        """Each line with its number, from 1; None stands for one that is too long, and is passed over."""
        number = 0
        while line := self._file.readline(MAX_RECORD + 1):
            number += 1
            if len(line) <= MAX_RECORD:
                yield number, line
            else:
                self._pass_line(line)
                yield number, None

    def _pass_line(self, line: bytes) -> None:
        passed = 0
        while line and not line.endswith(b"\n"):
            passed += len(line)
            if passed > _MAX_LINE_PASSED:
                raise TooMuch(f"a line is longer than {_MAX_LINE_PASSED >> 20} MiB")
            line = self._file.readline(MAX_RECORD)

    def count(self, size: int) -> None:
        """Count bytes of the entry that is being read. :raises TooMuch: if it is too large."""
        self._since += size
        if self._since > MAX_RECORD:
            raise TooMuch(f"an entry is larger than {MAX_RECORD >> 20} MiB")

    def next_entry(self) -> None:
        """Count anew: an entry is over."""
        self._since = 0

    def source(self, record: int) -> Source:
        """Where a record stands."""
        return Source(file=self.label, start=record, end=record, record=record)

    def problem(self, why: str, *, line: int | None = None, record: int | None = None, ends: bool = False) -> Problem:
        """What can't be read here. :param ends: whether nothing after it can be read."""
        place = f", line {line}" if line is not None else f", record {record}" if record is not None else ""
        return Problem(f"{self.path}{place}: {why}", self.label if ends else None)


class _Unpacked(io.RawIOBase):
    """The bytes of a file, unpacked, as long as they are not too many."""

    def __init__(self, file: BinaryIO, packed: bool, most: int | None):
        self._raw = file
        self._source = gzip.GzipFile(fileobj=file, mode="rb") if packed else file
        self._packed = packed
        self._most = most
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._source.read(len(buffer))
        self._count += len(data)
        if self._most is not None and self._count > self._most:
            raise UsageError(
                f"{self._raw.name} unpacks to more than {self._most >> 20} MB: type `rag ingest` for it instead."
            )
        if self._packed and self._count > max(_PACKED_BYTES, _PACKED_TO * self._raw.tell()):
            raise TooMuch("it unpacks to far more than any text does")
        buffer[: len(data)] = data
        return len(data)


def decoded(line: bytes) -> str:
    """A line of text: UTF-8, or else what Windows wrote before it."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace")
