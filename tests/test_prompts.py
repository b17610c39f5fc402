from pathlib import Path

import pytest

from rag import prompts
from rag.errors import SettingsError
from rag.generation import tidy
from rag.prompts import PLACEHOLDERS, Prompt, prompts_sha256
from rag.resources import resource


@pytest.mark.parametrize("name", PLACEHOLDERS)
def test_the_shipped_prompts_load_and_fill(name: str) -> None:
    values = {field: f"<{field} {{braces}} \\LaTeX>" for field in PLACEHOLDERS[name]}
    messages = Prompt.load(name).fill(**values)
    assert messages[-1]["role"] == "user"
    whole = "\n".join(message["content"] for message in messages)
    assert all(value in whole for value in values.values())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in PLACEHOLDERS:
        fields = " ".join(f"{{{field}}}" for field in sorted(PLACEHOLDERS[name]))
        (tmp_path / f"{name}.txt").write_text(f"[system]\nBe kind.\n\n[user]\n{fields}\n")
    monkeypatch.setattr(prompts, "resource", lambda _: tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "text", ["[user]\n{question}", "[user]\n{title} {abstract} {question} {other}", "{title} {question}"]
)
def test_a_prompt_without_its_placeholders_is_refused(text: str, folder: Path) -> None:
    (folder / "fact.txt").write_text(text)
    with pytest.raises(SettingsError, match=r"fact\.txt must end in a \[user\] part.*abstract.*question"):
        Prompt.load("fact")


def test_any_change_of_a_prompt_changes_the_hash(folder: Path) -> None:
    before = prompts_sha256()
    assert prompts_sha256() == before
    path = folder / "states.txt"
    path.write_text(path.read_text() + " ")
    assert prompts_sha256() != before


def test_each_prompt_is_explained() -> None:
    explained = (resource("prompts") / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in explained for name in PLACEHOLDERS)
    assert {path.stem for path in resource("prompts").glob("*.txt")} == set(PLACEHOLDERS)


@pytest.mark.parametrize(
    ("draft", "prose"),
    [
        ("PDS selects data [1].", "PDS selects data."),
        ("PDS selects data.[1][2, 3] It works.", "PDS selects data. It works."),
        ("- One thing\n- Another thing.\n", "One thing. Another thing."),
        ("1. **Zorb** sorts\n2. `Blip` does not.", "Zorb sorts. Blip does not."),
        ("It is whole. It was cut off in the mid", "It is whole."),
        ("- One thing\n- It was cut. And this", "One thing. It was cut."),
        ("Only this", "Only this"),
        ("It has x[i] and 1.5 parts.", "It has x[i] and 1.5 parts."),
    ],
)
def test_a_draft_becomes_plain_prose(draft: str, prose: str) -> None:
    assert tidy(draft) == prose
