"""Dates as people and databases write them."""

from __future__ import annotations

import re
from datetime import date

_LONGEST = 200
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = re.compile(
    r"\b(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\b",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?<!\d)(1[5-9]\d\d|20\d\d)(?!\d)")
_NUMBERS = re.compile(r"(\d{4})(?:[-/.](\d{1,2})(?:[-/.](\d{1,2}))?)?(?!\d)")
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)(?!\d)")
_DAY_FIRST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})(?!\d)")
_DAY_BEFORE = re.compile(r"(?<!\d)(\d{1,2})(?:st|nd|rd|th)?[\s.,~#\"{}-]{0,10}(?:of\s)?$")
_DAY_AFTER = re.compile(r"[\s.,~#\"{}-]{0,10}(\d{1,2})(?:st|nd|rd|th)?(?![\d:])")


def iso_date(text: str) -> str | None:
    """YYYY, YYYY-MM or YYYY-MM-DD, as far as the text says it for certain; None if it names no year.

    >>> iso_date("Mon, 2 Apr 2007 19:18:42 GMT"), iso_date("2019 Nov-Dec"), iso_date("2020/03//"), iso_date("3/4/2020")
    ('2007-04-02', '2019-11', '2020-03', '2020')
    """
    text = text[:_LONGEST].strip()
    month = _MONTH.search(text)
    year = _YEAR.search(text)
    if month:
        if not year:
            return None
        day = _DAY_BEFORE.search(text[: month.start()]) or _DAY_AFTER.match(text, month.end())
        return iso(int(year[1]), _MONTHS.index(month[0][:3].lower()) + 1, int(day[1]) if day else None)
    if found := _COMPACT.fullmatch(text) or _NUMBERS.match(text):
        return iso(*(int(part) if part else None for part in found.groups()))
    if found := _DAY_FIRST.match(text):
        first, second, of = int(found[1]), int(found[3]), int(found[4])
        if found[2] == "." or first > 12:
            return iso(of, second, first)
        return iso(of, first, second) if second > 12 else iso(of)  # 3/4 is in March or in April
    return iso(int(year[1])) if year else None


def iso_parts(year: str, month: str = "", day: str = "") -> str | None:
    """The same of a date in parts; a month may be a name, a number, or a range of them."""
    of = iso_date(year)
    if of is None or len(of) > 4 or not month.strip():
        return of
    if re.fullmatch(r"\d{1,2}", month.strip()):
        return iso(int(of), int(month), int(day) if re.fullmatch(r"\d{1,2}", day.strip()) else None)
    return iso_date(f"{of} {month} {day}")


def iso(year: int | None, month: int | None = None, day: int | None = None) -> str | None:
    """The parts as one date, up to the first that can't be."""
    if year is None or not 1500 <= year < 2100:
        return None
    if month is None or not 1 <= month <= 12:
        return f"{year}"
    try:
        return date(year, month, day or 0).isoformat()
    except ValueError:
        return f"{year}-{month:02}"
