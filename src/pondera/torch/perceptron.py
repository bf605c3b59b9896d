"""The study's default model: a deep perceptron without normalisation, as hard to start as they come."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn


def perceptron(
    depth: int,
    *,
    width: int = 64,
    inputs: int = 64,
    outputs: int = 10,
    activation: Callable[[], nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """Hidden dense layers of one width, an activation behind each, and a dense last layer.

    Args:
        depth: hidden layers, ≥ 1.
        width: units of each.
        inputs: features.
        outputs: classes.
        activation: makes the module behind each hidden layer.

    Returns:
        The model, as PyTorch initialises it.
    """
    layers = list[nn.Module]()
    for layer in range(depth):
        layers += [nn.Linear(inputs if layer == 0 else width, width), activation()]
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def build() -> nn.Sequential:
    """30 hidden ReLU layers of width 64 for the digits' 64 pixels and 10 classes."""
    return perceptron(30)
