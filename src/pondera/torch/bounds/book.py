"""The bounded parameters of an optimizer, sorted once for all its steps."""

from __future__ import annotations

import torch

from pondera.torch.bounds import fused, share
from pondera.torch.bounds.entries import KEY, bounded
from pondera.torch.bounds.lots import ELEMENTWISE, Lots
from pondera.torch.bounds.metric import metric_of


class Book:
    """The bounded parameters of an optimizer, sorted by what a step does with them.

    Args:
        optimizer: whose param groups hold the configuration.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.sign = signed(optimizer)
        self.metric = metric_of(optimizer)
        self.entries = [entry for group in optimizer.param_groups for entry in bounded(group)]
        self.scheduled = [e for e in self.entries if e.schedule is not None]
        self.low = {id(e) for e in self.entries if e.is_low}
        self.kept = {id(e) for e in self.entries if share.needs_weights(e)}
        self.decaying = {id(e) for e in self.entries if e.way == "decay"}
        self.sided = {id(e) for e in self.entries if e.way in ("orthant", "projection")}
        by_metric = [e for e in self.entries if e.way == "metric"] if self.metric else []
        self.fused = {id(e) for e in by_metric if not fused.barred(e, optimizer)}
        self.joint = {id(e) for e in by_metric if isinstance(e.bound, ELEMENTWISE)} - self.fused
        self.single = {id(e) for e in by_metric} - self.joint
        self.beside = {id(e) for e in self.entries} - self.joint - self.single
        self.shrinking = {id(e) for e in self.entries if share.is_shrinking(e)}
        self.lots = Lots(self.metric) if self.metric else None


def signed(optimizer: torch.optim.Optimizer) -> list[tuple[int, ...]]:
    """Changes when bounds are attached, loaded or taken off, and when parameters come, go or are replaced."""
    return [(id(g), id(g.get(KEY)), *map(id, g["params"])) for g in optimizer.param_groups]
