"""The folders of this machine, and the servers it asks, which visitors of the page need not know."""

from __future__ import annotations

import html
import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path, PureWindowsPath
from typing import Any

from rag.settings import Settings
from rag.web.html import lines, safe

_SLASH = safe("/")
_MARKUP = re.compile(r"""([<>"]+)""")


class Places:
    """Tells what is told without the places that are named in it.

    Errors and sources name whole paths, as the command line needs them; of a path here, only the last name stays.
    """

    def __init__(self, folders: Iterable[Path], servers: Iterable[str] = ()):
        """:param folders: what may have spaces in its name; all else is known by how it begins.

        :param servers: addresses of others that this machine asks.
        """
        self._servers = tuple(servers)
        known = {form for folder in folders for form in _forms(folder)}
        top = [str(path) for path in Path("/").resolve().iterdir()] if Path("/").is_dir() else []
        names = "|".join(re.escape(name) for name in sorted({*known, *top}, key=len, reverse=True))
        within = r"""(?:[/\\][^\s/\\'"`<>&(),:;]+)+[/\\]?"""
        self._pattern = re.compile(rf"(?<![\w.:/\\])(?:(?:{names})(?![\w-])(?:{within})?|[A-Za-z]:{within})")

    @classmethod
    def of(cls, settings: Settings) -> Places:
        """Those of the settings, and where the program and its user live."""
        named = (settings.home, settings.data_dir, settings.cache_dir, settings.corpus, settings.weights_dir)
        found = [folder.expanduser() for folder in named if folder]
        found += [Path(name).expanduser() for name in (settings.model, settings.grounding.checker) if name]
        found += [settings.index_dir, settings.index_dir.parent, settings.models_dir, settings.models_dir.parent]
        found += [Path.home(), Path.cwd(), Path(tempfile.gettempdir()), Path(sys.prefix), Path(sys.base_prefix)]
        return cls(found, [url for url in (settings.llm.url, settings.embed.url) if url])

    def hidden(self, told: Any) -> Any:
        """The same text, or the same with its texts told so, where it is made of lists and dictionaries."""
        if isinstance(told, str):
            return self._in_html(self._in_text(told)) if "/" in told or "\\" in told or _SLASH in told else told
        if isinstance(told, list | tuple):
            return type(told)(map(self.hidden, told))
        if isinstance(told, dict):
            return {name: self.hidden(value) for name, value in told.items()}
        return told

    def _in_text(self, told: str) -> str:
        for server in self._servers:
            told = told.replace(server, "…")
        return self._pattern.sub(_last, told)

    def _in_html(self, told: str) -> str:
        """The same where it was escaped, in texts and attributes."""
        return "".join(map(self._escaped, _MARKUP.split(told))) if _SLASH in told else told

    def _escaped(self, part: str) -> str:
        if _SLASH not in part:
            return part
        said = html.unescape(part)
        shown = self._in_text(said)
        return part if shown == said else lines(shown)


def _forms(folder: Path) -> set[str]:
    """How a folder may be written. None for what is no folder or all of them."""
    return {str(path) for path in (folder, folder.resolve()) if path.is_absolute() and path != path.parent}


def _last(found: re.Match[str]) -> str:
    path = found[0].rstrip(".")
    return f"…/{PureWindowsPath(path).name}{found[0][len(path) :]}"
