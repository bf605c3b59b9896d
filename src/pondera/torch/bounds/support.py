"""The support under mini-batch noise: a vote over many steps, then a refit on what is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch

from pondera.core.errors import DomainError
from pondera.core.penalties import (
    L0,
    L1,
    MCP,
    SCAD,
    ElasticNet,
    GroupLasso,
    LHalf,
    SparseGroupLasso,
)
from pondera.torch.bounds.engine import Engine
from pondera.torch.bounds.entries import FROZEN, Bounded

_SPARSE: Final = (L0, L1, MCP, SCAD, ElasticNet, GroupLasso, LHalf, SparseGroupLasso)


@dataclass(frozen=True)
class Support:
    """What a vote kept.

    Args:
        kept: parameter name → boolean tensor, True where the weight was kept.
        steps: steps that were counted.
    """

    kept: dict[str, torch.Tensor]
    steps: int

    def __str__(self) -> str:
        lines = [
            f"{name}: {int(mask.sum())} of {mask.numel()} kept" for name, mask in self.kept.items()
        ]
        return "\n".join(lines)


@dataclass
class _Votes:
    """Where the weights of one parameter pointed, summed over steps.

    Args:
        pointed: sum of their signs; of groups, of their unit vectors.
        steps: steps summed.
    """

    pointed: torch.Tensor
    steps: int = 0


def identify(
    optimizer: torch.optim.Optimizer,
    engine: Engine,
    entries: Callable[[], list[Bounded]],
    train: Callable[[], Any],
    /,
    *,
    vote: int,
    refit: int,
    share: float,
) -> Support:
    """See `Handle.identify`."""
    if vote < 1 or refit < 0 or not 0 <= share < 1:
        raise DomainError(
            f"identify: needs vote >= 1, refit >= 0 and 0 <= share < 1; got vote={vote!r}, "
            f"refit={refit!r}, share={share!r}. Count vote and refit in epochs."
        )
    penalised = [e for e in entries() if isinstance(e.bound, _SPARSE) and e.way != "frozen"]
    if not penalised:
        names = ", ".join(kind.__name__ for kind in _SPARSE)
        raise DomainError(
            f"identify: needs a penalty that makes zeros; got none. Use one of {names}."
        )
    votes = _votes(engine, {id(e.parameter) for e in penalised}, train, vote)
    if not votes:
        raise DomainError("identify: train() took no optimizer step. It must run one epoch.")
    kept = {entry.name: _kept(entry, votes, share, optimizer) for entry in penalised}
    engine.forget()
    for _ in range(refit):
        train()
    return Support(kept, max(found.steps for found in votes.values()))


def _votes(
    engine: Engine, asked: set[int], train: Callable[[], Any], epochs: int
) -> dict[int, _Votes]:
    votes = dict[int, _Votes]()

    def watch(entry: Bounded) -> None:
        key, w = id(entry.parameter), entry.acting.detach()
        if key in asked:
            found = votes.setdefault(key, _Votes(torch.zeros_like(w)))
            found.pointed += _direction(entry, w)
            found.steps += 1

    engine.watchers.append(watch)
    try:
        for _ in range(epochs):
            train()
    finally:
        engine.watchers.remove(watch)
    return votes


def _direction(entry: Bounded, w: torch.Tensor) -> torch.Tensor:
    """Sign of a single weight; unit vector of a group, which is the same for a group of one."""
    if isinstance(entry.bound, GroupLasso):
        return GroupLasso(1.0, entry.bound.groups, size_weighted=False).slope(w, xp=torch)
    return w.sign()


def _kept(
    entry: Bounded, votes: dict[int, _Votes], share: float, optimizer: torch.optim.Optimizer
) -> torch.Tensor:
    """Freeze what the vote did not keep; a group lives or dies as one."""
    found = votes.get(id(entry.parameter))
    if found is None:  # it never had a gradient: nothing to say
        return entry.parameter.detach() != 0
    kept = found.pointed.abs() > share * found.steps
    if isinstance(entry.bound, GroupLasso):
        layout = entry.bound.groups.layout(tuple(found.pointed.shape))
        norm = layout.norm(layout.fold(found.pointed, torch), torch)
        kept = layout.unfold((norm > share * found.steps).expand(layout.folded), torch)
    optimizer.state[entry.parameter][FROZEN] = ~kept
    entry.plain["way"] = "frozen"
    entry.plain["why"] = "a vote chose the support: the rest stays 0, nothing is shrunk"
    with torch.no_grad():
        entry.parameter.masked_fill_(~kept, 0)
    return kept
