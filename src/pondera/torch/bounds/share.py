"""The bounds' share of a step: what happens to the weights that the optimizer proposes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch

from pondera.core.penalties import L2, AbstractPenalty, Distance, ElasticNet, Nuclear
from pondera.core.penalties.cpr import CPR
from pondera.core.penalties.decay import WeightDecay
from pondera.torch.bounds.entries import FROZEN, MULTIPLIER, STEPS, Bounded
from pondera.torch.bounds.lots import ELEMENTWISE, Piece, pieces, step_of, write
from pondera.torch.bounds.metric import Metric
from pondera.torch.bounds.orthant import sided

_SHRINKING: Final = (CPR, ElasticNet, L2, WeightDecay)  # multiply weights: could reach denormals
_FLUSH_EVERY: Final = 64  # steps


def needs_weights(entry: Bounded) -> bool:
    """Whether the share depends on the weights before the step."""
    if isinstance(entry.bound, WeightDecay):
        return entry.bound.cautious
    return entry.way in ("orthant", "projection") or (
        entry.way == "metric" and _is_spectral(entry.bound)
    )


def take(
    optimizer: torch.optim.Optimizer, metric: Metric | None, entries: Sequence[Bounded]
) -> None:
    """Take the share of every entry, on `acting`."""
    joint = list[Bounded]()
    for entry in entries:
        if metric is not None and entry.way == "metric":
            if isinstance(entry.bound, ELEMENTWISE):
                joint.append(entry)
            else:
                _write(entry, _proximal(entry, step_of(metric, Piece([entry]), optimizer)))
        else:
            _single(optimizer, entry)
    if metric is not None and joint:
        for piece in pieces(metric, joint, optimizer):
            _piece(piece, metric, optimizer)
    for entry in entries:
        if isinstance(entry.bound, _SHRINKING) and entry.group[STEPS] % _FLUSH_EVERY == 0:
            _flush_buffers(optimizer.state[entry.parameter])


def _piece(piece: Piece, metric: Metric, optimizer: torch.optim.Optimizer) -> None:
    bound: Any = piece.entries[0].bound
    w = piece.gather([entry.acting.detach() for entry in piece.entries])
    new = bound.prox(w, step=_like(step_of(metric, piece, optimizer), w), xp=torch)
    write(piece, _flushed(new) if isinstance(bound, _SHRINKING) else new)


def _proximal(entry: Bounded, step: Any) -> torch.Tensor:
    w, bound = entry.acting.detach(), entry.bound
    step = _like(step, w)
    if entry.weights is not None and getattr(step, "shape", ()):
        # Singular values know no step per weight. With the smallest one for all of them the gradient's
        # share shrinks alike, and the fixed points are the same.
        short = step.amin()
        w = entry.weights + (w - entry.weights) * (short / step)
        step = short
    return bound.prox(w, step=step, xp=torch)  # type: ignore[union-attr]


def _like(step: Any, w: torch.Tensor) -> Any:
    return step.to(w.dtype) if isinstance(step, torch.Tensor) else step


def _is_spectral(bound: Any) -> bool:
    return isinstance(bound.penalty if isinstance(bound, Distance) else bound, Nuclear)


def _single(optimizer: torch.optim.Optimizer, entry: Bounded) -> None:
    """The share of a way that needs no metric."""
    w, bound, state = entry.acting.detach(), entry.bound, optimizer.state[entry.parameter]
    if entry.way == "frozen":
        w.masked_fill_(state[FROZEN] != 0, 0)
    elif isinstance(bound, WeightDecay):
        if entry.weights is not None:
            before, lr = entry.weights, float(entry.group["lr"])
            _write(
                entry,
                w - bound.removal(before, before - w, lr=lr, factor=entry.factor, xp=torch),
            )
    elif isinstance(bound, CPR):
        state[MULTIPLIER] = bound.next_multiplier(state.get(MULTIPLIER, 0.0), w, xp=torch)
        _write(entry, bound.shrunk(w, state[MULTIPLIER], xp=torch))
    elif entry.way in ("orthant", "projection"):
        side = sided(bound)
        if side is not None and entry.weights is not None and entry.pseudo is not None:
            _write(entry, side.returned(entry.weights, w, entry.pseudo))


def decay(entry: Bounded) -> None:
    """Decoupled decay, before the step as AdamW has it; once per step, however often a closure is called."""
    bound = entry.bound
    if isinstance(bound, WeightDecay) and not bound.cautious and not entry.decayed:
        part = bound.fraction(lr=float(entry.group["lr"]), factor=entry.factor)
        _write(entry, entry.acting.detach() * (1 - part))
        entry.decayed = True


def pseudo_gradient(entry: Bounded, gradient: torch.Tensor, factor: float) -> torch.Tensor:
    """What the optimizer is to see, of a gradient times `factor`; keeps the first of a step."""
    side = sided(entry.bound)
    if side is None:
        raise AssertionError("hooks that were there when the penalty was attached")
    pseudo = side.pseudo_gradient(entry.acting.detach(), gradient / factor)
    entry.pseudo = pseudo if entry.pseudo is None else entry.pseudo
    return pseudo * factor


def size(entry: Bounded) -> float:
    """The penalty at the weights, for an optimizer that looks at the loss."""
    bound = entry.bound
    if not isinstance(bound, AbstractPenalty) or not bound.strengths:
        return 0.0
    return bound.value(entry.acting.detach(), xp=torch)


def _write(entry: Bounded, new: torch.Tensor) -> None:
    shrinking = isinstance(entry.bound, _SHRINKING)
    entry.acting.detach().copy_(_flushed(new) if shrinking else new)


def _flushed(w: torch.Tensor) -> torch.Tensor:
    """Zeros for numbers so small that a processor needs a hundred times as long for them."""
    return torch.where(w.abs() < torch.finfo(w.dtype).tiny, 0.0, w)


def _flush_buffers(state: dict[str, Any]) -> None:
    for kept in state.values():
        if isinstance(kept, torch.Tensor) and kept.ndim and kept.is_floating_point():
            kept.masked_fill_(kept.abs() < torch.finfo(kept.dtype).tiny, 0)
