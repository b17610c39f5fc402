"""What a search in a new process may load."""

import json
import os
import subprocess
import sys

from rag.settings import Settings

_HEAVY = ("torch", "transformers", "sentence_transformers", "llama_index", "nltk", "sklearn", "gradio")


def test_a_sure_search_loads_no_heavy_library(indexed: Settings) -> None:
    code = f"""
import json, sys
from rag.cli import main
sys.argv = ["rag", "search", "What does PDS do?"]
try:
    main()
except SystemExit as ended:
    print(json.dumps([ended.code, [name for name in {_HEAVY} if name in sys.modules]]), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=dict(os.environ), capture_output=True, text=True, check=True
    )
    assert "Optimal Control" in done.stdout.splitlines()[0]
    assert json.loads(done.stderr.splitlines()[-1]) == [0, []]
