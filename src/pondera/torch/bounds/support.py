"""The support under mini-batch noise: a vote over many steps, then a refit on what is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from pondera.core.errors import DomainError
from pondera.core.penalties import AbstractPenalty, GroupLasso
from pondera.torch.bounds.engine import Engine
from pondera.torch.bounds.entries import FROZEN, Bounded


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
    """How often each weight of one parameter was not 0.

    Args:
        alive: counts, shaped like the weights.
        steps: steps counted.
    """

    alive: torch.Tensor
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
    penalised = [e for e in entries() if isinstance(e.bound, AbstractPenalty)]
    if not penalised:
        raise DomainError("identify: no penalty is attached. Call regularize first.")
    votes = _votes(engine, train, vote)
    if not votes:
        raise DomainError("identify: train() took no optimizer step. It must run one epoch.")
    kept = {entry.name: _kept(entry, votes, share, optimizer) for entry in penalised}
    engine.forget()
    for _ in range(refit):
        train()
    return Support(kept, max(found.steps for found in votes.values()))


def _votes(engine: Engine, train: Callable[[], Any], epochs: int) -> dict[int, _Votes]:
    votes = dict[int, _Votes]()

    def watch(entry: Bounded) -> None:
        w = entry.acting.detach()
        if id(entry.parameter) not in votes:
            votes[id(entry.parameter)] = _Votes(torch.zeros_like(w, dtype=torch.int32))
        found = votes[id(entry.parameter)]
        found.alive += w != 0
        found.steps += 1

    engine.watchers.append(watch)
    try:
        for _ in range(epochs):
            train()
    finally:
        engine.watchers.remove(watch)
    return votes


def _kept(
    entry: Bounded, votes: dict[int, _Votes], share: float, optimizer: torch.optim.Optimizer
) -> torch.Tensor:
    """Freeze what the vote did not keep; a group lives or dies as one."""
    found = votes.get(id(entry.parameter))
    if found is None:  # it never had a gradient: nothing to say
        return entry.parameter.detach() != 0
    kept = found.alive > share * found.steps
    if isinstance(entry.bound, GroupLasso):
        layout = entry.bound.groups.layout(tuple(kept.shape))
        folded = layout.fold(kept.float(), torch)
        kept = layout.unfold((layout.sum(folded, torch) > 0) & (folded >= 0), torch)
    optimizer.state[entry.parameter][FROZEN] = ~kept
    entry.plain["way"] = "frozen"
    entry.plain["why"] = "a vote chose the support: the rest stays 0, nothing is shrunk"
    with torch.no_grad():
        entry.parameter.masked_fill_(~kept, 0)
    return kept
