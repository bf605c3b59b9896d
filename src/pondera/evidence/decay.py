"""What decay does: generalisation long after the fit, the size that weights settle at, and double descent."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from pondera.core.penalties import WeightDecay, equilibrium_rms
from pondera.core.penalties.cpr import CPR
from pondera.torch import regularize

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Grokked:
    """How a run on modular addition went.

    Args:
        step: first step, of those looked at, with more than 99 % of the held-out sums right; None for never.
        train: accuracy on the training sums at the end.
        held: accuracy on the others.
    """

    step: int | None
    train: float
    held: float


def _decayed(rate: float) -> Callable[[nn.Parameter], WeightDecay]:
    return lambda w: WeightDecay(rate)


def _held(factor: float) -> Callable[[nn.Parameter], CPR]:
    return lambda w: CPR.around(w.detach(), factor=factor, xp=torch)


Rule = Callable[[nn.Parameter], Any] | float
GROKKING: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "none": 0.0,
        "decoupled 0.1": _decayed(0.1),
        "decoupled 0.3": _decayed(0.3),
        "decoupled 1": _decayed(1.0),
        "decoupled 3": _decayed(3.0),
        "decoupled 5": _decayed(5.0),
        "coupled 1e-4": 1e-4,
        "coupled 1e-3": 1e-3,
        "CPR at the start's size": _held(1.0),
        "CPR at 0.8 of it": _held(0.8),
        "CPR at 0.5 of it": _held(0.5),
        "CPR at 0.25 of it": _held(0.25),
    }
)


def grokking(
    *,
    only: tuple[str, ...] = (),
    steps: int = 600,
    seed: int = 0,
    modulus: int = 37,
    share: float = 0.5,
) -> Mapping[str, Grokked]:
    """Modular addition learnt by half its table: decay decides whether the other half follows.

    Setting: (x + y) mod 37, one-hot, 74–256–37 with squares between and no biases, mean squared error, full
    batch, Adam at 0.005; the decay is `WeightDecay`, `CPR` (mean-square form, untuned) or torch's coupled
    `weight_decay`.

    Source: Power et al. 2022, arXiv 2201.02177 (the effect, and decay's part in it); network after Gromov 2023,
    arXiv 2301.02679; CPR: Franke et al. 2024, NeurIPS, arXiv 2311.09058.

    Expected: held-out accuracy stays below 10 % without decay (for 6000 steps too), below 60 % with decay 0.1,
    and never passes 99 % with coupled decay. It passes by step 600 with decay 1, sooner the stronger, and by
    step 200 with CPR untuned at 1, 0.8 or 0.5 of the start's size, not at 0.25. On 40 % of the table decay 0.3,
    1 and 3 pass by step 4500, 1300 and 400.

    Args:
        only: names of `GROKKING`; all of them if empty.
        steps: most steps of a run; it ends at 99 %.
        seed: of the table's halves and the weights.
        modulus: size of the table.
        share: of the table that is trained on.

    Returns:
        Name → how it went.
    """
    return {
        name: _grok(rule, steps, seed, modulus, share)
        for name, rule in GROKKING.items()
        if not only or name in only
    }


class _Squares(nn.Module):
    def __init__(self, modulus: int, width: int = 256) -> None:
        super().__init__()
        self.read = nn.Parameter(torch.randn(2 * modulus, width) / math.sqrt(2 * modulus))
        self.write = nn.Parameter(torch.randn(width, modulus) / math.sqrt(width))

    def forward(self, sums: torch.Tensor) -> torch.Tensor:
        return (sums @ self.read).square() @ self.write


def _grok(rule: Rule, steps: int, seed: int, p: int, share: float) -> Grokked:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        x, y = torch.meshgrid(torch.arange(p), torch.arange(p), indexing="ij")
        answer = ((x + y) % p).flatten()
        one_hot = nn.functional.one_hot
        sums = torch.cat([one_hot(x.flatten(), p), one_hot(y.flatten(), p)], 1).float()
        trained = int(p * p * share)
        train, held = torch.randperm(p * p).split([trained, p * p - trained])
        model = _Squares(p)
    coupled = 0.0 if callable(rule) else rule
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3, weight_decay=coupled)
    if callable(rule):
        bounds = {name: rule(w) for name, w in model.named_parameters()}
        regularize(optimizer, bounds, model=model)
    target = one_hot(answer, p).float()

    def accuracy(rows: torch.Tensor) -> float:
        with torch.no_grad():
            return float((model(sums[rows]).argmax(1) == answer[rows]).float().mean())

    for step in range(1, steps + 1):
        optimizer.zero_grad()
        (model(sums[train]) - target[train]).square().mean().backward()
        optimizer.step()
        if step % 50 == 0 and accuracy(held) > 0.99:
            return Grokked(step, accuracy(train), accuracy(held))
    return Grokked(None, accuracy(train), accuracy(held))


def equilibrium(
    *, rows: tuple[tuple[float, float], ...] = ((0.01, 0.1), (0.01, 1.0), (0.003, 1.0))
) -> Mapping[tuple[float, float], tuple[float, float]]:
    """The size that weights settle at when gradients are noise.

    Setting: 4000 weights, standard normal gradients, Adam, `WeightDecay`; twelve time constants from zero.

    Source: Kosson, Messmer & Jaggi 2024, ICML, arXiv 2305.17212, §3.

    Expected: the measured root mean square within 6 % of √(lr/(2·rate)), as a rule below it.

    Args:
        rows: (lr, rate) of each run.

    Returns:
        (lr, rate) → measured, and by the formula.
    """
    found = dict[tuple[float, float], tuple[float, float]]()
    draws = torch.Generator().manual_seed(0)
    for lr, rate in rows:
        model = nn.Linear(4000, 1, bias=False)
        nn.init.zeros_(model.weight)
        optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        regularize(optimizer, {"weight": WeightDecay(rate)}, model=model)
        for _ in range(round(12 / (lr * rate))):
            model.weight.grad = torch.randn((1, 4000), generator=draws)
            optimizer.step()
        size = float(model.weight.detach().square().mean().sqrt())
        found[lr, rate] = size, equilibrium_rms(rate, lr=lr)
    return found


def double_descent(
    *,
    rows: tuple[int, ...] = (100, 250, 400, 500, 600, 750, 1000, 2000),
    strength: float = 125.0,
    runs: int = 5,
    size: int = 500,
    noise: float = 0.5,
) -> Mapping[int, tuple[float, float]]:
    """Risk of least squares by the number of rows, bare and with the best ridge.

    Setting: 500 inputs, standard normal; true weights of length 1; objective ‖Xb − y‖² + λ‖b‖², whose best λ is
    size·noise² = 125 whatever the rows; risk includes the noise; mean over `runs` draws.

    Source: Nakkiran, Venkat, Kakade & Ma 2021, ICLR, arXiv 2003.01897, fig. 1.

    Expected: bare, the risk at 500 rows is more than a hundred times that at 250; with the ridge it falls with
    every further row.

    Args:
        rows: numbers of rows.
        strength: λ.
        runs: draws that are averaged.
        size: number of inputs.
        noise: its std.

    Returns:
        Rows → (bare risk, risk with the ridge).
    """
    return {n: _risks(n, strength, runs, size, noise) for n in rows}


def _risks(n: int, strength: float, runs: int, size: int, noise: float) -> tuple[float, float]:
    found = np.zeros((runs, 2))
    for run in range(runs):
        rng = np.random.default_rng([run, n])
        true = np.full(size, size**-0.5)
        x = rng.standard_normal((n, size))
        y = x @ true + noise * rng.standard_normal(n)
        for column, ridge in enumerate((0.0, strength)):
            off = _ridge(x, y, ridge) - true
            found[run, column] = off @ off + noise**2
    bare, ridged = found.mean(axis=0)
    return float(bare), float(ridged)


def _ridge(x: Floats, y: Floats, strength: float) -> Floats:
    """The minimiser; of least norm where there are many."""
    if strength == 0:
        return np.linalg.lstsq(x, y, rcond=None)[0]
    return np.linalg.solve(x.T @ x + strength * np.eye(x.shape[1]), x.T @ y)
