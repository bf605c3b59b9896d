"""A study's result as flat rows, one per mark on a picture; a missing number stays None."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from statistics import median
from typing import Any, TypeAlias

from pondera.report.arms import Arm, arms_of
from pondera.report.axes import ScoreAxis, finite, score_axis
from pondera.report.scores import Score
from pondera.report.wording import ABSENT, clipped

Result: TypeAlias = Mapping[str, Any]
Row: TypeAlias = dict[str, Any]

MOST_LAYERS = 100  # drawn per arm; a page of 20 arms then stays below 3 MB
MOST_STEPS = 200
_RUNAWAY = 30.0
_MARKERS = 6  # points with a shape on each line, enough to tell lines apart


def spaced(length: int, most: int) -> list[int]:
    """At most `most` indices below `length`, evenly spaced, the first and the last among them.

    >>> spaced(10, 4), spaced(3, 10)
    ([0, 3, 6, 9], [0, 1, 2])
    """
    if length <= most:
        return list(range(length))
    return [round(place * (length - 1) / (most - 1)) for place in range(most)]


def shape_text(shape: Sequence[int]) -> str:
    """A shape as one reads it aloud: 64 × 3 × 3."""
    return " × ".join(str(size) for size in shape)


def _marked(row: int, rows: int, arm: Arm) -> bool:
    """Whether a row carries its arm's shape; arms take turns so that shapes do not cover each other."""
    stride = max(1, rows // _MARKERS)
    return row % stride == arm.place % stride


def layers_of(result: Result, key: str) -> list[Row]:
    """The layers that were measured under one start, first to last."""
    return result["looks"].get(key, {}).get("layers", [])


def layer_rows(result: Result) -> list[Row]:
    """A row per arm and layer (evenly thinned where there are many)."""
    rows: list[Row] = []
    for arm in arms_of(result):
        layers = layers_of(result, arm.key)
        kept = spaced(len(layers), MOST_LAYERS)
        rows += [
            _layer_row(arm, layers[index], marked=_marked(place, len(kept), arm))
            for place, index in enumerate(kept)
        ]
    return rows


def _layer_row(arm: Arm, layer: Row, *, marked: bool) -> Row:
    dead = layer["dead"]
    return {
        "arm": arm.label,
        "depth": layer["depth"],
        "layer": clipped(layer["name"]),
        "kind": f"{layer['kind']}, {shape_text(layer['shape'])}",
        "signal": layer["signal_rms"],
        "spread": layer["signal_spread"],
        "gradient": layer["gradient_rms"],
        "dead": ABSENT if dead is None else f"{100 * dead:.0f}%",
        "marked": marked,
    }


def grid_rows(result: Result) -> tuple[list[Row], GridAxis]:
    """A row per arm and learning rate that was tried, and the axis that shows them.

    `at` is the height of a score, None where the run diverged; `cross` that of the mark
    which says so, in a strip below the scores, each above the last at the same rate.
    """
    tried = [
        (arm.label, entry["rate"], trial)
        for arm in arms_of(result)
        if (entry := result["race"].get(arm.key))
        for trial in entry["grid"]
    ]
    numbers = [trial["score"] for _, _, trial in tried]
    lost = Counter(trial["rate"] for _, _, trial in tried if trial["score"] is None)
    scores = score_axis(numbers, result["setting"]["chance"]["score"])
    axis = GridAxis(scores, deepest=max(lost.values(), default=0))
    crossed: Counter[float] = Counter()
    rows: list[Row] = []
    for label, chosen, trial in tried:
        row = {"arm": label, "rate": trial["rate"], "chosen": trial["rate"] == chosen}
        rows.append(row | _grid_place(trial, axis, crossed, Score.of(result)))
    return rows, axis


@dataclass(frozen=True)
class GridAxis:
    """An axis of scores with a strip below them, where crosses stand `deepest` high."""

    scores: ScoreAxis
    deepest: int

    @property
    def step(self) -> float:
        """The height of a cross; all of them together never take more than a third."""
        return (self.scores.high - self.scores.low) * min(0.06, 0.35 / max(1, self.deepest))

    @property
    def low(self) -> float:
        """The lower end of the strip, or of the scores where nothing diverged."""
        return self.scores.low - self.step * (self.deepest + 0.5 if self.deepest else 0)

    def cross(self, place: int) -> float:
        """Where the cross number `place` of one rate stands, counted from 0 at the foot."""
        return self.low + self.step * (place + 0.75)


def _grid_place(trial: Row, axis: GridAxis, crossed: Counter[float], score: Score) -> Row:
    """Where one trial is drawn, and what is said of it; counts the crosses of its rate."""
    if trial["score"] is not None:
        at = max(trial["score"], axis.scores.low)
        return {"at": at, "cross": None, "outcome": score(trial["score"]), "marked": True}
    height = axis.cross(crossed[trial["rate"]])
    crossed[trial["rate"]] += 1
    step = trial["diverged_at"]
    outcome = "diverged" if step is None else f"diverged at step {step}"
    return {"at": None, "cross": height, "outcome": outcome, "marked": True}


def _runs(result: Result, arm: Arm) -> list[Row]:
    return result["race"].get(arm.key, {}).get("runs", [])


def curve_rows(result: Result) -> list[Row]:
    """A row per arm and step: the median of the training loss over the arm's runs.

    A run that diverged counts as infinitely bad from then on; where the median itself
    is infinite the row holds None, and the line ends.
    """
    steps = result["setting"]["curve_steps"]
    rows: list[Row] = []
    for arm in arms_of(result):
        losses = [run["losses"] for run in _runs(result, arm) if run["losses"]]
        length = min([len(steps), *map(len, losses)]) if losses else 0
        kept = spaced(length, MOST_STEPS)
        rows += [
            {
                "arm": arm.label,
                "step": steps[index],
                "loss": _median_loss([curve[index] for curve in losses]),
                "marked": _marked(place, len(kept), arm),
            }
            for place, index in enumerate(kept)
        ]
    return rows


def loss_ceiling(result: Result) -> float:
    """The largest loss that is drawn; a start that explodes shall not flatten all others.

    That is 30 times chance, or without a chance 30 times the least loss at the first step.
    """
    chance = result["setting"]["chance"]["loss"]
    rows = curve_rows(result)
    first = finite(row["loss"] for row in rows if row["step"] == rows[0]["step"])
    least = min([loss for loss in first if loss > 0], default=inf)
    return _RUNAWAY * (chance if chance is not None and chance > 0 else least)


def _median_loss(losses: list[float | None]) -> float | None:
    middle = median(inf if loss is None else loss for loss in losses)
    return middle if isfinite(middle) else None
