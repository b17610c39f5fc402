"""The lexical side of the index: BM25 over the letters of words, and the table of names. Saved beside the database.

Words are cut into runs of four characters, so that a slip, an inflection or a cognate costs a part of the
match and not the whole; McNamee and Mayfield (Character N-Gram Tokenization for European Language Text Retrieval,
Information Retrieval, 2004) found four to be best across languages.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import bm25s
import numpy as np
from numpy.typing import NDArray

from rag.names import NameTable
from rag.papers import Paper
from rag.text import STOP_WORDS, words

_GRAM = 4
_MADE_OF = "made_of.json"
_VERSION = 1  # of the tables; a saved index of another one is made anew
_FEW_WORDS = 2


def grams(text: str) -> list[str]:
    """The runs of four characters in a text's words, space around them included: " xyz" and "xyz " of "XYZ"."""
    return [
        padded[i : i + _GRAM]
        for word in words(text)
        if word not in STOP_WORDS
        for padded in [f" {word} "]
        for i in range(max(1, len(padded) - _GRAM + 1))
    ]


def _sums(folder: Path) -> dict[str, int]:
    """The checksums of the files that are searched."""
    return {path.name: crc32(path.read_bytes()) for path in sorted(folder.iterdir()) if path.name != _MADE_OF}


@dataclass(frozen=True)
class LexicalIndex:
    """Made from papers; ``paper_ids`` is the order of the scores."""

    paper_ids: tuple[str, ...]
    names: NameTable
    bm25: bm25s.BM25

    @classmethod
    def of(cls, papers: Sequence[Paper]) -> LexicalIndex:
        """Make it. 255 abstracts take half a second."""
        bm25 = bm25s.BM25(k1=1.2, b=0.75)
        numbers: dict[str, int] = {}
        # As numbers, the runs of fifty thousand abstracts take a quarter of a gigabyte; as strings, three.
        texts = [
            np.array([numbers.setdefault(gram, len(numbers)) for gram in found or ["\0"]], dtype=np.int32)
            for found in (*(grams(f"{paper.title} {paper.abstract}") for paper in papers), *([] if papers else [[]]))
        ]
        bm25.index((texts, numbers), show_progress=False)
        return cls(tuple(paper.paper_id for paper in papers), NameTable.of(papers), bm25)

    def scores(self, question: str) -> NDArray[np.float32]:
        """BM25 score of each paper; 0 where it shares nothing with the question."""
        known = [gram for gram in grams(question) if gram in self.bm25.vocab_dict]
        if not known or not self.paper_ids:
            return np.zeros(len(self.paper_ids), dtype=np.float32)
        scores: NDArray[np.float32] = self.bm25.get_scores(known)
        return scores

    def familiar(self, question: str) -> float:
        """The share of a question's words that are common English or stand in the papers, in [0, 1]; names don't count.

        In other languages it is low: 0.3 and less, where English questions have 0.4 and more. Of one or two Latin words
        nothing can be told.
        """
        parts = [part for word in words(question) for part in re.split(r"[-.+]", word) if part.isalpha()]
        plain = [part for part in parts if part not in self.names.owners]
        known = [part for part in plain if part in STOP_WORDS or part in self.names.common]
        return len(known) / len(plain) if len(plain) > _FEW_WORDS or not "".join(plain).isascii() else 1.0

    def save(self, folder: Path, index_sha256: str) -> None:
        """Write it whole, in place of what was there."""
        making = folder.with_name(f".making-{folder.name}")
        shutil.rmtree(making, ignore_errors=True)
        self.bm25.save(making, show_progress=False)
        self.names.save(making)
        made_of = {
            "version": _VERSION,
            "index_sha256": index_sha256,
            "paper_ids": self.paper_ids,
            "sums": _sums(making),
        }
        (making / _MADE_OF).write_text(json.dumps(made_of), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(making, folder)

    @classmethod
    def load(cls, folder: Path, index_sha256: str) -> LexicalIndex | None:
        """Read what :meth:`save` wrote; None if it is not there, not whole, or of other papers."""
        try:
            made_of = json.loads((folder / _MADE_OF).read_text(encoding="utf-8"))
            if (made_of["version"], made_of["index_sha256"]) != (_VERSION, index_sha256):
                return None
            if "sums" in made_of and made_of["sums"] != _sums(folder):  # numbers of a damaged file would be believed
                return None
            bm25 = bm25s.BM25.load(folder, mmap=True, show_progress=False)
            found = cls(tuple(made_of["paper_ids"]), NameTable.load(folder), bm25)
            # An ingest may have put another one here meanwhile.
            return found if json.loads((folder / _MADE_OF).read_text(encoding="utf-8")) == made_of else None
        except Exception:  # a damaged file ends in whatever numpy or json raise, and is made anew all the same
            return None
