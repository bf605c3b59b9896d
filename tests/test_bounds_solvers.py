"""Bounds through optimizers against outside solvers: skglm's MCP and SCAD, SciPy's least squares in a ball.

skglm's answers lie in vectors/skglm_fits.json.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from scipy.optimize import minimize

from pondera.core import penalties as pn
from tests import bounds_cases as cases
from tests.bounds_cases import CASES, Weights, train

FITS = json.loads((Path(__file__).parent / "vectors" / "skglm_fits.json").read_text())["fits"]


def made():
    """200 rows of 30 columns that correlate; as in vectors/make_skglm_fits.py."""
    rng = np.random.default_rng(7)
    inputs = rng.standard_normal((200, 30)) + 0.7 * rng.standard_normal((200, 1))
    true = np.zeros(30)
    true[:6] = [3, -2, 1.5, 0.8, -0.5, 0.3]
    return torch.tensor(inputs), torch.tensor(inputs @ true + rng.standard_normal(200))


PROBLEMS = {"diabetes": cases.diabetes, "made": made}
RUNS = {
    ("SGD momentum .9", "diabetes"): {"lr": 0.03, "steps": 3000},
    ("SGD momentum .9", "made"): {"lr": 0.01, "steps": 3000},
    ("Adam", "diabetes"): {"lr": 0.3, "course": "cosine", "steps": 3000},
    ("Adam", "made"): {"lr": 0.03, "course": "cosine", "steps": 3000},
    ("Lion", "diabetes"): {"lr": 0.1, "course": "cosine", "steps": 3000},
    ("Lion", "made"): {"lr": 0.01, "course": "cosine", "steps": 3000},
    ("LBFGS strong Wolfe", "diabetes"): {"steps": 30},
    ("LBFGS strong Wolfe", "made"): {"steps": 30},
}


def penalty_of(fit):
    shape = {name: fit[name] for name in ("gamma", "knot") if name in fit}
    return getattr(pn, fit["penalty"])(fit["strength"], **shape)


@pytest.mark.parametrize("fit", FITS, ids=lambda f: f"{f['problem']}-{f['penalty']}")
@pytest.mark.parametrize("name", sorted({optimizer for optimizer, _ in RUNS}))
def test_a_regression_ends_where_skglms_does(name, fit):
    inputs, target = PROBLEMS[fit["problem"]]()
    penalty, best = penalty_of(fit), torch.tensor(fit["weights"], dtype=torch.float64)
    case = dataclasses.replace(CASES[name], **RUNS[name, fit["problem"]])
    model = Weights(w=torch.zeros(1, len(best), dtype=torch.float64))

    def loss():
        return (inputs @ model.w.reshape(-1) - target).square().mean() / 2

    handle = train(model, case, loss, {"w": penalty})
    w = model.w.detach().reshape(-1)
    objective = float(loss().detach()) + penalty.value(w, xp=torch)
    assert abs(objective / fit["objective"] - 1) <= 1e-6
    assert torch.equal(w == 0, best == 0)
    assert (w - best).abs().max() <= 1e-3 * best.abs().max()
    assert handle.gap()["w"].max() <= 0.01 * fit["strength"]


@pytest.mark.parametrize("fit", FITS, ids=lambda f: f"{f['problem']}-{f['penalty']}")
def test_skglms_answer_is_stationary_by_our_gap(fit):
    inputs, target = (tensor.numpy() for tensor in PROBLEMS[fit["problem"]]())
    w = np.array(fit["weights"])
    gradient = inputs.T @ (inputs @ w - target) / len(target)
    assert np.max(penalty_of(fit).gap(w, gradient)) <= 1e-8 * fit["strength"]
    objective = np.mean((inputs @ w - target) ** 2) / 2 + penalty_of(fit).value(w)
    assert abs(objective / fit["objective"] - 1) <= 1e-12


# --- balls that bind ---

BALLS = {
    "SGD momentum .9": {"lr": 0.02, "steps": 1000},
    "Adam": {"lr": 0.05, "course": "cosine", "steps": 1500},
    "Muon 1x10": {"lr": 0.3, "course": "cosine", "steps": 1500},
    "Lion": {"lr": 0.02, "course": "cosine", "steps": 1500},
    "Rprop": {"lr": 0.01, "steps": 300},
}


@pytest.mark.parametrize("name", BALLS)
def test_rows_in_a_ball_are_those_of_a_constrained_solver(name):
    inputs, target = cases.responses()
    radius = 0.9  # three of four rows would be longer, one is shorter
    model = Weights(w=torch.zeros(4, 6, dtype=torch.float64) + 0.01)
    case = dataclasses.replace(CASES[name], **BALLS[name])
    handle = train(
        model,
        case,
        lambda: 2 * (inputs @ model.w.T - target).square().mean(),
        {"w": pn.MaxNorm(radius)},
    )
    best = np.stack([in_a_ball(inputs.numpy(), y, radius) for y in target.numpy().T])
    w = model.w.detach()
    assert (w - torch.tensor(best)).abs().max() <= 1e-3
    assert int((w.norm(dim=1) > radius * (1 - 1e-6)).sum()) == 3
    if case.way == "metric":  # elsewhere a row may end a rounding inside, where the gap jumps
        assert handle.gap()["w"].max() <= 0.01


def in_a_ball(inputs, target, radius):
    """Least squares with a norm of at most `radius`, by SLSQP."""
    found = minimize(
        lambda w: np.mean((inputs @ w - target) ** 2),
        np.zeros(inputs.shape[1]),
        jac=lambda w: 2 * inputs.T @ (inputs @ w - target) / len(target),
        constraints=[{"type": "ineq", "fun": lambda w: radius**2 - w @ w, "jac": lambda w: -2 * w}],
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    return found.x
