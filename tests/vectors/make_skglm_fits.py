"""Write skglm_fits.json: MCP and SCAD regressions solved by skglm 0.5, for test_bounds_solvers.py.

Run by hand where skglm and scikit-learn are installed:
python tests/vectors/make_skglm_fits.py > tests/vectors/skglm_fits.json

Objective: mean((y − Xw)²)/2 + Σ penalty(w), from w = 0; diabetes data, X standardised, y centred, and 200 × 30
made rows whose columns correlate.
"""

import json
import sys

import numpy as np
import skglm
from skglm import GeneralizedLinearEstimator, penalties
from skglm.datafits import Quadratic
from skglm.solvers import AndersonCD
from sklearn.datasets import load_diabetes


def diabetes():
    inputs, target = load_diabetes(return_X_y=True)
    return (inputs - inputs.mean(0)) / inputs.std(0), target - target.mean()


def made():
    rng = np.random.default_rng(7)
    inputs = rng.standard_normal((200, 30)) + 0.7 * rng.standard_normal((200, 1))
    true = np.zeros(30)
    true[:6] = [3, -2, 1.5, 0.8, -0.5, 0.3]
    return inputs, inputs @ true + rng.standard_normal(200)


def fit(problem, kind, strength, shape):
    inputs, target = {"diabetes": diabetes, "made": made}[problem]()
    penalty = {"MCP": penalties.MCPenalty, "SCAD": penalties.SCAD}[kind](strength, shape)
    solver = AndersonCD(tol=1e-13, max_iter=5000, max_epochs=100_000, fit_intercept=False)
    model = GeneralizedLinearEstimator(Quadratic(), penalty, solver)
    w = model.fit(inputs, target).coef_
    objective = np.mean((target - inputs @ w) ** 2) / 2 + penalty.value(w)
    return {
        "problem": problem, "penalty": kind, "strength": strength,
        {"MCP": "gamma", "SCAD": "knot"}[kind]: shape,
        "weights": w.tolist(), "objective": float(objective),
    }  # fmt: skip


CASES = [
    ("diabetes", "MCP", 5.0, 3.0),
    ("diabetes", "SCAD", 5.0, 3.7),
    ("made", "MCP", 0.2, 3.0),
    ("made", "MCP", 0.2, 10.0),
    ("made", "SCAD", 0.2, 3.7),
]
json.dump(
    {"skglm": skglm.__version__, "fits": [fit(*case) for case in CASES]},
    sys.stdout,
    separators=(",", ":"),
)
