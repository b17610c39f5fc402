"""Anything at all, fed to whatever reads what others wrote; and what fuzzing found, as it found it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.corpora import beginnings
from tests.targets import Target, Targets, target

# In the index's stead a question is asked of the real one; the others are fast.
_EXAMPLES = {"question": 40, "page": 60, "export": 150}
_LINES = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["CLMar 3, 2025Code", "CL٣Mar ٣, ٣٣٣٣", "Abstract:", "Abstract: ", "A title", "Ada Lovelace et al. · x"]
    ),
    st.text(max_size=20).map(lambda text: (text + " is sorted by its sound. ") * 15),
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from("id question claim text paper_id filters paper author since until model mode history papers "
                        "event fields error message title begins arxiv answer".split()) | st.text(max_size=5),
        inner,
        max_size=8,
    ),
    max_leaves=20,
)  # fmt: skip
_TOML = st.lists(
    st.tuples(
        st.sampled_from("home data_dir corpus model mode offline retrieval.papers generation.max_seconds x".split()),
        st.one_of(st.integers(), st.floats(), st.booleans(), st.lists(st.integers(), max_size=2))
        .map(str).map(str.lower) | st.text(max_size=20).map(json.dumps),
    ),
    max_size=4,
).map(lambda pairs: "\n".join(f"{name} = {value}" for name, value in pairs))  # fmt: skip


def _encoded(texts: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    return texts.map(lambda text: text.encode("utf-8", errors="surrogatepass"))


_FIELDS = st.dictionaries(
    st.sampled_from("title abstract author authors authors_parsed versions date year month doi url id".split()),
    _JSON | st.text(max_size=60),
    max_size=6,
)
_TAGGED = st.lists(
    st.tuples(st.sampled_from("TY AB TI AU DA PY DO UR ER N2 A1 XX".split()), st.text(max_size=40)), max_size=8
).map(lambda tags: "\n".join(f"{tag}  - {text}" for tag, text in tags))
_BIBTEX = st.lists(
    st.tuples(
        st.sampled_from("title abstract author year month doi eprint crossref date".split()),
        st.text(max_size=40)
        | st.sampled_from([r"{\'e} and {\o}", "A and B, C and others", "$x", "{", r"\v{", "jan # x"]),
    ),
    max_size=6,
).map(lambda pairs: "@article{key,\n" + ",\n".join(f"{name} = {{{text}}}" for name, text in pairs) + "}")
_XML = st.lists(
    st.tuples(st.sampled_from("AbstractText ArticleTitle LastName Year MedlineDate sup".split()), st.text(max_size=30)),
    max_size=6,
).map(
    lambda parts: (
        "<PubmedArticleSet><PubmedArticle><MedlineCitation><Article><Abstract>"
        + "".join(f"<{tag}>{text}</{tag}>" for tag, text in parts)
        + "</Abstract></Article></MedlineCitation></PubmedArticle></PubmedArticleSet>"
    )
)
_EXPORTS = st.one_of(
    _BIBTEX.map(".bib\n{}".format),
    _TAGGED.map(".ris\n{}".format),
    _XML.map(".xml\n{}".format),
    st.lists(_FIELDS, max_size=3).map(json.dumps).map(".json\n{}".format),
    st.lists(_FIELDS.map(json.dumps), max_size=3).map("\n".join).map(".jsonl\n{}".format),
    st.lists(st.text(max_size=60), max_size=4).map("\n".join).map(".csv\ntitle,abstract\n{}".format),
    st.tuples(st.sampled_from([".bib", ".ris", ".xml", ".json", ".jsonl", ".csv", ".gz", ""]), st.text()).map(
        "\n".join
    ),
)

_LIKELY = {
    "export": _encoded(_EXPORTS),
    "page": _encoded(st.lists(_LINES, max_size=12).map("\n".join)),
    "titles": _encoded(st.lists(_JSON, max_size=3).map(json.dumps)),
    "settings": _encoded(_TOML),
    "environment": _encoded(
        _TOML.map(lambda text: text.replace(".", "__").replace(" = ", "=").upper().replace("\n", "\0"))
    ),
    "results": _encoded(st.lists(_JSON.map(json.dumps), max_size=4).map("\n".join)),
    "batch": _encoded(st.lists(_JSON.map(json.dumps), max_size=4).map("\n".join)),
    "wire": _encoded(_JSON.map(json.dumps)),
    "text": _encoded(st.text()),
    "question": _encoded(st.text(max_size=200)),
}


@pytest.fixture
def fed(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Target]:
    """Makes a target; only questions need the real index."""

    def make(name: str) -> Target:
        if name == "question":
            request.getfixturevalue("indexed")
        return target(name, tmp_path)

    return make


@st.composite
def _damaged(draw: st.DrawFn, name: str) -> bytes:
    """A real input with a piece cut out, doubled or replaced."""
    data = draw(st.sampled_from(list(beginnings(name))))
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(len(data), start + 200)))
    piece = draw(st.sampled_from([b"", data[start:end] * 2, b"\0", b"\xff", b"\x1b[", b"\xe2\x80\xae", b"9" * 400]))
    return data[:start] + piece + data[end:]


@pytest.mark.parametrize("name", Targets.names())
def test_nothing_but_our_own_errors_comes_out(name: str, fed: Callable[[str], Target]) -> None:
    run = fed(name)

    @settings(
        deadline=None,
        max_examples=_EXAMPLES.get(name, 100),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.one_of(_LIKELY[name], _damaged(name), st.binary(max_size=200)))
    def anything(data: bytes) -> None:
        run(data)

    anything()


@pytest.mark.parametrize("name", Targets.names())
def test_what_fuzzing_begins_with_is_taken(name: str, fed: Callable[[str], Target]) -> None:
    run = fed(name)
    for data in list(beginnings(name))[:12]:
        run(data)


FOUND = [
    ("titles", b"[" * 100_000),
    ("titles", b'[{"title": "\\ud800", "begins": "We"}]'),
    ("titles", b'[{"title": "A\\n[2] B", "begins": "We"}]'),
    ("page", ("A\nCLMar 13, 0001\nT\nA B\n" + "We sort gravel. " * 30).encode()),
    ("settings", b"a = " + b"[" * 100_000),
    ("settings", b'data_dir = "a\\u0000b"'),
    ("settings", b'data_dir = "' + b"a" * 5000 + b'"'),
    ("settings", b'cache_dir = "~nobody-of-that-name/x"'),
    ("environment", b"RETRIEVAL=" + b"[" * 100_000 + b"\0"),
    ("environment", b"HOME=~nobody-of-that-name\0"),
    ("environment", b"CORPUS=/x\xa7\0MODEL=\xa7\0GROUNDING__CHECKER=\xa7\0"),
    ("results", b'{"id": ' + b"[" * 100_000 + b"\n"),
    ("results", b"\xff\n"),
    ("batch", b'\xef\xbb\xbf{"question": "What?"}\n'),
    ("batch", b"[" * 100_000),
    ("wire", b'{"question": "", "model": "", "mode": "", "filters": {"papers": [1], "author": null, "since": null, '
             b'"until": null}, "history": []}'),
    ("wire", b'{"question": "", "model": "", "mode": "", "filters": {"papers": [], "author": 5, "since": null, '
             b'"until": null}, "history": []}'),
    ("wire", b'{"question": "", "model": "", "mode": "", "filters": {"papers": [], "author": null, "since": null, '
             b'"until": null}, "history": [{"question": null, "answer": 1, "title": []}]}'),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_was_found_stays_mended(name: str, data: bytes, fed: Callable[[str], Target]) -> None:
    fed(name)(data)
