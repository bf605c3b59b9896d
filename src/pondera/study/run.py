"""The study from end to end: check the input, look, race, answer."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from pondera import __version__
from pondera.core.errors import DomainError, ShapeError, unknown
from pondera.model.adapter import AbstractAdapter, Optimizer
from pondera.model.dispatch import adapter_by_name, adapter_of
from pondera.study.answer import answer, look_words
from pondera.study.arms import Arm, chosen_arms
from pondera.study.pool import outcomes
from pondera.study.race import Plan, entry, left_out
from pondera.study.sources import called, function_at
from pondera.study.store import Store
from pondera.study.tasks import Task, load_task
from pondera.study.work import EXAMPLE_ROWS, Job, Outcome, Work, finite

DEFAULT_MODEL: Final = "pondera.torch.perceptron:build"
STORE: Final = "study.db"
RATES: Final = {
    "adamw": (0.0001, 0.0003, 0.001, 0.003, 0.01),
    "sgd": (0.0005, 0.002, 0.008, 0.032, 0.128),
}
_FRAMEWORK: Final = "torch"
_CURVE_POINTS: Final = 40

Progress = Callable[[str, int, int], None]  # what, done, of how many


@dataclass(frozen=True)
class Settings:
    """What a study is asked.

    Args:
        model: "package.module:build", a function without arguments that returns the model.
        data: "package.module:load", see `tasks.load_task`; None for the embedded digits.
        arms: names of starts; none for all.
        seed: of splits, weights and batches, 0 ≤ seed < 2³².
        steps: steps of each run, ≥ 1.
        batch_size: rows of a batch, ≥ 1.
        rates: learning rates; none for the optimizer's grid.
        fresh_seeds: runs at the chosen rate, ≥ 2.
        optimizer: "sgd" (momentum 0.9) or "adamw".
        workers: parallel processes; 0 for one per core.
    """

    model: str = DEFAULT_MODEL
    data_path: str | None = None
    arms: tuple[str, ...] = ()
    seed: int = 0
    steps: int = 600
    batch_size: int = 64
    rates: tuple[float, ...] = ()
    fresh_seeds: int = 6
    optimizer: Optimizer = "sgd"
    workers: int = 0


def study(
    settings: Settings, folder: Path, *, progress: Progress = lambda what, done, total: None
) -> dict[str, Any]:
    """Which start a model needs, on its own data.

    Args:
        settings: what to study.
        folder: where finished runs are kept (study.db); nothing else is written.
        progress: called with (phase, done, of how many).

    Returns:
        The result, as JSON can hold it; equal for equal settings on one machine, but for "times".

    Raises:
        DomainError, ShapeError: an input that cannot be used, with place and remedy, before anything is
            written; or every start diverged at every rate.
    """
    begun = time.perf_counter()
    _check(settings)
    arms = chosen_arms(settings.arms)
    adapter = adapter_by_name(_FRAMEWORK)
    task = load_task(settings.data_path, adapter, seed=settings.seed)
    work = _work(settings, task)
    model, summary, parameters = _model(settings, work, adapter)
    able, unable = _able(arms, adapter, model, task)
    plan = _plan(settings, able)
    store = Store(folder / STORE, fingerprint=_fingerprint(settings, work, adapter, model, summary))
    found = store.load()
    resumed = len(found)
    workers = settings.workers or os.cpu_count() or 1
    phases = (
        ("looking at the starts", plan.looks),
        ("learning rates", plan.grid),
        ("fresh seeds", lambda: plan.fresh(found)),
    )
    for phase, jobs in phases:
        _finish(phase, jobs(), work, found, store, workers, progress)
        if phase == "learning rates":
            _need_a_finisher(plan, found)
    setting = _setting(settings, work, plan, adapter, summary, parameters)
    return {
        "schema": 1,
        "pondera": __version__,
        "versions": _versions(adapter),
        "setting": setting,
        "looks": {arm.name: _look(arm, found, plan, setting) for arm in able},
        "race": {
            arm.name: entry(arm, plan, found) if arm in able else left_out(arm, unable[arm.name])
            for arm in arms
        },
        "answer": answer(plan, found, setting),
        "times": {
            "seconds": round(time.perf_counter() - begun, 1),
            "runs": sum(job.what == "run" for job in found),
            "resumed": resumed,
        },
    }


def _check(settings: Settings) -> None:
    for name, least in (("steps", 1), ("batch_size", 1), ("fresh_seeds", 2), ("workers", 0)):
        number = getattr(settings, name)
        if number < least:
            option = {"fresh_seeds": "--runs"}.get(name, "--" + name.replace("_", "-"))
            raise DomainError(
                f"{option}: needs at least {least}; got {number}. Pass a larger number."
            )
    if not 0 <= settings.seed < 2**32 - 10_000:
        raise DomainError(
            f"--seed: needs 0 <= seed < 2**32 - 10000; got {settings.seed}. Pass such an integer."
        )
    if settings.optimizer not in RATES:
        raise unknown("--optimizer", "optimizer", settings.optimizer, RATES)
    for rate in settings.rates:
        if not (math.isfinite(rate) and rate > 0):
            raise DomainError(
                f"--rates: needs 0 < rate < inf; got {rate!r}. Pass positive numbers."
            )


def _work(settings: Settings, task: Task) -> Work:
    every = max(1, settings.steps // _CURVE_POINTS)
    curve = tuple(sorted({*range(0, settings.steps, every), settings.steps - 1}))
    return Work(
        _FRAMEWORK,
        settings.model,
        task,
        settings.optimizer,
        0.9 if settings.optimizer == "sgd" else 0.0,
        settings.steps,
        settings.batch_size,
        curve,
    )


def _plan(settings: Settings, able: tuple[Arm, ...]) -> Plan:
    rates = tuple(sorted(set(settings.rates or RATES[settings.optimizer])))
    first = settings.seed + 1
    return Plan(able, rates, settings.seed, tuple(range(first, first + settings.fresh_seeds)))


def _model(settings: Settings, work: Work, adapter: AbstractAdapter) -> tuple[Any, str, int]:
    """The model, built once here to find out whether it fits the data."""
    factory = function_at(settings.model, option="--model")
    model = adapter.build(lambda: called(factory, option="--model"), seed=settings.seed)
    adapter_of(model)
    summary, parameters = adapter.summary(model)
    task = work.task
    inputs = task.train.inputs[:EXAMPLE_ROWS]
    got = f"inputs of shape {inputs.shape} and dtype {inputs.dtype}"
    try:
        outputs = adapter.outputs(model, inputs)
    except DomainError:
        raise
    except Exception as fault:
        reason = (str(fault).strip().splitlines() or [""])[0].rstrip(".")
        raise ShapeError(
            f"--model: {settings.model} must accept the data's batches; got {got}, and it raised "
            f"{type(fault).__name__}: {reason}. Make build() and load() fit each other."
        ) from fault
    _fits(settings.model, outputs, task, len(inputs))
    return model, summary, parameters


def _fits(model: str, outputs: np.ndarray[Any, Any], task: Task, rows: int) -> None:
    if task.kind == "classification":
        if outputs.ndim != 2 or len(outputs) != rows or outputs.shape[1] < task.classes:
            raise ShapeError(
                f"--model: {model} must return logits of shape ({rows}, classes), for {task.classes} "
                f"classes; got {outputs.shape}. Widen the last layer, or renumber the targets."
            )
    elif outputs.size != task.train.targets[:rows].size:
        raise ShapeError(
            f"--model: {model} must return as many numbers as the targets hold, "
            f"{task.train.targets[:rows].shape}; got {outputs.shape}. Change the last layer."
        )


def _able(
    arms: Sequence[Arm], adapter: AbstractAdapter, model: Any, task: Task
) -> tuple[tuple[Arm, ...], dict[str, str]]:
    """The starts that this network can have, and why it cannot have the others."""
    network = adapter.observe(model, task.train.inputs[:EXAMPLE_ROWS])
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


def _fingerprint(
    settings: Settings, work: Work, adapter: AbstractAdapter, model: Any, summary: str
) -> str:
    """Hash of whatever decides an outcome: runs of another model or data are never taken for these."""
    digest = hashlib.sha256()
    choices = {k: v for k, v in asdict(settings).items() if k in ("model", "seed", "steps")}
    choices |= {"optimizer": settings.optimizer, "batch": settings.batch_size, "summary": summary}
    choices |= {"versions": _versions(adapter), "pondera": __version__, "text": repr(model)}
    digest.update(json.dumps(choices, sort_keys=True).encode())
    task = work.task
    for split in (task.train, task.validation, task.test):
        for array in (split.inputs, split.targets):
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(adapter.outputs(model, task.train.inputs[:4]).tobytes())  # behaves as before
    return digest.hexdigest()[:16]


def _finish(
    phase: str,
    jobs: Sequence[Job],
    work: Work,
    found: dict[Job, Outcome],
    store: Store,
    workers: int,
    progress: Progress,
) -> None:
    missing = [job for job in jobs if job not in found]
    progress(phase, len(jobs) - len(missing), len(jobs))
    for job, outcome in outcomes(work, missing, workers=workers):
        store.keep(job, outcome)
        found[job] = outcome
        progress(phase, sum(job in found for job in jobs), len(jobs))


def _need_a_finisher(plan: Plan, found: dict[Job, Outcome]) -> None:
    if all(plan.rate(arm.name, found) is None for arm in plan.arms):
        tried = ", ".join(f"{rate:g}" for rate in plan.rates)
        raise DomainError(
            f"study: every start diverged at every learning rate ({tried}). Pass smaller --rates, or bring "
            "the inputs to mean 0 and standard deviation 1."
        )


def _look(
    arm: Arm, found: dict[Job, Outcome], plan: Plan, setting: dict[str, Any]
) -> dict[str, Any]:
    look = found[Job("look", arm.name, 0.0, plan.seed)].look
    words = look_words(look, setting["chance"], setting["score"])
    return {**look, "chance_loss": setting["chance"]["loss"], "words": words}


def _setting(
    settings: Settings,
    work: Work,
    plan: Plan,
    adapter: AbstractAdapter,
    summary: str,
    parameters: int,
) -> dict[str, Any]:
    task = work.task
    momentum = f", momentum {work.momentum:g}" if work.momentum else ""
    return {
        "model": settings.model,
        "model_summary": summary,
        "data": task.name,
        "parameters": parameters,
        "weights": len(adapter.observe(work.build(seed=0), task.train.inputs[:2]).uses),
        "input_shape": list(task.train.inputs.shape[1:]),
        "outputs": task.classes or int(task.train.targets[0].size),
        "task": task.kind,
        "rows": {
            "train": len(task.train.targets),
            "validation": len(task.validation.targets),
            "test": len(task.test.targets),
        },
        "optimizer": f"{settings.optimizer}{momentum}",
        "batch_size": min(settings.batch_size, len(task.train.targets)),
        "steps": settings.steps,
        "rates": list(plan.rates),
        "fresh_seeds": list(plan.fresh_seeds),
        "seed": settings.seed,
        "curve_steps": list(work.curve_steps),
        "score": "accuracy" if task.kind == "classification" else "R²",
        "chance": _chance(task),
    }


def _chance(task: Task) -> dict[str, float]:
    """Loss and score of the best constant guess that knows no input."""
    if task.kind == "classification":
        return {"loss": math.log(task.classes), "score": 1 / task.classes}
    return {"loss": float(np.var(task.train.targets)), "score": 0.0}


def _versions(adapter: AbstractAdapter) -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        _FRAMEWORK: adapter.version(),
    }


__all__ = ["Settings", "finite", "study"]
