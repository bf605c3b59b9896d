"""What the caller keeps: the report, the distance from the optimum, and the way back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from pondera.core.penalties import AbstractPenalty, GroupLasso, SparseGroupLasso
from pondera.core.penalties.cpr import CPR
from pondera.core.penalties.decay import WeightDecay
from pondera.torch.bounds.engine import KEY, MULTIPLIER, STEPS, Bounded, Engine
from pondera.torch.bounds.support import Support, identify


@dataclass(frozen=True)
class BoundRow:
    """One parameter under a bound.

    Args:
        name: the parameter's name.
        bound: the penalty, with its present strengths.
        way: "metric", "orthant", "projection", "decay" or "cpr".
        why: why that way.
        strength: λ asked for at present, None for a constraint.
        realised: λ that the non-zero weights show: the median of −gradient·sign(w), from the optimizer's average
            gradient if it keeps one, else from the last; None where that says nothing.
        zeros: exact zeros.
        size: number of weights.
        groups_left: groups that are not zero, None without groups.
        groups: number of groups, None without.
        timescale_steps: 1/(lr·λ) of a decoupled decay, in steps.
        timescale_epochs: the same in epochs, if the steps of one are known.
        rms: root mean square of the weights.
        equilibrium: the RMS √(lr/(2λ)) at which AdamW settles under this decay.
    """

    name: str
    bound: str
    way: str
    why: str
    strength: float | None
    realised: float | None
    zeros: int
    size: int
    groups_left: int | None
    groups: int | None
    timescale_steps: float | None
    timescale_epochs: float | None
    rms: float
    equilibrium: float | None


@dataclass(frozen=True)
class BoundsReport:
    """A row per parameter under a bound.

    Args:
        rows: in the optimizer's order.
        steps: optimizer steps since the bounds were attached.
    """

    rows: tuple[BoundRow, ...]
    steps: int

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    def __str__(self) -> str:
        head = ("parameter", "bound", "way", "λ", "realised", "zeros", "groups", "RMS")
        lines = [head, *(_cells(row) for row in self.rows)]
        widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
        return "\n".join(
            "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )


class Handle:
    """The bounds of one optimizer."""

    def __init__(self, optimizer: torch.optim.Optimizer, engine: Engine) -> None:
        self._optimizer = optimizer
        self._engine = engine

    def report(self, *, steps_per_epoch: int | None = None) -> BoundsReport:
        """How the bounded parameters stand.

        Args:
            steps_per_epoch: to tell timescales in epochs.

        Returns:
            The report; `print` shows a table.
        """
        entries = self._engine.entries(self._optimizer)
        rows = tuple(_row(entry, self._optimizer, steps_per_epoch) for entry in entries)
        taken = [group[STEPS] for group in self._optimizer.param_groups if STEPS in group]
        return BoundsReport(rows, max(taken, default=0))

    def gap(self) -> dict[str, torch.Tensor]:
        """Distance of each parameter's last gradient to the optimality of loss + penalty.

        Returns:
            Parameter name → distances (see `AbstractPenalty.gap`); parameters without gradient, and bounds that
            are no penalties, are left out.
        """
        with torch.no_grad():
            return {
                entry.plain["name"]: entry.bound.gap(entry.parameter, entry.parameter.grad, xp=torch)
                for entry in self._engine.entries(self._optimizer)
                if isinstance(entry.bound, AbstractPenalty) and entry.parameter.grad is not None
            }

    def detach(self) -> None:
        """Take the bounds off; weights and the optimizer's own state stay as they are."""
        for group in self._optimizer.param_groups:
            group.pop(KEY, None)
            group.pop(STEPS, None)

    def identify(
        self, train: Callable[[], Any], /, *, vote: int = 5, refit: int = 5, share: float = 0.5
    ) -> Support:
        """Find the zeros under mini-batch noise, freeze them, and refit the rest without shrinkage.

        A single step's zeros flicker: threshold and noise both scale with the learning rate. Over many steps a weight
        that belongs to the support is rarely 0, one that does not is mostly 0.

        Args:
            train: runs one epoch of the caller's own training with this optimizer.
            vote: epochs whose every step is counted, ≥ 1.
            refit: epochs without the penalties, zeros frozen; 0 for none.
            share: a weight is kept if it was not 0 in more than this share of the steps, in [0, 1).

        Returns:
            What was kept. The bounds stay attached, frozen; call detach() to let go of them.

        Raises:
            DomainError: a count or the share out of range, no bounds, or no step taken by `train`.
        """
        return identify(
            self._optimizer, self._engine, train, vote=vote, refit=refit, share=share
        )


