"""The bounds' share of a step, where it is taken parameter by parameter."""

from __future__ import annotations

from typing import Any, Final

import torch

from pondera.core.penalties import L2, AbstractPenalty, Distance, ElasticNet, Nuclear
from pondera.core.penalties.cpr import CPR
from pondera.core.penalties.decay import WeightDecay
from pondera.torch.bounds import compiled
from pondera.torch.bounds.entries import FROZEN, MULTIPLIER, STEPS, Bounded
from pondera.torch.bounds.lots import Piece, flushed
from pondera.torch.bounds.metric import CARRIED, Metric, own_step
from pondera.torch.bounds.orthant import Crossing, sided

_SHRINKING: Final = (CPR, ElasticNet, L2, WeightDecay)  # their weights could become denormal
_FLUSH_EVERY: Final = 64  # steps


def needs_weights(entry: Bounded) -> bool:
    """Whether the share depends on the weights before the step."""
    if isinstance(entry.bound, WeightDecay):
        return entry.bound.cautious
    return entry.way in ("orthant", "projection") or (
        entry.way == "metric" and _is_spectral(entry.bound)
    )


def is_shrinking(entry: Bounded) -> bool:
    """Whether weights, and with them gradients, could become denormal."""
    return isinstance(entry.bound, _SHRINKING)


def proximal(entry: Bounded, metric: Metric, optimizer: torch.optim.Optimizer) -> None:
    """The proximal step in the optimizer's metric."""
    bound: Any = entry.bound
    w, state = entry.acting.detach(), optimizer.state[entry.acting]
    if entry.carried is not None:
        state[CARRIED] = entry.carried
    piece = Piece([entry], [state])
    if compiled.fits(bound, own_step(optimizer), entry.group, w, state):
        piece.compiled = True
        piece.take(metric)
        return
    step = piece.step(metric)
    step = step.to(w.dtype) if isinstance(step, torch.Tensor) else step
    if entry.weights is not None and getattr(step, "shape", ()):
        # Singular values know no step per weight. With the smallest one for all of them the gradient's
        # share shrinks alike, and the fixed points are the same.
        short = step.amin()
        w = entry.weights + (w - entry.weights) * (short / step)
        step = short
    _write(entry, _prox(bound, w, step))


def _prox(bound: Any, w: torch.Tensor, step: Any) -> torch.Tensor:
    """NumPy's form where the memory is shared: it stops when it is done, which a device could not tell."""
    shared = type(w) is torch.Tensor and w.device.type == "cpu" and not _is_spectral(bound)
    if not shared or not isinstance(step, torch.Tensor) or not bool(torch.isfinite(step).all()):
        return bound.prox(w, step=step, xp=torch)
    return torch.from_numpy(bound.prox(w.numpy(), step=step.numpy()))


def _is_spectral(bound: Any) -> bool:
    return isinstance(bound.penalty if isinstance(bound, Distance) else bound, Nuclear)


def beside(entry: Bounded, optimizer: torch.optim.Optimizer) -> None:
    """The share of a way that needs no metric."""
    w, bound, state = entry.acting.detach(), entry.bound, optimizer.state[entry.acting]
    if entry.way == "frozen":
        w.masked_fill_(state[FROZEN] != 0, 0)
    elif isinstance(bound, WeightDecay):
        if entry.weights is not None:
            old, lr = entry.weights, float(entry.group["lr"])
            gone = bound.removal(old, old - w, lr=lr, factor=entry.factor, xp=torch)
            _write(entry, w - gone)
    elif isinstance(bound, CPR):
        state[MULTIPLIER] = bound.next_multiplier(state.get(MULTIPLIER, 0.0), w, xp=torch)
        _write(entry, bound.shrunk(w, state[MULTIPLIER], xp=torch))
    elif entry.weights is not None and entry.slope is not None and entry.pseudo is not None:
        side = sided(bound)
        if side is not None:
            step = Crossing(entry.weights, w, entry.slope, entry.pseudo)
            _write(entry, side.returned(step))


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
    slope = gradient if factor == 1 else gradient / factor
    pseudo = side.pseudo_gradient(entry.acting.detach(), slope)
    if entry.pseudo is None:
        entry.slope, entry.pseudo = slope, pseudo
    return pseudo * factor  # a tensor of its own: an optimizer may write to it


def size(entry: Bounded) -> float:
    """The penalty at the weights, for an optimizer that looks at the loss."""
    bound = entry.bound
    if not isinstance(bound, AbstractPenalty) or not bound.strengths:
        return 0.0
    return bound.value(entry.acting.detach(), xp=torch)


def flush(entry: Bounded, optimizer: torch.optim.Optimizer) -> None:
    """Every so often: denormal numbers in weights that shrink, and in their buffers, which cost time."""
    if entry.group[STEPS] % _FLUSH_EVERY == 0:
        for kept in (entry.acting.detach(), *optimizer.state[entry.acting].values()):
            if isinstance(kept, torch.Tensor) and kept.ndim and kept.is_floating_point():
                kept.masked_fill_(kept.abs() < torch.finfo(kept.dtype).tiny, 0)


def _write(entry: Bounded, new: torch.Tensor) -> None:
    entry.acting.detach().copy_(flushed(entry.bound, new))
