"""The model, built once before anything is written: whether it can be studied on the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from pondera.core.errors import DomainError, ShapeError
from pondera.model.adapter import AbstractAdapter, Look, Split
from pondera.model.graph import Network
from pondera.study.arms import Arm
from pondera.study.sources import reason
from pondera.study.tasks import Task, as_floats
from pondera.study.work import EXAMPLE_ROWS, LOOK_ROWS, Work

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Subject:
    """What is studied.

    Args:
        model: as its framework initialises it from the study's seed.
        work: what every job shares, with the inputs as the model takes them.
        network: what a forward pass showed.
        look: the model measured as it is.
        outputs: numbers per sample that it returns.
    """

    model: Any
    work: Work
    network: Network
    look: Look
    outputs: int


def subject_of(work: Work, adapter: AbstractAdapter, *, seed: int) -> Subject:
    """The model of a study, after one forward and one backward pass.

    Raises:
        DomainError, ShapeError: it is no model, is not made anew and alike at each call, has nothing to
            train, does not take the data, or does not return what the targets need.
    """
    work, model = _built(work, adapter, seed)
    path, inputs = work.model, work.task.train.inputs[:EXAMPLE_ROWS]
    if not adapter.trainable(model):
        raise DomainError(
            f"--model: {path} must return a model with parameters to train; got none that requires a "
            "gradient. Add a layer, or call requires_grad_(True)."
        )
    outputs = _accepting(work, lambda: adapter.outputs(model, inputs))
    _need_fit(path, outputs, work.task)
    _need_new(work, adapter, model, outputs, seed)
    network = _accepting(work, lambda: adapter.observe(model, inputs))
    rows = work.task.train
    batch = Split(rows.inputs[:LOOK_ROWS], rows.targets[:LOOK_ROWS])
    look = _accepting(work, lambda: adapter.look(model, batch, kind=work.task.kind))
    return Subject(model, work, network, look, outputs.size // len(outputs))


def able_arms(arms: Sequence[Arm], network: Network) -> tuple[tuple[Arm, ...], dict[str, str]]:
    """The starts that a network can have, and why it cannot have the others.

    Raises:
        DomainError: it can have none.
    """
    able, unable = list[Arm](), dict[str, str]()
    for arm in arms:
        try:
            arm.rows(network)
        except (DomainError, ShapeError) as fact:
            unable[arm.name] = str(fact)
        else:
            able.append(arm)
    if not able:
        raise DomainError(
            f"--arms: none of the starts fits this model; {next(iter(unable.values()))}"
        )
    return tuple(able), unable


def _built(work: Work, adapter: AbstractAdapter, seed: int) -> tuple[Work, Any]:
    """The model, and the work with integer inputs as floats where the model takes no integers."""
    model = _accepting(work, lambda: work.build(seed=seed))
    if not adapter.is_model(model):
        raise DomainError(
            f"--model: {work.model} must return a torch.nn.Module; got {_kind(model)}. Return the model "
            "itself, not its class or its weights."
        )
    if work.task.train.inputs.dtype.kind not in "biu" or _takes(work.task, adapter, model):
        return work, model
    floats = as_floats(work.task)
    if not _takes(floats, adapter, model):
        return work, model
    floating = replace(work, task=floats)
    return floating, floating.build(seed=seed)


def _takes(task: Task, adapter: AbstractAdapter, model: Any) -> bool:
    try:
        adapter.outputs(model, task.train.inputs[:EXAMPLE_ROWS])
    except Exception:
        return False
    return True


def _kind(found: object) -> str:
    return f"the class {found.__name__}" if isinstance(found, type) else type(found).__name__


def _accepting(work: Work, ask: Callable[[], _Found]) -> _Found:
    """What is asked of the model; where it raises, the data's batches do not suit it."""
    try:
        return ask()
    except (DomainError, ShapeError) as fact:
        said = str(fact)
        if said.startswith("--"):
            raise
        raise type(fact)(f"--model: {work.model}: {said.removeprefix('model: ')}") from None
    except (Exception, SystemExit) as fault:
        inputs = work.task.train.inputs[:EXAMPLE_ROWS]
        raise ShapeError(
            f"--model: {work.model} must accept the data's batches, forward and backward; got inputs of "
            f"shape {inputs.shape} and dtype {inputs.dtype}, and it raised {reason(fault)}. Make model and "
            "data fit each other."
        ) from fault


def _need_fit(path: str, outputs: np.ndarray[Any, Any], task: Task) -> None:
    targets = task.train.targets[:EXAMPLE_ROWS]
    if task.kind == "regression":
        if outputs.size != targets.size:
            raise ShapeError(
                f"--model: {path} must return as many numbers as the targets hold, {targets.shape}; got "
                f"{outputs.shape}. Change the last layer, or pass integer targets for classes."
            )
    elif outputs.ndim != 2 or len(outputs) != len(targets) or outputs.shape[1] < task.classes:
        raise ShapeError(
            f"--model: {path} must return logits of shape ({len(targets)}, classes), for {task.classes} "
            f"classes; got {outputs.shape}. Widen the last layer, renumber the targets from 0, or pass "
            "floats to regress them."
        )


def _need_new(
    work: Work, adapter: AbstractAdapter, model: Any, outputs: np.ndarray[Any, Any], seed: int
) -> None:
    """A second call gives another model that is alike."""
    second = work.build(seed=seed)
    if adapter.shares(model, second):
        raise DomainError(
            f"--model: {work.model} must return a new model at each call; got parameters of the model "
            "before. Create every layer inside the function."
        )
    again = adapter.outputs(second, work.task.train.inputs[:EXAMPLE_ROWS])
    if not np.array_equal(outputs, again, equal_nan=True):
        raise DomainError(
            f"--model: {work.model} must return equal models for equal seeds; got two that differ. Draw "
            "from the global generators of PyTorch, NumPy or Python alone."
        )