def _row(
    entry: Bounded, optimizer: torch.optim.Optimizer, steps_per_epoch: int | None
) -> BoundRow:
    w = entry.parameter.detach()
    bound = entry.bound
    decay = bound.fraction(lr=_lr(entry), factor=entry.factor) if isinstance(bound, WeightDecay) else 0
    steps = 1 / decay if decay else None
    alive = _groups(bound, w)
    return BoundRow(
        name=entry.plain["name"],
        bound=_shown(bound),
        way=entry.way,
        why=entry.plain["why"],
        strength=_strength(bound, optimizer.state[entry.parameter]),
        realised=_realised(entry, optimizer.state[entry.parameter]),
        zeros=int((w == 0).sum()),
        size=w.numel(),
        groups_left=None if alive is None else int(alive.sum()),
        groups=None if alive is None else alive.numel(),
        timescale_steps=steps,
        timescale_epochs=steps / steps_per_epoch if steps and steps_per_epoch else None,
        rms=float(w.double().square().mean().sqrt()) if w.numel() else 0.0,
        equilibrium=_equilibrium(bound, entry),
    )


def _lr(entry: Bounded) -> float:
    return float(entry.group["lr"])


def _strength(bound: Any, state: dict[str, Any]) -> float | None:
    if isinstance(bound, WeightDecay):
        return bound.rate
    if isinstance(bound, CPR):
        return float(state.get(MULTIPLIER, 0.0))
    lead = getattr(bound, bound.strengths[0]) if bound.strengths else None
    return lead if isinstance(lead, float) else None


def _realised(entry: Bounded, state: dict[str, Any]) -> float | None:
    """Median of −g·sign(w) over the non-zero weights, less what is not L1."""
    bound, w = entry.bound, entry.parameter.detach()
    gradient = _average_gradient(entry, state)
    if gradient is None or not isinstance(bound, AbstractPenalty) or not bound.strengths:
        return None
    kept = w != 0
    if not bool(kept.any()):
        return None
    if isinstance(bound, GroupLasso):
        layout = bound.groups.layout(tuple(w.shape))
        z, g = layout.fold(w, torch), layout.fold(gradient, torch)
        norm = layout.norm(z, torch)
        root = layout.roots(z, torch) if bound.size_weighted else 1.0
        along = -layout.sum(g * z, torch) / torch.where(norm == 0, 1.0, norm) / root
        return float(along[norm != 0].median())
    slope = getattr(bound, "slope", None)
    unit = bound.at(1.0) if slope and len(bound.strengths) == 1 else None
    if unit is None:
        return None
    direction = unit.slope(w, xp=torch)[kept]  # type: ignore[attr-defined]
    moving = direction != 0
    return float((-gradient[kept][moving] / direction[moving]).median()) if bool(moving.any()) else None


def _average_gradient(entry: Bounded, state: dict[str, Any]) -> torch.Tensor | None:
    group = entry.group
    if entry.way != "orthant":  # there the buffers hold the pseudo-gradient
        if "exp_avg" in state and "betas" in group:
            return state["exp_avg"] / (1 - float(group["betas"][0]) ** float(state["step"]))
        buffer = state.get("momentum_buffer")
        if buffer is not None and "dampening" in group and group["momentum"]:
            return buffer * (1 - group["momentum"]) / (1 - group["dampening"])
    return entry.parameter.grad


def _groups(bound: Any, w: torch.Tensor) -> torch.Tensor | None:
    if not isinstance(bound, (GroupLasso, SparseGroupLasso)):
        return None
    layout = bound.groups.layout(tuple(w.shape))
    return layout.norm(layout.fold(w, torch), torch) != 0


def _equilibrium(bound: Any, entry: Bounded) -> float | None:
    if not isinstance(bound, WeightDecay) or not bound.rate or not bound.times_lr:
        return None
    return math.sqrt(_lr(entry) / (2 * bound.rate * max(entry.factor, 1e-12)))


def _shown(bound: Any) -> str:
    if isinstance(bound, AbstractPenalty) and bound.strengths:
        parts = ", ".join(f"{name}={getattr(bound, name)!r}" for name in bound.strengths)
        return f"{type(bound).__name__}({parts})"
    return repr(bound)


def _cells(row: BoundRow) -> tuple[str, ...]:
    def number(entry: float | None) -> str:
        return "–" if entry is None else f"{entry:.4g}"

    groups = "–" if row.groups is None else f"{row.groups_left} of {row.groups}"
    return (
        row.name,
        row.bound.split("(")[0],
        row.way,
        number(row.strength),
        number(row.realised),
        f"{row.zeros} of {row.size}",
        groups,
        number(row.rms),
    )
