"""LBFGS under a penalty with kinks: its own steps where it is smooth, proximal ones to change the zeros.

LBFGS takes many inner steps in one, and its curvature pairs need a smooth function. So it sees the penalty
continued past its kinks, on the weights that are not on one. Behind its step, weights that crossed a kink are
put on it, going back on the way until the objective is no higher than before; and if one proximal gradient
step would change which weights are on a kink, it is taken, with a length found by trial. Then LBFGS starts
anew.

Source: Bareilles, Iutzeler & Malick 2023, Math. Program. 200 (Newton steps on what proximal steps identify).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import torch

from pondera.core.penalties import L2, Box, GroupLasso, NonNegative
from pondera.torch.bounds.entries import FROZEN, Bounded
from pondera.torch.bounds.orthant import Crossing, sided

LENGTH: Final = "pondera_length"  # of the first parameter's state: length of the last proximal step
_HALVINGS: Final = 40
_TRIALS: Final = 6  # halvings of LBFGS's own step
_CONSTRAINED: Final = (Box, NonNegative)


class Newton:
    """What one LBFGS step needs beside LBFGS.

    Args:
        optimizer: an LBFGS.
        entries: its bounded parameters; the others are free.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, entries: Sequence[Bounded]) -> None:
        self._all: list[torch.Tensor] = optimizer.param_groups[0]["params"]
        self._state: dict[str, Any] = optimizer.state[self._all[0]]
        self._start = [p.detach().clone() for p in self._all]
        self._entries = [e for e in entries if e.way in ("newton", "frozen")]
        for entry in self._entries:
            entry.weights = self._start[entry.place]
        self._free = [~_on_kink(e, optimizer.state[e.parameter]) for e in self._entries]
        self._first: float | None = None

    def seen(self, loss: Any) -> Any:
        """The loss with the penalty continued past its kinks, and gradients to match."""
        extra = 0.0
        for entry, free in zip(self._entries, self._free, strict=True):
            gradient, w = entry.parameter.grad, entry.parameter.detach()
            if gradient is None:
                continue
            slope, beyond = _continued(entry, w)
            entry.parameter.grad = torch.where(free, gradient + slope, 0.0)
            extra += _size(entry) + beyond
        if self._first is None:
            self._first = float(loss.detach()) + extra
        return loss + extra

    def finish(self, evaluate: Callable[[], float]) -> None:
        """Land on the kinks, and change which weights are on one.

        Args:
            evaluate: runs the caller's closure: fresh gradients, and the loss alone.
        """
        if self._first is None:
            return
        end = [p.detach().clone() for p in self._all]
        changed, share = self._land(end, 1.0), 1.0
        loss = evaluate()
        while not loss + self._sizes() <= self._first and share:
            share = share / 2 if share > 2.0**-_TRIALS else 0.0  # no way down: LBFGS went astray
            changed = True
            self._land(end, share)
            loss = evaluate()
        if self._proximal(evaluate, loss, forced=not share) or changed:
            self._state["n_iter"] = 0  # its curvature pairs are of another function

    def _sizes(self) -> float:
        return sum(_size(e) for e in self._entries if e.parameter.grad is not None)

    def _land(self, end: Sequence[torch.Tensor], share: float) -> bool:
        """Go a share of the way, and put what crossed a kink on it; whether anything did."""
        for parameter, old, new in zip(self._all, self._start, end, strict=True):
            ends = {0.0: old, 1.0: new}
            parameter.detach().copy_(ends[share] if share in ends else torch.lerp(old, new, share))
        moved = False
        for entry in self._entries:
            side = sided(entry.bound) if entry.way == "newton" else None
            if side is not None and entry.weights is not None:
                w = entry.parameter.detach()
                zero = torch.zeros_like(w)
                back = side.returned(Crossing(entry.weights, w, zero + torch.inf, zero))
                moved = moved or bool((back != w).any())
                w.copy_(back)
        return moved

    def _proximal(self, evaluate: Callable[[], float], loss: float, *, forced: bool) -> bool:
        """One proximal gradient step, if it changes which weights are on a kink, or must be."""
        active = [
            (e, e.parameter.detach().clone(), e.parameter.grad.clone())
            for e in self._entries
            if e.way == "newton" and e.parameter.grad is not None
        ]
        curvature = self._state.get("H_diag", 0.0)  # LBFGS's inverse one
        length = max(2 * self._state.get(LENGTH, 0.01), float(curvature))
        evaluated = False
        for _ in range(_HALVINGS):
            changed, allowed = _move(active, length)
            if not changed and not forced:
                break
            evaluated = True
            if evaluate() <= loss + allowed:
                self._state[LENGTH] = length
                return True
            length /= 2
        for entry, old, _ in active:
            entry.parameter.detach().copy_(old)
        if evaluated:
            evaluate()  # gradients of these weights
        return False


def _move(
    active: Sequence[tuple[Bounded, torch.Tensor, torch.Tensor]], length: float
) -> tuple[bool, float]:
    """Proximal steps; whether zeros changed, and how much a loss of curvature 1/length could rise."""
    changed, allowed = False, 0.0
    for entry, old, slope in active:
        bound: Any = entry.bound
        new = bound.prox(old - length * slope, step=length, xp=torch)
        changed = changed or not torch.equal(_kinks(bound, new), _kinks(bound, old))
        allowed += float((slope * (new - old)).sum() + (new - old).square().sum() / (2 * length))
        entry.parameter.detach().copy_(new)
    return changed, allowed


def _on_kink(entry: Bounded, state: dict[str, Any]) -> torch.Tensor:
    if entry.way == "frozen":
        return state[FROZEN] != 0
    return _kinks(entry.bound, entry.parameter.detach())


def _kinks(bound: Any, w: torch.Tensor) -> torch.Tensor:
    """Where the penalty has no derivative, as far as the weights can stay there."""
    if isinstance(bound, L2):
        return torch.zeros_like(w, dtype=torch.bool)
    if isinstance(bound, _CONSTRAINED):
        low, high = (bound.low, bound.high) if isinstance(bound, Box) else (0.0, torch.inf)
        return (w <= low) | (w >= high)
    if isinstance(bound, GroupLasso):
        layout = bound.groups.layout(tuple(w.shape))
        norm = layout.norm(layout.fold(w, torch), torch)
        return layout.unfold((norm == 0).expand(layout.folded), torch)
    return w == 0


def _continued(entry: Bounded, w: torch.Tensor) -> tuple[torch.Tensor | float, float]:
    """Slope of the penalty, continued past the kinks at zero, and its size beyond what it is there."""
    bound: Any = entry.bound
    if entry.way == "frozen" or isinstance(bound, _CONSTRAINED) or entry.weights is None:
        return 0.0, 0.0
    slope = bound.slope(w, xp=torch)
    if isinstance(bound, (L2, GroupLasso)):
        return slope, 0.0
    kink, side = getattr(bound, bound.strengths[0]), entry.weights.sign()
    return slope + kink * (side - w.sign()), kink * float((side * w - w.abs()).sum())


def _size(entry: Bounded) -> float:
    bound: Any = entry.bound
    if entry.way == "frozen" or isinstance(bound, _CONSTRAINED):
        return 0.0
    return bound.value(entry.parameter.detach(), xp=torch)
