"""Element-wise proximal steps for many weights at a time: small ones joined, large ones in pieces.

Two hundred small parameters cost two hundred times the calls of one; and a chain of operations on a large one
runs through memory once for each. Both end with pieces that fit in a processor's cache. The law stays `prox`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from pondera.core.penalties import (
    L0,
    L1,
    L2,
    MCP,
    SCAD,
    Box,
    ElasticNet,
    LHalf,
    NonNegative,
)
from pondera.torch.bounds import compiled
from pondera.torch.bounds.entries import Bounded
from pondera.torch.bounds.metric import CARRIED, Metric, Number, Step, number, own_step

ELEMENTWISE: Final = (Box, ElasticNet, L0, L1, L2, LHalf, MCP, NonNegative, SCAD)
PIECE: Final = 1 << 16  # weights in one piece: with their step and one copy, a second-level cache
SMALL: Final = 1 << 14  # below it, weights are joined


@dataclass
class Piece:
    """Some weights under one bound, in one param group, at one count of steps.

    Args:
        entries: whose weights they are.
        states: what the optimizer keeps for each.
        start: first weight, of a part of a single parameter.
        stop: one behind the last, None for whole parameters.
        carried: what the metric found before the step.
        compiled: whether the compiled kernel takes it.
    """

    entries: Sequence[Bounded]
    states: Sequence[dict[str, Any]]
    start: int = 0
    stop: int | None = None
    carried: Number | None = None
    compiled: bool = False

    def take(self, metric: Metric) -> None:
        """The proximal step."""
        bound: Any = self.entries[0].bound
        if self.compiled:
            self._take_compiled(metric)
            return
        w, step = self.weights(), self.step(metric)
        step = step.to(w.dtype) if isinstance(step, torch.Tensor) else step
        self.write(flushed(bound, bound.prox(w, step=step, xp=torch)))

    def _take_compiled(self, metric: Metric) -> None:
        bound, group = self.entries[0].bound, self.entries[0].group
        weights = [entry.acting for entry in self.entries]
        if metric.buffers(group):
            compiled.adam(bound, group, weights, self.states)
        else:
            compiled.sgd(bound, weights, float(self.step(metric)))

    def gather(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """One tensor of this piece out of one per entry."""
        if len(tensors) > 1:
            return torch._C._nn.flatten_dense_tensors(tensors)
        return tensors[0] if self.stop is None else tensors[0].view(-1)[self.start : self.stop]

    def weights(self) -> torch.Tensor:
        """The weights that the optimizer proposes: joined, or a view."""
        return self.gather([entry.acting for entry in self.entries])

    def write(self, new: torch.Tensor) -> None:
        """Put the weights back."""
        targets = [entry.acting for entry in self.entries]
        if len(targets) > 1:
            torch._foreach_copy_(targets, torch._C._nn.unflatten_dense_tensors(new, targets))
        else:
            self.gather(targets).copy_(new)

    def step(self, metric: Metric) -> Step:
        """The step of an average gradient, per weight or for all."""
        group = self.entries[0].group
        found: dict[str, Any] = {
            key: self.gather([state[key] for state in self.states]) for key in metric.buffers(group)
        }
        for key in metric.numbers:
            if key in self.states[0]:
                found[key] = self._number(key)
        return metric.formula(group, found)

    def _number(self, key: str) -> Number:
        first = number(self.states[0][key])
        if len(self.states) == 1 or not isinstance(first, torch.Tensor):
            return first  # equal in all: see `Lots`
        sizes = [entry.parameter.numel() for entry in self.entries]
        numbers = [torch.as_tensor(number(state[key])).reshape(1) for state in self.states]
        spread = [n.expand(size) for n, size in zip(numbers, sizes, strict=True)]
        return torch.cat(spread)  # on a device, where to compare is to wait


class Lots:
    """Pieces of an optimizer's element-wise bounds, cut once and kept while the same weights have gradients.

    Parameters that were stepped equally often stay so as long as they are stepped together.
    """

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._live: list[int] = []
        self._pieces: list[Piece] = []

    def carry(self, optimizer: torch.optim.Optimizer, live: Sequence[Bounded]) -> None:
        """Before the step: what the metric must know of it."""
        carry = self._metric.carry
        if carry is None:
            return
        if not self._holds(optimizer, live):
            self._live, self._pieces = [], []
            for entry in live:
                entry.carried = carry(entry.group, optimizer.state.get(entry.acting, {}))
        for piece in self._pieces:
            piece.carried = carry(piece.entries[0].group, piece.states[0])

    def take(self, optimizer: torch.optim.Optimizer, live: Sequence[Bounded]) -> None:
        """Behind the step: the proximal one."""
        if not self._pieces or not self._holds(optimizer, live):
            for entry in live:
                if entry.carried is not None:
                    optimizer.state[entry.acting][CARRIED] = entry.carried
            self._live = [id(entry) for entry in live]
            self._pieces = list(_cut(self._metric, live, optimizer))
        else:
            for piece in self._pieces:
                if piece.carried is not None:
                    for state in piece.states:
                        state[CARRIED] = piece.carried
        for piece in self._pieces:
            piece.take(self._metric)

    def _holds(self, optimizer: torch.optim.Optimizer, live: Sequence[Bounded]) -> bool:
        """Whether the pieces are those of these weights and of this state."""
        return self._live == [id(entry) for entry in live] and all(
            optimizer.state.get(entry.acting) is state
            for piece in self._pieces
            for entry, state in zip(piece.entries, piece.states, strict=True)
        )


def flushed(bound: Any, w: torch.Tensor) -> torch.Tensor:
    """Zeros for numbers that cost a processor a hundredfold, being so small, where shrinking leads to them."""
    if isinstance(bound, (L0, L1, MCP, SCAD, LHalf, Box, NonNegative)):
        return w
    return torch.where(w.abs() < torch.finfo(w.dtype).tiny, 0.0, w)


def _cut(
    metric: Metric, live: Sequence[Bounded], optimizer: torch.optim.Optimizer
) -> Iterator[Piece]:
    lots = dict[Any, list[Bounded]]()
    step = own_step(optimizer)
    for entry in live:
        tensor, state = entry.acting.detach(), optimizer.state[entry.acting]
        fits = compiled.fits(entry.bound, step, entry.group, tensor, state)
        if type(tensor) is not torch.Tensor or not tensor.is_contiguous():
            yield Piece([entry], [state])
        elif not fits and tensor.numel() > SMALL:
            yield from _parts(entry, state, tensor)
        else:
            counts = tuple(_comparable(state.get(key)) for key in metric.numbers)
            plan = repr(entry.plain["bound"]), repr(entry.plain["schedule"])
            key = (fits, id(entry.group), *plan, tensor.dtype, tensor.device, counts)
            lots.setdefault(key, []).append(entry)
    for key, lot in lots.items():
        states = [optimizer.state[entry.acting] for entry in lot]
        yield from [Piece(lot, states, compiled=True)] if key[0] else _cut_small(lot, states)


def _comparable(count: Any) -> float | None:
    found = None if count is None else number(count)
    return found if isinstance(found, float) else None


def _cut_small(lot: Sequence[Bounded], states: Sequence[dict[str, Any]]) -> Iterator[Piece]:
    together, size = list[int](), 0
    for place, (entry, state) in enumerate(zip(lot, states, strict=True)):
        count = entry.parameter.numel()
        if count > SMALL:
            yield from _parts(entry, state, entry.acting.detach())
            continue
        if together and size + count > PIECE:
            yield Piece([lot[k] for k in together], [states[k] for k in together])
            together, size = [], 0
        together.append(place)
        size += count
    if together:
        yield Piece([lot[k] for k in together], [states[k] for k in together])


def _parts(entry: Bounded, state: dict[str, Any], tensor: torch.Tensor) -> Iterator[Piece]:
    size = tensor.numel()
    if tensor.device.type != "cpu" or size <= PIECE:
        yield Piece([entry], [state])
        return
    for start in range(0, size, PIECE):
        yield Piece([entry], [state], start, min(start + PIECE, size))
