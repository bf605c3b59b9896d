"""Training along a path of strengths: each point goes on from the one before."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import torch
from torch import nn

from pondera.core.penalties import L1, L2, ElasticNet, GroupLasso, Groups
from pondera.core.penalties.decay import WeightDecay
from pondera.model.adapter import PathPoint, Training
from pondera.torch.bounds import regularize
from pondera.torch.bounds.handle import Handle
from pondera.torch.bounds.plain import Bound
from pondera.torch.train import Pair, optimizer_for, score, train_steps

BOUNDS: Final[Mapping[str, Callable[[float], Bound]]] = MappingProxyType(
    {
        "decay": WeightDecay,
        "elastic": lambda strength: ElasticNet(strength, strength),
        "group": lambda strength: GroupLasso(strength, Groups.rows()),
        "l1": L1,
        "l2": L2,
    }
)
_SPARSE: Final = ("elastic", "group", "l1")


def train_path(
    model: nn.Module,
    rows: Pair,
    splits: Sequence[Pair],
    training: Training,
    *,
    weights: Sequence[str],
    bound: str,
    strengths: Sequence[float],
    points: Sequence[int],
    refit_from: int,
) -> list[PathPoint]:
    """Train without a bound first, then point by point along rising strengths, then refit.

    Args:
        model: trained in place.
        rows: inputs and targets that the batches index.
        splits: what to score on at each point.
        training: how; its batches are used up in order.
        weights: names of the parameters under the bound.
        bound: a name of `BOUNDS`, or "none".
        strengths: rising; the first may be 0.
        points: steps spent on each strength.
        refit_from: index of the strength whose zeros are frozen and refitted, −1 for none; the path ends there.

    Returns:
        One point per strength, and one more for the refit. A path that diverges ends early.
    """
    optimizer = optimizer_for(model, training)
    batches = iter(torch.from_numpy(training.batches))
    found = list[PathPoint]()
    handle: Handle | None = None
    for index, (strength, steps) in enumerate(zip(strengths, points, strict=True)):
        if handle is not None:
            handle.detach()
            handle = None
        if bound != "none" and strength > 0:
            handle = regularize(
                optimizer, dict.fromkeys(weights, BOUNDS[bound](strength)), model=model
            )
        if not train_steps(model, optimizer, rows, batches, steps, training.kind):
            return found
        found.append(_point(model, splits, training, strength, weights))
        if index == refit_from:
            break
    return found


def _point(
    model: nn.Module,
    splits: Sequence[Pair],
    training: Training,
    strength: float,
    weights: Sequence[str],
) -> PathPoint:
    parameters = dict(model.named_parameters())
    bounded = [parameters[name].detach() for name in weights]
    zeros = sum(int((w == 0).sum()) for w in bounded)
    units = sum(int((w.flatten(1) == 0).all(dim=1).sum()) for w in bounded)
    scores = tuple(score(model, split, training.kind) for split in splits)
    return PathPoint(strength, scores, zeros, units)
