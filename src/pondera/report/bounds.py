"""The second half of a study as flat rows: each bound's path of strengths, and what it ends with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from pondera.report.arms import Arm, bounds_of
from pondera.report.axes import LogAxis, ScoreAxis, finite, log_axis, score_axis
from pondera.report.lanes import Lane, dot_rows, lane_rows, scores_in
from pondera.report.rows import Result, Row
from pondera.report.scores import Score
from pondera.report.wording import ABSENT, share

_DEPTH = 3.0
_APART = 0.04  # decades between neighbours that would stand at one strength


def entries(result: Result) -> list[tuple[Arm, Row]]:
    """Every bound with its entry; none where the second half was left out."""
    return [(arm, result["bounds"]["arms"][arm.key]) for arm in bounds_of(result)]


def is_unbounded(entry: Row) -> bool:
    """Whether an entry is that of training on without a bound."""
    return not any(point["strength"] > 0 for point in entry["points"])


def seeds(result: Result) -> list[int]:
    """The seeds of the second half."""
    return result["bounds"]["setting"]["seeds"]


def strength_text(entry: Row) -> str:
    """The strength that was chosen; a dash where there is none to choose."""
    return ABSENT if entry["strength"] is None else f"{entry['strength']:g}"


def named(arm: Arm, entry: Row) -> str:
    """A bound with its strength, on one line."""
    return f"{arm.label} at λ\xa0=\xa0{strength_text(entry)}" if entry["strength"] else arm.label


def bound_lanes(result: Result) -> list[Lane]:
    """A lane per bound: what each seed ends with on the test rows."""
    return [
        Lane(
            arm.label,
            raced(entry),
            "" if entry["strength"] is None else f"λ = {strength_text(entry)}",
        )
        for arm, entry in entries(result)
    ]


def raced(entry: Row) -> Row:
    """A bound's entry as one of the race."""
    runs = [{"seed": run["seed"], "test_score": run.get("test")} for run in entry["runs"]]
    summary = {name: entry[name] for name in ("median", "low", "high", "coverage")}
    return {"status": "ran", "why": "", "runs": runs} | summary


def gap_text(entry: Row, score: Score) -> str:
    """By how much the training rows score better than the test rows; a dash where all was lost."""
    return ABSENT if entry["median"] is None else score.gain(entry["gap"])


def training_score(entry: Row) -> float | None:
    """Median of the training scores that a bound ends with."""
    scores = finite(run.get("train") for run in entry["runs"])
    return median(scores) if scores else None


def bound_axis(result: Result) -> ScoreAxis:
    """The axis that shows every final score, on test rows and on training rows."""
    training = [training_score(entry) for _, entry in entries(result)]
    return _close_axis(result, [*scores_in(bound_lanes(result)), *training])


def _close_axis(result: Result, scores: Sequence[float | None]) -> ScoreAxis:
    """An axis for scores that are measured against each other; chance is on it if one is worse."""
    chance = result["setting"]["chance"]["score"]
    worse = chance is not None and min(finite(scores), default=chance) < chance
    return score_axis(scores, chance if worse else None)


def bound_lane_rows(result: Result, axis: ScoreAxis) -> list[Row]:
    """A row per bound: median, interval, training score and the gap between the two."""
    score = Score.of(result)
    rows = lane_rows(bound_lanes(result), axis, score)
    return [
        row | _gap_row(entry, axis, score)
        for row, (_, entry) in zip(rows, entries(result), strict=True)
    ]


def _gap_row(entry: Row, axis: ScoreAxis, score: Score) -> Row:
    training = training_score(entry)
    return {
        "training": score(training),
        "trained": None if training is None else max(training, axis.low),
        "gap": gap_text(entry, score),
        "strength": strength_text(entry),
    }


def bound_dots(result: Result, axis: ScoreAxis) -> list[Row]:
    """A row per seed that finished."""
    return dot_rows(bound_lanes(result), axis, Score.of(result))


@dataclass(frozen=True)
class PathAxes:
    """The axes of the pictures by strength."""

    strengths: LogAxis
    scores: ScoreAxis
    most_zeros: float  # the largest share of zeros, or 1 where there are none

    @classmethod
    def of(cls, result: Result) -> PathAxes:
        """The axes that show every point of every path."""
        points = [point for _, entry in entries(result) for point in entry["points"]]
        zeros = finite(point.get("zeros") for point in points)
        strengths = log_axis(point["strength"] for point in points)
        return cls(strengths, _held_axis(result, points), max(zeros, default=0.0) or 1.0)


def _held_axis(result: Result, points: Sequence[Row]) -> ScoreAxis:
    """The axis of validation scores; what too strong a bound breaks may stand at its foot.

    It reaches three times as far below the best as the unbounded and the chosen points do.
    """
    telling = [
        point
        for _, entry in entries(result)
        for k, point in enumerate(entry["points"])
        if point["strength"] == 0 or k == entry["chosen"]
    ]
    held = finite(edge for point in points for edge in _whisker(point))
    shown = finite(edge for point in telling for edge in _whisker(point))
    if not held or not shown:
        return _close_axis(result, held)
    foot = max(held) - _DEPTH * (max(held) - min(shown))
    axis = _close_axis(result, [max(edge, foot) for edge in held])
    return replace(axis, clips=axis.clips or min(held) < foot)


def path_rows(result: Result) -> list[Row]:
    """A row per bound and strength; the unbounded end as two, so that it runs level through all.

    `across` is where a point stands: zero at the left edge, and bounds of one strength side by side.
    """
    axes, raced_bounds = PathAxes.of(result), entries(result)
    rows: list[Row] = []
    for place, (arm, entry) in enumerate(raced_bounds):
        points = entry["points"]
        if is_unbounded(entry):
            ends = (axes.strengths.low, axes.strengths.high)
            spots = [(across, points[-1], False) for across in ends] if points else []
        else:
            aside = _aside(place, len(raced_bounds))
            spots = [
                (max(axes.strengths.low, point["strength"] * aside), point, k == entry["chosen"])
                for k, point in enumerate(points)
            ]
        rows += [
            _path_row(arm, point, axes, Score.of(result), across=across, chosen=chosen)
            for across, point, chosen in spots
        ]
    return rows


def _aside(place: int, count: int) -> float:
    """The factor by which one of `count` neighbours steps aside on a logarithmic axis."""
    step = min(_APART, 4 * _APART / max(1, count - 1))
    return 10.0 ** (step * (place - (count - 1) / 2))


def _path_row(
    arm: Arm, point: Row, axes: PathAxes, score: Score, *, across: float, chosen: bool
) -> Row:
    low, held, high = (
        None if edge is None else max(edge, axes.scores.low) for edge in _whisker(point)
    )
    return {
        "arm": arm.label,
        "strength": f"{point['strength']:g}",
        "across": across,
        "at": held,
        "low": low,
        "high": high,
        "outcome": _outcome(point, score),
        "training": score(point.get("train")),
        "zeros": point.get("zeros"),
        "share": share(point.get("zeros")),
        "chosen": chosen,
        "marked": True,
    }


def _whisker(point: Row) -> tuple[float | None, float | None, float | None]:
    """A validation score, with one standard error to each side."""
    held, error = point.get("validation"), point.get("standard_error") or 0.0
    return (None, None, None) if held is None else (held - error, held, held + error)


def _outcome(point: Row, score: Score) -> str:
    held, error = point.get("validation"), point.get("standard_error")
    if held is None or error is None:
        return "diverged" if held is None else score(held)
    return f"{score(held)} ± {score.gain(error).removeprefix('+')}"
