"""The support under mini-batch noise: a vote over many steps, then a refit on what is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from pondera.core.errors import DomainError
from pondera.core.penalties import AbstractPenalty, GroupLasso
from pondera.torch.bounds.engine import FROZEN, Bounded, Engine


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


def identify(
    optimizer: torch.optim.Optimizer,
    engine: Engine,
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
    penalised = [e for e in engine.entries(optimizer) if isinstance(e.bound, AbstractPenalty)]
    if not penalised:
        raise DomainError("identify: no penalty is attached. Call regularize first.")
    counts, steps = _votes(engine, train, vote)
    if not counts:
        raise DomainError("identify: train() took no optimizer step. It must run one epoch.")
    kept = {
        entry.plain["name"]: _kept(entry, counts, steps, share, optimizer) for entry in penalised
    }
    for _ in range(refit):
        train()
    return Support(kept, steps)


def _votes(
    engine: Engine, train: Callable[[], Any], epochs: int
) -> tuple[dict[int, torch.Tensor], int]:
    """How often each weight was not 0, and the number of steps."""
    engine.votes, engine.counted = {}, 0
    try:
        for _ in range(epochs):
            train()
        return engine.votes, engine.counted
    finally:
        engine.votes = None


def _kept(
    entry: Bounded,
    counts: dict[int, torch.Tensor],
    steps: int,
    share: float,
    optimizer: torch.optim.Optimizer,
) -> torch.Tensor:
    """Freeze what the vote did not keep; a group lives or dies as one."""
    count = counts.get(id(entry.parameter))
    if count is None:  # never stepped: keep it as it stands
        kept = entry.parameter != 0
    else:
        kept = count > share * steps
        if isinstance(entry.bound, GroupLasso):
            layout = entry.bound.groups.layout(tuple(kept.shape))
            folded = layout.fold(kept.float(), torch)
            kept = layout.unfold((layout.sum(folded, torch) > 0) & (folded >= 0), torch)
    state = optimizer.state[entry.parameter]
    state[FROZEN] = ~kept
    entry.plain["way"] = "frozen"
    entry.plain["why"] = "a vote chose the support: the rest stays 0, nothing is shrunk"
    with torch.no_grad():
        entry.parameter.masked_fill_(~kept, 0)
    return kept
