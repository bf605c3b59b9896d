"""A picture in lanes as flat rows: whoever raced has a lane, with a dot per run, median and interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pondera.report.arms import arms_of
from pondera.report.axes import ScoreAxis, score_axis
from pondera.report.rows import Result, Row
from pondera.report.scores import Score

LANE_HEAD, LANE_MIDDLE = 0.36, 0.66  # of a lane's height: its words end, its dots lie
_ASIDE = (0.0, 0.11, -0.11, 0.06, -0.06)


@dataclass(frozen=True)
class Lane:
    """Whose lane it is, the entry of the race that lies in it, and what is said before the median."""

    label: str
    entry: Row
    remark: str = ""


def race_lanes(result: Result) -> list[Lane]:
    """A lane per start that was to race."""
    return [
        Lane(arm.label, entry) for arm in arms_of(result) if (entry := result["race"].get(arm.key))
    ]


def race_axis(result: Result) -> ScoreAxis:
    """The axis that shows every run of the race."""
    return score_axis(scores_in(race_lanes(result)), result["setting"]["chance"]["score"])


def scores_in(lanes: Sequence[Lane]) -> list[float | None]:
    """Every score that stands in the lanes."""
    runs = [run["test_score"] for lane in lanes for run in lane.entry["runs"]]
    return [*runs, *(lane.entry["median"] for lane in lanes)]


def dot_rows(lanes: Sequence[Lane], axis: ScoreAxis, score: Score) -> list[Row]:
    """A row per finished run: its score, and its place in the lane.

    Dots of one lane step aside in a fixed pattern, so that equal scores stay visible.
    """
    rows: list[Row] = []
    for top, lane in enumerate(lanes):
        runs = [run for run in lane.entry["runs"] if run["test_score"] is not None]
        for place, run in enumerate(sorted(runs, key=lambda run: run["test_score"])):
            rows.append(
                {
                    "arm": lane.label,
                    "seed": run["seed"],
                    "score": score(run["test_score"]),
                    "at": max(run["test_score"], axis.low),
                    "lane": top + LANE_MIDDLE + _ASIDE[place % len(_ASIDE)],
                }
            )
    return rows


def lane_rows(lanes: Sequence[Lane], axis: ScoreAxis, score: Score) -> list[Row]:
    """A row per lane: its median and interval, and what went wrong."""
    return [_lane_row(top, lane, axis, score) for top, lane in enumerate(lanes)]


def _lane_row(top: int, lane: Lane, axis: ScoreAxis, score: Score) -> Row:
    entry = lane.entry
    placed = {
        edge: None if entry[edge] is None else max(entry[edge], axis.low)
        for edge in ("median", "low", "high")
    }
    ran, lost = entry["median"] is not None, fate(entry)
    words = [lane.remark, lost, score(entry["median"])]
    return placed | {
        "arm": lane.label,
        "top": top,
        "head": top + 0.2,
        "lane": top + LANE_MIDDLE,
        "middle": score(entry["median"]),
        "words": " · ".join(filter(None, words)) if ran else "",
        "interval": score.interval(entry),
        "fate": lost,
        "remark": lost or "all finished",
        "ran": ran,
    }


def fate(entry: Row) -> str:
    """What kept a contender from finishing all its runs; empty where nothing did."""
    lost = sum(run["test_score"] is None for run in entry["runs"])
    if entry["status"] == "ran":
        return f"{lost} of {len(entry['runs'])} diverged" if lost else ""
    return f"{entry['status']}: {entry['why']}" if entry["why"] else entry["status"]
