"""Penalties attached to optimizers, tier "optimal": the answers are those of outside solvers.

Optimizers and problems are those of `bounds_cases`; penalties those of `penalty_oracle`.
"""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from scipy.optimize import lsq_linear, nnls
from sklearn.linear_model import ElasticNet, Lasso, Ridge

import pondera
from pondera.core import penalties as pn
from pondera.core.solvers import minimise
from tests import bounds_cases as cases
from tests import penalty_oracle
from tests.bounds_cases import CASES, Weights, train

EXACT = 64 * np.finfo(np.float64).eps
STRENGTHS = (20, 5, 1)  # scikit-learn's, of half the mean squared error: λ is twice that


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def squared_error(inputs, target, weight):
    return (inputs @ weight.reshape(-1) - target).square().mean()


def lasso(strength):
    inputs, target = (tensor.numpy() for tensor in cases.diabetes())
    model = Lasso(alpha=strength, fit_intercept=False, tol=1e-14, max_iter=10**6)
    return model.fit(inputs, target).coef_


@pytest.fixture(scope="module", params=CASES)
def solved(request):
    """Three lassos at once, a parameter each, under one optimizer."""
    case = CASES[request.param]
    inputs, target = cases.diabetes()
    start = torch.full(case.shape, 0.1, dtype=torch.float64)
    model = Weights(**{f"w{k}": start.clone() for k in STRENGTHS})
    gram, moment = 2 * inputs.T @ inputs / len(target), 2 * inputs.T @ target / len(target)

    def loss():
        each = [w.reshape(-1) for w in model.parameters()]
        return sum(w @ gram @ w / 2 - moment @ w for w in each) + 3 * target.square().mean()

    handle = train(model, case, loss, {f"w{k}": pn.L1(2 * k) for k in STRENGTHS})
    return case, model, handle


@pytest.mark.parametrize("strength", STRENGTHS)
def test_every_optimizer_solves_the_lasso(solved, strength):
    _, model, _ = solved
    inputs, target = cases.diabetes()
    best = torch.tensor(lasso(strength))
    w = getattr(model, f"w{strength}").detach().reshape(-1)

    def objective(weight):
        return float(squared_error(inputs, target, weight) / 2 + strength * weight.abs().sum())

    assert objective(w) <= objective(best) * (1 + 1e-6)
    assert torch.equal(w == 0, best == 0)
    slope = 2 * inputs.T @ (inputs @ w - target) / len(target) / (2 * strength)
    kept = w != 0
    assert ((-slope * w.sign())[kept] - 1).abs().max() <= 0.01
    assert slope[~kept].abs().max() <= 1 + 1e-3


@pytest.mark.parametrize("strength", STRENGTHS)
def test_the_report_tells_the_strength_that_the_weights_show(solved, strength):
    case, model, handle = solved
    row = next(r for r in handle.report().rows if r.name == f"w{strength}")
    assert row.way == case.way
    assert row.strength == 2 * strength
    assert abs(row.realised - row.strength) <= 0.01 * row.strength
    assert row.zeros == int((getattr(model, row.name) == 0).sum())
    assert handle.gap()[row.name].max() <= 0.01 * row.strength


# --- every penalty, by a metric, by hooks, and under LBFGS ---

REGRESSION = {
    "SGD momentum .9": dataclasses.replace(CASES["SGD momentum .9"], lr=0.02, steps=1000),
    "Adam": dataclasses.replace(CASES["Adam"], lr=0.05, course="cosine", steps=1000),
    "Muon 1x10": dataclasses.replace(CASES["Muon 1x10"], lr=0.2, steps=1000),
    "LBFGS": dataclasses.replace(CASES["LBFGS"], steps=20),
}


@pytest.mark.parametrize("penalty", penalty_oracle.PENALTIES)
@pytest.mark.parametrize("optimizer", REGRESSION)
def test_every_penalty_ends_where_it_is_stationary(optimizer, penalty):
    inputs, target = cases.responses()
    torch.manual_seed(0)
    model = Weights(w=torch.randn(4, 6, dtype=torch.float64) / 3)
    bounds = {"w": penalty_oracle.PENALTIES[penalty]}
    if penalty in REFUSED[optimizer]:
        with pytest.raises(pondera.DomainError, match=r"regularize: .* needs? .*; got"):
            train(model, REGRESSION[optimizer], None, bounds, steps=0)
        return
    handle = train(
        model,
        REGRESSION[optimizer],
        lambda: 2 * (inputs @ model.w.T - target).square().mean(),
        bounds,
    )
    assert handle.gap()["w"].max() <= (0.02 if optimizer == "Muon 1x10" else 1e-3)


