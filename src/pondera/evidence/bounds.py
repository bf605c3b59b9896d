"""Penalties as they are commonly applied, and the λ that each of them really solves for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from pondera.core.penalties import L1, soft_threshold
from pondera.core.solvers import minimise
from pondera.torch import regularize

Floats = np.ndarray[Any, np.dtype[np.float64]]
Optimizer = torch.optim.Optimizer


@dataclass(frozen=True)
class Form:
    """One way in which an L1 penalty is applied.

    Args:
        text: as users write it.
        make: parameters → optimizer.
        penalise: (weights, lr·λ) after each step; "loss" to add the penalty there, "latent" to shrink a copy,
            None to attach it.
        lr: learning rate.
        steps: full-batch steps.
    """

    text: str
    make: Callable[..., Optimizer]
    penalise: Callable[..., None] | str | None
    lr: float
    steps: int


@dataclass(frozen=True)
class Solved:
    """What a form ends with.

    Args:
        excess: objective − minimum, of the λ asked for.
        zeros: exact zeros.
        share: λ that the non-zero weights show (median of −gradient·sign), over the λ asked for.
        support: whether the zeros are exactly the right ones.
    """

    excess: float
    zeros: int
    share: float
    support: bool


def _shrink(w: torch.Tensor, part: float) -> None:
    w.copy_(soft_threshold(w, part, xp=torch))


def _subtract_sign(w: torch.Tensor, part: float) -> None:
    w.sub_(part * w.sign())


def _sgd(parameters: Any, lr: float) -> Optimizer:
    return torch.optim.SGD(parameters, lr=lr)


def _momentum(parameters: Any, lr: float) -> Optimizer:
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9)


def _adam(parameters: Any, lr: float) -> Optimizer:
    return torch.optim.Adam(parameters, lr=lr)


FORMS: Final[Mapping[str, Form]] = MappingProxyType(
    {
        "loss, SGD": Form("loss + λ·Σ|w|, SGD", _sgd, "loss", 0.02, 3000),
        "loss, momentum": Form("loss + λ·Σ|w|, SGD momentum 0.9", _momentum, "loss", 0.02, 3000),
        "loss, Adam": Form("loss + λ·Σ|w|, Adam", _adam, "loss", 0.002, 3000),
        "prox, SGD": Form("prox(lr·λ), SGD", _sgd, _shrink, 0.02, 3000),
        "prox, momentum": Form("prox(lr·λ), SGD momentum 0.9", _momentum, _shrink, 0.02, 3000),
        "prox, Adam": Form("prox(lr·λ), Adam", _adam, _shrink, 0.002, 4500),
        "sign, Adam": Form("w −= lr·λ·sign(w) beside Adam", _adam, _subtract_sign, 0.002, 4500),
        "latent, momentum": Form(
            "prox(Σlr·λ) of a latent copy, SGD momentum 0.9", _momentum, "latent", 0.02, 3000
        ),
        "latent, Adam": Form("prox(Σlr·λ) of a latent copy, Adam", _adam, "latent", 0.002, 4500),
        "attached, momentum": Form("attached, SGD momentum 0.9", _momentum, None, 0.02, 3000),
        "attached, Adam": Form("attached, Adam", _adam, None, 0.02, 3000),
        "attached, RMSprop": Form("attached, RMSprop", torch.optim.RMSprop, None, 0.002, 3000),
        "attached, Rprop": Form("attached, Rprop", torch.optim.Rprop, None, 0.01, 3000),
    }
)


def realised_strengths(*, only: tuple[str, ...] = ()) -> Mapping[str, Solved]:
    """The λ that each form of an L1 penalty really solves for.

    Setting: scikit-learn's diabetes data, inputs and target standardised, λ = 0.05 of the smallest that leaves
    no weight, half the mean squared error, full batches, constant learning rates.

    Source: LassoNet's `prox(lambda_=lambda_*lr)` under momentum 0.9; the cumulative step of a latent copy is
    that of torchao's PruneOptimizer; both as far as this problem goes.

    Expected: in the loss no weight is exactly 0; lr·λ under momentum 0.9 solves λ/10, under Adam less than a
    hundredth; attached, the share is 1, the support right and the excess at rounding.

    Args:
        only: names of `FORMS`; all of them if empty.

    Returns:
        Name → what came of it.
    """
    x, y = diabetes()
    strength = 0.05 * float(np.abs(x.T @ y).max()) / len(y)
    best = minimise(x, y, penalty=L1(2 * strength), tolerance=1e-14).weights
    return {
        name: _run(form, x, y, strength, best)
        for name, form in FORMS.items()
        if not only or name in only
    }


def diabetes() -> tuple[Floats, Floats]:
    """scikit-learn's diabetes data, inputs and target standardised."""
    from sklearn.datasets import load_diabetes

    inputs, target = load_diabetes(return_X_y=True)
    x = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    return x, (target - target.mean()) / target.std()


def _run(form: Form, x: Floats, y: Floats, strength: float, best: Floats) -> Solved:
    model = nn.Linear(len(best), 1, bias=False, dtype=torch.float64)
    nn.init.constant_(model.weight, 0.1)
    optimizer, w = form.make([model.weight], lr=form.lr), model.weight.detach()
    if form.penalise is None:
        regularize(optimizer, {"weight": L1(strength)}, model=model)
    gram, moment = torch.tensor(x.T @ x / len(y)), torch.tensor(x.T @ y / len(y))
    latent, gone = w.clone(), 0.0
    for _ in range(form.steps):
        slope = w @ gram - moment
        model.weight.grad = slope + strength * w.sign() if form.penalise == "loss" else slope
        if form.penalise == "latent":
            w.copy_(latent)
        optimizer.step()
        if form.penalise == "latent":
            gone += form.lr * strength
            latent.copy_(w)
            w.copy_(soft_threshold(latent, gone, xp=torch))
        elif callable(form.penalise):
            form.penalise(w, form.lr * strength)
    return _judged(w.numpy().ravel(), x, y, strength, best)


def _judged(w: Floats, x: Floats, y: Floats, strength: float, best: Floats) -> Solved:
    def objective(weights: Floats) -> float:
        return float(np.mean((y - x @ weights) ** 2) / 2 + strength * np.abs(weights).sum())

    slope = x.T @ (x @ w - y) / len(y)
    large = np.abs(w) > 1e-6
    share = float(np.median(-(slope * np.sign(w))[large])) / strength
    return Solved(
        objective(w) - objective(best),
        int((w == 0).sum()),
        share,
        bool(np.array_equal(w == 0, best == 0)),
    )
