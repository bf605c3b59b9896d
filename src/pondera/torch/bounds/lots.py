"""Element-wise proximal steps for many weights at a time: small ones joined, large ones in pieces.

Two hundred small parameters cost two hundred times the calls of one; and a chain of operations on a large one
runs through memory once for each. Both end with pieces that fit in a processor's cache. The law stays `prox`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
from pondera.torch.bounds.entries import Bounded
from pondera.torch.bounds.metric import Metric, Step, number

ELEMENTWISE: Final = (Box, ElasticNet, L0, L1, L2, LHalf, MCP, NonNegative, SCAD)
PIECE: Final = 1 << 16  # weights in one piece: with their step and one copy, a second-level cache
SMALL: Final = 1 << 14  # below it, weights are joined


@dataclass(frozen=True)
class Piece:
    """Some weights and the state they need, all flat or all shaped alike.

    Args:
        entries: whose weights they are.
        start: first weight, of a part of a single parameter.
        stop: one behind the last, None for whole parameters.
    """

    entries: Sequence[Bounded]
    start: int = 0
    stop: int | None = None

    def gather(self, tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """One tensor of this piece out of one per entry."""
        if len(tensors) > 1:
            return torch.cat([tensor.reshape(-1) for tensor in tensors])
        if self.stop is None:
            return tensors[0]
        return tensors[0].view(-1)[self.start : self.stop]


def step_of(metric: Metric, piece: Piece, optimizer: torch.optim.Optimizer) -> Step:
    """The step of an average gradient for the weights of a piece."""
    states = [optimizer.state[entry.parameter] for entry in piece.entries]
    group = piece.entries[0].group
    found: dict[str, Any] = {
        key: piece.gather([state[key] for state in states]) for key in metric.buffers(group)
    }
    for key in metric.numbers:
        numbers = [number(state[key]) for state in states if key in state]
        if len(numbers) > 1 and isinstance(numbers[0], torch.Tensor):  # unequal, for all we know
            sizes = [entry.parameter.numel() for entry in piece.entries]
            spread = [n.reshape(1).expand(k) for n, k in zip(numbers, sizes, strict=True)]
            found[key] = torch.cat(spread)
        elif numbers:
            found[key] = numbers[0]
    return metric.formula(group, found)


def pieces(
    metric: Metric, entries: Iterable[Bounded], optimizer: torch.optim.Optimizer
) -> Iterator[Piece]:
    """Entries with one element-wise bound each, parted so that each piece has one bound and one metric."""
    lots = dict[Any, list[Bounded]]()
    for entry in entries:
        tensor = entry.acting.detach()
        if type(tensor) is not torch.Tensor or not tensor.is_contiguous():
            yield Piece([entry])
        elif tensor.numel() > SMALL:
            yield from _parts(entry, tensor)
        else:
            state = optimizer.state[entry.parameter]
            taken = tuple(_comparable(state.get(key)) for key in metric.numbers)
            key = (id(entry.group), entry.bound, tensor.dtype, tensor.device, taken)
            lots.setdefault(key, []).append(entry)
    for lot in lots.values():
        yield from _joined(lot)


def _comparable(counter: Any) -> Any:
    found = None if counter is None else number(counter)
    return found if isinstance(found, float) else None


def _parts(entry: Bounded, tensor: torch.Tensor) -> Iterator[Piece]:
    size = tensor.numel()
    if tensor.device.type != "cpu" or size <= PIECE:
        yield Piece([entry])
        return
    for start in range(0, size, PIECE):
        yield Piece([entry], start, min(start + PIECE, size))


def _joined(lot: list[Bounded]) -> Iterator[Piece]:
    together, size = list[Bounded](), 0
    for entry in lot:
        if together and size + entry.parameter.numel() > PIECE:
            yield Piece(together)
            together, size = [], 0
        together.append(entry)
        size += entry.parameter.numel()
    yield Piece(together)


def write(piece: Piece, new: torch.Tensor) -> None:
    """Put the weights of a piece back."""
    targets = [entry.acting.detach() for entry in piece.entries]
    if len(targets) > 1:
        parts = torch.split(new, [target.numel() for target in targets])
        shaped = [part.view_as(target) for part, target in zip(parts, targets, strict=True)]
        torch._foreach_copy_(targets, shaped)
    else:
        piece.gather(targets).copy_(new)
