"""One training run, and its score."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from pondera.model.adapter import Run, TaskKind, Training
from pondera.torch.keep import evaluating, predicted, seeded
from pondera.torch.measure import loss_of

Pair = tuple[torch.Tensor, torch.Tensor]
_ROWS = 256  # rows per forward pass when scoring


def train(model: nn.Module, rows: Pair, splits: Sequence[Pair], training: Training) -> Run:
    """Train the model in place on given batches and score it on the splits.

    Args:
        model: trained in place.
        rows: inputs and targets that the batches index.
        splits: what to score on afterwards.
        training: how; every arm gets the same.

    Returns:
        The run; it stops at the first loss that is not finite.
    """
    with seeded(training.seed):
        optimizer = optimizer_for(model, training)
        losses, diverged_at = descend(
            model, optimizer, rows, training, range(len(training.batches))
        )
    if diverged_at is not None:
        return _diverged(losses, diverged_at, training, splits)
    scores = tuple(score(model, split, training.kind) for split in splits)
    if not all(map(math.isfinite, scores)):
        return _diverged(losses, len(training.batches), training, splits)
    return Run(tuple(losses), None, scores)


def descend(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    rows: Pair,
    training: Training,
    steps: range,
) -> tuple[list[float], int | None]:
    """Take some of a training's steps: the losses at its curve's, and the first that is not finite."""
    keep, losses = set(training.curve_steps), list[float]()
    inputs, targets = rows
    model.train()
    for step in steps:
        batch = torch.from_numpy(training.batches[step])
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(model(inputs[batch]), targets[batch], training.kind)
        number = float(loss.detach())
        if step in keep:
            losses.append(number)
        if not math.isfinite(number):
            return losses, step
        loss.backward()  # pyright: ignore[reportUnknownMemberType]
        optimizer.step()
    return losses, None


def score(model: nn.Module, rows: Pair, kind: TaskKind) -> float:
    """Accuracy, or R² for regression; NaN where the output is not finite."""
    inputs, targets = rows
    with evaluating(model):
        output = torch.cat([predicted(model, part) for part in inputs.split(_ROWS)])
    if not bool(torch.isfinite(output).all()):
        return math.nan
    if kind == "classification":
        return float((output.argmax(dim=1) == targets).double().mean())
    truth = targets.double()
    residual = (output.reshape(targets.shape).double() - truth).square().sum()
    return float(1 - residual / (truth - truth.mean(dim=0)).square().sum())


def optimizer_for(model: nn.Module, training: Training) -> torch.optim.Optimizer:
    """The optimizer of a training; decays nothing of its own."""
    trained = [p for p in model.parameters() if p.requires_grad]
    if training.optimizer == "sgd":
        return torch.optim.SGD(trained, lr=training.rate, momentum=training.momentum)
    return torch.optim.AdamW(trained, lr=training.rate, weight_decay=0.0)


def _diverged(losses: list[float], step: int, training: Training, splits: Sequence[Pair]) -> Run:
    missing = len(training.curve_steps) - len(losses)
    finite = [loss if math.isfinite(loss) else math.nan for loss in losses]
    return Run((*finite, *[math.nan] * missing), step, (math.nan,) * len(splits))
