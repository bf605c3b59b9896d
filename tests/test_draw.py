"""The numbers: frozen answers (exact), the quantile (ulp), distribution and moments (separating)."""

import hashlib
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pondera.core import draw as module
from pondera.core.draw import DTYPES, draw, integers, normal_quantile, numbers
from pondera.core.errors import DomainError
from pondera.core.recipes import Recipe, normal_recipe, truncated_recipe, uniform_recipe
from tests import oracle

KNOWN = json.loads((Path(__file__).parent / "vectors" / "draws.json").read_text())["cases"]
RECIPES = {"normal": normal_recipe, "truncated": truncated_recipe, "uniform": uniform_recipe}
MANY = 2**20
QUANTILE_ERROR = 7.5e-8  # documented, in z
DISTANCE_ERROR = 2.4e-8  # documented Kolmogorov distance of the quantile, and of 1/span beside it

# one of each kind: recipe, and the law it stands for
DRAWN = {
    "symmetric": (uniform_recipe(-0.3, 0.3), stats.uniform(-0.3, 0.6)),
    "interval": (uniform_recipe(0.9, 1.2), stats.uniform(0.9, 1.2 - 0.9)),
    "normal": (normal_recipe(0.02), stats.norm(0, 0.02)),
    "moved": (normal_recipe(0.02, mean=0.1), stats.norm(0.1, 0.02)),
    "shifted": (normal_recipe(0.01, mean=3.0), stats.norm(3.0, 0.01)),
    "truncated": (truncated_recipe(0.5), stats.truncnorm(-2, 2, 0, 0.5)),
    "lopsided": (
        truncated_recipe(2.0, mean=1.0, lower=-1.0, upper=2.5),
        stats.truncnorm(-1, 2.5, 1.0, 2.0),
    ),
}
each = pytest.mark.parametrize("kind", DRAWN)


def known_name(case) -> str:
    start = next((f"2**{k}+{case['start'] - 2**k}" for k in (50, 32) if case["start"] > 2**k), "")
    return f"{case['kind']}-{case['dtype']}-{start or case['start']}"


def known_recipe(case) -> Recipe:
    return RECIPES[case["kind"]](**case["given"])


@pytest.mark.parametrize("case", KNOWN, ids=known_name)
def test_draws_give_the_known_answers(case):
    place = {"seed": case["seed"], "name": case["name"], "dtype": case["dtype"]}
    drawn = draw(case["start"], case["count"], recipe=known_recipe(case), **place)
    assert drawn.dtype == case["dtype"]
    first = [
        [float(x.real).hex(), float(x.imag).hex()] if drawn.dtype.kind == "c" else float(x).hex()
        for x in drawn[:4]
    ]
    assert first == case["first"]
    stored = drawn.astype(drawn.dtype.newbyteorder("<")).tobytes()
    assert hashlib.sha256(stored).hexdigest()[:16] == case["sha256"]


@given(case=st.sampled_from(KNOWN), step=st.integers(0, 10**4))
def test_draws_are_those_of_the_specification(case, step):
    index = case["start"] + step % case["count"]
    place = {"seed": case["seed"], "name": case["name"], "dtype": case["dtype"]}
    (drawn,) = draw(index, 1, recipe=known_recipe(case), **place)
    assert drawn == oracle.spelled_draw(index, case)


@each
@given(
    dtype=st.sampled_from(DTYPES), start=st.integers(0, 2**50), cuts=st.sets(st.integers(1, 899))
)
def test_splitting_a_draw_gives_one_draw(kind, dtype, start, cuts):
    recipe = DRAWN["normal" if dtype.startswith("complex") else kind][0]
    edges = [0, *sorted(cuts), 900]

    def piece(low, high):
        return draw(start + low, high - low, recipe=recipe, seed=3, name="w", dtype=dtype)

    pieces = [piece(*edge) for edge in pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(pieces), piece(0, 900))


def test_a_draw_is_one_across_the_passes_it_is_made_in():
    size, recipe = 2 * module._CHUNK + 5000, normal_recipe(1.0)
    whole = draw(200, size, recipe=recipe, seed=0, name="w")
    for start, count in ((200, 1000), (module._CHUNK - 7, 4000), (size - 800, 1000)):
        alone = draw(start, count, recipe=recipe, seed=0, name="w")
        np.testing.assert_array_equal(whole[start - 200 :][:count], alone)


