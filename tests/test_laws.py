"""Every law: the std it promises, the distribution it names, and how far the nearest wrong law is.

The table holds one entry per member; a test names a property. Shapes are far from square, so that
no law can pass for its neighbour.
"""

import math
from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pondera.core import laws
from pondera.core.draw import DTYPES
from pondera.core.errors import DomainError, ShapeError
from pondera.core.laws.base import Axes
from tests import oracle

SHAPE = (64, 1024)  # fans 64 and 1024
FIELD = (3, 3, 12, 160)  # fans 108 and 1440
TORCH = Axes((1,), (0,))

NORMAL, UNIFORM = stats.norm(), stats.uniform(-math.sqrt(3), math.sqrt(12))
CUT = stats.truncnorm(-2, 2)
TRUNCATED = stats.truncnorm(-2, 2, scale=1 / CUT.std())  # its std is 1


@dataclass(frozen=True)
class Case:
    """A law, the std that its paper gives, and what its standardised draws follow."""

    law: laws.AbstractLaw
    std: float
    shape: tuple[int, ...] = SHAPE
    follows: object = NORMAL
    mean: float = 0.0
    axes: Axes = Axes()  # noqa: RUF009


CASES = {
    "normal": Case(laws.normal(std=0.02), 0.02),
    "normal, mean": Case(laws.normal(std=0.02, mean=0.1), 0.02, mean=0.1),
    "uniform": Case(
        laws.uniform(low=0.1, high=0.4), 0.3 / math.sqrt(12), follows=UNIFORM, mean=0.25
    ),
    "truncated": Case(laws.truncated_normal(std=0.02), 0.02, follows=TRUNCATED),
    "truncated, mean": Case(
        laws.truncated_normal(std=0.02, mean=0.1), 0.02, follows=TRUNCATED, mean=0.1
    ),
    "glorot normal": Case(laws.glorot_normal(), math.sqrt(2 / 1088)),
    "glorot uniform": Case(laws.glorot_uniform(), math.sqrt(2 / 1088), follows=UNIFORM),
    "glorot gain": Case(
        laws.glorot_uniform(gain=5 / 3), 5 / 3 * math.sqrt(2 / 1088), follows=UNIFORM
    ),
    "glorot field": Case(laws.glorot_normal(), math.sqrt(2 / 1548), FIELD),
    "he normal": Case(laws.he_normal(), math.sqrt(2 / 64)),
    "he out": Case(laws.he_normal(fan="out"), math.sqrt(2 / 1024)),
    "he torch": Case(laws.he_normal(), math.sqrt(2 / 1024), axes=TORCH),
    "he field": Case(laws.he_normal(), math.sqrt(2 / 108), FIELD),
    "he slope": Case(laws.he_normal(slope=0.5), math.sqrt(2 / 1.25 / 64)),
    "he uniform": Case(laws.he_uniform(), math.sqrt(2 / 64), follows=UNIFORM),
    "he gain": Case(laws.he_uniform(gain=1.5, activation="gelu"), 1.5 / 8, follows=UNIFORM),
    "lecun normal": Case(laws.lecun_normal(), 1 / 8),
    "lecun uniform": Case(laws.lecun_uniform(), 1 / 8, follows=UNIFORM),
    "scaling, truncated": Case(
        laws.variance_scaling(gain=1.3, distribution="truncated_normal"), 1.3 / 8, follows=TRUNCATED
    ),
    "scaling, average": Case(laws.variance_scaling(fan="average"), 544**-0.5),
    "scaling, geometric": Case(laws.variance_scaling(fan="geometric"), 1 / 16),
    "scaling, out": Case(
        laws.variance_scaling(fan="out", distribution="uniform"), 1 / 32, follows=UNIFORM
    ),
}
each = pytest.mark.parametrize("name", CASES)

# (rows, columns) of the weight as outputs × the rest; the std is exact, not a mean over draws
MATRICES = {
    "orthogonal, wide": Case(laws.orthogonal(gain=1.4), 1.4 / math.sqrt(96), (96, 24)),
    "orthogonal, tall": Case(laws.orthogonal(), 1 / math.sqrt(96), (24, 96)),
    "orthogonal, torch": Case(laws.orthogonal(), 1 / math.sqrt(96), (96, 24), axes=TORCH),
    "orthogonal, field": Case(laws.orthogonal(), 1 / math.sqrt(90), (3, 3, 10, 8)),
    "mirrored, first": Case(laws.mirrored_orthogonal(block="first"), math.sqrt(2 / 48), (24, 96)),
    "mirrored, narrow": Case(laws.mirrored_orthogonal(gain=0.5), 0.5 / math.sqrt(48), (96, 24)),
    "mirrored, last": Case(laws.mirrored_orthogonal(block="last"), 1 / math.sqrt(48), (96, 10)),
}
every = pytest.mark.parametrize("name", [*CASES, *MATRICES])


