"""How the bounds of an optimizer stand, as flat rows: what the tables say and the picture draws.

The input is plain: a row per parameter as `BoundsReport.plain` gives it, of whatever framework.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pondera.report.wording import ABSENT, clipped, counted, listed, number
from pondera.report.wording import share as part

Standing = dict[str, Any]  # {"rows": […], "steps": n}
REACH = 2.0  # a ratio beyond it is drawn at the edge, and said in words
_NAME = 40  # characters of a parameter's name in the picture


def heading(standing: Standing) -> str:
    """What the report is of, and when."""
    rows = standing["rows"]
    return f"{counted(len(rows), 'parameter')} in bounds after {counted(standing['steps'], 'step')}"


def summary(standing: Standing) -> list[str]:
    """What is worth a sentence: zeros, strengths that are not those asked for, gone parameters."""
    rows = standing["rows"]
    zeros, size = (sum(row[name] for row in rows) for name in ("zeros", "size"))
    said = [f"{zeros:,} of {size:,} bounded weights are exactly 0 ({part(zeros / max(1, size))})."]
    gone = [row["name"] for row in rows if row["size"] and row["zeros"] == row["size"]]
    if gone:
        said.append(f"Nothing is left of {listed(gone)}.")
    ratios = [(row, ratio(row["realised"], row["strength"])) for row in rows]
    known = [(row, found) for row, found in ratios if found is not None]
    if known:
        row, far = max(known, key=lambda pair: abs(pair[1] - 1))
        said.append(
            f"The realised λ is within {part(abs(far - 1))} of the one asked for everywhere."
            if abs(far - 1) < 1
            else f"Farthest from the λ asked for is {row['name']}, at {number(far)} times it."
        )
    return said


def ratio(measured: float | None, asked: float | None) -> float | None:
    """One number over another; None where that says nothing."""
    return None if measured is None or not asked else measured / asked


def table_rows(standing: Standing) -> list[dict[str, str]]:
    """A row of text per parameter."""
    return [
        {
            "name": row["name"],
            "bound": row["bound"],
            "kind": row["bound"].split("(")[0],
            "way": row["way"],
            "why": row["why"],
            "taken": row.get("taken_why") or "",
            "strength": number(row["strength"]),
            "realised": number(None if row["realised"] is None else row["realised"] + 0.0),  # no -0
            "zeros": f"{row['zeros']:,} of {row['size']:,}",
            "share": part(row["zeros"] / row["size"]) if row["size"] else ABSENT,
            "groups": _groups(row),
            "steps": number(row["timescale_steps"]),
            "epochs": number(row["timescale_epochs"]),
            "rms": number(row["rms"]),
            "equilibrium": number(row["equilibrium"]),
        }
        for row in standing["rows"]
    ]


def _groups(row: dict[str, Any]) -> str:
    return ABSENT if row["groups"] is None else f"{row['groups_left']:,} of {row['groups']:,}"


def lane_labels(standing: Standing) -> list[str]:
    """Each parameter's name, its middle left out where it is long."""
    return [clipped(row["name"], _NAME) for row in standing["rows"]]


def share_rows(standing: Standing) -> list[dict[str, Any]]:
    """Per parameter the share of zeros and of groups left, with what is written beside them."""
    return [
        {
            "lane": place,
            "name": row["name"],
            "bound": row["bound"],
            "zeros": row["zeros"] / row["size"] if row["size"] else 0.0,
            "zeros said": f"{row['zeros']:,} of {row['size']:,}",
            "groups": None if not row["groups"] else row["groups_left"] / row["groups"],
            "groups said": _groups(row),
        }
        for place, row in enumerate(standing["rows"])
    ]


def ratio_rows(standing: Standing, measured: str, asked: str) -> list[dict[str, Any]]:
    """Per parameter one number over another, drawn no farther than the edge; those that have both."""
    rows = [
        (place, row, ratio(row[measured], row[asked])) for place, row in enumerate(standing["rows"])
    ]
    return [
        {
            "lane": place,
            "name": row["name"],
            "bound": row["bound"],
            "at": min(max(found, 0.0), REACH),
            "edge": "over" if found > REACH else "under" if found < 0 else "within",
            "said": f"{row[measured] + 0.0:.3g} / {row[asked]:.3g}",
        }
        for place, row, found in rows
        if found is not None
    ]


def spoken(standing: Standing) -> str:
    """What a reader who cannot see the picture is told of it."""
    return " ".join([f"{heading(standing)}.", *summary(standing)])


def columns(rows: Sequence[dict[str, str]]) -> dict[str, str]:
    """The number columns that any row fills, with their headings."""
    named = {
        "strength": "λ",
        "realised": "realised",
        "zeros": "zeros",
        "groups": "groups left",
        "steps": "τ, steps",
        "epochs": "τ, epochs",
        "rms": "RMS",
        "equilibrium": "at rest",
    }
    return {key: name for key, name in named.items() if any(row[key] != ABSENT for row in rows)}