def test_the_order_of_draws_changes_nothing():
    names = [f"layer.{k}.weight" for k in range(20)]
    recipe = normal_recipe(1.0)
    forward = {name: draw(0, 300, recipe=recipe, seed=0, name=name) for name in names}
    backward = {name: draw(0, 300, recipe=recipe, seed=0, name=name) for name in reversed(names)}
    for name in names:
        np.testing.assert_array_equal(forward[name], backward[name])
    correlation = np.corrcoef(list(forward.values())) - np.eye(len(names))
    assert np.abs(correlation).max() < oracle.STANDARD_ERRORS / np.sqrt(300)


@each
def test_draws_follow_their_distribution(kind):
    recipe, law = DRAWN[kind]
    drawn = draw(0, MANY, recipe=recipe, seed=0, name="w", dtype="float64")
    assert oracle.distance(drawn, law.cdf) < oracle.distance_limit(MANY) + DISTANCE_ERROR


@each
def test_draws_have_the_moments_of_their_distribution(kind):
    recipe, law = DRAWN[kind]
    drawn = draw(0, MANY, recipe=recipe, seed=1, name="w", dtype="float64")
    kurtosis = 3 + float(law.stats(moments="k"))
    assert drawn.mean() == pytest.approx(
        law.mean(), abs=oracle.STANDARD_ERRORS * law.std() / np.sqrt(MANY)
    )
    assert drawn.std() == pytest.approx(law.std(), rel=oracle.moment_tolerance(MANY, kurtosis))


@each
def test_draws_rise_with_the_word(kind):
    rising = np.linspace(0, 2**32 - 1, MANY, dtype=np.uint32)
    assert (np.diff(integers(rising, DRAWN[kind][0]).astype(np.int64)) >= 0).all()


@each
def test_draws_keep_inside_the_support(kind):
    recipe, law = DRAWN[kind]
    extreme = numbers(np.array([0, 1, 2**31, 2**32 - 2, 2**32 - 1], np.uint32), recipe, "float64")
    low, high = law.support()
    slack = recipe.unit  # a bound is rounded to the grid of the draw
    assert extreme.min() >= low - slack
    assert extreme.max() <= high + slack


def test_a_symmetric_uniform_is_never_zero_and_symmetric():
    words = np.concatenate([np.arange(5000), np.arange(2**31 - 5000, 2**31)]).astype(np.uint32)
    recipe = uniform_recipe(-1.0, 1.0)
    below, above = integers(words, recipe), integers(~words, recipe)
    assert (below != 0).all()
    assert (below == -above).all()


def test_normal_quantile_matches_scipy():
    rng = np.random.default_rng(0)
    ends = np.concatenate([np.arange(2000), 2**31 - 1000 + np.arange(2000)])
    octaves = np.concatenate([2**k + np.arange(-3, 4) for k in range(3, 32)])
    sampled = rng.integers(0, 2**32, 500_000)
    w = np.concatenate([ends, octaves, 2**32 - 1 - ends, sampled])
    made = normal_quantile(w.astype(np.uint32)) / 2.0**27
    upper = w >= 2**31  # from the nearer tail, where float64 is fine
    exact = stats.norm.ppf((np.where(upper, 2**32 - 1 - w, w) | 1) / 2.0**32)
    assert np.abs(made - np.where(upper, -exact, exact)).max() <= QUANTILE_ERROR


def test_normal_quantile_is_odd_and_rises():
    centre = np.concatenate([k + np.arange(100_000) for k in (0, 2**24, 2**30, 2**31 - 100_000)])
    w = centre.astype(np.uint32)
    made = normal_quantile(w)
    assert (normal_quantile(~w) == -made).all()
    assert (np.diff(made.reshape(4, -1), axis=1) >= 0).all()


def test_the_table_of_the_quantile_is_the_frozen_one():
    path = Path(module.__file__).with_name("quantile.npy")
    packed = np.load(path, allow_pickle=False)
    assert packed.shape == (1985,)
    assert hashlib.sha256(packed.astype("<u8").tobytes()).hexdigest()[:8] == "6c0ec399"