def case_of(name: str) -> Case:
    return CASES.get(name) or MATRICES[name]


def standardised(case: Case, dtype: str = "float64"):
    drawn = case.law.draw(case.shape, case.axes, seed=0, name="w", dtype=dtype)
    return (drawn - case.mean) / case.std


@every
def test_returned_std_is_the_std_promised(name):
    case = case_of(name)
    promised = case.law.std(case.shape, case.axes)
    assert promised == pytest.approx(case.std, rel=8 * oracle.ulp(np.float64))
    sample, count = standardised(case), math.prod(case.shape)
    if name in MATRICES:  # the sum of squares is exact
        rms = float(np.sqrt(np.mean(sample**2)))
        assert rms == pytest.approx(1, rel=count * oracle.ulp(np.float64))
    else:
        kurtosis = 3 + float(case.follows.stats(moments="k"))
        assert sample.std() == pytest.approx(1, rel=oracle.moment_tolerance(count, kurtosis))
        assert abs(sample.mean()) < oracle.STANDARD_ERRORS / math.sqrt(count)


@each
def test_the_nearest_wrong_law_is_far_away(name):
    case = CASES[name]
    fan_in, fan_out = math.prod(case.shape[:-1]), math.prod(case.shape) // case.shape[-2]
    wrong = {
        "swapped fans": math.sqrt(fan_in / fan_out),
        "no truncation correction": CUT.std(),
        "truncation corrected twice": 1 / CUT.std(),
        "doubled variance": math.sqrt(2),
        "std taken for a bound": 1 / math.sqrt(3),
        "√6 for √3": 1 / math.sqrt(2),
        "one fan for the mean of both": math.sqrt(2 * fan_in / (fan_in + fan_out)),
    }
    kurtosis = 3 + float(case.follows.stats(moments="k"))
    error = oracle.std_error(math.prod(case.shape), kurtosis)
    distances = {fault: abs(factor - 1) / error for fault, factor in wrong.items()}
    assert min(distances.values()) > oracle.SEPARATION, distances


@each
def test_draws_follow_the_distribution_named(name):
    case = CASES[name]
    far = oracle.distance(standardised(case), case.follows.cdf)
    assert far < oracle.distance_limit(math.prod(case.shape))


@pytest.mark.parametrize("wrong", [NORMAL, UNIFORM, TRUNCATED])
def test_the_distributions_are_far_apart(wrong):
    limit = oracle.distance_limit(math.prod(SHAPE))
    for name in ("normal", "uniform", "truncated"):
        case = CASES[name]
        if case.follows is not wrong:
            assert oracle.distance(standardised(case), wrong.cdf) > limit


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        (name, dtype)
        for name in (*CASES, *MATRICES)
        for dtype in DTYPES
        if not (case_of(name).mean and dtype.startswith("complex"))  # a complex draw is centred
    ],
)
def test_a_law_draws_the_same_numbers_in_every_dtype(name, dtype):
    case = case_of(name)
    drawn = case.law.draw(case.shape, case.axes, seed=0, name="w", dtype=dtype)
    assert drawn.dtype == dtype
    assert drawn.shape == case.shape
    assert drawn.flags.c_contiguous
    if not dtype.startswith("complex"):
        exact = case.law.draw(case.shape, case.axes, seed=0, name="w", dtype="float64")
        close = {"rtol": 2 * oracle.ulp(dtype), "atol": 2 * oracle.ulp(dtype) * abs(exact).max()}
        np.testing.assert_allclose(drawn, exact, **close)


def test_truncated_std_matches_scipy():
    cuts = np.geomspace(1e-5, 12, 300)
    made = [laws.truncated_std(float(cut)) for cut in cuts]
    # SciPy's own variance cancels at small cuts: there, the first terms of its series
    exact = [
        stats.truncnorm(-cut, cut).std() if cut > 0.3 else cut / math.sqrt(3) * _series(cut)
        for cut in cuts
    ]
    np.testing.assert_allclose(made, exact, rtol=TRUNCATED_STD_ERROR)


TRUNCATED_STD_ERROR = 1e-10  # documented


def _series(cut: float) -> float:
    """√3/cut times the std, from ∫x²(1 − x²/2 + …)/∫(1 − x²/2 + …) over [0, cut]."""
    powers = range(14)
    second, mass = (
        math.fsum((-0.5) ** k / math.factorial(k) * cut ** (2 * k) / (2 * k + odd) for k in powers)
        for odd in (3, 1)
    )
    return math.sqrt(3 * second / mass)


