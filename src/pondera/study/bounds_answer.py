"""The answer's second half in words: which bound, how strong, what it gained, and what is not claimed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median
from typing import Any

from pondera.study.answer import points_of, shown, snippet
from pondera.study.arms import ARMS
from pondera.study.boundaries import NONE, BoundArm
from pondera.study.bounds import BoundPlan, Outcomes, bound_entry, paired_gain
from pondera.study.race import plain_summary
from pondera.study.statistics import Summary
from pondera.study.work import FEW_ROWS, PATH_SHARE

_WORTH_SAYING = 0.005  # a share of zeros that rounds to more than 0 %


def bounds_result(plan: BoundPlan, found: Outcomes, setting: Mapping[str, Any]) -> dict[str, Any]:
    """What the paths of all bounds say, as JSON holds it.

    Args:
        plan: which paths there were.
        found: what came of them.
        setting: what was studied, as the result holds it.

    Returns:
        Setting, a record per bound, and the answer.
    """
    return {
        "setting": {
            "start": plan.start,
            "rate": plan.rate,
            "seeds": list(plan.seeds),
            "rows": min(FEW_ROWS, setting["rows"]["train"]),
            "first_steps": setting["steps"],
            "steps_each": max(1, setting["steps"] // PATH_SHARE),
        },
        "arms": {arm.name: bound_entry(arm, plan, found) for arm in plan.arms},
        "answer": _answer(plan, found, setting),
    }


def _answer(plan: BoundPlan, found: Outcomes, setting: Mapping[str, Any]) -> dict[str, Any]:
    none = next(arm for arm in plan.arms if arm.name == NONE)
    held = {arm.name: _scores(plan, arm, found, "validation") for arm in plan.arms}
    winner = max(plan.arms, key=lambda arm: (held[arm.name], arm is none))  # of equals, no bound
    gain = None if winner is none else paired_gain(plan, winner, none, found)
    return {
        "winner": winner.name,
        "strength": None if winner is none else _strength(plan, winner, found),
        "gain": None if gain is None else plain_summary(gain),
        "headline": _headline(plan, winner, gain, found, setting),
        "claims": _claims(plan, none, winner, gain, found, setting),
        "not_claimed": _not_claimed(plan, winner, gain, setting),
        "snippet": _snippet(plan, winner if _real(gain) else none, found),
    }


def _scores(plan: BoundPlan, arm: BoundArm, found: Outcomes, split: str) -> float:
    """Median score of what a bound ends with; −inf for a seed that diverged."""
    ends = (point.get(split) for point in plan.final(arm, found))
    return median(-math.inf if score is None else score for score in ends)


def _strength(plan: BoundPlan, arm: BoundArm, found: Outcomes) -> float:
    return (0.0, *arm.strengths)[plan.chosen(arm, found)]


def _headline(
    plan: BoundPlan,
    winner: BoundArm,
    gain: Summary | None,
    found: Outcomes,
    setting: Mapping[str, Any],
) -> str:
    start, score = ARMS[plan.start].title, setting["score"]
    if gain is None or not _real(gain):
        none = next(arm for arm in plan.arms if arm.name == NONE)
        reached = shown(_scores(plan, none, found, "test"), score)
        best = "" if gain is None else f" ({winner.title} is the best tried, within the noise)"
        return (
            f"Begin with {start}, without a bound: {reached} test {score} on few rows; none generalised "
            f"measurably better{best}."
        )
    reached = shown(_scores(plan, winner, found, "test"), score)
    return (
        f"Begin with {start}, and bound the weights by {winner.title} at λ = "
        f"{_strength(plan, winner, found):g}: {reached} test {score} on few rows, "
        f"{points_of(gain.median, score)} against no bound."
    )


def _real(gain: Summary | None) -> bool:
    return gain is not None and math.isfinite(gain.low) and gain.low > 0


def _claims(
    plan: BoundPlan,
    none: BoundArm,
    winner: BoundArm,
    gain: Summary | None,
    found: Outcomes,
    setting: Mapping[str, Any],
) -> list[str]:
    score = setting["score"]
    entry = bound_entry(none, plan, found)
    rows = min(FEW_ROWS, setting["rows"]["train"])
    said = []
    if entry["gap"] is not None:
        said.append(
            f"Trained on {rows} rows without a bound, the gap between training and test {score} is "
            f"{points_of(entry['gap'], score)}."
        )
    if gain is not None:
        said.append(
            f"{winner.title} against no bound, seed by seed on the same batches: "
            f"{points_of(gain.median, score)} ({gain.coverage:.0%} interval {points_of(gain.low, score)} to "
            f"{points_of(gain.high, score)}, {len(plan.seeds)} seeds)."
        )
    for arm in plan.arms:
        if not arm.sparse or plan.chosen(arm, found) == 0:
            continue
        sparse = bound_entry(arm, plan, found)
        if (sparse["zeros"] or 0) >= _WORTH_SAYING and sparse["median"] is not None:
            said.append(
                f"{arm.title} at λ = {sparse['strength']:g}, refitted on its support: "
                f"{sparse['zeros']:.0%} of the weights are exactly 0, test {score} "
                f"{shown(sparse['median'], score)}."
            )
    return said


def _not_claimed(
    plan: BoundPlan, winner: BoundArm, gain: Summary | None, setting: Mapping[str, Any]
) -> list[str]:
    said = [
        "That the same strength fits more rows: each λ was chosen for these few, by the "
        "one-standard-error rule on validation rows; with more data less is needed.",
        f"More than {len(plan.seeds)} seeds can tell: a small difference between bounds may be noise.",
    ]
    if gain is not None and not _real(gain):
        said.append(f"That {winner.title} is better than no bound: the interval holds 0.")
    return said


def _snippet(plan: BoundPlan, winner: BoundArm, found: Outcomes) -> str:
    """The lines of code for start and bound together."""
    start = snippet(plan.start)
    strength = _strength(plan, winner, found)
    if not winner.code or strength == 0:
        return start
    bound = winner.code.format(strength=strength)
    return (
        f"{start}import pondera.torch\n\n" if "import pondera" not in start else f"{start}\n"
    ) + (
        "# behind the optimizer's construction, before training; the loss stays as it is\n"
        f"weights = [name for name, p in model.named_parameters() if p.ndim > 1]\n"
        f"bounds = dict.fromkeys(weights, {bound})\n"
        "handle = pondera.torch.regularize(optimizer, bounds, model=model)\n"
    )
