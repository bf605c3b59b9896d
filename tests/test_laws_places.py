"""Any slice of any law is the slice of the whole, bit for bit; coordinates and scattered words."""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pondera.core import laws
from pondera.core.bits import words
from pondera.core.draw import DTYPES, draw
from pondera.core.laws.base import Axes
from pondera.core.places import Place, along, flat, slice_of, whole
from pondera.core.recipes import normal_recipe, truncated_recipe, uniform_recipe
from pondera.core.scattered import drawn, drawn_at, words_at, words_of
from tests.law_cases import TORCH

W = {"seed": 7, "name": "w"}
ANSWERS = Path(__file__).with_name("vectors") / "laws.json"

# law → shape and axes that suit it; small, so that slices cross runs
SLICED = {
    "he": (laws.he_normal(), (6, 5, 3), TORCH),
    "truncated": (laws.truncated_normal(std=1.0), (40, 30), Axes()),
    "constant": (laws.constant(0.5), (4, 3), Axes()),
    "orthogonal": (laws.orthogonal(), (6, 10), Axes()),
    "mirrored": (laws.mirrored_orthogonal(), (6, 10), Axes()),
    "siren": (laws.siren_hidden(), (20, 30), TORCH),
    "identity": (laws.identity(), (9, 4), TORCH),
    "dirac": (laws.dirac(groups=2), (3, 3, 4, 6), Axes()),
    "tiled": (laws.tiled_identity(), (30, 7), TORCH),
    "sparse": (laws.sparse(connections=3), (9, 40), TORCH),
    "sparse, input": (laws.sparse(connections=3, per="input"), (9, 20, 2), TORCH),
    "sparse, stored": (laws.sparse(sparsity=0.8), (40, 9), Axes()),
    "rows": (laws.unit_rows(), (9, 3, 40), Axes()),
    "rows, output": (laws.unit_rows(per="output"), (3, 3, 8, 6), Axes()),
    "log uniform": (laws.log_uniform(low=0.1, high=10.0), (20, 30), Axes()),
    "softplus steps": (laws.softplus_time_steps(), (7, 50), Axes()),
    "mamba2": (laws.mamba2_decay(), (50,), Axes()),
    "legs": (laws.hippo_legs_state(), (2, 9, 9), Axes()),
    "legs input": (laws.hippo_legs_input(), (4, 9), Axes()),
    "s4d": (laws.s4d_inv(), (4, 9), Axes()),
    "s4d real": (laws.s4d_real(), (4, 9), Axes()),
    "delta": (laws.delta_orthogonal(), (3, 3, 4, 6), Axes()),
    "mirrored delta": (laws.mirrored_delta_orthogonal(), (6, 4, 3), TORCH),
    "hadamard": (laws.hadamard_orthogonal(), (6, 16, 4), TORCH),
    "hadamard, tall": (laws.hadamard_orthogonal(products=2), (32, 5), TORCH),
}


def slices(shape):
    """Strategy: (offset, size) of a slice, often empty or a single column."""
    ends = [
        st.integers(0, n).flatmap(lambda o, n=n: st.tuples(st.just(o), st.integers(0, n - o)))
        for n in shape
    ]
    return st.tuples(*ends).map(lambda pairs: tuple(zip(*pairs, strict=True)) or ((), ()))


def cut(array, offset, size):
    return array[tuple(slice(o, o + n) for o, n in zip(offset, size, strict=True))]


@pytest.mark.parametrize("name", SLICED)
@settings(max_examples=25)
@given(given_=st.data())
def test_a_slice_is_the_slice_of_the_whole(name, given_):
    law, shape, axes = SLICED[name]
    dtype = given_.draw(st.sampled_from(DTYPES))
    offset, size = given_.draw(slices(shape))
    stored = law.draw(shape, axes, dtype=dtype, **W)
    part = law.block(shape, axes, offset=offset, size=size, dtype=dtype, **W)
    assert part.dtype == stored.dtype
    assert part.flags.c_contiguous
    np.testing.assert_array_equal(part, cut(stored, offset, size))