@given(cut=st.floats(0.01, 6), std=st.floats(1e-6, 1e6))
def test_truncated_draws_end_at_the_cut_of_the_parent(cut, std):
    law = laws.truncated_normal(std=std, cut=cut)
    bound = cut * std / laws.truncated_std(cut)
    drawn = law.draw((4096,), seed=0, name="w", dtype="float64")
    grid = law.recipe(()).unit  # the cut is rounded outwards to the grid of the draw
    assert np.abs(drawn).max() <= bound + grid


def test_he_normal_preserves_second_moment_through_relu():
    fan_in, fan_out, samples = 256, 4096, 256
    z = np.random.default_rng(0).standard_normal((samples, fan_in))
    w = laws.he_normal().draw((fan_in, fan_out), seed=0, name="w", dtype="float64")
    kept = np.mean((np.maximum(z, 0) @ w) ** 2) / np.mean(z**2)
    # relu(z)² has kurtosis 5 about its mean; each output is a draw of variance 2 for its square
    error = math.sqrt(5 / (samples * fan_in) + 2 / fan_out)
    assert kept == pytest.approx(1, rel=oracle.STANDARD_ERRORS * error)
    assert (
        oracle.SEPARATION * error < 0.5
    )  # half the variance, Glorot's or LeCun's, is out of reach


def test_he_with_fan_out_preserves_the_gradient_through_relu():
    fan_in, fan_out, samples = 4096, 256, 256
    rng = np.random.default_rng(0)
    gradient = rng.standard_normal((samples, fan_out))
    passed = rng.random((samples, fan_in)) < 0.5  # relu'
    w = laws.he_normal(fan="out").draw((fan_in, fan_out), seed=0, name="w", dtype="float64")
    kept = np.mean((gradient @ w.T * passed) ** 2) / np.mean(gradient**2)
    error = math.sqrt(5 / (samples * fan_out) + 2 / fan_in)
    assert kept == pytest.approx(1, rel=oracle.STANDARD_ERRORS * error)


@pytest.mark.parametrize(
    ("law", "number"), [(laws.zeros(), 0.0), (laws.ones(), 1.0), (laws.constant(-0.25), -0.25)]
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_constant_laws_are_constant(law, number, dtype):
    drawn = law.draw((7,), seed=3, name="b", dtype=dtype)
    assert law.std((7,)) == 0
    assert (drawn == number).all()


def test_laws_are_records_compared_by_their_numbers():
    assert laws.he_normal() == laws.he_normal(gain=math.sqrt(2))
    assert laws.he_normal() != laws.he_uniform()
    assert len({laws.zeros(), laws.zeros(), laws.ones()}) == 2
    with pytest.raises(FrozenInstanceError):
        laws.zeros().number = 1.0


@given(gain=st.floats(1e-3, 1e3), fan=st.sampled_from(["in", "out"]))
def test_the_named_laws_are_choices_of_the_general_one(gain, fan):
    pairs = [
        (laws.he_normal(gain=gain, fan=fan), {"fan": fan}),
        (laws.he_uniform(gain=gain, fan=fan), {"fan": fan, "distribution": "uniform"}),
        (laws.glorot_normal(gain=gain), {"fan": "average"}),
        (laws.glorot_uniform(gain=gain), {"fan": "average", "distribution": "uniform"}),
        (laws.lecun_normal(gain=gain), {}),
        (laws.lecun_uniform(gain=gain), {"distribution": "uniform"}),
    ]
    for law, choices in pairs:
        assert law.recipe(SHAPE) == laws.variance_scaling(gain=gain, **choices).recipe(SHAPE)


def test_weights_of_one_seed_and_several_names_are_unrelated():
    law = laws.he_normal()
    flat = [law.draw((40, 50), seed=0, name=f"w{k}").ravel() for k in range(12)]
    off = np.corrcoef(flat) - np.eye(12)
    assert np.abs(off).max() < oracle.STANDARD_ERRORS / math.sqrt(2000)


@pytest.mark.parametrize("shape", [(3, -1), (2.5, 3), "ab", 7, None], ids=str)
@pytest.mark.parametrize("law", [laws.normal(std=1.0), laws.orthogonal()])
def test_shapes_that_are_none_are_refused(law, shape):
    with pytest.raises(ShapeError, match="a shape is a sequence of integers"):
        law.draw(shape, seed=0, name="w")


@every
def test_a_dtype_that_holds_no_weight_is_refused(name):
    case = case_of(name)
    with pytest.raises(DomainError, match="dtype must be one of"):
        case.law.draw(case.shape, case.axes, seed=0, name="w", dtype="int32")


def test_an_empty_weight_needs_no_fans():
    assert laws.normal(std=1.0).draw((0, 3), seed=0, name="w").shape == (0, 3)
    assert laws.normal(std=1.0).draw((), seed=0, name="w").shape == ()
