import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.text import from_latex, group, readable, sentence_spans, words

PIECES = "We|models (e.g., BERT)|improve.|it|3.5%|vs.|NP|et al.|Then!|Why?|\\textbf{x}|$x$|Fig. 3|\n|“Yes.”|A.|\u00a0|é"
PROSE = st.lists(st.sampled_from(PIECES.split("|"))).map(" ".join)
LATEX = st.text(alphabet="\\{}$%&_^~#[]() \nabcXYZ019.,é∑", max_size=80)


def sentences(text):
    return [text[start:end] for start, end in sentence_spans(text)]


def spans_in_order(spans, length):
    edges = [edge for span in spans for edge in span]
    return edges == sorted(edges) and all(start < end for start, end in spans) and (not edges or edges[-1] <= length)


@settings(deadline=None)
@given(st.one_of(st.text(), PROSE))
def test_sentences_are_ordered_disjoint_and_leave_nothing_out(text):
    spans = sentence_spans(text)
    assert spans_in_order(spans, len(text))
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())


@settings(deadline=None)
@given(st.one_of(st.text(), PROSE))
def test_sentences_have_no_outer_space(text):
    assert all(sentence == sentence.strip() for sentence in sentences(text))


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_nothing_has_no_sentences(text):
    assert sentence_spans(text) == []


def test_space_before_the_first_sentence_is_left_out():
    assert sentence_spans("\n We win. You lose.") == [(2, 9), (10, 19)]


def test_sentences_end_at_stops_question_and_exclamation_marks():
    assert sentences("It works. Does it? It does!  So be it.") == ["It works.", "Does it?", "It does!", "So be it."]


@pytest.mark.parametrize(
    "sentence",
    [
        "Smith et al. Introduced it.",
        "Many tasks (e.g. GLUE) are used, i.e. English ones.",
        "We write on P vs. NP with GPT-4.",
        "As in Fig. 3 and Eq. 2 of Sec. Four, it holds.",
        "It is 3.5 times as fast, cf. Table 2.",
        "It has approx. 7B weights w.r.t. BERT, etc. in all.",
        "The U.S. Congress met.",
        "We use data from arxiv.org and v1.5 of it.",
    ],
)
def test_abbreviations_and_numbers_end_no_sentence(sentence):
    assert sentences(f"We begin. {sentence} We end.") == ["We begin.", sentence, "We end."]


def test_a_sentence_may_end_in_a_bracket_or_a_quote():
    assert sentences('It ends (really). Then "so". More.') == ["It ends (really).", 'Then "so".', "More."]


def test_a_piece_in_lower_case_continues_its_sentence():
    assert sentences("We use ver. two of it. Done.") == ["We use ver. two of it.", "Done."]


def test_a_lower_case_name_may_begin_a_sentence_after_a_question():
    assert sentences("Why? iGPT knows.") == ["Why?", "iGPT knows."]


@settings(deadline=None)
@given(PROSE, st.integers(1, 200))
def test_groups_cover_the_sentences_in_order(text, characters):
    spans = sentence_spans(text)
    groups = group(spans, characters)
    assert spans_in_order(groups, len(text))
    inside = [[span for span in spans if start <= span[0] and span[1] <= end] for start, end in groups]
    assert [span for part in inside for span in part] == spans
    assert [(part[0][0], part[-1][1]) for part in inside] == groups


@settings(deadline=None)
@given(PROSE, st.integers(1, 200))
def test_only_a_single_sentence_may_be_longer_than_a_group(text, characters):
    spans = sentence_spans(text)
    assert all(end - start <= characters or (start, end) in spans for start, end in group(spans, characters))


def test_a_short_text_is_one_group():
    assert group([(0, 10), (11, 20)], 20) == [(0, 20)]


def test_groups_are_even_rather_than_full():
    assert group([(0, 10), (11, 21), (22, 32), (33, 43)], 35) == [(0, 21), (22, 43)]


def test_no_sentences_make_no_groups():
    assert group([], 100) == []


@pytest.mark.parametrize(
    ("latex", "plain"),
    [
        (r"{\sc MwpBench} and {\tt GPT-3.5}", "MwpBench and GPT-3.5"),
        (r"\textbf{SCodeR}, a \textbf{S}oft label", "SCodeR, a Soft label"),
        (r"\textit{one \emph{two} three}", "one two three"),
        (r"by 42.9\% and 43.7\%", "by 42.9% and 43.7%"),
        (r"R\&D of a\_b \#1 for \$5", "R&D of a_b #1 for $5"),
        (r"P $\neq$ NP", "P ≠ NP"),
        (r"CelebA-64$\times$64, 16$\times$3.8B", "CelebA-64×64, 16×3.8B"),
        (r"$\mathbf{\ge 2\times}$ faster", "≥ 2× faster"),
        (r"$6\times10^{21}$ FLOPs", "6×10^21 FLOPs"),
        (r"WizardLM-$β$, $Z$-values", "WizardLM-β, Z-values"),
        (r"$\frac{1}{2}$ of it", "1/2 of it"),
        (r"PanGu-{\alpha}", "PanGu-α"),
        (r"in \url{https://github.com/a_b}.", "in https://github.com/a_b."),
        (r"see \href{https://a.org}{our page}", "see our page"),
        (r"et al.~(2020), Fig.~3, see~[1]", "et al. (2020), Fig. 3, see [1]"),
    ],
)
def test_latex_is_made_readable(latex, plain):
    assert readable(latex) == plain


