"""Tells when files have changed and come to rest."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rag.errors import UsageError

_TICK = 0.5
_REST = 1.0
"""Seconds. What has not changed for so long is at rest."""
_LONGEST = 60.0
"""Seconds after which what never rests is told all the same."""


def resting(places: Sequence[Path], own: Sequence[Path] = ()) -> Iterator[None]:
    """Yields once at first, and then each time that something has changed at these places and come to rest.

    A place may be replaced, go away and come back. What changes while the caller works is told afterwards.

    :param places: files and folders, absolute. Of what is in a folder, hidden files and folders don't count.
    :param own: what the caller itself writes: files and folders, absolute. They don't count either.
    :raises UsageError: if a folder can't be watched.
    """
    stamps = {place: _stamp(place) for place in places}
    begun: float | None = time.monotonic()
    moved = time.monotonic()
    while True:
        watched = [place for place in places if place.is_dir()]
        for changes in _ticks(watched):
            now = time.monotonic()
            before, stamps = stamps, {place: _stamp(place) for place in places}
            if stamps != before or any(_counts(path, watched, own) for path in changes):
                begun, moved = begun or now, now
            if begun and (now - moved >= _REST or now - begun >= _LONGEST):
                begun = None
                yield
            if stamps != before or not changes.isdisjoint(watched):
                break  # what is watched may no longer be what is there


def _stamp(place: Path) -> tuple[int, ...]:
    """What tells whether a place is another one, or a file has changed."""
    try:
        found = place.stat()
    except OSError:
        return ()
    same = found.st_dev, found.st_ino
    return same if place.is_dir() else (*same, found.st_size, found.st_mtime_ns)


def _counts(path: Path, watched: Sequence[Path], own: Sequence[Path]) -> bool:
    if any(path.is_relative_to(place) for place in own):
        return False
    inside = [path.relative_to(folder).parts for folder in watched if path.is_relative_to(folder)]
    return any(not any(part.startswith(".") for part in parts) for parts in inside)


def _ticks(folders: Sequence[Path]) -> Iterator[set[Path]]:
    """What has changed in these folders since the last tick; several times a second."""
    from watchfiles import watch

    while not folders:
        time.sleep(_TICK)
        yield set()
    milliseconds = int(_TICK * 1000)
    try:
        for changes in watch(
            *folders, watch_filter=None, debounce=milliseconds, rust_timeout=milliseconds, yield_on_timeout=True
        ):
            yield {Path(path) for _, path in changes}
    except FileNotFoundError:
        yield set()  # it has gone just now
    except (OSError, RuntimeError) as error:
        names = " and ".join(map(str, folders))
        raise UsageError(f"{names} can't be watched ({error}): type `rag ingest` whenever it has changed.") from error
