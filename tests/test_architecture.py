"""What always holds for the code itself: read from its syntax trees."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in sorted(ROOT.glob("rag/**/*.py"))}
# Telemetry and oneDNN are told what to do through the environment.
READ_THE_ENVIRONMENT = {"rag/settings.py", "rag/__init__.py", "rag/processor.py"}
COMMAND_LINE = {
    f"rag/{name}.py" for name in ("cli", "cli_collections", "cli_eval", "cli_papers", "cli_shared", "cli_watch")
}
ENTRIES = COMMAND_LINE | {"rag/desk.py"}


def is_of_the_page(name: str) -> bool:
    return name.startswith("rag/web/")


def calls(tree: ast.AST) -> set[str]:
    return {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}


def imports(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("name", MODULES)
def test_only_the_command_line_prints(name: str) -> None:
    assert ("print" in calls(MODULES[name])) <= (name == "rag/terminal.py")
    assert ("rag.terminal" in imports(MODULES[name])) <= (name in COMMAND_LINE)


@pytest.mark.parametrize("name", MODULES)
def test_only_the_settings_read_the_environment(name: str) -> None:
    reads = any(
        isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"} and isinstance(node.ctx, ast.Load)
        for node in ast.walk(MODULES[name])
    )
    assert reads <= (name in READ_THE_ENVIRONMENT)


@pytest.mark.parametrize("name", MODULES)
def test_only_the_entries_know_the_assistant(name: str) -> None:
    assert ("rag.assistant" in imports(MODULES[name])) <= (name in ENTRIES or is_of_the_page(name))


@pytest.mark.parametrize("name", MODULES)
def test_only_the_page_knows_what_it_is_made_of(name: str) -> None:
    known = {module for module in imports(MODULES[name]) if module == "rag.web" or module.startswith("rag.web.")}
    assert not known or is_of_the_page(name)


def test_telemetry_is_off_once_the_package_is_imported() -> None:
    code = """import rag, os, chromadb
print(chromadb.Settings().anonymized_telemetry, os.environ["GRADIO_ANALYTICS_ENABLED"])"""
    environment = {name: value for name, value in os.environ.items() if name != "ANONYMIZED_TELEMETRY"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["False", "False"]


def test_the_command_starts_without_the_heavy_libraries() -> None:
    heavy = ("torch", "transformers", "chromadb", "gradio", "llama_index")
    code = f"import sys, rag.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_imports_nothing_that_only_a_command_needs(option: str) -> None:
    heavy = ("numpy", "pydantic", "torch", "chromadb", "rich.progress", "asyncio")
    code = f"""import atexit, sys
from rag.cli import main
atexit.register(lambda: print([m for m in {heavy} if m in sys.modules], file=sys.stderr))
main()"""
    done = subprocess.run([sys.executable, "-c", code, option], capture_output=True, text=True, check=True)
    assert done.stdout
    assert done.stderr.strip() == "[]"


def test_nothing_in_code_or_prompts_names_a_paper_of_the_corpus() -> None:
    from rag.readers import read_corpus

    words = {p.title.split(":")[0].casefold() for p in read_corpus(ROOT / "seeds") if ":" in p.title}
    names = {word for word in words if len(word.split()) == 1 and len(word) > 3}
    assert len(names) > 60
    sources = [
        path for folder in ("rag", "prompts") for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".txt"}
    ]
    for path in sources:
        found = names & {word.strip("\"'`.,:;()[]") for word in path.read_text().casefold().split()}
        assert not found - {"language", "scaling", "list"}, (path, found)
