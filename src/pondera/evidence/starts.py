"""Deep plain perceptrons on the digits: which start lets them learn at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from pondera.evidence.digits import train_digits
from pondera.model.adapter import Split, Training
from pondera.model.assign import rows_for
from pondera.model.dispatch import adapter_by_name
from pondera.study.tasks import Task, load_task
from pondera.study.work import batch_rows

STARTS: Final = ("default", "he", "orthogonal")
_ORDER: Final = 0  # seed of the split and of the batches: the same for every run


def thirty_relu_layers(
    *, starts: Sequence[str] = STARTS, seeds: int = 5
) -> Mapping[str, tuple[float, ...]]:
    """Test accuracies of 30 hidden ReLU layers without normalisation, by start.

    Setting: width 64, digits in [0, 1], SGD with momentum 0.9, batches of 64, 600 steps, learning rate
    0.002; split and batches are fixed, the seeds are those of the weights.

    Source: He et al. 2015, fig. 3 (30 layers: theirs converges, Glorot's stalls), as a toy.

    Expected: PyTorch's own start stays below 20 % with every seed; the median of He is above 85 %, that of
    orthogonal weights with exact gain above 90 %.

    Args:
        starts: of "default", "glorot", "he", "lecun", "mirrored" and "orthogonal".
        seeds: runs of each.

    Returns:
        Start → accuracies by seed; 0 for a run that diverged.
    """
    return {
        start: tuple(
            _zero_if_diverged(
                train_digits(30, start=None if start == "default" else start, seed=seed)
            )
            for seed in range(seeds)
        )
        for start in starts
    }


def twenty_gelu_layers(*, seeds: int = 5) -> tuple[float, ...]:
    """Test accuracies of 20 hidden GELU layers, orthogonal weights with the exact gain.

    The gain is exact where the RMS is 1, and under GELU a smaller signal shrinks on from layer to layer:
    the inputs are therefore standardised, by one mean and one std over all training pixels. On digits in
    [0, 1] (RMS 0.5) the same network mostly stays below 60 %.

    Setting: width 96, SGD with momentum 0.9, batches of 64, 400 steps, learning rate 0.005.

    Source: Saxe et al. 2013 for the matrices, the gain by quadrature; own setting.

    Expected: a median above 93 %.

    Args:
        seeds: runs.

    Returns:
        Accuracies by seed; 0 for a run that diverged.
    """
    return tuple(_gelu_run(_standardised(), seed) for seed in range(seeds))


def _gelu_run(task: Task, seed: int) -> float:
    from torch import nn

    from pondera.torch.perceptron import perceptron

    adapter = adapter_by_name("torch")
    model = adapter.build(lambda: perceptron(20, width=96, activation=nn.GELU), seed=seed)
    rows = rows_for(adapter.observe(model, task.train.inputs[:32]), scheme="orthogonal")
    adapter.fill(model, rows, seed=seed)
    batches = batch_rows(len(task.train.targets), 64, 400, seed=_ORDER)
    training = Training("classification", "sgd", 0.9, 0.005, batches, ())
    return _zero_if_diverged(adapter.train(model, task.train, (task.test,), training).scores[0])


def _standardised() -> Task:
    task = load_task(None, adapter_by_name("torch"), seed=_ORDER)
    mean, std = task.train.inputs.mean(), task.train.inputs.std()

    def standard(rows: Split) -> Split:
        return replace(rows, inputs=(rows.inputs - mean) / std)

    return replace(task, train=standard(task.train), test=standard(task.test))


def _zero_if_diverged(score: float) -> float:
    return 0.0 if math.isnan(score) else score