_KINKLESS = {"L0", "LHalf", "Nuclear"}
REFUSED = {
    "SGD momentum .9": set(),
    "Adam": set(),
    "Muon 1x10": _KINKLESS,
    "LBFGS": _KINKLESS | {k for k in penalty_oracle.PENALTIES if k[:4] in ("MaxN", "Dist")},
}


# --- outside solvers ---

SMOOTH = ("SGD momentum .9", "Adam", "LBFGS strong Wolfe")


def fitted(optimizer, penalty):
    """Diabetes under one penalty; the weights."""
    inputs, target = cases.diabetes()
    model = Weights(w=torch.zeros(1, 10, dtype=torch.float64) + 0.1)
    train(model, CASES[optimizer], lambda: squared_error(inputs, target, model.w), {"w": penalty})
    return model.w.detach().numpy().ravel()


@pytest.mark.parametrize("optimizer", SMOOTH)
def test_l2_is_ridge(optimizer):
    inputs, target = (tensor.numpy() for tensor in cases.diabetes())
    ridge = Ridge(alpha=10, fit_intercept=False).fit(inputs, target).coef_
    found = fitted(optimizer, pn.L2(10 / len(target)))
    assert np.max(np.abs(found - ridge)) <= 1e-4
    if optimizer != "LBFGS strong Wolfe":  # the reference's digits
        assert np.round(found[:3], 5).tolist() == [-0.25795, -10.93636, 24.60009]


@pytest.mark.parametrize("optimizer", SMOOTH)
def test_elastic_net_is_scikit_learns(optimizer):
    inputs, target = (tensor.numpy() for tensor in cases.diabetes())
    theirs = ElasticNet(alpha=2, l1_ratio=0.7, fit_intercept=False, tol=1e-14, max_iter=10**6)
    best = theirs.fit(inputs, target).coef_
    found = fitted(optimizer, pn.ElasticNet(l1=2 * 2 * 0.7, l2=2 * 2 * 0.3 / 2))
    assert np.array_equal(found == 0, best == 0)
    assert np.max(np.abs(found - best)) <= 1e-4


@pytest.mark.parametrize("optimizer", SMOOTH)
def test_non_negative_weights_are_those_of_nnls(optimizer):
    inputs, target = (tensor.numpy() for tensor in cases.diabetes())
    found = fitted(optimizer, pn.NonNegative())
    best = nnls(inputs, target)[0]
    assert np.array_equal(found == 0, best == 0)
    assert np.max(np.abs(found - best)) <= 1e-4


@pytest.mark.parametrize("optimizer", SMOOTH)
def test_boxed_weights_are_those_of_bounded_least_squares(optimizer):
    inputs, target = (tensor.numpy() for tensor in cases.diabetes())
    found = fitted(optimizer, pn.Box(-5.0, 15.0))
    best = lsq_linear(inputs, target, (-5, 15), tol=1e-14).x
    assert np.max(np.abs(found - best)) <= 1e-4
    assert found.min() == -5
    assert found.max() == 15


GROUPED = {
    "Adam": dataclasses.replace(CASES["Adam"], lr=0.1, course="cosine", steps=2000),
    "SGD momentum .9": dataclasses.replace(CASES["SGD momentum .9"], lr=0.01, steps=2000),
    "Muon 1x10": dataclasses.replace(CASES["Muon 1x10"], lr=0.1, steps=2000),
    "Lion": dataclasses.replace(CASES["Lion"], lr=0.02, steps=2000),
    "LBFGS": CASES["LBFGS"],
}


