"""What to see in the pictures of the second half, in words made from the numbers that they show."""

from __future__ import annotations

from pondera.report.arms import Arm
from pondera.report.bounds import (
    PathAxes,
    bound_axis,
    bound_lanes,
    entries,
    is_unbounded,
    named,
    path_rows,
    seeds,
)
from pondera.report.captions import dots_caption, lost
from pondera.report.lanes import scores_in
from pondera.report.rows import Result, Row
from pondera.report.scores import Score
from pondera.report.wording import counted, listed, share


def bounds_caption(result: Result) -> str:
    """How far training and test rows lie apart, without a bound and with the best one."""
    gain = Score.of(result).gain
    told = [f"{gain(entry['gap'])} with {arm.label}" for arm, entry in _compared(result)]
    gaps = f": {' and '.join(told)}" if told else ""
    return (
        "A line leads from the median on the test rows to the hollow mark of the training rows; "
        f"it is the gap that a bound is to close{gaps}."
    )


def _compared(result: Result) -> list[tuple[Arm, Row]]:
    """Training without a bound, and the winner, or the least gap where nothing beat it."""
    finished = [(arm, entry) for arm, entry in entries(result) if entry["median"] is not None]
    free = [(arm, entry) for arm, entry in finished if is_unbounded(entry)]
    bound = [(arm, entry) for arm, entry in finished if not is_unbounded(entry)]
    best = [(arm, entry) for arm, entry in bound if arm.winner]
    return [*free, *(best or sorted(bound, key=lambda pair: pair[1]["gap"])[:1])]


def bounds_notes(result: Result) -> list[str]:
    """How to read a lane, scores beyond the picture, and bounds that lost runs."""
    lanes = bound_lanes(result)
    notes = [
        dots_caption((lane.entry for lane in lanes), counted(len(seeds(result)), "fresh seed"))
    ]
    if any(score is not None for score in scores_in(lanes)) and bound_axis(result).clips:
        notes.append("Scores far below chance stand at the left edge.")
    return notes + lost((lane.label, lane.entry) for lane in lanes)


def strengths_caption(result: Result) -> str:
    """How each strength was chosen, and what it holds."""
    score = Score.of(result)
    told = [
        f"{named(arm, entry)} scores {score(point.get('validation'))}"
        for arm, entry in _compared(result)
        if (point := entry["points"][-1 if is_unbounded(entry) else entry["chosen"]])
    ]
    return (
        "Ringed is the strength chosen for each bound, the strongest within one standard error "
        f"of its best{': ' if told else ''}{', '.join(told)}."
    )


def strengths_notes(result: Result) -> list[str]:
    """What the whiskers are, what runs level, what was chosen at the edge, and what is missing."""
    found, rows = entries(result), path_rows(result)
    edge = [arm.label for arm, entry in found if at_edge(entry)]
    notes = ["λ means something else in each law: compare heights, not places along the axis."]
    if any(point.get("standard_error") for _, entry in found for point in entry["points"]):
        notes.append(f"Whiskers: one standard error over {counted(len(seeds(result)), 'seed')}.")
    if any(is_unbounded(entry) for _, entry in found):
        notes.append("The level line is as many steps without a bound.")
    if edge:
        notes.append(f"The strongest tried, so a stronger one may serve as well: {listed(edge)}.")
    if any(row["at"] is None for row in rows):
        notes.append("A line ends where training diverged.")
    axis = PathAxes.of(result).scores
    if axis.clips:
        notes.append(f"Scores below {Score.of(result)(axis.low)} stand at the foot.")
    return notes


def at_edge(entry: Row) -> bool:
    """Whether the strongest one tried was chosen."""
    return bool(entry["strength"]) and entry["chosen"] == len(entry["points"]) - 1


def zeros_caption(result: Result) -> str:
    """Which bounds make exact zeros, and how many at the strength chosen."""
    told = [
        f"{share(entry['zeros'])} with {arm.label}"
        for arm, entry in entries(result)
        if entry["zeros"]
    ]
    if told:
        return f"Zeros that can be left out; at the strengths chosen they are {listed(told)}."
    if any(_makes_zeros(entry) for _, entry in entries(result)):
        return "No bound set a weight to exactly 0 at the strength chosen for it."
    return "No bound set a weight to exactly 0 at any strength tried."


def zeros_notes(result: Result) -> list[str]:
    """Which bounds lie on the floor, all the way or as far as the strength chosen."""
    bound = [(arm, entry) for arm, entry in entries(result) if not is_unbounded(entry)]
    later = [arm.label for arm, entry in bound if _makes_zeros(entry) and not entry["zeros"]]
    never = [arm.label for arm, entry in bound if not _makes_zeros(entry)]
    notes: list[str] = []
    if later:
        notes.append(f"Only beyond the strength chosen: {listed(later)}.")
    if never and len(never) < len(bound):
        notes.append(f"None at any strength: {listed(never)}.")
    return notes


def _makes_zeros(entry: Row) -> bool:
    return any(point.get("zeros") for point in entry["points"])
