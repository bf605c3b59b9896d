"""One run or one look: what a worker process is asked, and what it answers."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from pondera.core.bits import words
from pondera.core.errors import DomainError, ShapeError
from pondera.model.adapter import (
    AbstractAdapter,
    Look,
    Optimizer,
    Path,
    PathPoint,
    Split,
    Training,
)
from pondera.model.dispatch import adapter_by_name
from pondera.study.arms import ARMS, start
from pondera.study.boundaries import BOUND_ARMS
from pondera.study.sources import called, function_at, reason
from pondera.study.tasks import Task

EXAMPLE_ROWS = 32  # rows that the forward pass of an initialisation sees
LOOK_ROWS = 256  # rows that a look is measured on
FEW_ROWS = 200  # rows that the paths of bounds train on: few enough to overfit
PATH_SHARE = 4  # each strength of a path gets this part of a run's steps


class Job(NamedTuple):
    """One piece of work.

    Args:
        what: "look" at a start, "run" a training, or train along the "path" of a bound.
        arm: which start; for a path also which bound, as in "he+l1".
        rate: learning rate of a run or path; 0 for a look.
        seed: of the weights, and of the order of the batches.
        refit: index of the strength at which a path ends with a refit; −1 for the whole path without.
    """

    what: Literal["look", "path", "run"]
    arm: str
    rate: float
    seed: int
    refit: int = -1


@dataclass(frozen=True)
class Outcome:
    """What came of a job; numbers that are not finite are None.

    Args:
        validation_score: score on the validation rows, of a run.
        test_score: score on the test rows, of a run.
        diverged_at: step whose loss was not finite, of a run.
        losses: loss at the curve's steps, of a run.
        look: loss and layers, of a look.
        points: scores on train, validation and test rows, zeros and units, of a path.
    """

    validation_score: float | None = None
    test_score: float | None = None
    diverged_at: int | None = None
    losses: list[float | None] = field(default_factory=list[float | None])
    look: dict[str, Any] = field(default_factory=dict[str, Any])
    points: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_plain(cls, kept: dict[str, Any]) -> Outcome:
        """The inverse of `plain`."""
        return cls(**kept)


@dataclass(frozen=True)
class Work:
    """What every job of a study shares.

    Args:
        framework: of the model, such as "torch".
        model: path of the model's factory.
        task: the data.
        optimizer: "sgd" or "adamw".
        momentum: of sgd.
        steps: steps of each run.
        batch_size: rows of each batch.
        curve_steps: steps at which the loss is kept.
    """

    framework: str
    model: str
    task: Task
    optimizer: Optimizer
    momentum: float
    steps: int
    batch_size: int
    curve_steps: tuple[int, ...]

    def adapter(self) -> AbstractAdapter:
        """The framework's adapter."""
        return adapter_by_name(self.framework)

    def build(self, *, seed: int) -> Any:
        """The model as its framework initialises it from this seed."""
        adapter = self.adapter()
        with adapter.seeded(0):  # a module may draw while it is imported
            factory = function_at(self.model, option="--model")
        return adapter.build(
            lambda: called(factory, path=self.model, option="--model"),
            seed=seed,
            inputs=self.task.train.inputs[:EXAMPLE_ROWS],
        )

    def started(self, arm: str, *, seed: int) -> Any:
        """The model with an arm's start."""
        model = self.build(seed=seed)
        start(self.adapter(), model, self.task.train.inputs[:EXAMPLE_ROWS], ARMS[arm], seed=seed)
        return model


def work_out(work: Work, job: Job) -> Outcome:
    """Do one job; a pure function of its arguments on one machine with one thread.

    Raises:
        DomainError, ShapeError: the model raises while it is built or trains; says in which run.
    """
    try:
        model = work.started(job.arm.split("+")[0], seed=job.seed)
        if job.what == "path":
            return _path(work, model, job)
        return _look(work, model) if job.what == "look" else _run(work, model, job)
    except (DomainError, ShapeError):
        raise
    except (Exception, SystemExit) as fault:
        raise DomainError(
            f"study: {job.what} of {job.arm!r} with seed {job.seed} raised {reason(fault)}. Train the model "
            "once by hand on this data, and mend what it says."
        ) from fault