@pytest.mark.parametrize("name", SLICED)
@pytest.mark.parametrize("dtype", ["complex64", "float16", "float32"])
def test_single_elements_make_up_the_whole(name, dtype):
    law, shape, axes = SLICED[name]
    stored = law.draw(shape, axes, dtype=dtype, **W)
    for index in np.random.default_rng(0).integers(0, shape, (12, len(shape))):
        one = law.block(shape, axes, offset=index, size=(1,) * len(shape), dtype=dtype, **W)
        np.testing.assert_array_equal(one.ravel()[0], stored[tuple(index)])


def test_a_part_of_a_large_weight_is_made_at_its_own_cost():
    """What would be 4 TiB as a whole."""
    shape = (2**20, 2**20)
    for law in (
        laws.he_normal(), laws.tiled_identity(), laws.identity(), laws.s4d_real(),
        laws.softplus_time_steps(), laws.unit_rows(), laws.sparse(), laws.hadamard_orthogonal(),
    ):  # fmt: skip
        part = law.block(shape, TORCH, offset=(2**19, 2**18), size=(2, 3), **W)
        moved = law.block(shape, TORCH, offset=(2**19 + 1, 2**18), size=(1, 3), **W)
        np.testing.assert_array_equal(part[1:], moved)


@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 4), (2, 3, 4, 5), ()])
def test_coordinates_are_those_of_numpy(shape):
    place, ends = whole(shape), range(len(shape))
    everywhere = np.arange(math.prod(shape)).reshape(shape)
    np.testing.assert_array_equal(flat(place), everywhere)
    for axes in ((), tuple(ends), tuple(reversed(ends)), tuple(ends)[::2]):
        index = np.indices(shape)
        expected = np.zeros(shape, dtype=int)
        for axis in axes:
            expected = expected * shape[axis] + index[axis]
        np.testing.assert_array_equal(np.broadcast_to(along(place, axes), shape), expected)


@given(given_=st.data(), shape=st.lists(st.integers(0, 12), min_size=1, max_size=4))
def test_coordinates_of_a_slice_are_those_of_the_whole(given_, shape):
    offset, size = given_.draw(slices(shape))
    place = slice_of(shape, offset, size)
    everywhere = np.arange(math.prod(shape)).reshape(shape)
    np.testing.assert_array_equal(flat(place), cut(everywhere, offset, size))
    assert place.count == cut(everywhere, offset, size).size


@pytest.mark.parametrize("start", [0, 250, 2**32 - 3, 2**50 + 77])
@pytest.mark.parametrize("tag", ["", "imag"])
def test_scattered_words_are_those_of_the_stream(start, tag):
    order = np.random.default_rng(0).permutation(700)
    here = words(start, 700, tag=tag, **W)
    found = words_at((order + start).astype(np.uint64), tag=tag, **W)
    np.testing.assert_array_equal(found, here[order])
    place = Place((2**40, 40), (start // 40, 3), (9, 5))
    expected = [words(row * 40 + 3, 5, tag=tag, **W) for row in range(start // 40, start // 40 + 9)]
    np.testing.assert_array_equal(words_of(place, tag=tag, **W), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "recipe",
    [normal_recipe(2.0), uniform_recipe(-1.0, 1.0), truncated_recipe(1.0), normal_recipe(0.0)],
    ids=lambda recipe: recipe.kind,
)
def test_scattered_draws_are_those_of_the_stream(recipe, dtype):
    here = draw(1000, 300, recipe=recipe, dtype=dtype, **W)
    order = np.random.default_rng(0).permutation(300)
    found = drawn_at((order + 1000).astype(np.uint64), recipe=recipe, dtype=dtype, **W)
    np.testing.assert_array_equal(found, here[order])
    column = drawn(Place((2000, 1), (1000, 0), (300, 1)), recipe=recipe, dtype=dtype, **W)
    np.testing.assert_array_equal(column[:, 0], here)


def answer(name: str, dtype: str) -> str:
    """The first digits of the hash of a weight's bytes."""
    law, shape, axes = SLICED[name]
    stored = law.draw(shape, axes, dtype=dtype, **W)
    return hashlib.sha256(stored.astype(stored.dtype.newbyteorder("<")).tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("name", json.loads(ANSWERS.read_text()) if ANSWERS.exists() else [])
def test_exact_laws_give_the_known_answers(name):
    """Frozen: a change is a new version of the stream, said in the changelog."""
    for dtype, known in json.loads(ANSWERS.read_text())[name].items():
        assert answer(name, dtype) == known
