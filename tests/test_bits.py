"""The words, tier "exact": against Random123's known answers and the specification in plain integers."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pondera.core.bits import ELEMENTS, SEEDS, name_hash, philox4x32, stream_key, words
from pondera.core.errors import DomainError
from tests import oracle

KNOWN = Path(__file__).parent / "vectors" / "philox4x32.txt"
seeds = st.integers(0, SEEDS - 1)
names = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1)
starts = st.integers(0, ELEMENTS - 2000) | st.integers(0, 2000)


@pytest.mark.parametrize("line", KNOWN.read_text().splitlines())
def test_philox_gives_the_known_answers_of_random123(line):
    rounds, *numbers = line.split()[1:]
    counter, key, expected = np.split(np.array([int(n, 16) for n in numbers]), [4, 6])
    made = philox4x32(tuple(counter), tuple(map(int, key)), rounds=int(rounds))
    assert [int(word) for word in made] == list(expected)


def test_philox_maps_each_of_many_counters_alone():
    rng = np.random.default_rng(0)
    counters, key = rng.integers(0, 2**32, (4, 50)), (7, 2**32 - 1)
    together = np.array(philox4x32(tuple(counters), key))
    for lane in range(50):
        alone = oracle.spelled_philox([int(c) for c in counters[:, lane]], key, 10)
        assert list(together[:, lane]) == alone


@given(start=starts, seed=seeds, name=names, tag=st.sampled_from(["", "imag"]))
def test_words_are_those_of_the_specification(start, seed, name, tag):
    made = words(start, 300, seed=seed, name=name, tag=tag)
    for step in (0, 1, 63, 64, 299):
        assert made[step] == oracle.spelled_word(start + step, seed=seed, name=name, tag=tag)


@given(start=starts, cuts=st.lists(st.integers(0, 1500), min_size=1, max_size=4))
def test_words_do_not_depend_on_where_a_draw_starts(start, cuts):
    whole = words(start, 1500, seed=5, name="w")
    edges = [0, *sorted(cuts), 1500]
    pieces = [words(start + low, high - low, seed=5, name="w") for low, high in pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_streams_differ_by_seed_name_and_tag():
    base = {"seed": 1, "name": "w", "tag": ""}
    others = [
        {"seed": 2},
        {"seed": 1 + 2**32},  # the upper half of the seed counts
        {"seed": 2**64 - 1},
        {"name": "v"},
        {"name": "wimag"},  # a tag is not a suffix
        {"tag": "imag"},
    ]
    drawn = [words(0, 256, **{**base, **other}) for other in ({}, *others)]
    assert len({tuple(stream) for stream in drawn}) == len(drawn)
    shared = len(drawn) * 256 - len(set(np.concatenate(drawn)))
    assert shared == 0  # seven streams of 256 words: not one word in common


def test_words_of_neighbouring_tiles_and_high_tiles_differ():
    places = (0, 256, 512, 2**32, 2**34, 2**38, 2**63)
    drawn = np.concatenate([words(place, 256, seed=0, name="w") for place in places])
    assert len(set(drawn)) == drawn.size


@pytest.mark.parametrize("name", ["", "w\0imag", None, b"w", 3])
def test_names_that_name_nothing_are_refused(name):
    with pytest.raises(DomainError, match="a name is a non-empty string"):
        name_hash(name)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, "1", None, True])
def test_seeds_are_never_wrapped(seed):
    with pytest.raises(DomainError, match="a seed is an integer"):
        stream_key(seed)


def test_a_seed_may_be_a_numpy_integer():
    assert stream_key(np.uint64(2**64 - 1)) == stream_key(2**64 - 1) == (2**32 - 1, 2**32 - 1)


@pytest.mark.parametrize(("start", "count"), [(-1, 1), (0, -1), (2**64 - 1, 2)])
def test_draws_stay_inside_the_stream(start, count):
    with pytest.raises(DomainError, match="start \\+ count"):
        words(start, count, seed=0, name="w")


def test_the_last_element_of_the_stream_exists():
    assert words(2**64 - 1, 1, seed=0, name="w")[0] == oracle.spelled_word(
        2**64 - 1, seed=0, name="w"
    )


@pytest.mark.parametrize(
    "seed", [np.array([1, 2]), np.array(True), np.True_, np.array(1.0), np.float64(1), int]
)
def test_arrays_that_are_no_integer_are_no_seed(seed):
    with pytest.raises(DomainError, match="a seed is an integer"):
        stream_key(seed)


def test_tensors_that_are_no_integer_are_no_seed():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    assert stream_key(torch.tensor(5)) == (5, 0)
    for seed in (torch.tensor(True), torch.tensor(1.0), torch.tensor([1, 2])):
        with pytest.raises(DomainError, match="a seed is an integer"):
            stream_key(seed)


def test_a_name_without_utf8_is_refused():
    with pytest.raises(DomainError, match="a name is a non-empty string"):
        name_hash("w\ud800")
