"""No code comes with data: models are safetensors or GGUF, and nothing that is read is run."""

import ast
import builtins
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest

from rag.entailment import Entailment
from rag.errors import ModelUnavailable
from rag.llm import load_model
from rag.models import Weights
from rag.settings import Generation
from tests.test_entailment import checker

ROOT = Path(__file__).parent.parent
MODULES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted([*ROOT.glob("rag/**/*.py"), *ROOT.glob("eval/**/*.py"), ROOT / "app.py"])
}
RUN_WHAT_THEY_READ = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "code", "runpy"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
CALLS = {"torch.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system", "os.popen", "hub.load"}
OPTIONS = {"trust_remote_code", "allow_pickle", "shell", "weights_only"}


def dotted(node: ast.AST) -> str:
    """``a.b.c`` as written."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def dangers(tree: ast.AST) -> set[str]:
    """What in a module could run what it reads."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names} & RUN_WHAT_THEY_READ
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {(node.module or "").split(".")[0]} & RUN_WHAT_THEY_READ
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            found |= {name} & (BUILTINS | CALLS)
            for option in node.keywords:
                if option.arg in OPTIONS and getattr(option.value, "value", True) is not (option.arg == "weights_only"):
                    found.add(f"{name}({option.arg})")
        elif isinstance(node, ast.Dict):
            names = [getattr(key, "value", None) for key in node.keys]
            for key, value in zip(names, node.values, strict=True):
                if key in OPTIONS and getattr(value, "value", True) is not False:
                    found.add(f"{{{key}}}")
    return found


@pytest.mark.parametrize("name", MODULES)
def test_nothing_runs_what_it_reads(name: str) -> None:
    assert dangers(MODULES[name]) == set()


@pytest.mark.parametrize("name", MODULES)
def test_models_are_loaded_from_safetensors_or_gguf_and_without_their_code(name: str) -> None:
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.Call) and dotted(node.func).endswith(".from_pretrained"):
            options = {option.arg: getattr(option.value, "value", None) for option in node.keywords}
            if "gguf_file" in options:
                continue
            assert "Model" not in dotted(node.func) or options["use_safetensors"] is True
            assert options.get("trust_remote_code") is False or None in options  # as in **where, held above


@pytest.mark.parametrize(
    "code",
    [
        *("import pickle", "from joblib import load", "torch.load(path)", "np.load(path, allow_pickle=True)"),
        *("M.from_pretrained(x, trust_remote_code=True)", 'where = {"trust_remote_code": True}', "eval(text)"),
        *("subprocess.run(command, shell=True)", "torch.load(path, weights_only=False)", "yaml.load(text)"),
    ],
)
def test_the_search_finds_what_it_looks_for(code: str) -> None:
    assert dangers(ast.parse(code))


class Trap:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, left: Path):
        self._left = left

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._left,)


def trapped(folder: Path, left: Path) -> None:
    """Put a pickle in the place of a folder's safetensors."""
    for weights in folder.glob("*.safetensors"):
        weights.unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(left)))


def test_the_trap_works(tmp_path: Path) -> None:
    trapped(tmp_path, tmp_path / "left")
    pickle.loads((tmp_path / "pytorch_model.bin").read_bytes())
    assert (tmp_path / "left").exists()


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A model that a user brings."""
    return Path(shutil.copytree(tiny_model, tmp_path / "brought"))


def configured(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def refusal(folder: Path) -> str:
    with pytest.raises(ModelUnavailable) as refused:
        load_model(Weights("brought", str(folder), None, pinned=False), Generation(), offline=True)
    said = str(refused.value)
    assert "\n" not in said
    assert said.endswith("or use a model that `rag models` lists.")
    return said


@pytest.mark.parametrize("kind", ["qwen2", "llama"], ids=["engine", "transformers"])
def test_pickled_weights_are_refused_and_not_opened(kind: str, folder: Path, tmp_path: Path) -> None:
    configured(folder, model_type=kind)
    trapped(folder, tmp_path / "left")
    assert "safetensors" in refusal(folder)
    assert not (tmp_path / "left").exists()


def test_a_model_with_code_of_its_own_is_refused_without_asking(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builtins, "input", lambda *_: "y")  # transformers would ask
    (folder / "own.py").write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'left')!r}).touch()\n")
    own = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model", "AutoTokenizer": ["own.Tokenizer", None]}
    configured(folder, model_type="own", auto_map=own, architectures=["Model"])
    assert "code of its own, which is never run" in refusal(folder)
    assert not (tmp_path / "left").exists()


def test_a_checker_with_pickled_weights_is_refused_and_not_opened(tmp_path: Path) -> None:
    trapped(checker(tmp_path / "checker", "contradiction", "neutral", "entailment"), tmp_path / "left")
    with pytest.raises(ModelUnavailable, match="can't be loaded"):
        Entailment.load(str(tmp_path / "checker"), offline=True)
    assert not (tmp_path / "left").exists()
