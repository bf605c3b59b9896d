"""What differs between two plans, or between a plan and the weights that a model holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, sqrt

from pondera.model.plan.planner import Moments
from pondera.model.plan.row import PlanRow, shown_shape
from pondera.model.plan.spelling import spelled
from pondera.model.schemes.spread import mean_of


@dataclass(frozen=True)
class Change:
    """One field of one row that differs.

    Args:
        name: the row's name.
        field: what differs, such as "law" or "std"; "row" where one plan has none of that name.
        here: in this plan.
        there: in the other.
    """

    name: str
    field: str
    here: str
    there: str


class Difference(list[Change]):
    """What differs, a line each; empty and false where nothing does.

    Args:
        changes: what differs.
        here: what to call this plan.
        there: what to call the other.
        compared: how many rows were compared.
    """

    def __init__(self, changes: Sequence[Change], *, here: str, there: str, compared: int) -> None:
        super().__init__(changes)
        self.here, self.there, self.compared = here, there, compared

    def __str__(self) -> str:
        from pondera.model.plan.grouping import grouped_changes
        from pondera.model.plan.text import columns

        title = f"{self.here} against {self.there}: {self.compared} rows compared"
        if not self:
            return f"{title}, no difference"
        lines = [("parameter", "", "field", self.here, self.there), *grouped_changes(self)]
        return f"{title}, {len({c.name for c in self})} differ\n\n{columns(lines)}"

    __repr__ = __str__


def plan_changes(here: Sequence[PlanRow], there: Sequence[PlanRow]) -> list[Change]:
    """What differs between the rows of two plans: absent rows, shapes, laws, decay, streams and so on."""
    ours, theirs = ({row.key: row for row in rows} for rows in (here, there))
    found = list[Change]()
    for name in dict.fromkeys([*ours, *theirs]):
        if name not in ours or name not in theirs:
            words = ("there", "absent") if name in ours else ("absent", "there")
            found.append(Change(name, "row", *words))
        else:
            found += _row_changes(ours[name], theirs[name])
    return found


def _row_changes(here: PlanRow, there: PlanRow) -> list[Change]:
    pairs = [
        ("shape", shown_shape(here.shape), shown_shape(there.shape)),
        ("law", _law(here), _law(there)),
        ("std", _number(here.std), _number(there.std)),
        ("decay", _yes(here.decay), _yes(there.decay)),
        ("factor", _number(here.factor), _number(there.factor)),
        ("rate", _number(here.rate), _number(there.rate)),
        ("stream", here.stream, there.stream),
        ("order", str(here.order or "stored"), str(there.order or "stored")),
    ]
    return [Change(here.key, field, a, b) for field, a, b in pairs if a != b]


def start_changes(rows: Sequence[PlanRow], held: Sequence[Moments]) -> list[Change]:
    """Where a model's weights do not look as the plan would draw them: mean or std too far off.

    The tolerance is five standard errors of a sample of that size; for a constant, rounding.
    """
    found = list[Change]()
    for row, now in zip(rows, held, strict=True):
        if row.law is None or row.std is None:
            continue
        mean, std = row.factor * mean_of(row.law), row.std
        error = 5 / sqrt(max(1, row.size))
        rounding = 2.0**-8 * max(abs(mean), abs(now.mean))  # of bfloat16
        if abs(now.std - std) > error * std + rounding * (std == 0):
            found.append(
                Change(row.key, "std", _number(std), f"{now.std:.4g}{_ratio(now.std, std)}")
            )
        if std == 0 and abs(now.mean - mean) > rounding + error * now.std:
            found.append(Change(row.key, "mean", _number(mean), f"{now.mean:.4g}"))
    return found


def _ratio(now: float, asked: float) -> str:
    ratio = now / asked if asked else inf
    return f" (× {ratio:.3g})" if isfinite(ratio) and ratio > 0 else ""


def _law(row: PlanRow) -> str:
    return spelled(row.law) if row.ruled else "no rule"


def _number(number: float | None) -> str:
    return "—" if number is None else f"{number:.4g}"


def _yes(decayed: bool) -> str:
    return "yes" if decayed else "no"
