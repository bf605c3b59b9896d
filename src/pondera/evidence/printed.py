"""Formulas as they are often printed, beside the published ones: what they draw, and what that costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from pondera.core import laws
from pondera.core.laws import AbstractLaw
from pondera.evidence.digits import train_digits

LawOf = Callable[[int, int], AbstractLaw]


@dataclass(frozen=True)
class Formula:
    """One formula in circulation.

    Args:
        text: as it is printed.
        where: what is wrong with it, in a few words.
        law: (fan_in, fan_out) → what it draws.
    """

    text: str
    where: str
    law: LawOf


@dataclass(frozen=True)
class Cost:
    """What a formula draws for 64 → 100, and the test accuracy it leads to.

    Args:
        mean: mean of the weights.
        std: standard deviation of the weights.
        shallow: accuracy with 3 hidden layers, median over seeds; NaN if the median run diverged.
        deep: accuracy with 10 hidden layers.
    """

    mean: float
    std: float
    shallow: float
    deep: float


def _between(low: float, high: float) -> AbstractLaw:
    return laws.uniform(low=min(low, high), high=max(low, high))


FORMULAS: Final = MappingProxyType(
    {
        "glorot": Formula(
            "Glorot: U(±√6/√(fan_in + fan_out))",
            "right: Glorot & Bengio 2010, eq. 16",
            lambda i, o: laws.glorot_uniform(),
        ),
        "he": Formula(
            "He: N(0, std √(2/fan_in))",
            "right: He et al. 2015, eq. 10",
            lambda i, o: laws.he_normal(),
        ),
        "xavier_positive": Formula(
            'U(√(2/fan_in), √(2/fan_out)) as "Xavier"',
            "mean far from 0; a single point where the fans are equal",
            lambda i, o: _between(math.sqrt(2 / i), math.sqrt(2 / o)),
        ),
        "he_reversed": Formula(
            'U(√(2/fan_in), −√(2/fan_out)) as "He"',
            "lower bound above the upper; put in order, a third of the variance, and a mean",
            lambda i, o: _between(math.sqrt(2 / i), -math.sqrt(2 / o)),
        ),
        "from_zero": Formula(
            'U(0, √(2/fan_in)) as "He"',
            "no negative weight",
            lambda i, o: laws.uniform(low=0.0, high=math.sqrt(2 / i)),
        ),
        "std_as_bound": Formula(
            'U(±√(2/fan_in)) as "He uniform"',
            "a std used as a bound: a third of the variance; the bound is √(6/fan_in)",
            lambda i, o: laws.uniform(low=-math.sqrt(2 / i), high=math.sqrt(2 / i)),
        ),
        "variance_as_std": Formula(
            'N(0, std 2/fan_in) as "He"',
            "a variance used as a std",
            lambda i, o: laws.normal(std=2 / i),
        ),
        "std_as_variance": Formula(
            'N(0, variance √(2/fan_in)) as "He"',
            "a std used as a variance",
            lambda i, o: laws.normal(std=(2 / i) ** 0.25),
        ),
        "baseline": Formula(
            'U(±1/√fan_in) as "Xavier" or "He"',
            "the baseline that Glorot & Bengio replace (their eq. 1); PyTorch's default",
            lambda i, o: laws.uniform(low=-1 / math.sqrt(i), high=1 / math.sqrt(i)),
        ),
    }
)


def printed_formulas(*, seeds: int = 3, only: tuple[str, ...] = ()) -> Mapping[str, Cost]:
    """What each formula draws and costs.

    Setting: digits in [0, 1], ReLU perceptrons of width 100, 400 steps of SGD with momentum 0.9, learning
    rate 0.01, batches of 64. Expected: both published formulas above 90 % at either depth; the all-positive
    and the square-root-of-a-variance ones at chance in the deep network.

    Args:
        seeds: runs of each.
        only: names of `FORMULAS`; all of them if empty.

    Returns:
        Formula name → cost.
    """
    return {
        name: _cost(name, formula, seeds)
        for name, formula in FORMULAS.items()
        if not only or name in only
    }


def _cost(name: str, formula: Formula, seeds: int) -> Cost:
    drawn = formula.law(64, 100).draw((64, 100), seed=0, name=name, dtype="float64")
    accuracy = {
        depth: median(
            _worst_if_diverged(
                train_digits(depth, start=formula.law, width=100, steps=400, rate=0.01, seed=seed)
            )
            for seed in range(seeds)
        )
        for depth in (3, 10)
    }
    return Cost(
        float(drawn.mean()),
        float(drawn.std()),
        *(math.nan if score < 0 else score for score in (accuracy[3], accuracy[10])),
    )


def _worst_if_diverged(score: float) -> float:
    return -1.0 if math.isnan(score) else score


@dataclass(frozen=True)
class Misplaced:
    """A penalty on the weights beside the same penalty on the predictions.

    Args:
        zeros: exact zeros among the weights.
        weights: Σ|w|.
        predictions: Σ|ŷ|/n.
        error: mean squared error on the training rows.
    """

    zeros: int
    weights: float
    predictions: float
    error: float


def penalty_on_predictions(
    *, strength: float = 0.2, steps: int = 20_000
) -> Mapping[str, Misplaced]:
    """Lasso, with λ·Σ|w| as it should be and with λ·mean|ŷ| as it is sometimes printed.

    Setting: scikit-learn's diabetes data, inputs and target standardised, full-batch (proximal) gradient
    descent. Expected: zeros on the weights only where the penalty is on the weights; on the predictions it
    shrinks every prediction towards 0 and sets no weight to 0.

    Args:
        strength: λ.
        steps: gradient steps, of length 1/L.

    Returns:
        "none", "weights" and "predictions" → what came of it.
    """
    from sklearn.datasets import load_diabetes

    inputs, target = load_diabetes(return_X_y=True)
    x = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    y = (target - target.mean()) / target.std()
    step = len(y) / (2 * np.linalg.norm(x, 2) ** 2)
    return {
        where: _descend(x, y, step, steps, strength, where)
        for where in ("none", "weights", "predictions")
    }


def _descend(x: Any, y: Any, step: float, steps: int, strength: float, where: str) -> Misplaced:
    from pondera.numpy import l1_prox, squared_error_gradient

    w = np.zeros(x.shape[1])
    for _ in range(steps):
        guess = x @ w
        gradient = squared_error_gradient(y, guess)
        if where == "predictions":
            gradient = gradient + strength * np.sign(guess) / y.size
        w = w - step * (x.T @ gradient)
        if where == "weights":
            w = l1_prox(w, strength=strength, step=step)
    guess = x @ w
    return Misplaced(
        int((w == 0).sum()),
        float(np.abs(w).sum()),
        float(np.abs(guess).mean()),
        float(np.mean((y - guess) ** 2)),
    )
