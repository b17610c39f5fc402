"""Prints the part of requirements.lock that the program needs while it runs, or that the named packages need.

What only development and evaluation ask for is left out, so that an image holds no more than it must.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
_ENTRY = re.compile(r"^([\w.-]+)==.*\n(?:[ #].*\n)*", re.M)


def needed(lock: str, wanted: set[str]) -> str:
    """The entries of these packages, and of all that they need in turn. :raises SystemExit: if one is not locked."""
    entries = {match[1]: match[0] for match in _ENTRY.finditer(lock)}
    missing = wanted - entries.keys()
    if missing:
        sys.exit(f"Error: not in the lock: {', '.join(sorted(missing))}. Type `make lock`.")
    # Below each package the lock names those that ask for it.
    asked_by = {name: set(re.findall(r"[\w.-]+", entry.rpartition("# via")[2])) for name, entry in entries.items()}
    known: set[str] = set()
    while wanted - known:
        known |= wanted
        wanted = {name for name, by in asked_by.items() if by & known}
    return "".join(entry for name, entry in entries.items() if name in known)


def main(names: list[str]) -> None:
    if not names:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        names = [re.split(r"[^\w.-]", requirement)[0] for requirement in project["dependencies"]]
    sys.stdout.write(needed((ROOT / "requirements.lock").read_text(encoding="utf-8"), set(names)))


if __name__ == "__main__":
    main(sys.argv[1:])