def _look(work: Work, model: Any) -> Outcome:
    rows = work.task.train
    batch = Split(rows.inputs[:LOOK_ROWS], rows.targets[:LOOK_ROWS])
    return Outcome(look=_plain_look(work.adapter().look(model, batch, kind=work.task.kind)))


def _plain_look(look: Look) -> dict[str, Any]:
    layers = [{k: finite(v) for k, v in asdict(layer).items()} for layer in look.layers]
    for layer in layers:
        layer["shape"] = list(layer["shape"])  # as it comes back from the store
    return {"initial_loss": finite(look.loss), "layers": layers}


def _run(work: Work, model: Any, job: Job) -> Outcome:
    task = work.task
    batches = batch_rows(len(task.train.targets), work.batch_size, work.steps, seed=job.seed)
    luck = int(words(0, 1, seed=job.seed, name="study training")[0])
    training = Training(
        task.kind, work.optimizer, work.momentum, job.rate, batches, work.curve_steps, luck
    )
    run = work.adapter().train(model, task.train, (task.validation, task.test), training)
    validation, test = (finite(score) for score in run.scores)
    losses = [finite(loss) for loss in run.losses]
    return Outcome(validation, test, run.diverged_at, losses)


def _path(work: Work, model: Any, job: Job) -> Outcome:
    """Train along a bound's path on few rows, where a network overfits."""
    task, bound = work.task, BOUND_ARMS[job.arm.split("+")[1]]
    few = Split(task.train.inputs[:FEW_ROWS], task.train.targets[:FEW_ROWS])
    adapter = work.adapter()
    weights = adapter.observe(model, task.train.inputs[:EXAMPLE_ROWS]).trained
    strengths = (0.0, *bound.strengths)
    if job.refit >= 0:
        strengths = strengths[: job.refit + 1]
    each = max(1, work.steps // PATH_SHARE)
    steps = (work.steps, *[each] * (len(strengths) - 1))
    total = sum(steps) + (each if job.refit >= 0 else 0)
    batches = batch_rows(len(few.targets), work.batch_size, total, seed=job.seed)
    training = Training(
        task.kind, work.optimizer, work.momentum, job.rate, batches, (), seed=job.seed
    )
    path = Path(bound.name, strengths, steps, weights, refit=job.refit >= 0)
    splits = (few, task.validation, task.test)
    points = adapter.train_path(model, few, splits, training, path)
    return Outcome(points=[_plain_point(point) for point in points])


def _plain_point(point: PathPoint) -> dict[str, Any]:
    train, validation, test = (finite(score) for score in point.scores)
    scores = {"train": train, "validation": validation, "test": test}
    return {"strength": point.strength, **scores, "zeros": point.zeros, "units": point.units}


def batch_rows(rows: int, size: int, steps: int, *, seed: int) -> npt.NDArray[np.int64]:
    """The rows of each batch: every row once per epoch, in an order drawn from the stream.

    Args:
        rows: rows to draw from.
        size: rows of a batch; at most all of them.
        steps: number of batches.
        seed: 64-bit seed.

    Returns:
        Integer array of shape (steps, min(size, rows)); the rest of an epoch too short for a batch is left
        out.
    """
    size = min(size, rows)
    per_epoch = rows // size
    epochs = [
        np.argsort(words(epoch * rows, rows, seed=seed, name="study batches"), kind="stable")
        for epoch in range(-(-steps // per_epoch))
    ]
    return np.concatenate([e[: per_epoch * size].reshape(-1, size) for e in epochs])[:steps]


def finite(number: Any) -> Any:
    """The number, or None where it is a float that is not finite; JSON has no other way."""
    return None if isinstance(number, float) and not math.isfinite(number) else number
