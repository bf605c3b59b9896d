"""The study from end to end: check the input, look, race, answer."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from pondera import __version__
from pondera.core.errors import DomainError, ShapeError, unknown
from pondera.model.adapter import AbstractAdapter, Optimizer
from pondera.model.dispatch import adapter_by_name
from pondera.study.answer import answer, best_start, look_words
from pondera.study.arms import Arm, chosen_arms
from pondera.study.boundaries import BOUND_ARMS
from pondera.study.bounds import BoundPlan
from pondera.study.bounds_answer import bounds_result
from pondera.study.pool import Workers
from pondera.study.race import Plan, entry, left_out
from pondera.study.store import Store
from pondera.study.subject import Subject, able_arms, subject_of
from pondera.study.tasks import Task, load_task
from pondera.study.work import Job, Outcome, Work

DEFAULT_MODEL: Final = "pondera.torch.perceptron:build"
STORE: Final = "study.db"
RATES: Final = {
    "adamw": (0.0001, 0.0003, 0.001, 0.003, 0.01),
    "sgd": (0.0005, 0.002, 0.008, 0.032, 0.128),
}
_FRAMEWORK: Final = "torch"
_CURVE_POINTS: Final = 40
_BOUND_SEEDS: Final = 3

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
        bounds: whether the second half is studied too: penalties and decay on few rows.
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
    bounds: bool = True


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
    subject = subject_of(work_of(settings, task), adapter, seed=settings.seed)
    able, unable = able_arms(arms, subject.network)
    plan = _plan(settings, able)
    bounded = settings.bounds and bool(subject.network.trained)
    store = Store(folder / STORE, fingerprint=fingerprint(settings, subject, adapter))
    try:
        found = store.load()
        resumed = set(found)
        count = settings.workers or _cores()
        jobs = _run(plan, subject.work, found, store, count, bounded, progress)
    except (DomainError, ShapeError):
        store.forget()  # an error leaves nothing behind
        raise
    finally:
        store.close()
    setting = _setting(settings, subject, plan, adapter)
    bounds = _bound_plan(plan, found) if bounded else None
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
        "bounds": None if bounds is None else bounds_result(bounds, found, setting),
        "times": {
            "seconds": round(time.perf_counter() - begun, 1),
            "runs": sum(job.what != "look" for job in jobs),
            "resumed": sum(job in resumed for job in jobs),
        },
    }


def _check(settings: Settings) -> None:
    for name, least, most in (
        ("steps", 1, 10**8),
        ("batch_size", 1, 10**8),
        ("fresh_seeds", 2, 10_000),
        ("workers", 0, 10_000),
    ):
        number = getattr(settings, name)
        if not least <= number <= most:
            option = {"fresh_seeds": "--runs"}.get(name, "--" + name.replace("_", "-"))
            raise DomainError(
                f"{option}: needs an integer from {least} to {most}; got {number}. Pass such a one."
            )
    if not 0 <= settings.seed < 2**32 - 10_001:
        raise DomainError(
            f"--seed: needs 0 <= seed < 2**32 - 10001; got {settings.seed}. Pass such an integer."
        )
    if settings.optimizer not in RATES:
        raise unknown("--optimizer", "optimizer", settings.optimizer, RATES)
    for rate in settings.rates:
        if not (math.isfinite(rate) and rate > 0):
            raise DomainError(
                f"--rates: needs 0 < rate < inf; got {rate!r}. Pass positive numbers."
            )


def work_of(settings: Settings, task: Task) -> Work:
    """What every job of a study shares."""
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


def fingerprint(settings: Settings, subject: Subject, adapter: AbstractAdapter) -> str:
    """Hash of whatever decides an outcome: runs of another model or data are never taken for these."""
    digest, task = hashlib.sha256(), subject.work.task
    choices = {k: v for k, v in asdict(settings).items() if k in ("model", "seed", "steps")}
    choices |= {"optimizer": settings.optimizer, "batch": settings.batch_size}
    choices |= {"versions": _versions(adapter), "pondera": __version__}
    choices["text"] = re.sub(" at 0x[0-9a-f]+", "", repr(subject.model))
    choices["look"] = repr(subject.look)  # of training mode, dropout and gradients included
    digest.update(json.dumps(choices, sort_keys=True).encode())
    for split in (task.train, task.validation, task.test):
        for array in (split.inputs, split.targets):
            digest.update(f"{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(adapter.outputs(subject.model, task.train.inputs[:4]).tobytes())
    return digest.hexdigest()[:16]


def _run(
    plan: Plan,
    work: Work,
    found: dict[Job, Outcome],
    store: Store,
    count: int,
    bounds: bool,
    progress: Progress,
) -> list[Job]:
    """All jobs of the plan, done or found done before."""
    phases = [
        ("looking at the starts", plan.looks),
        ("learning rates", plan.grid),
        ("fresh seeds", lambda: plan.fresh(found)),
    ]
    if bounds:
        phases += [
            ("paths of bounds", lambda: _bound_plan(plan, found).paths()),
            ("refits", lambda: _bound_plan(plan, found).refits(found)),
        ]
    done = list[Job]()
    with Workers(work, count) as workers:
        for phase, planned in phases:
            jobs = planned()
            done += jobs
            missing = [job for job in jobs if job not in found]
            progress(phase, len(jobs) - len(missing), len(jobs))
            for k, (job, outcome) in enumerate(workers.outcomes(missing), 1):
                store.keep(job, outcome)
                found[job] = outcome
                progress(phase, len(jobs) - len(missing) + k, len(jobs))
            _need_a_finisher(phase, jobs, found, plan)
    return done


def _bound_plan(plan: Plan, found: dict[Job, Outcome]) -> BoundPlan:
    """Every bound from the winning start, at its rate, on the first fresh seeds."""
    start = best_start(plan, found)
    rate = plan.rate(start, found)
    if rate is None:
        raise AssertionError("a winner without a rate")
    return BoundPlan(start, rate, plan.fresh_seeds[:_BOUND_SEEDS], tuple(BOUND_ARMS.values()))


def _need_a_finisher(
    phase: str, jobs: Sequence[Job], found: dict[Job, Outcome], plan: Plan
) -> None:
    runs = [job for job in jobs if job.what == "run"]
    if runs and all(found[job].validation_score is None for job in runs):
        tried = ", ".join(f"{rate:g}" for rate in plan.rates)
        raise DomainError(
            f"study: every start diverged in every run ({phase}; tried {tried}). Pass smaller --rates, or "
            "bring the inputs to mean 0 and standard deviation 1."
        )


def _look(
    arm: Arm, found: dict[Job, Outcome], plan: Plan, setting: dict[str, Any]
) -> dict[str, Any]:
    look = found[Job("look", arm.name, 0.0, plan.seed)].look
    words = look_words(look, setting["chance"], setting["score"])
    return {**look, "chance_loss": setting["chance"]["loss"], "words": words}


def _setting(
    settings: Settings, subject: Subject, plan: Plan, adapter: AbstractAdapter
) -> dict[str, Any]:
    work, task = subject.work, subject.work.task
    momentum = f", momentum {work.momentum:g}" if work.momentum else ""
    summary, parameters = adapter.summary(subject.model)
    return {
        "model": settings.model,
        "model_summary": summary,
        "data": task.name,
        "parameters": parameters,
        "weights": len(subject.network.uses),
        "input_shape": list(task.train.inputs.shape[1:]),
        "outputs": subject.outputs,
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
        "chance": _chance(task, subject.outputs),
    }


def _chance(task: Task, outputs: int) -> dict[str, float]:
    """Loss of equal logits and score of the commonest class; for regression those of the mean."""
    if task.kind == "regression":
        return {"loss": float(np.var(task.train.targets, axis=0).mean()), "score": 0.0}
    classes, counts = np.unique(task.train.targets, return_counts=True)
    commonest = task.test.targets == classes[counts.argmax()]
    return {"loss": math.log(outputs), "score": float(commonest.mean())}


def _cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _versions(adapter: AbstractAdapter) -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        _FRAMEWORK: adapter.version(),
    }
