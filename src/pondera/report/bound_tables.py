"""The second half's tables and lists as plain rows of text, alike on the page and in the terminal."""

from __future__ import annotations

from typing import Any

from pondera.report.arms import arms_of
from pondera.report.bound_captions import at_edge
from pondera.report.bounds import entries, gap_text, is_unbounded, named, raced, strength_text
from pondera.report.lanes import fate
from pondera.report.rows import Result, Row
from pondera.report.scores import Score
from pondera.report.tables import contrasted, coverage
from pondera.report.wording import counted, share


def snippet(result: Result) -> str:
    """The code to paste: that of the bound, which has the start's in it, or the start's alone."""
    half = result.get("bounds")
    return (half and half["answer"]["snippet"]) or result["answer"]["snippet"]


def bound_contrast(result: Result) -> list[dict[str, str]]:
    """Test score without a bound and with the winner, and the gain; none where that may be noise."""
    free = [(arm, entry) for arm, entry in entries(result) if is_unbounded(entry)]
    best = [(arm, entry) for arm, entry in entries(result) if arm.winner]
    gain = result["bounds"]["answer"]["gain"] if best else None
    # Of a gain that may be noise, medians and the median of differences can have opposite signs.
    if not free or not gain or gain["median"] is None or (gain["low"] or 0) <= 0:
        return []
    score, rows = Score.of(result), result["bounds"]["setting"]["rows"]
    return contrasted(
        score,
        before=(f"{score.name} from {counted(rows, 'training row')}, no bound", free[0][1]),
        after=(f"the same with {named(*best[0])}", best[0][1]),
        gain=gain,
    )


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
            "gap": gap_text(entry, score),
            "zeros": share(entry["zeros"]),
            "remark": bound_remark(entry),
        }
        for arm, entry in found
    ]


def bound_remark(entry: Row) -> str:
    """What a reader must know before believing a row of the table."""
    remarks = {
        fate(raced(entry)): True,
        "refitted": entry["refitted"],
        "strongest tried": at_edge(entry),
        "every strength did worse": entry["strength"] == 0 and entry["median"] is not None,
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
