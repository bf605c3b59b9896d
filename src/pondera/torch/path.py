"""Training along a path of strengths: each point goes on from the one before."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import torch
from torch import nn

from pondera.core.penalties import L1, L2, ElasticNet, GroupLasso, Groups
from pondera.core.penalties.decay import WeightDecay
from pondera.model.adapter import Path, PathPoint, Training
from pondera.torch.bounds import regularize
from pondera.torch.bounds.plain import Bound
from pondera.torch.keep import seeded
from pondera.torch.train import Pair, descend, optimizer_for, score

BOUNDS: Final[Mapping[str, Callable[[float], Bound]]] = MappingProxyType(
    {
        "decay": WeightDecay,
        "elastic": lambda strength: ElasticNet(strength, strength),
        "group": lambda strength: GroupLasso(strength, Groups.rows()),
        "l1": L1,
        "l2": L2,
    }
)


def train_path(
    model: nn.Module, rows: Pair, splits: Sequence[Pair], training: Training, path: Path
) -> list[PathPoint]:
    """Train point by point along rising strengths, then, if asked, once more on the support.

    Args:
        model: trained in place.
        rows: inputs and targets that the batches index.
        splits: what to score on at each point.
        training: how; its batches are used up in order.
        path: which bound, how strong, how long.

    Returns:
        A point per strength, and one more for a refit; fewer if a loss is not finite.
    """
    found = list[PathPoint]()
    taken = 0
    with seeded(training.seed):
        optimizer = optimizer_for(model, training)
        for strength, steps in zip(path.strengths, path.steps, strict=True):
            if not _go_on(
                model, optimizer, rows, training, path, strength, range(taken, taken + steps)
            ):
                return found
            taken += steps
            found.append(_point(model, splits, training, path, strength))
        if path.refit:
            steps = range(taken, taken + path.steps[-1])
            if _refit(model, optimizer, rows, training, path, steps):
                found.append(_point(model, splits, training, path, path.strengths[-1]))
    return found


def _go_on(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    rows: Pair,
    training: Training,
    path: Path,
    strength: float,
    steps: range,
) -> bool:
    """Some steps under one strength; whether every loss was finite."""
    if path.bound == "none" or strength == 0:
        return descend(model, optimizer, rows, training, steps)[1] is None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the study tries every bound on purpose
        bound = BOUNDS[path.bound](strength)
        handle = regularize(optimizer, dict.fromkeys(path.weights, bound), model=model)
    try:
        return descend(model, optimizer, rows, training, steps)[1] is None
    finally:
        handle.detach()


def _refit(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    rows: Pair,
    training: Training,
    path: Path,
    steps: range,
) -> bool:
    """The same number of steps without shrinkage, what is 0 held at 0."""
    named = dict(model.named_parameters())
    held = {name: named[name].detach() == 0 for name in path.weights}
    for step in steps:
        if descend(model, optimizer, rows, training, range(step, step + 1))[1] is not None:
            return False
        with torch.no_grad():
            for name, zero in held.items():
                named[name].masked_fill_(zero, 0)
    return True


def _point(
    model: nn.Module, splits: Sequence[Pair], training: Training, path: Path, strength: float
) -> PathPoint:
    named = dict(model.named_parameters())
    bounded = [named[name].detach() for name in path.weights]
    zeros = sum(int((w == 0).sum()) for w in bounded)
    silent = sum(int((w.flatten(1) == 0).all(dim=1).sum()) for w in bounded)
    numbers, units = sum(w.numel() for w in bounded), sum(len(w) for w in bounded)
    scores = [score(model, split, training.kind) for split in splits]
    if not all(map(math.isfinite, scores)):
        scores = [math.nan] * len(scores)
    return PathPoint(strength, tuple(scores), zeros / numbers, silent / units)
