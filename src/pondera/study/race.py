"""The race: a grid of learning rates for every start, then fresh seeds at each one's best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from pondera.study.arms import Arm
from pondera.study.statistics import Summary, summary
from pondera.study.work import Job, Outcome

Outcomes = Mapping[Job, Outcome]


@dataclass(frozen=True)
class Plan:
    """Which runs a race makes.

    Args:
        arms: the starts that can run.
        rates: learning rates, rising.
        seed: of the grid's runs.
        fresh_seeds: of the runs at the chosen rate.
    """

    arms: tuple[Arm, ...]
    rates: tuple[float, ...]
    seed: int
    fresh_seeds: tuple[int, ...]

    def looks(self) -> list[Job]:
        """One look at each start."""
        return [Job("look", arm.name, 0.0, self.seed) for arm in self.arms]

    def grid(self) -> list[Job]:
        """Every start at every rate."""
        return [Job("run", arm.name, rate, self.seed) for rate in self.rates for arm in self.arms]

    def fresh(self, found: Outcomes) -> list[Job]:
        """Fresh seeds at each start's best rate; none for a start that always diverged."""
        chosen = [(arm.name, self.rate(arm.name, found)) for arm in self.arms]
        return [
            Job("run", name, rate, seed)
            for seed in self.fresh_seeds
            for name, rate in chosen
            if rate is not None
        ]

    def rate(self, arm: str, found: Outcomes) -> float | None:
        """The rate with the best validation score, then the lowest last loss; None if all diverged."""
        tried = [(found[Job("run", arm, rate, self.seed)], rate) for rate in self.rates]
        ranked = [
            (-run.validation_score, last_loss(run), rate)
            for run, rate in tried
            if run.validation_score is not None
        ]
        return min(ranked)[2] if ranked else None

    def runs(self, arm: str, found: Outcomes) -> list[Outcome]:
        """The fresh runs of a start, by seed."""
        rate = self.rate(arm, found)
        if rate is None:
            return []
        return [found[Job("run", arm, rate, seed)] for seed in self.fresh_seeds]


def last_loss(run: Outcome) -> float:
    """Median of the last three losses kept; infinite if the run diverged."""
    kept = [math.inf if loss is None else loss for loss in run.losses[-3:]]
    return median(kept) if kept else math.inf


def scores(runs: Sequence[Outcome], split: str) -> list[float]:
    """Scores on "validation" or "test"; −inf for a run that diverged."""
    raw = [getattr(run, f"{split}_score") for run in runs]
    return [-math.inf if score is None else score for score in raw]


def entry(arm: Arm, plan: Plan, found: Outcomes) -> dict[str, Any]:
    """What the race says of one start, as JSON holds it."""
    rate = plan.rate(arm.name, found)
    grid = [
        {"rate": r, "score": run.validation_score, "diverged_at": run.diverged_at}
        for r in plan.rates
        for run in [found[Job("run", arm.name, r, plan.seed)]]
    ]
    runs = plan.runs(arm.name, found)
    result = (
        summary(scores(runs, "test")) if runs else Summary(-math.inf, -math.inf, -math.inf, 0.0)
    )
    stopped = [run.diverged_at for run in runs if run.diverged_at is not None]
    why = ""
    if rate is None:
        steps = sorted(point["diverged_at"] for point in grid)
        why = f"the loss was not finite from step {steps[-1]} or earlier, at every rate"
    elif stopped:
        why = f"{len(stopped)} of {len(runs)} fresh seeds diverged"
    return {
        **described(arm),
        "status": "diverged" if math.isinf(result.median) else "ran",
        "why": why,
        "grid": grid,
        "rate": rate,
        "rate_at_edge": rate in (plan.rates[0], plan.rates[-1]) and len(plan.rates) > 1,
        "runs": [_run(run, seed) for run, seed in zip(runs, plan.fresh_seeds, strict=False)],
        **plain_summary(result),
    }


def left_out(arm: Arm, why: str) -> dict[str, Any]:
    """The entry of a start that this network cannot have."""
    empty = {"grid": [], "rate": None, "rate_at_edge": False, "runs": []}
    none = {"median": None, "low": None, "high": None, "coverage": None}
    return {**described(arm), "status": "left out", "why": why, **empty, **none}


def described(arm: Arm) -> dict[str, Any]:
    """Title, law and source of a start."""
    return {"title": arm.title, "law": arm.law, "source": arm.source}


def plain_summary(result: Summary) -> dict[str, float | None]:
    """A summary as JSON holds it: None where it is infinite."""
    return {k: None if math.isinf(v) else v for k, v in result._asdict().items()}


def _run(run: Outcome, seed: int) -> dict[str, Any]:
    loss = last_loss(run)
    return {
        "seed": seed,
        "test_score": run.test_score,
        "validation_score": run.validation_score,
        "train_loss": None if math.isinf(loss) else loss,
        "diverged_at": run.diverged_at,
        "losses": run.losses,
    }
