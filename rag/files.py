"""Files of unknown size and kind, read without being swamped by them."""

from __future__ import annotations

import os
from pathlib import Path


def read_at_most(path: Path, most: int) -> bytes | None:
    """What a file holds; None if that is more than ``most`` bytes, whatever its size was said to be.

    :raises OSError: if it can't be read.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > most:
            return None
        data = file.read(most + 1)
    return data if len(data) <= most else None
