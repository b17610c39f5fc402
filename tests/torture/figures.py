"""Puts what `make torture` measured into docs/trust.md: ``python -m tests.torture.figures``."""

from __future__ import annotations

import json
from pathlib import Path

MEASURED = Path("build/torture")
"""A file a test: what was done, and what came of it."""
_PAGE = Path("docs/trust.md")
_BEGIN, _END = "<!-- measured -->", "<!-- end -->"


def main() -> None:
    """Write the table anew."""
    noted = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(MEASURED.glob("*.json"))]
    rows = [f"| {what} | {came} |" for one in noted for what, came in one.items()]
    before, rest = _PAGE.read_text(encoding="utf-8").split(_BEGIN)
    _, after = rest.split(_END)
    table = "\n".join(["| what was done | what came of it |", "|---|---|", *rows])
    _PAGE.write_text(f"{before}{_BEGIN}\n{table}\n{_END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
