"""The NumPy adapter: the laws under their own names, and penalties for networks written by hand."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import pondera.numpy as pn
from pondera.core import laws
from pondera.core.errors import DomainError, ShapeError
from pondera.core.laws.base import Axes
from tests import law_cases, oracle

NAMES = (
    "glorot_normal glorot_uniform he_normal he_uniform lecun_normal lecun_uniform "
    "mirrored_orthogonal normal ones orthogonal truncated_normal uniform variance_scaling zeros"
).split()
OPTIONS = {
    "normal": {"std": 0.1},
    "truncated_normal": {"std": 0.1, "cut": 1.5},
    "uniform": {"low": 0.0, "high": 0.1},
}
EPS = oracle.ulp(np.float64)
each = pytest.mark.parametrize("name", NAMES)
numbers = st.floats(-10, 10, allow_subnormal=False)
strengths = st.floats(0, 10)


def frozen(array):
    array = np.array(array, dtype=np.float64)
    array.setflags(write=False)
    return array


@each
@pytest.mark.parametrize("axes", [Axes(), Axes((1,), (0,))])
def test_each_name_draws_by_its_law(name, axes):
    options = OPTIONS.get(name, {})
    stream = {"seed": 4, "name": "w", "dtype": "float64"}
    made = getattr(pn, name)((6, 10), **options, **stream, **axes._asdict())
    by_law = getattr(laws, name)(**options)
    np.testing.assert_array_equal(made, by_law.draw((6, 10), axes, **stream))
    np.testing.assert_array_equal(made, pn.weight(by_law, (6, 10), **stream, **axes._asdict()))


@each
def test_each_function_carries_its_law_in_its_docstring(name):
    function = getattr(pn, name)
    assert function.__name__ == name
    assert inspect.getdoc(getattr(laws, name)) in inspect.getdoc(function)


def test_every_law_has_a_name_here():
    factories = {n for n, f in vars(laws).items() if inspect.isfunction(f)}
    for name in sorted(factories - {"constant", "truncated_std"}):
        assert getattr(pn, name).__name__ == name
        assert inspect.getdoc(getattr(laws, name)) in inspect.getdoc(getattr(pn, name))


@pytest.mark.parametrize("name", law_cases.ALL)
def test_every_law_draws_what_it_is(name):
    case, stream = law_cases.ALL[name], {"seed": 4, "name": "w"}
    made = pn.weight(case.law, case.shape, **stream, **case.axes._asdict())
    np.testing.assert_array_equal(made, case.law.draw(case.shape, case.axes, **stream))


def test_a_dense_weight_is_stored_in_by_out():
    made = pn.he_normal((400, 20), seed=0, name="w")
    assert made.dtype == np.float32
    assert made.std() == pytest.approx(np.sqrt(2 / 400), rel=oracle.moment_tolerance(8000, 3))


@pytest.mark.parametrize("dtype", ["int32", "bfloat16", "no such", np.int8, object])
def test_dtypes_that_hold_no_weight_are_refused(dtype):
    with pytest.raises(DomainError, match="dtype must be one of"):
        pn.normal((3,), std=1.0, seed=0, name="w", dtype=dtype)


def test_seed_and_name_are_required():
    for missing in ("seed", "name"):
        given_ = {"seed": 0, "name": "w"}
        del given_[missing]
        with pytest.raises(TypeError, match=missing):
            pn.he_normal((3, 4), **given_)


@given(
    y=arrays(np.float64, (4, 3), elements=numbers),
    guess=arrays(np.float64, (4, 3), elements=numbers),
    weights=arrays(np.float64, (2, 5), elements=numbers),
    strength=strengths,
)
def test_the_losses_are_those_of_the_textbook(y, guess, weights, strength):
    error = sum((a - b) ** 2 for a, b in zip(y.flat, guess.flat, strict=True)) / 12
    terms = {
        pn.l1_regularised_loss: sum(abs(w) for w in weights.flat),
        pn.l2_regularised_loss: sum(w * w for w in weights.flat),
    }
    for loss, penalty in terms.items():
        expected = error + strength * penalty
        several = loss(frozen(y), frozen(guess), [frozen(weights)], strength=strength)
        halves = loss(y, guess, [weights[:, :2], weights[:, 2:]], strength=strength)
        bare = loss(y, guess, weights, strength=strength)
        for made in (several, halves, bare):
            assert made == pytest.approx(expected, rel=32 * EPS, abs=32 * EPS)


@given(y=arrays(np.float64, 7, elements=numbers), guess=arrays(np.float64, 7, elements=numbers))
def test_the_gradient_of_the_squared_error_is_its_slope(y, guess):
    made = pn.squared_error_gradient(y, guess)
    for place in range(7):
        step = np.zeros(7)
        step[place] = 1.0  # a parabola: the central difference is exact at any step
        rise = np.mean((guess + step - y) ** 2) - np.mean((guess - step - y) ** 2)
        assert made[place] == pytest.approx(rise / 2, abs=1000 * EPS)


@given(w=arrays(np.float64, 9, elements=numbers), strength=strengths, step=st.floats(0, 10))
def test_gradients_and_prox_fit_their_penalty(w, strength, step):
    w = frozen(w)
    np.testing.assert_array_equal(pn.l1_gradient(w, strength=strength), strength * np.sign(w))
    np.testing.assert_allclose(pn.l2_gradient(w, strength=strength), 2 * strength * w, rtol=2 * EPS)
    shrunk = np.sign(w) * np.maximum(np.abs(w) - step * strength, 0)
    close = {"rtol": 4 * EPS, "atol": 100 * EPS}
    np.testing.assert_allclose(pn.l1_prox(w, strength=strength, step=step), shrunk, **close)
    shrunk = w / (1 + 2 * step * strength)
    np.testing.assert_allclose(pn.l2_prox(w, strength=strength, step=step), shrunk, **close)


def test_shapes_that_numpy_would_broadcast_are_refused():
    y, guess = np.zeros(5), np.zeros((5, 1))
    for call in (
        lambda: pn.l1_regularised_loss(y, guess, [], strength=0.1),
        lambda: pn.l2_regularised_loss(y, guess, [], strength=0.1),
        lambda: pn.squared_error_gradient(y, guess),
        lambda: pn.squared_error_gradient(np.zeros(0), np.zeros(0)),
    ):
        with pytest.raises(ShapeError, match="need one shape that is not empty"):
            call()


def test_a_network_written_by_hand_finds_the_sparse_answer():
    """Proximal gradient descent against the optimality conditions of the lasso."""
    x = pn.normal((60, 12), std=1.0, seed=0, name="x", dtype="float64")
    true = np.zeros((12, 1))
    true[:3] = [[2.0], [-1.0], [0.5]]
    y, strength = x @ true + pn.normal((60, 1), std=0.1, seed=0, name="e", dtype="float64"), 0.2
    w, step = pn.lecun_normal((12, 1), seed=0, name="w", dtype="float64"), 0.2
    for _ in range(2000):
        slope = x.T @ pn.squared_error_gradient(y, x @ w)
        w = pn.l1_prox(w - step * slope, strength=strength, step=step)
    slope = x.T @ pn.squared_error_gradient(y, x @ w)
    zero = w == 0
    assert set(np.flatnonzero(~zero)) == {0, 1, 2}
    np.testing.assert_allclose(slope[~zero], -strength * np.sign(w[~zero]), rtol=1000 * EPS)
    assert (np.abs(slope[zero]) < strength).all()
