"""The second half of the study: which bound keeps the started network from overfitting, and how strong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import Any

from pondera.study.boundaries import NONE, BoundArm
from pondera.study.race import plain_summary
from pondera.study.statistics import Summary, summary
from pondera.study.work import Job, Outcome

Outcomes = Mapping[Job, Outcome]


@dataclass(frozen=True)
class BoundPlan:
    """Which paths are trained.

    Args:
        start: the start that all of them have: the winner of the race.
        rate: its learning rate.
        seeds: fresh ones, of weights and batches.
        arms: the bounds that race.
    """

    start: str
    rate: float
    seeds: tuple[int, ...]
    arms: tuple[BoundArm, ...]

    def paths(self) -> list[Job]:
        """Every bound and seed, each one path of rising strengths."""
        return [self._job(arm, seed, -1) for seed in self.seeds for arm in self.arms]

    def refits(self, found: Outcomes) -> list[Job]:
        """The sparse bounds once more up to their chosen strength, zeros frozen there."""
        return [
            self._job(arm, seed, self.chosen(arm, found))
            for seed in self.seeds
            for arm in self.arms
            if arm.sparse and self.chosen(arm, found) > 0
        ]

    def _job(self, arm: BoundArm, seed: int, refit_from: int) -> Job:
        return Job("path", f"{self.start}+{arm.name}", self.rate, seed, refit_from)

    def chosen(self, arm: BoundArm, found: Outcomes) -> int:
        """Index of the strength by the one-standard-error rule, on validation rows.

        The strongest point whose mean score lies within one standard error of the best mean: the simplest
        network that is not measurably worse (Hastie, Tibshirani & Friedman 2009, §7.10).
        """
        by_point = self.validation(arm, found)
        means = [fmean(scores) for scores in by_point]
        best = max(range(len(means)), key=lambda k: means[k])
        if math.isinf(means[best]):
            return 0  # nothing of this path is finite
        allowed = means[best] - standard_error(by_point[best])
        return max(k for k, mean in enumerate(means) if mean >= allowed)

    def validation(self, arm: BoundArm, found: Outcomes) -> list[list[float]]:
        """Validation scores by point, then by seed; a diverged path scores −inf from there on."""
        return [self.score(arm, found, k, "validation") for k in range(len(arm.strengths) + 1)]

    def score(self, arm: BoundArm, found: Outcomes, point: int, split: str) -> list[float]:
        """Scores at one point of the path, by seed."""
        return [_at(found[self._job(arm, seed, -1)].points, point, split) for seed in self.seeds]

    def final(self, arm: BoundArm, found: Outcomes) -> list[dict[str, Any]]:
        """What each seed ends with: the refit of a sparse bound, else the chosen point of its path."""
        index = self.chosen(arm, found)
        if arm.name == NONE:
            index = len(arm.strengths)  # as many steps as the others
        elif arm.sparse and index > 0:
            points = [found[self._job(arm, seed, index)].points for seed in self.seeds]
            return [(p or [{}])[-1] for p in points]
        points = [found[self._job(arm, seed, -1)].points for seed in self.seeds]
        return [p[index] if index < len(p) else {} for p in points]


def standard_error(scores: Sequence[float]) -> float:
    """Standard error of the mean; 0 for a single score, and where one is not finite."""
    if len(scores) < 2 or not all(map(math.isfinite, scores)):
        return 0.0
    return stdev(scores) / math.sqrt(len(scores))


def _at(points: Sequence[Mapping[str, Any]], index: int, split: str) -> float:
    score = points[index].get(split) if index < len(points) else None
    return -math.inf if score is None else float(score)


def bound_entry(arm: BoundArm, plan: BoundPlan, found: Outcomes) -> dict[str, Any]:
    """What the paths say of one bound, as JSON holds it."""
    index = plan.chosen(arm, found)
    final = plan.final(arm, found)
    strengths = (0.0, *arm.strengths)
    tests = [-math.inf if p.get("test") is None else p["test"] for p in final]
    return {
        "title": arm.title,
        "law": arm.law,
        "source": arm.source,
        "points": [_point(arm, plan, found, k, strength) for k, strength in enumerate(strengths)],
        "chosen": index,
        "strength": None if arm.name == NONE else strengths[index],
        "refitted": arm.sparse and index > 0,
        "zeros": _middle([p.get("zeros") for p in final]),
        "gap": _middle([_gap(p) for p in final]),
        "runs": [{"seed": seed, **p} for seed, p in zip(plan.seeds, final, strict=True)],
        **plain_summary(summary(tests)),
    }


def _point(
    arm: BoundArm, plan: BoundPlan, found: Outcomes, index: int, strength: float
) -> dict[str, Any]:
    splits = {s: plan.score(arm, found, index, s) for s in ("train", "validation", "test")}
    return {
        "strength": strength,
        **{name: _finite(fmean(scores)) for name, scores in splits.items()},
        "standard_error": standard_error(splits["validation"]),
        "zeros": _finite(fmean(plan.score(arm, found, index, "zeros"))),
    }


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _middle(numbers: Sequence[float | None]) -> float | None:
    """Median of the seeds that came to an end; None if none did."""
    ended = [number for number in numbers if number is not None]
    return median(ended) if ended else None


def _gap(point: Mapping[str, Any]) -> float | None:
    train, test = point.get("train"), point.get("test")
    return None if train is None or test is None else float(train) - float(test)


def paired_gain(plan: BoundPlan, arm: BoundArm, other: BoundArm, found: Outcomes) -> Summary:
    """Differences of test scores seed by seed: same start, same batches, same number of steps."""
    ours, theirs = plan.final(arm, found), plan.final(other, found)
    return summary(
        [_difference(a.get("test"), b.get("test")) for a, b in zip(ours, theirs, strict=True)]
    )


def _difference(ours: float | None, theirs: float | None) -> float:
    if ours is None or theirs is None:
        return 0.0 if ours is theirs else (-math.inf if ours is None else math.inf)
    return ours - theirs
