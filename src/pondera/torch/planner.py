"""PyTorch's side of `model.plan`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from pondera.core.errors import DomainError, ShapeError, placed
from pondera.model.plan.planner import AbstractPlanner, Moments
from pondera.model.plan.row import Fill, PlanRow
from pondera.model.trace import Graph
from pondera.torch.fill import elementwise, fill_


class TorchPlanner(AbstractPlanner):
    """See the abstract class."""

    def is_model(self, candidate: object) -> bool:
        return isinstance(candidate, nn.Module)

    def trace(self, model: Any, example: Any, *, execute: bool) -> Graph:
        from pondera.torch.trace import trace

        return trace(model, example, execute=execute)

    def shapes(self, model: Any) -> Mapping[str, tuple[int, ...]]:
        return {name: tuple(p.shape) for name, p in model.named_parameters()}

    def parameters(self, model: Any) -> Mapping[str, Any]:
        return dict(model.named_parameters())

    def fill(self, model: Any, fills: Sequence[Fill], *, seed: int) -> None:
        parameters = dict(model.named_parameters())
        with torch.no_grad():
            ready = [_prepared(parameters[each.name], each, seed) for each in fills]
            for write in ready:
                write()

    def calibrate(
        self, model: Any, batch: Any, targets: Mapping[str, float]
    ) -> Mapping[str, float]:
        from pondera.torch.calibrate import calibration, rescale

        factors = calibration(model, batch, targets)
        rescale(model, factors)
        return factors

    def moments(self, model: Any, rows: Sequence[PlanRow]) -> list[Moments]:
        parameters = dict(model.named_parameters())
        with torch.no_grad():
            return [_moments(parameters[row.name], row) for row in rows]

    def meta(self, model: Any) -> Sequence[str]:
        return [name for name, p in model.named_parameters() if p.is_meta]


def _prepared(parameter: torch.Tensor, fill: Fill, seed: int) -> Callable[[], Any]:
    """What fills the block and can no longer fail."""
    block = parameter if fill.whole and fill.plain else _block(parameter, fill.offset, fill.shape)
    block = block if fill.plain else block.permute(fill.order)
    drawing = {
        "seed": seed,
        "name": fill.stream,
        "in_axes": fill.in_axes,
        "out_axes": fill.out_axes,
    }
    try:
        if elementwise(block, fill.law, **drawing) and fill.factor == 1:
            return partial(fill_, block, fill.law, **drawing)
        beside = torch.empty(tuple(block.shape), dtype=block.dtype)
        return partial(block.copy_, fill_(beside, fill.law, **drawing).mul_(fill.factor))
    except (DomainError, ShapeError) as fact:
        raise placed(f"{fill.name} (torch, shape={tuple(parameter.shape)})", fact) from None


def _block(
    parameter: torch.Tensor, offset: tuple[int, ...], shape: tuple[int, ...]
) -> torch.Tensor:
    """A view of a block."""
    view = parameter.detach()
    for axis, (first, size) in enumerate(zip(offset, shape, strict=True)):
        view = view if size == view.shape[axis] else view.narrow(axis, first, size)
    return view


def _moments(parameter: torch.Tensor, row: PlanRow) -> Moments:
    if parameter.is_meta:
        raise DomainError(
            f"plan: {row.name!r} lies on the meta device and holds no numbers yet. Build the model "
            "on the CPU to compare its own start."
        )
    block = _block(parameter, row.offset, row.shape)
    if not block.numel():
        return Moments(0.0, 0.0)
    numbers = block.real if block.is_complex() else block
    std, mean = torch.std_mean(numbers.to(torch.float64), correction=0)
    return Moments(float(mean), float(std))


PLANNER = TorchPlanner()
