"""The second half's tables and lists as plain rows of text, alike on the page and in the terminal."""

from __future__ import annotations

from typing import Any

from pondera.report.arms import Arm, arms_of
from pondera.report.bound_captions import at_edge
from pondera.report.bounds import entries, is_unbounded, raced, strength_text
from pondera.report.lanes import fate
from pondera.report.rows import Result, Row
from pondera.report.scores import Score
from pondera.report.tables import coverage
from pondera.report.wording import counted, share


def snippet(result: Result) -> str:
    """The code to paste: that of the bound, which has the start's in it, or the start's alone."""
    half = result.get("bounds")
    return (half and half["answer"]["snippet"]) or result["answer"]["snippet"]


def bound_contrast(result: Result) -> list[dict[str, str]]:
    """Test score without a bound and with the winner, and the gain; none where no bound won."""
    free = [(arm, entry) for arm, entry in entries(result) if is_unbounded(entry)]
    best = [(arm, entry) for arm, entry in entries(result) if arm.winner]
    gain = result["bounds"]["answer"]["gain"] if best else None
    if not free or not gain or gain["median"] is None or best == free:
        return []
    score, rows = Score.of(result), result["bounds"]["setting"]["rows"]
    pair = [
        {
            "number": score(entry["median"]),
            "what": f"{score.name} after {counted(rows, 'row')}, {named(arm, entry)}",
            "interval": score.interval(entry),
        }
        for arm, entry in (free[0], best[0])
    ]
    gained = {
        "number": score.gain(gain["median"]),
        "what": "gain, seed by seed",
        "interval": score.interval(gain, gain=True),
    }
    return [*pair, gained]


def gain_is_sure(result: Result) -> bool:
    """Whether the interval of the bound's gain lies above 0."""
    gain = result["bounds"]["answer"]["gain"]
    return bool(gain) and gain["low"] is not None and gain["low"] > 0


def named(arm: Arm, entry: Row) -> str:
    """A bound with its strength."""
    return arm.label if not entry["strength"] else f"{arm.label} at λ = {strength_text(entry)}"


def bound_standings(result: Result) -> list[dict[str, Any]]:
    """A row per bound of the second half."""
    found, score = entries(result), Score.of(result)
    sure = coverage(entry for _, entry in found) is None
    return [
        {
            "arm": arm,
            "law": entry["law"],
            "source": entry["source"],
            "strength": strength_text(entry),
            "median": score(entry["median"]),
            "interval": score.interval(entry, sure=sure),
            "gap": score.gain(entry["gap"]),
            "zeros": share(entry["zeros"]),
            "remark": bound_remark(entry),
        }
        for arm, entry in found
    ]


def bound_remark(entry: Row) -> str:
    """What a reader must know before believing a row of the table."""
    remarks = {
        fate(raced(entry)): True,
        "refitted on its support": entry["refitted"],
        "strongest of those tried": at_edge(entry),
        "every strength did worse": entry["strength"] == 0,
    }
    return "; ".join(remark for remark, holds in remarks.items() if remark and holds)


def course(result: Result) -> str:
    """How the bounds were studied."""
    setting = result["bounds"]["setting"]
    labels = {arm.key: arm.label for arm in arms_of(result)}
    start, seeds = labels.get(setting["start"], setting["start"]), len(setting["seeds"])
    return (
        f"Every bound goes on from {start} at learning rate {setting['rate']:g}, on "
        f"{counted(setting['rows'], 'training row')}, few enough to overfit: "
        f"{counted(setting['first_steps'], 'step')} without a bound, then "
        f"{counted(setting['steps_each'], 'step')} at each strength, from weak to strong. "
        f"Where a bound made zeros they were kept, and the rest trained once more without it. "
        f"{counted(seeds, 'seed')} each."
    )
