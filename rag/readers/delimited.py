"""CSV and TSV: tables whose first line names the columns."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from rag.readers import fields
from rag.readers.left_out import Found, Problem
from rag.readers.opened import MAX_RECORD, Opened, decoded

_DELIMITERS = (",", "\t", ";", "|")


def read(file: Opened) -> Iterator[Found]:
    """A record a row. Which sign parts the columns is seen in the first line."""
    first = decoded(file.head.partition(b"\n")[0]).partition("\r")[0]
    delimiter = max(_DELIMITERS, key=lambda sign: fields.known_names(next(csv.reader([first], delimiter=sign), [])))
    problems: list[Problem] = []
    rows = csv.reader(_lines(file, problems), delimiter=delimiter)
    header: list[str] = []
    record = 0
    while True:
        line = rows.line_num + 1
        try:
            row = next(rows)
        except StopIteration:
            break
        except csv.Error as error:
            yield file.problem(f"it is no row of a table ({error}): a quotation mark may be missing.", line=line)
            continue
        finally:
            file.next_entry()
        yield from problems
        problems.clear()
        if not any(cell.strip() for cell in row):
            continue
        if not header:
            header = row
            if not fields.has_abstract(header):
                yield file.problem("no column is named abstract: name the columns in the first line.", ends=True)
                return
            continue
        record += 1
        if any(cell.strip() for cell in row[len(header) :]):
            yield file.problem(
                f"the row has {len(row)} columns, and the first line names {len(header)}: put what holds the sign "
                f"between them in quotation marks.",
                line=line,
            )
            continue
        yield fields.entry(dict(zip(header, row, strict=False))).record(file, record, line)
    yield from problems
    if not header:
        yield file.problem("it is empty.", ends=True)


def _lines(file: Opened, problems: list[Problem]) -> Iterator[str]:
    for number, line in file.lines():
        if line is None:
            problems.append(file.problem(f"it is longer than {MAX_RECORD >> 20} MiB: take it out.", line=number))
            yield "\n"
            continue
        file.count(len(line))
        yield decoded(line)
