"""Penalties as plain dictionaries and back: what a param group can hold and a checkpoint can load."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import torch

from pondera.core import penalties
from pondera.core.errors import DomainError
from pondera.core.penalties import AbstractPenalty, Distance, Groups
from pondera.core.penalties.cpr import CPR
from pondera.core.penalties.decay import Course, WeightDecay, decay_factor

Bound = AbstractPenalty | WeightDecay | CPR
Plain = dict[str, Any]

_KINDS: Final = {
    kind.__name__: kind
    for kind in (
        *(
            getattr(penalties, name)
            for name in (
                "Box",
                "Distance",
                "ElasticNet",
                "GroupLasso",
                "L0",
                "L1",
                "L2",
                "LHalf",
                "MCP",
                "MaxNorm",
                "NonNegative",
                "Nuclear",
                "SCAD",
                "SparseGroupLasso",
            )
        ),
        CPR,
        Groups,
        WeightDecay,
    )
}


@dataclass(frozen=True)
class Schedule:
    """How a strength changes over the training: a linear rise, then a course down.

    Args:
        steps: steps over which the course runs, ≥ 1; constant behind.
        course: "constant", "cosine" or "linear", the last two down to 0.
        warmup: steps of a linear rise from 0, at the start; 0 for none.

    Raises:
        DomainError: steps or warmup out of range. The course is checked at the first step.
    """

    steps: int
    course: Course = "constant"
    warmup: int = 0

    def __post_init__(self) -> None:
        whole = all(
            isinstance(n, int) and not isinstance(n, bool) for n in (self.steps, self.warmup)
        )
        if not whole or self.steps < 1 or self.warmup < 0:
            raise DomainError(
                f"Schedule: needs integers steps >= 1 and warmup >= 0; got steps={self.steps!r}, "
                f"warmup={self.warmup!r}. Count in optimizer steps."
            )
        decay_factor(0.0, course=self.course)

    def factor(self, step: int) -> float:
        """What the strength is multiplied by at a step, counted from 0; in [0, 1]."""
        rise = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        return rise * decay_factor(min(step / self.steps, 1.0), course=self.course)


def as_plain(bound: Bound | Groups) -> Plain:
    """A bound as nested dictionaries of numbers, strings, tuples and tensors.

    Raises:
        DomainError: a penalty of the caller's own, which a checkpoint could not bring back.
    """
    name = type(bound).__name__
    if _KINDS.get(name) is not type(bound):
        shown = f"the class {bound.__name__}" if isinstance(bound, type) else name
        raise DomainError(
            f"regularize: needs a penalty made by pondera, such as L1(1e-4); got {shown}. "
            f"Make one of {', '.join(sorted(set(_KINDS) - {'Groups'}))}."
        )
    return {"kind": name, **{f.name: _plain(getattr(bound, f.name)) for f in fields(bound)}}


def from_plain(plain: Plain) -> Any:
    """The inverse of `as_plain`."""
    given = {k: _rich(v) for k, v in plain.items() if k != "kind"}
    return _KINDS[plain["kind"]](**given)


def _plain(entry: Any) -> Any:
    if isinstance(entry, (AbstractPenalty, Groups)):
        return as_plain(entry)
    if isinstance(entry, np.ndarray):
        return torch.from_numpy(entry.copy())
    return entry.item() if isinstance(entry, np.generic) else entry


def _rich(entry: Any) -> Any:
    if isinstance(entry, dict):
        return from_plain(entry)
    return tuple(entry) if isinstance(entry, list) else entry


def placed_like(bound: Bound, parameter: torch.Tensor) -> Bound:
    """The bound with its reference, if it has one, on the parameter's device."""
    if isinstance(bound, Distance):
        reference = torch.as_tensor(bound.reference).detach().clone().to(parameter.device)
        return Distance(bound.penalty, reference)
    return bound
