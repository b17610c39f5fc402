"""Entries of files that name their fields freely: JSON objects and rows of tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rag.readers.dates import iso, iso_date, iso_parts
from rag.readers.entry import Entry

# As they are spelled without capitals, spaces and signs; what comes first is believed first.
_NAMES = {
    "title": ("title", "articletitle", "papertitle", "documenttitle", "displayname"),
    "abstract": ("abstract", "abstractnote", "abstracttext", "paperabstract", "summary", "description"),
    "authors": ("authorsparsed", "authorfullnames", "authors", "author", "authornames", "authorships", "creators",
                "creator"),
    "date": ("date", "published", "publicationdate", "publisheddate", "datepublished", "issued", "publishedprint",
             "publishedonline", "coverdate", "pubdate", "submitted", "created"),
    "year": ("year", "publicationyear", "pubyear", "publishedyear"),
    "month": ("month", "publicationmonth"),
    "day": ("day", "publicationday"),
    "category": ("primarycategory", "category", "categories", "subject", "subjects"),
    "doi": ("doi", "digitalobjectidentifier"),
    "arxiv": ("arxivid", "arxiv", "eprint", "id", "entryid", "identifier"),
    "url": ("url", "link", "paperurl", "urlabs", "pdfurl", "links"),
}  # fmt: skip
_FAMILY = ("family", "last", "lastname", "familyname", "surname")
_GIVEN = ("given", "first", "firstname", "givenname", "forename")
_WHOLE = ("name", "fullname", "displayname", "literal", "rawauthorname", "authorname", "creatorname")
_PLAIN = re.compile(r"[\W_]+")
_DEEP = 4
_AND = re.compile(r",? (?:and|&) ")
_MAX_NAMES = 500_000
"""Characters of all names together; thousands of authors have less."""
_ET_AL = re.compile(r"[,;]?\s*(?:\bet\.? al\b\.?|\band others\b|…|\.\.\.)\s*$", re.IGNORECASE)


def name_of(field: str) -> str:
    """A field's name as it is looked up."""
    return _PLAIN.sub("", field[:100].casefold())


def known_names(fields: Iterable[str]) -> int:
    """How many of these names of fields say something."""
    names = {name_of(field) for field in fields}
    return sum(not names.isdisjoint(usual) for usual in _NAMES.values())


def has_abstract(fields: Iterable[str]) -> bool:
    """Whether one of these names is one for abstracts."""
    return not {name_of(field) for field in fields}.isdisjoint(_NAMES["abstract"])


def entry(fields: Mapping[str, Any]) -> Entry:
    """What an object or a row says, its fields named in any of the usual ways."""
    by_name: dict[str, Any] = {}
    for field, value in fields.items():
        if value not in (None, "", [], {}):
            by_name.setdefault(name_of(field), value)
    outer = by_name.get("externalids")
    if isinstance(outer, Mapping):
        by_name = {name_of(field): value for field, value in outer.items()} | by_name

    def get(what: str) -> Any:
        return next((by_name[name] for name in _NAMES[what] if name in by_name), None)

    names, complete = _names(get("authors"))
    day = _date(get("date"))
    parts = iso_parts(*(_text(get(part)) for part in ("year", "month", "day")))
    category = _first(get("category"))
    return Entry(
        title=_first(get("title")),
        abstract=_text(get("abstract")),
        authors=names,
        authors_complete=complete,
        date=max(filter(None, (day, parts)), key=len, default=None),
        category=re.split(r"[;,\s]+" if "." in category else r"[;,]", category, maxsplit=1)[0],
        doi=_text(get("doi")),
        arxiv=_text(get("arxiv")),
        url=_first(get("url")),
    )


def _text(value: Any, deep: int = 0) -> str:
    """A value as text: that of the parts of a list, or of what an object holds."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None or deep > _DEEP:
        return ""
    if isinstance(value, (int, float)):
        return f"{value:.15g}" if isinstance(value, float) else str(value) if abs(value) < 1 << 64 else ""
    if isinstance(value, Mapping):
        inner = (value.get(name) for name in ("text", "value", "content", "name", "url"))
        return _text(next((found for found in inner if found), None), deep + 1)
    return " ".join(filter(None, (_text(part, deep + 1) for part in value)))


def _first(value: Any) -> str:
    return _text(value[0] if isinstance(value, list) and value else value)


def _date(value: Any) -> str | None:
    if isinstance(value, Mapping):
        by_name = {name_of(str(field)): part for field, part in value.items()}
        if "dateparts" in by_name:
            value = by_name["dateparts"]
        elif "year" in by_name:
            return iso_parts(*(_text(by_name.get(part)) for part in ("year", "month", "day")))
        else:
            return iso_date(_text(by_name.get("raw") or by_name.get("datetime") or value))
    while isinstance(value, list) and value and isinstance(value[0], list):
        value = value[0]
    if isinstance(value, list):  # [2023, 5, 17]
        numbers = [int(text) for part in value[:3] if re.fullmatch(r"\d{1,4}", text := _text(part))]
        return iso(*numbers) if numbers else None
    return iso_date(_text(value))


# People ----------------------------------------------------------------------------------------


def _names(value: Any) -> tuple[tuple[str, ...], bool]:
    """The authors' names, given names first, and whether they are all."""
    if isinstance(value, str):
        given = " ".join(value[:_MAX_NAMES].split())
        listed = _ET_AL.sub("", given)
        return tuple(_split(listed)), listed == given and len(value) <= _MAX_NAMES
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list):
        return (), True
    names = tuple(filter(None, map(_name, value)))
    complete = tuple(name for name in names if not _ET_AL.fullmatch(name))
    return complete, len(complete) == len(names)


def _name(value: Any) -> str:
    if isinstance(value, str):
        return given_first(value)
    if isinstance(value, list):  # [family, given, suffix], as arXiv has it
        parts = [_text(part) for part in value[:3]]
        return " ".join(filter(None, [*parts[1:2], *parts[:1], *parts[2:]]))
    if not isinstance(value, Mapping):
        return ""
    by_name = {name_of(str(field)): part for field, part in value.items() if part}

    def get(names: tuple[str, ...]) -> str:
        return _text(next((by_name[name] for name in names if name in by_name), None))

    family = " ".join(filter(None, [get(_GIVEN), get(("nondroppingparticle",)), get(_FAMILY), get(("suffix",))]))
    if get(_FAMILY):
        return family
    if isinstance(by_name.get("author"), Mapping):
        return _name({field: part for field, part in by_name["author"].items() if name_of(str(field)) != "author"})
    return given_first(get(_WHOLE))


def given_first(name: str) -> str:
    """ "Lovelace, Ada" as "Ada Lovelace"; "Ford, Henry, Jr." as "Henry Ford Jr."."""
    family, _, rest = (part.strip() for part in name.partition(","))
    if not rest:
        return family
    given, _, suffix = (part.strip() for part in rest.partition(","))
    return " ".join(filter(None, [given, family, suffix]))


def _split(names: str) -> Iterator[str]:
    """The names in a text. Semicolons part them for certain; commas may, or they stand inside."""
    if ";" in names:
        parts = names.split(";")
    elif "," not in names:
        parts = _AND.split(names)
    else:
        parts = _AND.split(names)
        inside = all(part.count(",") == 1 for part in parts)
        if not inside or (len(parts) == 1 and " " in names.split(",")[0].strip()):
            parts = [part for piece in parts for part in piece.split(",")]
    return (given_first(part) for part in parts if part.strip())
