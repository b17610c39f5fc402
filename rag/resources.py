"""Finds what ships beside the library: the prompts, the seed pages and the chat page.

In a clone they are top-level folders; in a wheel they lie inside the package, so that installing
it claims no top-level name but ``rag``.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

_PACKAGE = Path(__file__).resolve().parent


def resource(name: str) -> Path:
    """The path of a shipped file or folder, such as ``"prompts"`` or ``"app.py"``.

    :raises FileNotFoundError: if neither the package nor the clone holds it.
    """
    for parent in (_PACKAGE / "shipped", _PACKAGE.parent):
        path = parent / name
        if path.exists():
            return path
    raise FileNotFoundError(f"{name} is not part of this installation")


def load_page() -> ModuleType:
    """Import the chat page, ``app.py``, from wherever it was shipped."""
    spec = importlib.util.spec_from_file_location("papertrail_app", resource("app.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
