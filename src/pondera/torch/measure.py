"""A model at its start, measured on one batch: signal, gradient, dead units, loss."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from pondera.model.adapter import Layer, Look, TaskKind
from pondera.model.graph import Network, Use
from pondera.torch.keep import restored, seeded
from pondera.torch.observe import observe


def loss_of(output: torch.Tensor, targets: torch.Tensor, kind: TaskKind) -> torch.Tensor:
    """Mean loss of a batch: cross-entropy of class numbers, or mean squared error."""
    if kind == "classification":
        return nn.functional.cross_entropy(output, targets)
    return nn.functional.mse_loss(output.reshape(targets.shape), targets)


def look(model: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, *, kind: TaskKind) -> Look:
    """Signal, gradient, dead units and loss, layer by layer, in one forward and backward pass.

    Args:
        model: measured in training mode; behind it is as before.
        inputs: one batch.
        targets: of the same length.
        kind: which loss.

    Returns:
        The look; numbers that overflow are inf or NaN.
    """
    signal = dict[int, tuple[float, float]]()
    gradient = dict[int, float]()
    silent = dict[int, float]()

    def watch(index: int, use: Use, entering: torch.Tensor, leaving: torch.Tensor) -> None:
        silent[index] = _silent_units(entering, channels=use.role == "conv")
        signal[index] = (_rms(leaving), _spread(leaving))

        def keep(grad: torch.Tensor) -> None:
            gradient[index] = _rms(grad) * len(inputs)  # of each sample's own loss

        if leaving.requires_grad:
            leaving.register_hook(keep)

    outputs = list[torch.Tensor]()

    def catch(_module: nn.Module, _args: Any, output: Any) -> None:
        outputs.append(output)

    hook = model.register_forward_hook(catch)
    try:
        with restored(model), torch.enable_grad(), seeded(0):
            network = observe(model.train(), inputs, watch)
            loss = loss_of(outputs[-1], targets, kind)
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
    finally:
        hook.remove()
    layers = tuple(
        _layer(network, index, signal[index], gradient.get(index, math.nan), silent)
        for index in range(len(network.uses))
    )
    return Look(float(loss.detach()), layers)


def _layer(
    network: Network,
    index: int,
    signal: tuple[float, float],
    gradient: float,
    silent: dict[int, float],
) -> Layer:
    use = network.uses[index]
    fed = [
        later
        for later, other in enumerate(network.uses)
        if other.feed.source == "weight" and other.feed.use == index and other.feed.activation
    ]
    dead = silent[fed[0]] if fed else None
    return Layer(index + 1, use.name, use.role, use.shape, *signal, gradient, dead)


def _rms(tensor: torch.Tensor) -> float:
    return float(tensor.detach().double().square().mean().sqrt())


def _spread(tensor: torch.Tensor) -> float:
    """RMS over units of the standard deviation across samples."""
    if len(tensor) < 2:
        return math.nan
    return float(tensor.detach().double().var(dim=0).mean().sqrt())


def _silent_units(tensor: torch.Tensor, *, channels: bool) -> float:
    """Fraction of units (channels of a convolution) that are 0 for every sample and place."""
    units = tensor.detach().movedim(1 if channels else -1, 0).flatten(1)
    return float((units == 0).all(dim=1).double().mean())
