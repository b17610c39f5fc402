import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rag.answers import REFUSALS, Citation, Sentence, copied_share, refusal
from rag.papers import Paper

ABSTRACT = "We show that small models trained on clean data can match much larger ones on most tasks."


def sentence(text, *citations):
    return Sentence(text=text, citations=citations, quotes=(), support=1.0)


@pytest.mark.parametrize(
    ("text", "citations", "marked"),
    [
        ("It works.", (1,), "It works [1]."),
        ("It works.", (1, 3), "It works [1][3]."),
        ("Does it?!", (2,), "Does it [2]?!"),
        ("It works", (1,), "It works [1]."),
        ("It works.", (), "It works."),
        ("It works", (), "It works."),
        ("It gains 3.5 points.", (1,), "It gains 3.5 points [1]."),
        ('It is called "LoRA."', (1,), 'It is called "LoRA." [1].'),
    ],
)
def test_markers_stand_before_the_full_stop(text, citations, marked):
    assert sentence(text, *citations).marked == marked


def test_nothing_is_copied_from_nowhere():
    assert copied_share(ABSTRACT, []) == 0
    assert copied_share("", [ABSTRACT]) == 0


def test_an_abstract_copied_whole_is_copied_whole():
    assert copied_share(ABSTRACT, [ABSTRACT]) == 1


def test_a_run_of_eight_words_counts_and_one_of_seven_does_not():
    words = ABSTRACT.split()
    assert copied_share(" ".join(words[3:11]), [ABSTRACT]) == 1
    assert copied_share(" ".join(words[3:10]), [ABSTRACT]) == 0


def test_the_share_is_that_of_the_answers_words():
    answer = "Indeed the authors find this: " + " ".join(ABSTRACT.split()[:10]) + " or so they say, honestly."
    assert copied_share(answer, [ABSTRACT]) == 10 / 20


def test_overlapping_runs_are_counted_once():
    assert copied_share(" ".join(ABSTRACT.split()[:12]), [ABSTRACT, ABSTRACT]) == 1


def test_case_punctuation_and_latex_do_not_hide_a_copy():
    source = r"By using {\sc Foo} we gain 42.9\% over all other known models"
    assert copied_share("by using Foo, WE GAIN 42.9% over all other known models!", [source]) == 1


def test_a_run_may_not_straddle_two_abstracts():
    words = ABSTRACT.split()
    halves = [" ".join(words[:4]), " ".join(words[4:8])]
    assert copied_share(" ".join(words[:8]), halves) == 0


@given(st.text(), st.lists(st.text()))
def test_the_share_lies_between_none_and_all(answer, abstracts):
    assert 0 <= copied_share(answer, abstracts) <= 1


def test_a_citation_quotes_the_abstract_word_for_word_under_a_readable_title():
    paper = Paper(
        paper_id="0" * 16,
        title=r"{\sc Ofa} for All",
        title_source="page",
        abstract=ABSTRACT,
        authors=("Ada Lovelace",),
        authors_complete=True,
        date="2024-03",
        url="https://arxiv.org/abs/2403.02884",
    )
    citation = Citation.of(2, paper, 3, 24)
    assert citation.quote == ABSTRACT[3:24] == "show that small model"
    assert (citation.n, citation.start, citation.end) == (2, 3, 24)
    assert (citation.title, citation.title_source) == ("Ofa for All", "page")
    assert (citation.authors, citation.date, citation.url) == (paper.authors, paper.date, paper.url)


def test_results_cannot_be_changed():
    with pytest.raises(ValidationError):
        sentence("It works.").text = "It does not."


def test_every_refusal_is_one_plain_statement_of_its_own():
    assert len(set(REFUSALS.values())) == len(REFUSALS) == 4
    assert all(said.startswith("The indexed papers don't say") for said in REFUSALS.values())


def test_a_refusal_speaks_of_the_papers_that_were_considered() -> None:
    assert refusal("off_topic") == REFUSALS["off_topic"]
    assert refusal("not_stated", 64).startswith("The 64 papers that pass the filters don't say: the abstracts nearest")
    one = refusal("not_stated", 1)
    assert one.startswith("The one paper that passes the filters doesn't say: its abstract doesn't state it (only the")
    assert refusal("off_topic", 1).startswith("The one paper that passes the filters doesn't say: its abstract isn't")
    assert refusal("no_papers", 0) == REFUSALS["no_papers"]
