"""``rag ingest --watch``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rag.cli_shared import terminal, until_stopped
from rag.errors import PageError, RagError, UsageError

if TYPE_CHECKING:
    from rag.settings import Settings


def keep_reading(settings: Settings, paths: Sequence[Path], read: Callable[[bool], None], *, rebuild: bool) -> int:
    """Read what is at the paths, and again whenever it has changed, until Ctrl-C.

    What can't be read is told, and read again at the next change.

    :param read: is told whether everything is to be made anew: the first time, if ``rebuild``.
    :raises UsageError: if there is nothing at a path. :raises RagError: if reading can't even begin.
    """
    from rag.assistant import default_corpus
    from rag.readers import resolved
    from rag.watching import resting

    places = [resolved(path) for path in paths or [default_corpus(settings)[0]]]
    for place in places:
        if not place.exists():
            raise UsageError(f"There is nothing at {place}: name a page or a folder of pages that is there.")
    own = [settings.index_dir, settings.eval_dir, settings.models_dir, settings.conversation_file, settings.server_file]
    own += [settings.log.file.expanduser()] if settings.log.file else []
    begun = False
    with until_stopped():
        for _ in resting(places, [resolved(path) for path in own]):
            try:
                read(rebuild)
                rebuild = False
            except RagError as error:
                if not begun and not isinstance(error, (PageError, UsageError)):
                    raise
                terminal.error(str(error))
            if not begun:
                terminal.note(f"Watching {', '.join(map(str, places))}; Ctrl-C stops it.")
            begun = True
    return 0