@pytest.mark.parametrize(
    ("lower", "upper"), [(-2.0, 2.0), (-1.0, 2.5), (0.5, 3.0), (-6.0, 0.0), (-9.0, 9.0)]
)
def test_truncation_keeps_the_words_between_its_cuts(lower, upper):
    recipe = truncated_recipe(1.0, lower=lower, upper=upper)
    floor, top = (2**32 * stats.norm.cdf(cut) for cut in (lower, upper))
    slack = 0.5 + 2**32 * oracle.ulp(np.float64)
    assert abs(recipe.floor - floor) <= slack
    assert abs(recipe.floor + recipe.span - top) <= slack + (top == 2**32)


@pytest.mark.parametrize("kind", [k for k in DRAWN if k != "interval"])
def test_float32_and_float64_draws_are_the_same_numbers(kind):
    recipe = DRAWN[kind][0]
    narrow, wide = (
        draw(0, MANY // 16, recipe=recipe, seed=0, name="w", dtype=dtype)
        for dtype in ("float32", "float64")
    )
    # integer, unit and product: three roundings of half an ulp
    np.testing.assert_allclose(narrow, wide, rtol=3 * oracle.ulp(np.float32) / 2)


def test_float16_is_float32_rounded_once():
    recipe = normal_recipe(1e-4)  # half of the numbers fall among float16's subnormals
    narrow, half = (
        draw(0, MANY // 16, recipe=recipe, seed=0, name="w", dtype=dtype)
        for dtype in ("float32", "float16")
    )
    np.testing.assert_array_equal(half, narrow.astype(np.float16))


def test_numbers_too_large_for_float16_become_infinite_as_in_any_cast():
    for recipe in (normal_recipe(1e6), uniform_recipe(1e6, 1e6)):
        drawn = draw(0, 8, recipe=recipe, seed=0, name="w", dtype="float16")
        assert np.isinf(drawn).all()


@pytest.mark.parametrize("kind", ["symmetric", "normal", "truncated"])
def test_complex_draws_have_the_std_as_modulus(kind):
    recipe, law = DRAWN[kind]
    drawn = draw(0, MANY, recipe=recipe, seed=0, name="w", dtype="complex128")
    kurtosis = 3 + float(law.stats(moments="k"))
    modulus = np.sqrt(np.mean(np.abs(drawn) ** 2))
    assert modulus == pytest.approx(law.std(), rel=oracle.moment_tolerance(2 * MANY, kurtosis))
    correlation = np.corrcoef(drawn.real, drawn.imag)[0, 1]
    assert abs(correlation) < oracle.STANDARD_ERRORS / np.sqrt(MANY)


def test_complex_draws_are_centred():
    with pytest.raises(DomainError, match="centred at 0"):
        draw(0, 3, recipe=normal_recipe(1.0, mean=1.0), seed=0, name="w", dtype="complex64")


def test_a_constant_is_that_number_in_every_dtype():
    for dtype in DTYPES:
        drawn = draw(0, 7, recipe=uniform_recipe(1.5, 1.5), seed=0, name="w", dtype=dtype)
        assert drawn.dtype == dtype
        assert (drawn == 1.5).all()


def test_bounds_near_the_smallest_number_are_drawn_between():
    drawn = draw(0, 9, recipe=uniform_recipe(0.0, 1e-320), seed=0, name="w", dtype="float64")
    assert (drawn >= 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("recipe", [normal_recipe(1.0), uniform_recipe(1.0, 1.0)])
def test_an_empty_draw_checks_its_input_too(dtype, recipe):
    assert draw(5, 0, recipe=recipe, seed=0, name="w", dtype=dtype).shape == (0,)
    for wrong in ({"seed": -1}, {"name": ""}, {"count": -1}, {"start": -1}):
        given = {"start": 0, "count": 0, "seed": 0, "name": "w", **wrong}
        with pytest.raises(DomainError, match="draw: "):
            draw(given.pop("start"), given.pop("count"), recipe=recipe, dtype=dtype, **given)
