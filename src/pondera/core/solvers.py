"""Penalised linear models solved to a certified gap: what the optimizers are measured against.

A duality gap bounds how far an answer is from the minimum: nobody has to trust the iterations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, final, get_args

import numpy as np
from numpy.typing import NDArray

from pondera.core.errors import DomainError, ShapeError, unknown
from pondera.core.penalties.base import AbstractPenalty
from pondera.core.penalties.elementwise import L1, L2, ElasticNet, excess
from pondera.core.penalties.grouped import GroupLasso

Floats: TypeAlias = NDArray[np.float64]
Loss = Literal["logistic", "squared"]
SOLVED = (L1, L2, ElasticNet, GroupLasso)
LOOK_EVERY = 10  # turns between two gaps, which cost about a turn each


@final
@dataclass(frozen=True)
class Solution:
    """A minimiser with its certificate.

    Law:
        objective - gap <= minimum <= objective

    Args:
        weights: one per column of X; zeros are exact.
        intercept: constant added to the prediction; 0 if none was asked for.
        objective: loss + penalty at the weights.
        gap: objective − minimum is at most this; `certified` if within the tolerance asked for.
        turns: proximal gradient steps taken.

    Source:
        weak duality; see `minimise`.

    Checked by:
        test_solvers.py::test_gap_bounds_the_distance_to_the_minimum
    """

    weights: Floats
    intercept: float
    objective: float
    gap: float
    turns: int
    certified: bool


def mean_loss(z: Floats, y: Floats, /, *, loss: Loss) -> float:
    """Mean loss of the predictions.

    Law:
        mean((y - z)**2) if loss == "squared" else mean(log1p(exp(-y*z)))

    Args:
        z: predictions (of the logit, for the logistic loss), shape (n,).
        y: targets, shape (n,); for the logistic loss -1 or 1.
        loss: squared or logistic.

    Source:
        Hastie, Tibshirani & Friedman 2009, The Elements of Statistical Learning, §10.6.

    Checked by:
        test_solvers.py::test_gap_bounds_the_distance_to_the_minimum
    """
    if loss == "squared":
        return float(np.mean((y - z) ** 2))
    return float(np.mean(np.logaddexp(0.0, -y * z)))


def minimise(
    X: Any,
    y: Any,
    /,
    *,
    penalty: AbstractPenalty,
    loss: Loss = "squared",
    intercept: bool = False,
    tolerance: float = 1e-10,
    turns: int = 200_000,
) -> Solution:
    """The weights that minimise mean loss + penalty, with a duality gap.

    Law:
        argmin_w mean_loss(X @ w + b, y) + penalty.value(w), b free or 0

    Args:
        X: features, shape (n, p); scale them first, the penalty sees their units.
        y: targets, shape (n,); for the logistic loss -1 and 1 (or False and True).
        penalty: L1, L2, ElasticNet or GroupLasso (its groups on the p weights), strength > 0.
        loss: squared or logistic.
        intercept: whether to add an unpenalised constant.
        tolerance: gap to stop at, relative to the objective at zero weights, > 0.
        turns: proximal gradient steps at most.

    Returns:
        A Solution; not `certified` where `turns` ran out or rounding is above the tolerance.

    Raises:
        ShapeError: X is no matrix, or y does not fit it.
        DomainError: the penalty has no certificate here, or the labels are not -1 and 1.

    Limits:
        The pace is that of the features' condition number; gaps round at 1e-15 of the objective.

    Source:
        Beck & Teboulle 2009, SIAM J. Imaging Sci. 2(1), §4 (FISTA); O'Donoghue & Candès 2015,
        Found. Comput. Math. 15, §3.2 (restart); gap: Mairal 2010, PhD thesis, appendix D.

    Checked by:
        test_solvers.py::test_lasso_of_the_diabetes_data
        test_solvers.py::test_gap_bounds_the_distance_to_the_minimum
    """
    features, targets = _checked(X, y, penalty, loss)
    middle = features.mean(axis=0) if intercept else np.zeros(features.shape[1])
    problem = _Problem(features - middle, targets, penalty, loss, intercept)
    bound = tolerance * problem.at_zero()
    weights, constant, gap, taken = problem.solved(bound, turns)
    objective, shift = problem.primal(weights, constant), float(middle @ weights)
    return Solution(weights, constant - shift, objective, gap, taken, gap <= bound)


@dataclass(frozen=True)
class _Problem:
    """Features with column means of zero if there is an intercept."""

    X: Floats
    y: Floats
    penalty: AbstractPenalty
    loss: Loss
    intercept: bool

    def solved(self, bound: float, turns: int) -> tuple[Floats, float, float, int]:
        curvature = (2.0 if self.loss == "squared" else 0.25) / self.y.size
        step = 1 / max(curvature * np.linalg.norm(self.X, 2) ** 2, 1e-300)
        old = ahead = np.zeros(self.X.shape[1])
        constant, speed = self._constant(old, 0.0), 1.0
        best = (old, constant, self._gap(old, constant), 0)
        for turn in range(1, turns + 1):
            constant = self._constant(ahead, constant)
            slope = self.X.T @ self._slope(self.X @ ahead + constant)
            new = self.penalty.prox(ahead - step * slope, step=step)
            if np.sum((ahead - new) * (new - old)) > 0:
                speed = 1.0  # momentum points uphill: begin anew
            last, speed = speed, (1 + math.sqrt(1 + 4 * speed * speed)) / 2
            old, ahead = new, new + (last - 1) / speed * (new - old)
            if turn % LOOK_EVERY == 0:
                level = self._constant(new, constant)
                gap = self._gap(new, level)
                if gap < best[2]:
                    best = (new, level, gap, turn)
                if gap <= bound:
                    break
        return best

    def primal(self, w: Floats, constant: float) -> float:
        return mean_loss(self.X @ w + constant, self.y, loss=self.loss) + self.penalty.value(w)

    def at_zero(self) -> float:
        nothing = np.zeros(self.X.shape[1])
        return self.primal(nothing, self._constant(nothing, 0.0))

    def _slope(self, z: Floats) -> Floats:
        """Gradient of the mean loss in the predictions."""
        if self.loss == "squared":
            return 2 * (z - self.y) / self.y.size
        return -self.y * np.exp(-np.logaddexp(0.0, self.y * z)) / self.y.size

    def _constant(self, w: Floats, start: float) -> float:
        """The best intercept for these weights; it makes the slopes sum to zero."""
        if not self.intercept or self.loss == "squared":
            return float(np.mean(self.y)) if self.intercept else 0.0  # the columns have mean 0
        z, constant = self.X @ w, start
        for _ in range(50):  # Newton
            slope = self._slope(z + constant)
            size = np.abs(slope)
            change = np.sum(slope) / max(np.sum(size * (1 - self.y.size * size)), 1e-300)
            constant -= float(np.clip(change, -2, 2))
            if abs(change) <= 1e-15 * (1 + abs(constant)):
                break
        return constant

    def _gap(self, w: Floats, constant: float) -> float:
        """Objective minus a dual value: at least the distance to the minimum."""
        theta = self._slope(self.X @ w + constant)
        theta = theta - theta.mean() if self.intercept else theta
        slope = self.X.T @ theta
        share = self._feasible_share(slope)
        dual = -self._conjugate(share * theta) - self._penalty_conjugate(share * slope)
        primal = self.primal(w, constant)
        return max(primal - dual, np.finfo(float).eps * primal)  # the difference is rounded

    def _feasible_share(self, slope: Floats) -> float:
        """How much of the slope the penalty can hold at zero: 1 where every slope can be."""
        if isinstance(self.penalty, L2) or getattr(self.penalty, "l2", 0) > 0:
            return 1.0
        critical = self.penalty.critical_strength(slope)
        strength = float(getattr(self.penalty, self.penalty.strengths[0]))
        return min(1.0, strength / critical) if critical > 0 else 1.0

    def _penalty_conjugate(self, slope: Floats) -> float:
        """Largest −slope·w − penalty(w) over w, the slope feasible."""
        if isinstance(self.penalty, L2):
            return float(np.sum(slope**2)) / (4 * self.penalty.strength)
        if isinstance(self.penalty, ElasticNet) and self.penalty.l2 > 0:
            over = excess(np.abs(slope), self.penalty.l1, np)
            return float(np.sum(over**2)) / (4 * self.penalty.l2)
        return 0.0  # a norm's conjugate is the indicator of its dual ball

    def _conjugate(self, theta: Floats) -> float:
        """Largest theta·z − mean loss(z) over z."""
        n = self.y.size
        if self.loss == "squared":
            return float(np.sum(theta * self.y + n / 4 * theta**2))
        chance = np.clip(-n * theta * self.y, 0.0, 1.0)
        return float(np.mean(_entropy(chance) + _entropy(1 - chance)))


def _entropy(chance: Floats) -> Floats:  # chance·log(chance), 0 at 0
    return chance * np.log(np.where(chance > 0, chance, 1.0))


def _checked(
    features: Any, targets: Any, penalty: AbstractPenalty, loss: Loss
) -> tuple[Floats, Floats]:
    if loss not in get_args(Loss):
        raise unknown("minimise", "loss", loss, get_args(Loss))
    matrix, y = np.asarray(features, np.float64), np.asarray(targets, np.float64)
    if matrix.ndim != 2 or y.shape != matrix.shape[:1]:
        got = f"got X.shape={matrix.shape}, y.shape={y.shape}"
        raise ShapeError(f"minimise: X must be (n, p) and y (n,); {got}. Pass one target per row.")
    strengths = penalty.strengths if isinstance(penalty, SOLVED) else ()
    if not any(getattr(penalty, name) > 0 for name in strengths):
        raise DomainError(
            "minimise: a certificate needs ElasticNet, GroupLasso, L1 or L2 of strength > 0; "
            f"got penalty={penalty!r}. Train with the penalty's prox instead."
        )
    if loss == "logistic":
        y = np.where(y == 0, -1.0, y)
        if not np.all(np.abs(y) == 1):
            got = f"got y with {np.unique(y)[:3].tolist()!r}. Code the classes as -1 and 1."
            raise DomainError(f"minimise: logistic targets must be -1 and 1; {got}")
    return matrix, y
