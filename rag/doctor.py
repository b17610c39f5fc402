"""What is installed, cached and indexed, and what to type next."""

from __future__ import annotations

import platform
import shutil
import sys
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import rag
from rag.catalogue import CATALOGUE, EMBEDDER
from rag.client import running
from rag.errors import IndexUnfinished, RagError
from rag.index import PaperIndex
from rag.models import ModelStore
from rag.resident import fingerprint
from rag.settings import Settings, settings_file
from rag.store import store_of, typed

_SERVER_SECONDS = 5.0
_PACKAGES = ("torch", "transformers", "chromadb", "llama-index-core", "gradio")


@dataclass(frozen=True)
class Finding:
    """One thing looked at: fine, wrong, or (None) neither; and what to type about it."""

    ok: bool | None
    what: str
    next: str | None = None


def examine(settings: Settings) -> list[Finding]:
    """Look at everything that an answer needs. Nothing is fetched, loaded or changed."""
    file = settings_file()
    return [
        Finding(True, f"PaperTrail {rag.__version__} on Python {platform.python_version()}, {platform.platform()}"),
        _packages(),
        Finding(None, f"settings: {file}" + ("" if file.is_file() else " (not there: defaults hold)")),
        *_models(settings),
        *_model_servers(settings),
        _disk(settings),
        _index(settings),
        _server(settings),
        _log(settings),
    ]


def _packages() -> Finding:
    found, missing = [], []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding(False, f"missing: {', '.join(missing)}", f"{sys.executable} -m pip install {' '.join(missing)}")
    return Finding(True, ", ".join(found))


def _models(settings: Settings) -> list[Finding]:
    store = ModelStore.of(settings)
    findings = []
    for name in (EMBEDDER, *(() if settings.llm.url else (settings.model.lower(),))):
        spec = CATALOGUE.get(name)
        if spec is None:
            try:
                store.identify(settings.model)
                findings.append(Finding(None, f"model {settings.model}: yours, unpinned"))
            except RagError as error:
                findings.append(Finding(False, str(error)))
        elif store.ready(spec):
            findings.append(Finding(True, f"model {name}, SHA-256 {spec.sha256[:12]}…, in {store.folder / name}"))
        elif store.size(spec):
            findings.append(Finding(False, f"model {name} is incomplete", f"rag models pull {name}"))
        else:
            size = f"{spec.fetch_bytes / 1e9:.1f} GB"
            findings.append(Finding(None, f"model {name} is not here yet ({size} to fetch)", f"rag models pull {name}"))
    return findings


def _model_servers(settings: Settings) -> list[Finding]:
    findings = []
    for section, does, flag in (
        (settings.llm, "language model", "--llm-model"),
        (settings.embed, "embedding model", "--embed-model"),
    ):
        if not section.url:
            continue
        from rag.model_server import ModelServer, listed

        try:
            served = ModelServer(section, offline=settings.offline).models(_SERVER_SECONDS)
        except RagError as error:
            findings.append(Finding(False, str(error)))
            continue
        names = [model.name for model in served]
        known = section.model in names or (section.model is None and len(names) == 1)
        said = f"{does} {section.model or 'not named'}, of the server at {section.url}, which has {listed(served)}"
        findings.append(Finding(known or None, said, None if known else f"name one with {flag}"))
    return findings


def _disk(settings: Settings) -> Finding:
    folder = settings.models_dir
    while not folder.exists():
        folder = folder.parent
    return Finding(None, f"{shutil.disk_usage(folder).free / 1e9:.0f} GB free for models in {settings.models_dir}")


def _index(settings: Settings) -> Finding:
    where = store_of(settings).where
    try:
        with closing(PaperIndex.read(settings)) as index:
            count, sha256 = len(index.papers), index.sha256
            if settings.store.url is None:
                for paper_id in index.papers:
                    index.tokens.read(paper_id)  # what a question reads only when it needs it
    except IndexUnfinished as error:
        if error.scope:
            return Finding(False, str(error))
        return Finding(None, f"no index {where} yet", typed(settings, "ingest").strip("`"))
    except RagError as error:
        return Finding(False, str(error))
    return Finding(True, f"index of {count} papers, hash {sha256[:12]}…, {where}", 'rag ask "…" or rag chat')


def _server(settings: Settings) -> Finding:
    place = running(settings)
    if place is None:
        return Finding(None, "no server is running: `rag ask` loads index and model itself", "rag serve")
    if place.fingerprint != fingerprint(settings):
        said = f"a server is running (process {place.pid}), with other settings or code: `rag ask` doesn't use it"
        return Finding(None, said, "stop it, and rag serve")
    return Finding(True, f"a server is running (process {place.pid}): `rag ask` is answered from there")


def _log(settings: Settings) -> Finding:
    if settings.log.file is None:
        return Finding(None, "no log is written; RAG_LOG__FILE=FILE writes one")
    also = ", with questions and answers" if settings.log.questions else ""
    return Finding(None, f"log: {settings.log.file.expanduser().absolute()}{also}")
