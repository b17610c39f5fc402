"""Entries of the arXiv's metadata dump: JSON lines with ``id``, ``authors_parsed``, ``versions`` and ``categories``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rag.readers import fields
from rag.readers.entry import Entry
from rag.text import from_latex


def is_entry(found: Mapping[str, Any]) -> bool:
    return isinstance(found.get("authors_parsed"), list) and isinstance(found.get("id"), str)


def entry(found: Mapping[str, Any]) -> Entry:
    """Its date is that of the first version; names and their accents are in LaTeX, as in BibTeX."""
    versions = found.get("versions")
    first = versions[0] if isinstance(versions, list) and versions else None
    names = [
        [from_latex(part) for part in name if isinstance(part, str)]
        for name in found["authors_parsed"]
        if isinstance(name, list)
    ]
    return fields.entry(
        {
            "title": found.get("title"),
            "abstract": found.get("abstract"),
            "authors": names,
            "date": first.get("created") if isinstance(first, Mapping) else None,
            "category": str(found.get("categories") or "").split(" ")[0],
            "doi": found.get("doi"),
            "arxiv": found["id"],
        }
    )
