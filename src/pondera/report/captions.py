"""What to see in each picture, in words made from the numbers that it shows.

A caption is one sentence. Notes say what a reader must know to read the picture right
(a floor, a gap, a thinned line), and only where it is the case.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import log

from pondera.report.arms import Arm, arms_of
from pondera.report.axes import finite, log_axis
from pondera.report.lanes import fate, race_axis, race_lanes
from pondera.report.rows import (
    MOST_LAYERS,
    Result,
    Row,
    curve_rows,
    grid_rows,
    layers_of,
    loss_ceiling,
)
from pondera.report.scores import Score
from pondera.report.wording import change, counted, listed, number, percent

_AT_CHANCE = 0.02  # a loss that fell by less than this share has not left chance


def signal_caption(result: Result) -> str:
    """What becomes of the signal from the first layer to the last."""
    return (
        "A level line carries the signal through the network: "
        f"from the first layer to the last it {_journeys(result, 'signal_rms')}."
    )


def spread_caption(result: Result) -> str:
    """What is left at the last layer to tell two inputs apart."""
    return (
        "Where this line sinks, all inputs come to look alike: from the first layer to the last "
        f"the spread {_journeys(result, 'signal_spread')}."
    )


def gradient_caption(result: Result) -> str:
    """What becomes of the gradient on its way back to the first layer."""
    return (
        "Read it from right to left, as the gradient travels: from the last layer to the first "
        f"it {_journeys(result, 'gradient_rms', backward=True)}."
    )


def _journeys(result: Result, field: str, *, backward: bool = False) -> str:
    """What becomes of a quantity along the depth, for the two arms that say most."""
    ends: dict[Arm, tuple[float | None, float | None]] = {}
    for arm in arms_of(result):
        if layers := layers_of(result, arm.key):
            first, last = layers[0][field], layers[-1][field]
            ends[arm] = (last, first) if backward else (first, last)
    told = [f"{change(*ends[arm])} with {arm.label}" for arm in _telling(result, ends)]
    return " and ".join(told) if told else "was not measured"


def _telling(result: Result, ends: dict[Arm, tuple[float | None, float | None]]) -> list[Arm]:
    """The two arms that the answer compares; without an answer, the least steady and the steadiest."""
    answer = [result["answer"]["against"], result["answer"]["winner"]]
    compared = sorted(
        (arm for arm in ends if arm.key in answer), key=lambda arm: answer.index(arm.key)
    )
    if len(compared) == 2 or len(ends) < 2:
        return compared if len(compared) == 2 else list(ends)
    by_steadiness = sorted(ends, key=lambda arm: _drift(*ends[arm]))
    return [by_steadiness[-1], by_steadiness[0]]


def _drift(first: float | None, last: float | None) -> float:
    """Distance from a level line, in natural logarithms; infinite where there is no ratio."""
    return abs(log(last) - log(first)) if first and last else float("inf")


def layer_notes(result: Result, field: str) -> list[str]:
    """Zeros, gaps and thinning in a picture by depth."""
    looks = [layers_of(result, arm.key) for arm in arms_of(result)]
    quantities = [layer[field] for layers in looks for layer in layers]
    deepest = max(map(len, looks), default=0)
    notes: list[str] = []
    if log_axis(quantities).holds_zero:
        notes.append("A point on the line marked 0 is exactly zero.")
    if None in quantities:
        notes.append("A line breaks where a number was not finite.")
    if deepest > MOST_LAYERS:
        notes.append(f"Of {deepest:,} layers {MOST_LAYERS} are drawn, evenly spaced.")
    return notes


def race_caption(result: Result) -> str:
    """How to read a lane."""
    seeds = counted(len(result["setting"]["fresh_seeds"]), "fresh seed")
    return dots_caption(result["race"].values(), seeds)


def dots_caption(entries: Iterable[Row], seeds: str) -> str:
    """What dots, bar and band of a lane are."""
    covers = [entry["coverage"] for entry in entries if entry["coverage"]]
    if not covers:
        return f"Each dot is one run from one of {seeds}, and the bar is their median."
    return (
        f"Each dot is one run from one of {seeds}, the bar is their median, "
        f"and the band holds the true median with {percent(min(covers))} confidence."
    )


def race_notes(result: Result) -> list[str]:
    """Chance, scores beyond the picture, and starts that lost runs."""
    axis, chance = race_axis(result), result["setting"]["chance"]["score"]
    notes: list[str] = []
    if chance is not None and not axis.shows_chance:
        notes.append(f"Chance, {Score.of(result)(chance)}, lies beyond the left edge.")
    if axis.clips:
        notes.append("Scores far below chance stand at the left edge.")
    return notes + lost((lane.label, lane.entry) for lane in race_lanes(result))


def lost(lanes: Iterable[tuple[str, Row]]) -> list[str]:
    """Who did not race to the end, by what became of them; why is in the table."""
    fates: dict[str, list[str]] = {}
    for label, entry in lanes:
        if fate(entry):
            status = "some runs diverged" if entry["status"] == "ran" else entry["status"]
            fates.setdefault(status, []).append(label)
    return [f"{status.capitalize()}: {listed(labels)}." for status, labels in fates.items()]


def rates_caption(result: Result) -> str:
    """How the race was made fair."""
    return (
        "Each start raced at the learning rate that served it best on the validation rows, "
        "ringed here, so that none loses for want of tuning."
    )


def rates_notes(result: Result) -> list[str]:
    """Runs that diverged, and starts whose best rate may lie beyond those tried."""
    rows, axis = grid_rows(result)
    labels = {arm.key: arm.label for arm in arms_of(result)}
    edge = [labels[key] for key, entry in result["race"].items() if entry["rate_at_edge"]]
    notes: list[str] = []
    if any(row["cross"] is not None for row in rows):
        notes.append("A cross at the foot is a run that diverged.")
    if axis.scores.clips:
        notes.append("Scores far below chance stand at the foot.")
    if edge:
        notes.append(f"At the edge of the rates tried, so a better one may exist: {listed(edge)}.")
    return notes


def losses_caption(result: Result) -> str:
    """Which starts learnt, and which stayed where a constant guess would be."""
    chance, rows = result["setting"]["chance"]["loss"], curve_rows(result)
    last = {row["arm"]: row["loss"] for row in rows}
    if chance is None or not last:
        return "The median training loss over the seeds; lower is better."
    stuck = [
        label
        for label, loss in last.items()
        if loss is not None and loss > chance - _AT_CHANCE * abs(chance)
    ]
    if not stuck:
        lasting = " that lasts" if None in last.values() else ""
        return f"The median training loss over the seeds: every line{lasting} leaves chance."
    return (
        "The median training loss over the seeds: a line that stays at chance has learnt "
        f"nothing, as with {listed(stuck)}."
    )


def losses_notes(result: Result) -> list[str]:
    """Losses beyond the picture, and lines that end before the last step."""
    rows = curve_rows(result)
    ended = dict.fromkeys(row["arm"] for row in rows if row["loss"] is None)
    losses = finite(row["loss"] for row in rows)
    notes: list[str] = []
    if max(losses, default=0.0) > loss_ceiling(result) and min(losses) >= 0:
        notes.append(f"Losses reach {number(max(losses))}, beyond the upper edge.")
    if ended:
        notes.append(f"A line ends where half of its runs had diverged: {listed(list(ended))}.")
    return notes
