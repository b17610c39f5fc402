from hypothesis import given
from hypothesis import strategies as st

from rag.engine.lookup import Lookup

IDS = st.lists(st.integers(0, 4), min_size=1, max_size=40)


def test_what_followed_the_longest_run_is_guessed() -> None:
    assert Lookup([1, 2, 3, 9, 5, 3, 8, 1, 2, 3]).guess(4) == [9, 5, 3, 8]
    assert Lookup([1, 2, 3, 9, 5, 3, 8, 1, 2, 3]).guess(2) == [9, 5]


def test_a_run_of_one_token_says_little() -> None:
    assert Lookup([3, 1, 2, 4, 5, 3]).guess(10) == [1, 2]


def test_of_runs_of_one_length_the_last_counts() -> None:
    assert Lookup([3, 7, 3, 8, 3]).guess(1) == [8]


def test_a_token_that_was_never_there_is_followed_by_nothing_known() -> None:
    assert Lookup([1, 2, 3]).guess(5) == []


@given(IDS, IDS, st.integers(0, 9))
def test_it_does_not_matter_in_how_many_parts_tokens_came(first: list[int], second: list[int], most: int) -> None:
    parts = Lookup(first)
    parts.add(second)
    assert parts.guess(most) == Lookup(first + second).guess(most)
    assert len(parts.guess(most)) <= most
