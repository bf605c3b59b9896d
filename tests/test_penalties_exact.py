"""Single penalties against closed answers, other solvers and other libraries; messages whole."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from pondera.core import penalties as pn
from pondera.core.penalties.secular import secular_root
from tests import penalty_oracle as oracle

EPS = np.finfo(np.float64).eps
SKGLM = json.loads((Path(__file__).parent / "vectors" / "skglm.json").read_text())
SK_W, SK_GRADIENT = np.array(SKGLM["w"]), np.array(SKGLM["gradient"])


@pytest.mark.parametrize("record", SKGLM["records"], ids=lambda r: f"{r['penalty']}-{r['step']}")
def test_agrees_with_skglm(record):
    penalty = getattr(pn, record["penalty"])(**record["arguments"])
    near = 16 * EPS * (np.abs(SK_W) + 1)
    assert np.all(np.abs(penalty.prox(SK_W, step=record["step"]) - record["prox"]) <= near)
    if record["penalty"] != "Box":  # there the sign of the gradient is another one
        gap = penalty.gap(SK_W, SK_GRADIENT)
        assert np.all(np.abs(gap - record["gap"]) <= near + 16 * EPS * np.abs(gap))
        assert penalty.value(SK_W) == pytest.approx(record["value"])


@pytest.mark.parametrize("block", SKGLM["blocks"], ids=lambda b: f"{b['step']}")
def test_group_lasso_agrees_with_skglm(block):
    penalty = pn.GroupLasso(SKGLM["group_strength"], pn.Groups.rows(), size_weighted=False)
    x = penalty.prox(SK_W.reshape(8, 5), step=block["step"])
    assert np.max(np.abs(x - np.array(block["prox"]))) <= 16 * EPS * np.max(np.abs(SK_W))


# --- long steps: an adaptive optimizer's are huge where its second moment is near zero


@pytest.mark.parametrize("step", [2.5, 2.5000001, 4.0, 1e6])
def test_mcp_is_a_hard_threshold_for_long_steps(step):
    penalty = pn.MCP(0.7, gamma=2.5)
    edge = 0.7 * np.sqrt(step * 2.5)
    w = np.array([edge * (1 - 1e-9), edge * (1 + 1e-9), -3 * edge])
    np.testing.assert_array_equal(penalty.prox(w, step=step), [0, w[1], w[2]])
    np.testing.assert_array_equal(penalty.prox(w, step=np.full(3, step)), [0, w[1], w[2]])


@pytest.mark.parametrize("step", [2.2, 3.0, 4.2, 10.0])
def test_scad_jumps_where_both_minima_cost_the_same(step):
    penalty = pn.SCAD(0.7, knot=3.2)
    edge = 0.7 * ((4.2 + step) / 2 if step <= 4.2 else np.sqrt(step * 4.2))
    below, above = np.array([edge * (1 - 1e-9)]), np.array([edge * (1 + 1e-9)])
    low, high = penalty.prox(below, step=step), penalty.prox(above, step=step)
    assert high == above
    assert low == max(below[0] - step * 0.7, 0)
    cost = [oracle.objective(penalty, x, above, step) for x in (low, high)]
    assert cost[0] == pytest.approx(cost[1])


def test_lhalf_jumps_to_two_thirds():
    edge = 1.5 * (0.7 * 2.0) ** (2 / 3)
    x = pn.LHalf(0.7).prox(np.array([edge * (1 - 1e-9), edge * (1 + 1e-9)]), step=2.0)
    assert x[0] == 0
    assert x[1] == pytest.approx(edge * 2 / 3)


# --- groups


@pytest.mark.parametrize("penalty", [p for p in oracle.PENALTIES.values() if hasattr(p, "groups")])
def test_groups_fold_and_unfold(penalty):
    places = np.arange(1.0, 25.0).reshape(oracle.SHAPE)
    layout = penalty.groups.layout(oracle.SHAPE)
    folded = layout.fold(places, np)
    np.testing.assert_array_equal(layout.unfold(folded, np), places)
    sums = layout.per_group(layout.sum(folded, np), np).ravel()
    groups = oracle.parts(penalty.groups, places)
    assert sorted(sums) == sorted(group.sum() for group in groups)
    counts = np.broadcast_to(layout.roots(folded, np) ** 2, layout.sum(folded, np).shape)
    assert sorted(np.rint(counts).ravel()) == sorted(group.size for group in groups)


def test_named_groups_are_the_tiles_they_say():
    groups = pn.Groups
    assert groups.rows() == groups.channels(0) == groups.tiles((0,), (1,))
    assert groups.columns() == groups.inputs() == groups.heads(axis=1, size=1)
    assert groups.labelled(np.eye(2, dtype=int)) == groups.labelled(np.eye(2, dtype=int))
    kernels = groups.tiles((0, 1), (1, 1)).layout((8, 4, 3, 3))
    assert (kernels.outer, kernels.counts) == ((8, 4), 9)
    assert groups.channels(-2).layout((3, 3, 16, 8)).outer == (16,)


def test_groups_of_one_weight_are_l1():
    single = pn.GroupLasso(0.7, pn.Groups.tiles((0, 1), (1, 1)))
    rng = np.random.default_rng(0)
    w, step = rng.standard_normal(oracle.SHAPE), rng.uniform(0.1, 2, oracle.SHAPE)
    assert np.max(np.abs(single.prox(w, step=step) - pn.L1(0.7).prox(w, step=step))) <= 8 * EPS
    np.testing.assert_array_equal(single.prox(w, step=step) == 0, np.abs(w) <= 0.7 * step)


def _dual_prox(w, step, l1, weight):
    """min Σ step/2·(u + v)² − w·(u + v) over |u| ≤ l1, ‖v‖ ≤ weight; then w − step·(u + v)."""
    n = w.size

    def cost(both):
        total = both[:n] + both[n:]
        slope = step * total - w
        return np.sum(step * total**2 / 2 - w * total), np.concatenate((slope, slope))

    ball = {
        "type": "ineq",
        "fun": lambda both: weight**2 - np.sum(both[n:] ** 2),
        "jac": lambda both: np.concatenate((np.zeros(n), -2 * both[n:])),
    }
    found = minimize(
        cost, np.zeros(2 * n), jac=True, constraints=[ball], method="SLSQP",
        bounds=[(-l1, l1)] * n + [(None, None)] * n, options={"ftol": 1e-15, "maxiter": 500},
    )  # fmt: skip
    return w - step * (found.x[:n] + found.x[n:])


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("l1", [0.0, 0.3])
def test_group_prox_agrees_with_its_dual_problem(seed, l1):
    rng = np.random.default_rng(seed)
    w, step = rng.standard_normal((1, 4)) * 2, np.exp(rng.uniform(-2, 1, (1, 4)))
    penalty = pn.SparseGroupLasso(l1, 0.45, pn.Groups.rows())
    x = penalty.prox(w, step=step)
    other = _dual_prox(w[0], step[0], l1, 0.45 * 2)
    assert np.max(np.abs(x[0] - other)) <= np.sqrt(EPS) * 10  # what SLSQP can see


def test_sparse_group_prox_is_group_after_l1():
    rng = np.random.default_rng(1)
    w, step = rng.standard_normal(oracle.SHAPE) * 2, rng.uniform(0.1, 2, oracle.SHAPE)
    groups = pn.Groups.heads(axis=1, size=2)
    both = pn.SparseGroupLasso(0.2, 0.3, groups)
    apart = pn.GroupLasso(0.3, groups).prox(pn.L1(0.2).prox(w, step=step), step=step)
    np.testing.assert_array_equal(both.prox(w, step=step), apart)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("spread", [0.1, 1.0, 9.0])
def test_secular_root_solves_its_equation(dtype, spread):
    rng = np.random.default_rng(2)
    layout = pn.Groups.rows().layout((800, 2))
    shape = layout.folded
    c = (10 ** rng.uniform(-spread, spread, shape)).astype(dtype)
    unit = 10 ** rng.uniform(-spread, spread, shape)
    unit[::2] = 1  # even shares: as the smaller shift is outgrown the other term is nearly 1
    unit /= np.sqrt(np.sum(unit**2, axis=-1, keepdims=True))
    z = (unit * c * rng.choice([0.5, 1.01, 2**0.5, 3], (800, 1, 1))).astype(dtype)
    s = secular_root(z, c, layout, xp=np)
    z, c = z.astype(np.float64), c.astype(np.float64)
    left = np.sum((z / (np.where(s > 0, s, 1) + c)) ** 2, axis=-1, keepdims=True)
    assert s.dtype == dtype
    assert np.max(np.abs(left - 1)[s > 0]) <= 16 * np.finfo(dtype).eps
    dies = np.sum((z / c) ** 2, axis=-1, keepdims=True) <= 1
    np.testing.assert_array_equal(s == 0, dies)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_secular_root_survives_extreme_groups(dtype):
    z = np.array([[0, 0], [1e-30, 1], [3e18, 4e18], [3e-38, 4e-38], [3, 4], [3, 4], [0, 5]], dtype)
    c = np.array([[1, 1], [1e-30, 0], [0, 0], [0, 0], [1e-30, 1e18], [9, 0], [0, 0]], dtype)
    layout = pn.Groups.rows().layout(z.shape)
    s = secular_root(layout.fold(z, np), layout.fold(c, np), layout, xp=np).ravel()
    expected = np.array([0, 1, 5e18, 5e-38, 3, 4.109047, 5], dtype)
    assert np.all(np.abs(s - expected) <= 1e-4 * expected)


def test_group_lasso_has_no_nan_at_the_edge_of_float32():
    penalty = pn.GroupLasso(1e-6, pn.Groups.rows())
    w = np.array([[1e-38, 0], [1e30, 1e30], [0, 0], [1, 1e-30]], np.float32)
    for step in (np.array([[1e-30, 0], [1e-9, 1e9], [0, 0], [1e9, 1e-30]], np.float32), 1e-9, 1e9):
        assert np.all(np.isfinite(penalty.prox(w, step=step)))


@pytest.mark.parametrize("seed", range(6))
def test_max_norm_projection_is_the_nearest_point_of_the_ball(seed):
    rng = np.random.default_rng(seed)
    w, step = rng.standard_normal((1, 4)) * 3, np.exp(rng.uniform(-2, 1, (1, 4)))
    x = pn.MaxNorm(1.5).prox(w, step=step)
    found = minimize(
        lambda p: (np.sum((p - w[0]) ** 2 / step[0]), 2 * (p - w[0]) / step[0]),
        np.zeros(4), jac=True, method="SLSQP", options={"ftol": 1e-15, "maxiter": 500},
        constraints=[{"type": "ineq", "fun": lambda p: 1.5**2 - p @ p, "jac": lambda p: -2 * p}],
    )  # fmt: skip
    assert np.max(np.abs(x[0] - found.x)) <= np.sqrt(EPS) * 10
    assert np.linalg.norm(x) <= 1.5 * (1 + 4 * EPS)


# --- singular values, references, strengths


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_nuclear_prox_lowers_the_singular_values(shape):
    w = np.random.default_rng(3).standard_normal(shape)
    left, singular, right = np.linalg.svd(w, full_matrices=False)
    x = pn.Nuclear(0.5).prox(w, step=2.0)
    assert np.max(np.abs(x - left @ np.diag(np.maximum(singular - 1.0, 0)) @ right)) <= 32 * EPS
    assert np.linalg.matrix_rank(x) == np.sum(singular > 1.0)
    np.testing.assert_array_equal(pn.Nuclear(singular[0] * 1.01).prox(w, step=1.0), np.zeros(shape))
    np.testing.assert_array_equal(pn.Nuclear(0.5).prox(w, step=np.full(shape, 2.0)), x)


def test_distance_does_not_follow_its_reference_array():
    live = np.ones(3)
    penalty = pn.Distance(pn.L1(1.0), live)
    live += 5.0
    assert penalty.value(np.ones(3)) == 0
    np.testing.assert_array_equal(penalty.prox(np.array([1.1, 0.9, 4]), step=0.5), [1, 1, 3.5])


def test_at_keeps_the_proportions():
    assert pn.L1(1.0).at(0.25) == pn.L1(0.25)
    assert pn.ElasticNet(1.0, 0.5).at(0.25) == pn.ElasticNet(0.25, 0.125)
    assert pn.MCP(1.0, gamma=3.0).at(0.5) == pn.MCP(0.5, gamma=3.0)
    assert pn.Distance(pn.L1(1.0), [0.0]).at(0.5).penalty == pn.L1(0.5)