@pytest.mark.parametrize("optimizer", GROUPED)
def test_group_lasso_reaches_the_certified_optimum(optimizer):
    inputs, target = cases.grouped()
    moments = (inputs.T @ target / len(target)).reshape(12, 5)
    strength = 0.1 * float(moments.norm(dim=1).max())  # of half the mean squared error
    labels = pn.Groups.labelled(np.repeat(np.arange(12), 5))
    flat = pn.GroupLasso(2 * strength, labels, size_weighted=False)
    best = minimise(inputs.numpy(), target.numpy(), penalty=flat, tolerance=1e-12)
    assert abs(best.objective / 2 - 2.7739135045) <= 1e-10
    torch.manual_seed(0)
    model = Weights(w=torch.randn(12, 5, dtype=torch.float64) / 10)
    rows = pn.GroupLasso(2 * strength, pn.Groups.rows(), size_weighted=False)
    handle = train(
        model, GROUPED[optimizer], lambda: squared_error(inputs, target, model.w), {"w": rows}
    )
    w = model.w.detach()
    objective = float(squared_error(inputs, target, w)) + rows.value(w, xp=torch)
    assert objective / best.objective - 1 <= 1e-8
    dead = np.linalg.norm(best.weights.reshape(12, 5), axis=1) == 0
    assert np.array_equal((w.norm(dim=1) == 0).numpy(), dead)
    assert dead.sum() == 7
    row = handle.report().rows[0]
    assert (row.groups_left, row.groups) == (5, 12)
    assert abs(row.realised / (2 * strength) - 1) <= 1e-4


@pytest.mark.parametrize(("share", "kept"), [(0.1, 5), (0.03, 9), (0.01, 13)])
@pytest.mark.parametrize("optimizer", ["Adam", "LBFGS strong Wolfe"])
def test_sparse_logistic_regression_keeps_the_right_features(optimizer, share, kept):
    inputs, target = cases.breast_cancer()
    penalty = pn.L1(share * 0.383683)
    best = minimise(
        inputs.numpy(),
        target.numpy(),
        penalty=penalty,
        loss="logistic",
        intercept=True,
        tolerance=1e-11,
    )
    model = Weights(w=torch.zeros(30, dtype=torch.float64), b=torch.zeros((), dtype=torch.float64))

    def loss():
        return torch.nn.functional.softplus(-target * (inputs @ model.w + model.b)).mean()

    quick = dataclasses.replace(CASES["Adam"], lr=0.3, course="cosine", steps=4000)
    case = quick if optimizer == "Adam" else dataclasses.replace(CASES[optimizer], steps=100)
    train(model, case, loss, {"w": penalty})
    w = model.w.detach()
    assert int((w != 0).sum()) == kept
    assert np.array_equal((w != 0).numpy(), best.weights != 0)
    objective = float(loss().detach()) + penalty.value(w, xp=torch)
    assert objective <= best.objective * (1 + 1e-6)


@pytest.mark.parametrize("optimizer", ["SGD momentum .9", "Adam"])
def test_nuclear_is_the_singular_value_threshold(optimizer):
    rng = np.random.default_rng(0)
    noisy = torch.tensor(rng.standard_normal((12, 3)) @ rng.standard_normal((3, 8)))
    noisy = noisy + torch.tensor(0.1 * rng.standard_normal((12, 8)))
    model = Weights(w=torch.zeros(12, 8, dtype=torch.float64))
    case = dataclasses.replace(CASES[optimizer], lr=0.05, steps=1000)
    train(model, case, lambda: (model.w - noisy).square().sum() / 2, {"w": pn.Nuclear(1.0)})
    best = pn.singular_threshold(noisy.numpy(), 1.0)
    assert np.max(np.abs(model.w.detach().numpy() - best)) <= 1e-9
    assert np.linalg.matrix_rank(model.w.detach().numpy(), tol=1e-9) == 3


def test_a_column_without_signal_ends_at_zero_under_adam():
    """Its second moment is 0, and lr/eps is no step: it fades, and dies when nothing ever came."""
    model = Weights(w=torch.ones(2, dtype=torch.float64))
    case = dataclasses.replace(CASES["Adam"], lr=0.01, steps=1)
    optimizer = case.optimizer(list(model.parameters()))
    pondera.torch.regularize(optimizer, {"w": pn.L1(0.01)}, model=model)
    for step in range(1002):
        model.w.grad = torch.tensor([0.0, 1e-3], dtype=torch.float64)
        optimizer.step()
        if step == 0:
            assert abs(float(model.w[0].detach()) - (1 - 1e-4)) <= EXACT
    assert float(model.w[0].detach()) == 0
