"""Finds what ships beside the library: the prompts, the seed pages, the evaluation and the chat page.

In a clone they are top-level folders; in a wheel they lie inside the package, so that installing
it claims no top-level name but ``rag``.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

_PACKAGE = Path(__file__).resolve().parent
_EVALUATION = "papertrail_eval"


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
    return _import("papertrail_app", resource("app.py"))


def load_evaluation(module: str) -> ModuleType:
    """Import a module of ``eval/``, such as ``"run"``, from wherever it was shipped.

    It becomes part of a package of its own name: a wheel must not claim the top-level name ``eval``.
    """
    folder = resource("eval")
    if _EVALUATION not in sys.modules:
        _import(_EVALUATION, folder / "__init__.py", folder)
    return importlib.import_module(f"{_EVALUATION}.{module}")


def _import(name: str, path: Path, package: Path | None = None) -> ModuleType:
    search = [str(package)] if package else None
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=search)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
