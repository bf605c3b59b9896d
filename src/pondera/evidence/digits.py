"""One training run of a deep perceptron on the digits: what every experiment on starts is made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from pondera.core.laws import AbstractLaw
from pondera.model.adapter import Training
from pondera.model.assign import rows_for
from pondera.model.dispatch import adapter_by_name
from pondera.study.tasks import Task, load_task
from pondera.study.work import batch_rows

LawOf = Callable[[int, int], AbstractLaw]

_ORDER = 0  # seed of the split and of the batches: the same for every run


def train_digits(
    depth: int,
    *,
    start: str | LawOf | None,
    activation: Callable[[], Any] | None = None,
    width: int = 64,
    steps: int = 600,
    rate: float = 0.002,
    seed: int = 0,
) -> float:
    """Test accuracy of one run: SGD with momentum 0.9, batches of 64, digits scaled to [0, 1].

    Args:
        depth: hidden layers.
        start: a scheme's name; or (fan_in, fan_out) → law for every weight, biases 0; or None for
            PyTorch's own start.
        activation: module behind each hidden layer, ReLU if not given.
        width: units of each hidden layer.
        steps: training steps.
        rate: learning rate.
        seed: of the weights alone; split and batches are the same for every run.

    Returns:
        The accuracy; NaN if the run diverged.
    """
    from torch import nn

    from pondera.torch.perceptron import perceptron

    adapter, task = adapter_by_name("torch"), _digits()
    module = activation or nn.ReLU
    model = adapter.build(lambda: perceptron(depth, width=width, activation=module), seed=seed)
    if start is not None:
        network = adapter.observe(model, task.train.inputs[:32])
        scheme = start if isinstance(start, str) else "glorot"
        rows = rows_for(network, scheme=scheme)
        if not isinstance(start, str):
            rows = tuple(
                replace(row, law=start(row.fan_in, row.fan_out))
                if row.fan_in is not None and row.fan_out is not None
                else row
                for row in rows
            )
        adapter.fill(model, rows, seed=seed)
    batches = batch_rows(len(task.train.targets), 64, steps, seed=_ORDER)
    training = Training("classification", "sgd", 0.9, rate, batches, ())
    run = adapter.train(model, task.train, (task.test,), training)
    return math.nan if run.diverged_at is not None else run.scores[0]


@cache
def _digits() -> Task:
    return load_task(None, adapter_by_name("torch"), seed=_ORDER)