@pytest.mark.parametrize(
    ("latex", "plain"),
    [
        (r"{\'E}tude of the {DNA} na\"{\i}ve", "Étude of the DNA naïve"),
        (r"Erd\H{o}s, G\"odel, \v{S}, \c{c} \c c, S\o ren {\O}, {\ss}, \r{a}", "Erdős, Gödel, Š, ç ç, Søren Ø, ß, å"),
        (r"50\% of \$5 \& more -- so ``quoted''", "50% of $5 & more – so “quoted”"),
        (r"{\textless}i{\textgreater}, {\textasciitilde}40, a\_b \{c\}", "<i>, ~40, a_b {c}"),
        (r"a 10% loss of ~400B in a well-known f''(x)", "a 10% loss of ~400B in a well-known f''(x)"),
        (r"\textbf{Big {Name}} {\sc Foo} naive~Bayes $x^2$ dis\-com\-fort", "Big Name Foo naive Bayes x^2 discomfort"),
        ("plain words", "plain words"),
        ("{ \\'", " \\'"),
    ],
)
def test_latex_of_bibtex_becomes_plain(latex, plain):
    assert from_latex(latex) == plain


@pytest.mark.parametrize(
    "text",
    [
        "94.8% on MATH, 50% of C4 % and more",
        "~400B tokens, about ~7%",
        "costs $5 and $10 a month",
        "costs $5-$10 a month",
        "$3,000/$4,000",
        "a_b and x^2 and {sets} & #1",
        "``skills,'' they say",
        "plain – “text” with 漢字 and 🙂",
    ],
)
def test_signs_that_mean_themselves_are_left_alone(text):
    assert readable(text) == text


@pytest.mark.parametrize(
    ("latex", "plain"),
    [
        (r"We construct \ourdataset, a set", "We construct ourdataset, a set"),
        (r"\method{} wins", "method wins"),
        (r"{\ours} wins", "ours wins"),
        (r"GUI Agents and \etc. Then", "GUI Agents and etc. Then"),
        (r"\mymacro{text} stays", "text stays"),
    ],
)
def test_a_macro_of_the_authors_own_is_shown_by_name_or_content(latex, plain):
    assert readable(latex) == plain


@settings(deadline=None)
@given(LATEX)
def test_no_latex_is_too_broken_to_read(text):
    assert isinstance(readable(text), str)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])).filter(lambda text: not set("\\$~") & set(text)))
def test_text_without_latex_is_untouched(text):
    assert readable(text) == text


@pytest.mark.parametrize("command", ["input", "include", "InputIfFileExists"])
def test_latex_reads_no_files(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.tex").write_text("hidden")
    assert "hidden" not in readable(rf"See \{command}{{secret}} and {{\{command} secret}} and $\{command}{{secret}}$")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LoRA beats BERT.", ["lora", "beats", "bert"]),
        ("1.5-Pints and b1.58, state-of-the-art", ["1.5-pints", "and", "b1.58", "state-of-the-art"]),
        ("Café naïve Straße", ["cafe", "naive", "strasse"]),
        ("the model's and it’s", ["the", "model", "and", "it"]),
        ("C++ (and) foo_bar", ["c++", "and", "foo", "bar"]),
        (r"{\sc MwpBench} by 42.9\%", ["mwpbench", "by", "42.9"]),
        ("ﬁne-tuning ①", ["fine-tuning", "1"]),
        (" … -- !", []),
    ],
)
def test_words_are_folded_and_names_stay_whole(text, expected):
    assert words(text) == expected


@settings(deadline=None)
@given(st.text())
def test_words_hold_no_space_and_are_never_empty(text):
    assert all(word and not any(c.isspace() for c in word) for word in words(text))


@pytest.mark.parametrize(
    "latex",
    [r"\sqrt[3]{x}", r"\sqrt x", r"\href", r"\footnote", r"\input", r"\textcolor{red}", r"\frac12", r"\(\sqrt[3]{n}\)"],
)
def test_latex_that_is_not_quite_latex_is_shown_somehow(latex):
    assert readable(f"a {latex} b").startswith("a ")
    assert "%s" not in readable(latex)


@given(st.text(alphabet="\\\\{}[]$%~abfrtx 12", max_size=30))
def test_nothing_makes_readable_fail(text):
    assert isinstance(readable(text), str)
