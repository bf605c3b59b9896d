"""Every penalty of the table, tier "optimal": no point is better, and the gap is zero.

The table is `penalty_oracle.PENALTIES`; a test names a property and the table the members.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pondera.core import penalties as pn
from pondera.core.errors import DomainError
from tests import penalty_oracle as oracle

TABLE = oracle.PENALTIES
CONVEX = [name for name, penalty in TABLE.items() if penalty.convex]
SMOOTH_OR_FREE = {"L2", "L0", "LHalf"}  # no critical strength: no kink, or an infinite one
SLOPED = [name for name, penalty in TABLE.items() if penalty.strengths and name != "Nuclear"]
CONSTRAINTS = [name for name, penalty in TABLE.items() if not penalty.strengths]

_number = st.floats(-4, 4, allow_subnormal=False) | st.sampled_from([0.0, 0.7, -0.7, 1.75, 2.24])
_step = st.floats(1e-2, 50)
weights = arrays(np.float64, oracle.SHAPE, elements=_number, fill=st.nothing())
steps = st.floats(1e-3, 50) | arrays(np.float64, oracle.SHAPE, elements=_step, fill=st.nothing())
each = pytest.mark.parametrize("name", TABLE)
few = settings(max_examples=30, deadline=None, derandomize=True)


def frozen(array: np.ndarray) -> np.ndarray:
    array = np.array(array)
    array.setflags(write=False)
    return array


def sample(seed: int, dtype: type = np.float64) -> tuple[np.ndarray, np.ndarray]:
    """Weights of many magnitudes and steps spread by a thousand, both read-only."""
    rng = np.random.default_rng(seed)
    w = rng.standard_normal(oracle.SHAPE) * np.exp(rng.uniform(-3, 1.5, oracle.SHAPE))
    step = np.exp(rng.uniform(np.log(0.02), np.log(20), oracle.SHAPE))
    return frozen(w.astype(dtype)), frozen(step.astype(dtype))


@each
@given(w=weights)
@few
def test_value_is_the_law_of_the_docstring(name, w):
    law = oracle.law_value(TABLE[name], w)
    assert TABLE[name].value(w) == pytest.approx(float(law), rel=w.size * np.finfo(float).eps)


@each
@given(w=weights, step=steps)
@few
def test_no_point_of_a_grid_is_better_than_the_prox(name, w, step):
    penalty = TABLE[name]
    x = penalty.prox(frozen(w), step=step)
    slack = 64 * np.finfo(float).eps
    if oracle.separable(penalty):
        ours = oracle.each_objective(penalty, x, w, step)
        assert np.all(ours <= oracle.grid_minimum(penalty, w, step) + slack * (1 + ours))
        return
    ours = oracle.objective(penalty, x, w, step)
    for other in oracle.neighbours(x, w, np.random.default_rng(0)):
        assert ours <= oracle.objective(penalty, other, w, step) + slack * (1 + ours)


@each
@given(w=weights, step=steps)
@few
def test_prox_and_gap_agree(name, w, step):
    penalty = TABLE[name]
    x = penalty.prox(frozen(w), step=step)
    assert np.max(penalty.gap(x, (x - w) / step)) <= oracle.rounding(penalty, w, step)


@each
def test_gap_sees_a_gradient_that_is_not_optimal(name):
    penalty, (w, step) = TABLE[name], sample(0)
    x = penalty.prox(w, step=step)
    for shift in (1.0, -1.0):
        assert np.max(penalty.gap(x, (x - w) / step + shift)) > 0.9


@pytest.mark.parametrize("name", sorted(set(SLOPED) - {"Distance-MaxNorm"}))
@pytest.mark.parametrize("seed", range(3))
def test_slope_is_the_derivative_of_the_value(name, seed):
    penalty, (w, _) = TABLE[name], sample(seed)
    h = 1e-5  # central differences: h² in the slope, eps/h in the values' own rounding
    slope = penalty.slope(w)
    for place in np.ndindex(w.shape):
        step = np.zeros(w.shape)
        step[place] = h
        difference = (penalty.value(w + step) - penalty.value(w - step)) / (2 * h)
        assert abs(slope[place] - difference) <= h * (1 + abs(slope[place]) + 1 / abs(w[place]))


@pytest.mark.parametrize("name", sorted(set(SLOPED) - {"Distance-L1", "Distance-MaxNorm"}))
def test_slope_is_zero_at_zero(name):
    assert np.all(TABLE[name].slope(np.zeros(oracle.SHAPE)) == 0)


@pytest.mark.parametrize("name", sorted({*CONSTRAINTS, "Nuclear", "Distance-MaxNorm"}))
def test_what_has_no_slope_says_so(name):
    with pytest.raises(DomainError, match="a slope needs a derivative per weight"):
        TABLE[name].slope(sample(0)[0])


@pytest.mark.parametrize("name", CONVEX)
@given(w=weights, other=weights, step=steps)
@few
def test_prox_is_firmly_nonexpansive_in_its_metric(name, w, other, step):
    penalty = TABLE[name]
    moved = penalty.prox(w, step=step) - penalty.prox(other, step=step)
    inner = np.sum(moved * ((w - other) - moved) / step)
    size = np.sum(np.abs(moved) * (np.abs(w) + np.abs(other) + 1) / np.min(step))
    assert inner >= -64 * np.finfo(float).eps * (1 + size)


@each
@given(w=weights, step=st.floats(1e-3, 50))
@few
def test_moreau_identity(name, w, step):
    penalty = TABLE[name]
    if type(penalty) not in oracle.CONJUGATE_PROX:
        return  # firm non-expansiveness speaks for the others
    conjugate = oracle.CONJUGATE_PROX[type(penalty)](penalty, w / step, step)
    left = penalty.prox(w, step=step) + step * conjugate
    assert np.max(np.abs(left - w)) <= oracle.rounding(penalty, w, 1.0)


@each
@pytest.mark.parametrize("zero", [0, 0.0, np.zeros(oracle.SHAPE)], ids=["int", "float", "array"])
def test_step_zero_is_the_identity(name, zero):
    penalty, (w, step) = TABLE[name], sample(1)
    feasible = penalty.prox(w, step=step) if name in CONSTRAINTS else w
    if name == "Distance-MaxNorm":
        feasible = penalty.prox(w, step=1.0)
    np.testing.assert_array_equal(penalty.prox(feasible, step=zero), feasible)


@each
def test_zero_weights_are_left_finite(name):
    penalty, (_, step) = TABLE[name], sample(2)
    nothing = frozen(np.zeros(oracle.SHAPE))
    for one in (step, 1.0, 0.0):
        x = penalty.prox(nothing, step=one)
        assert np.all(np.isfinite(x))
        assert np.array_equal(x, nothing) or isinstance(penalty, pn.Distance)
        assert np.all(np.isfinite(penalty.gap(x, np.ones(oracle.SHAPE))))


@each
def test_strength_zero_is_no_penalty(name):
    penalty, (w, step) = TABLE[name], sample(3)
    if not penalty.strengths or (name == "Distance-MaxNorm"):
        with pytest.raises(DomainError, match="a path needs a strength"):
            penalty.at(0.0)
        return
    free, w = penalty.at(0.0), w * (np.arange(6) != 2)  # a column of zeros among them
    assert free.value(w) == 0
    for one in (step, 1.0, 0.0):
        np.testing.assert_array_equal(free.prox(w, step=one), w)
    gap = free.gap(w, np.ones_like(w))
    assert np.sum(gap**2) == pytest.approx(w.size)


@each
def test_critical_strength_is_where_zero_becomes_stationary(name):
    penalty, (gradient, _) = TABLE[name], sample(4)
    zero = np.zeros(oracle.SHAPE) + getattr(penalty, "reference", 0.0)
    if name in SMOOTH_OR_FREE or name in CONSTRAINTS or name == "Distance-MaxNorm":
        with pytest.raises(DomainError, match=r"a critical strength needs .*; got .*\. \w+"):
            penalty.critical_strength(gradient)
        return
    critical = penalty.critical_strength(gradient)
    slack = 1 + 64 * np.finfo(float).eps
    assert np.max(penalty.at(critical * slack).gap(zero, gradient)) == 0
    assert np.max(penalty.at(critical / 1.001).gap(zero, gradient)) > 0


@each
def test_float32_stays_float32_and_inputs_stay_as_they_are(name):
    penalty = TABLE[name]
    w, step = sample(5, np.float32)
    for one in (step, step.astype(np.float64), 0.5, np.float64(0.5)):
        x = penalty.prox(w, step=one)
        assert x.dtype == np.float32
        assert not np.shares_memory(x, w)
    assert penalty.gap(x, w).dtype == np.float32
    wide = penalty.prox(w.astype(np.float64), step=step.astype(np.float64))
    error = np.max(np.abs(penalty.prox(w, step=step) - wide))
    spread = np.max(step) / np.min(step) if isinstance(penalty, pn.Nuclear) else 1.0
    assert error <= spread * oracle.rounding(penalty, w, 1.0)


@each
def test_nan_is_not_hidden(name):
    penalty, (w, _) = TABLE[name], sample(6)
    if isinstance(penalty, pn.Nuclear):
        return  # LAPACK refuses to decompose NaN
    broken = w.copy()
    broken[1, 2] = np.nan
    for step in (0.5, np.full(oracle.SHAPE, 0.5)):
        assert np.isnan(penalty.prox(broken, step=step)[1, 2])


@each
def test_torch_gives_the_same_as_numpy(name):
    torch = pytest.importorskip("torch")
    penalty, (w, step) = TABLE[name], sample(7)
    gradient = sample(8)[0]
    w_, step_, gradient_ = (torch.tensor(array) for array in (w, step, gradient))
    scalar = torch.tensor(0.3, dtype=torch.float64)
    near = oracle.rounding(penalty, w, np.min(step))
    for ours, theirs in (
        (penalty.prox(w, step=step), penalty.prox(w_, step=step_, xp=torch)),
        (penalty.prox(w, step=0.3), penalty.prox(w_, step=0.3, xp=torch)),
        (penalty.prox(w, step=0.3), penalty.prox(w_, step=scalar, xp=torch)),
        (penalty.gap(w, gradient), penalty.gap(w_, gradient_, xp=torch)),
    ):
        same = ours == theirs.numpy()  # inf among them
        assert np.all(np.abs(ours[~same] - theirs.numpy()[~same]) <= near)
    if penalty.value(w) < np.inf:
        assert penalty.value(w_, xp=torch) == pytest.approx(penalty.value(w))


@each
def test_jax_gives_the_same_when_traced(name):
    jax = pytest.importorskip("jax")
    jnp, penalty = jax.numpy, TABLE[name]
    w, step = sample(7, np.float32)
    near = oracle.rounding(penalty, w, np.min(step))
    traced = jax.jit(lambda w, step: penalty.prox(w, step=step, xp=jnp))
    metrics = [np.float32(0.3)] if isinstance(penalty, pn.Nuclear) else [np.float32(0.3), step]
    for one in metrics:
        theirs = traced(jnp.asarray(w), jnp.asarray(one))
        assert np.max(np.abs(penalty.prox(w, step=one) - np.asarray(theirs))) <= near


def test_the_grid_test_can_fail():
    """A threshold 1 % too high must lose against the grid."""
    penalty, (w, step) = TABLE["L1"], sample(9)
    x = pn.L1(0.7 * 1.01).prox(w, step=step)
    ours = oracle.each_objective(penalty, x, w, step)
    assert np.any(ours > oracle.grid_minimum(penalty, w, step) + 1e-6)
