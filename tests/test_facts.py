import pytest

from rag.facts import all_numbers, names, numbers, unbacked_names, unbacked_numbers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("42.9% of 7 tasks", {42.9, 7}),
        (r"by 42.9\% and $1.58\times$", {42.9, 1.58}),
        ("3.8B weights, 5T tokens, 128K context", {3.8e9, 5e12, 128e3}),
        ("2.5 million, 1.5-billion, 443k, 2 trillion", {2.5e6, 1.5e9, 443e3, 2e12}),
        ("1,000 of 12,345,678.5", {1000, 12345678.5}),
        ("from 10-20 in 2023", {10, 20, 2023}),
        ("97 bears and 3 Bananas", {97, 3}),
        ("no figures, only two words", set()),
    ],
)
def test_figures_are_read_with_their_units(text, expected):
    assert numbers(text) == expected


@pytest.mark.parametrize("name", ["Llama3", "E5", "b1.58", "GPT-4", "Llama-3-8B", "Qwen2.5", "P7B"])
def test_digits_in_names_are_no_numbers(name):
    assert numbers(f"We compare it with {name} here.") == set()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3.8B", {3.8e9, 3.8}),
        ("Llama-3-8B and E5", {3, 8, 8e9, 5}),
        ("twelve of thirty, half, twice", {12, 30, 0.5, 2}),
        ("1,000 steps", {1000}),
        ("Ten", {10}),
        ("often", set()),
    ],
)
def test_every_reading_of_a_number_counts_for_the_source(text, expected):
    assert all_numbers(text) == expected


def test_a_figure_that_the_source_lacks_is_unbacked():
    assert unbacked_numbers("It gains 42.9% on 7 tasks.", "It gains 43.7% on seven tasks.") == {42.9}


@pytest.mark.parametrize(
    ("sentence", "source"),
    [
        ("It has 3.8B weights.", "Phi has 3.8 billion weights."),
        ("It has 3,800,000,000 weights.", "Phi has 3.8B weights."),
        ("It uses 12 layers.", "It uses twelve layers."),
        ("It gains 42.9%.", r"It gains 42.9\%."),
        ("It is 1 model with 0 costs.", "A model without costs."),
        ("Figures there are none.", "Nor here."),
    ],
)
def test_the_same_number_written_otherwise_is_backed(sentence, source):
    assert unbacked_numbers(sentence, source) == set()


@pytest.mark.parametrize(
    ("sentence", "source"), [("It has 3.8B weights.", "It has 3.8 million weights."), ("In 2023.", "In 2024.")]
)
def test_another_magnitude_is_unbacked(sentence, source):
    assert unbacked_numbers(sentence, source)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("We use BERT and LoRA.", {"BERT", "LoRA"}),
        ("GPT-4 beats iGPT, Llama3 and E5.", {"GPT-4", "iGPT", "Llama3", "E5"}),
        ("Models such as Mistral win. Results hold.", set()),
        ("A Vision-Language Model. In-Context Learning.", set()),
        ("42 of 1,000 in 2023", set()),
        (r"It is {\sc MwpBench}.", {"MwpBench"}),
        ("everything is lower case", set()),
    ],
)
def test_names_are_told_from_words(text, expected):
    assert names(text) == expected


@pytest.mark.parametrize(
    ("sentence", "source"),
    [
        ("It beats LoRA.", "LoRA is beaten."),
        ("They are LLMs.", "An LLM is used."),
        ("It is an LLM.", "LLMs are used."),
        ("We use Gpt4.", "We use GPT-4."),
        ("We use GPT-4.", "We use GPT4."),
        ("It is the Mwp-Bench.", r"It is {\sc MwpBench}."),
        ("It has 3.8B weights.", "Phi has 3.8 billion weights."),
    ],
)
def test_a_name_is_backed_whatever_its_case_plural_or_hyphen(sentence, source):
    assert unbacked_names(sentence, source) == set()


def test_a_name_that_the_source_lacks_is_unbacked():
    assert unbacked_names("It beats QLoRA and Mistral.", "It beats LoRA and Mistral.") == {"QLoRA"}


@pytest.mark.parametrize(
    ("sentence", "source"), [("GPT-4 is used.", "We use GPT-3."), ("It has Llama-3-8B.", "Llama-2 and 8B of it.")]
)
def test_another_version_does_not_back_a_name(sentence, source):
    assert unbacked_names(sentence, source)


@pytest.mark.parametrize(
    ("sentence", "source"),
    [
        ("GPT4 is used.", "We use GPT-4."),
        ("It is BitNet-b1.58.", "BitNet b1.58 is it."),
        ("LoRA-XS wins.", "LoRA wins."),
    ],
)
def test_another_spelling_backs_a_name(sentence, source):
    assert not unbacked_names(sentence, source)


def test_a_short_form_that_the_sentence_makes_of_the_sources_words_needs_no_backing() -> None:
    source = "We use a gradient estimator for routing."
    assert not unbacked_names("It uses a gradient estimator (GE).", source)
    assert unbacked_names("It uses a graph encoder (GE).", source) == {"GE"}
