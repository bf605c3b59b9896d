"""The pictures of the second half: what each bound ends with, and its path of strengths.

They are driven like those of the starts, through the parameter `picked`; its labels are bounds.
"""

from __future__ import annotations

from typing import Any

import altair as alt

from pondera.report.bounds import (
    PathAxes,
    bound_axis,
    bound_dots,
    bound_lane_rows,
    bound_lanes,
    path_rows,
)
from pondera.report.race import Lanes
from pondera.report.rows import Result
from pondera.report.scores import Score
from pondera.report.stage import Stage, headed, lines, log_x, rows_named, worded
from pondera.report.theme import LIGHT, Theme

_BOUNDLESS = "0, no bound"
_PATH_TIPS = [
    worded("arm", "bound"),
    worded("strength", "λ"),
    worded("outcome", "validation"),
    worded("training", "training"),
    worded("share", "exact zeros"),
]


def bounds_chart(
    result: Result, *, theme: Theme = LIGHT, standalone: bool = True
) -> alt.LayerChart:
    """Final score on the test rows of every seed, a lane per bound, with the training score hollow."""
    stage, axis = Stage.of_bounds(result, theme, standalone, named=True), bound_axis(result)
    score = Score.of(result)
    lanes = Lanes(
        stage,
        axis,
        max(1, len(bound_lanes(result))),
        score,
        "bound",
        rows=rows_named("bound lanes", bound_lane_rows(result, axis)),
        runs=rows_named("bound runs", bound_dots(result, axis)),
        title=f"{score.name} on the test rows (hollow: on the training rows)",
    )
    chance = lanes.chance(result["setting"]["chance"]["score"])
    layers = [*chance, *lanes.words(), *_gaps(lanes), *lanes.marks()]
    return stage.framed(layers, f"Test {score.name}, each bound at its strength", lanes.height)


def _gaps(lanes: Lanes) -> list[alt.Chart]:
    """A line from the median on test rows to a hollow mark at that on training rows."""
    tips = [
        alt.Tooltip("arm:N", title=lanes.noun),
        alt.Tooltip("training:N", title="training"),
        alt.Tooltip("middle:N", title="test"),
        alt.Tooltip("gap:N", title="gap"),
    ]
    base = alt.Chart(lanes.rows).transform_filter("datum.ran && isValid(datum.trained)")
    base = base.encode(y=lanes.down("lane"), color=lanes.stage.colour(), tooltip=tips)
    line = base.mark_rule(strokeWidth=1.5).encode(
        x=lanes.across("median"), x2="trained:Q", opacity=lanes.stage.opacity(0.55)
    )
    mark = base.mark_point(
        filled=False, fill=lanes.stage.theme.ground, size=80, strokeWidth=2
    ).encode(x=lanes.across("trained"), shape=lanes.stage.shape(), opacity=lanes.stage.opacity())
    return [line, mark]


def strengths_chart(
    result: Result, *, theme: Theme = LIGHT, standalone: bool = True
) -> alt.LayerChart:
    """Score on the validation rows against the strength, a line per bound, whiskers of one standard error.

    A ring marks the strength that was chosen; training on without a bound runs level.
    """
    stage, axes, score = (
        Stage.of_bounds(result, theme, standalone),
        PathAxes.of(result),
        Score.of(result),
    )
    height = (
        alt.Y("at:Q")
        .scale(domain=[axes.scores.low, axes.scores.high], nice=False, zero=False)
        .axis(headed(f"{score.name} on the validation rows", format=score.axis_format, tickCount=6))
    )
    title = f"Validation {score.name} by strength"
    return stage.framed(_paths(result, stage, axes, height, whiskers=True), title)


def zeros_chart(result: Result, *, theme: Theme = LIGHT, standalone: bool = True) -> alt.LayerChart:
    """Share of weights that are exactly zero against the strength, a line per bound."""
    stage, axes = Stage.of_bounds(result, theme, standalone), PathAxes.of(result)
    room = 0.04 * axes.most_zeros  # so that a ring on the floor stays clear of the labels
    height = (
        alt.Y("zeros:Q")
        .scale(domain=[-room, axes.most_zeros + room], nice=False, zero=False)
        .axis(headed("weights that are exactly 0", format=".3~p", tickCount=6))
    )
    return stage.framed(_paths(result, stage, axes, height), "Exact zeros by strength")


def _paths(
    result: Result, stage: Stage, axes: PathAxes, height: alt.Y, *, whiskers: bool = False
) -> list[Any]:
    """The layers that both pictures by strength share."""
    rows = rows_named("paths", path_rows(result))
    width = log_x(axes.strengths, "strength λ", zero=_BOUNDLESS)
    base = alt.Chart(rows).encode(x=width, color=stage.colour())
    rings = base.transform_filter("datum.chosen").mark_point(size=260, strokeWidth=2)
    layers = [
        *lines(stage, rows, x=width, y=height, tips=_PATH_TIPS),
        rings.encode(y=height, opacity=stage.opacity()),
    ]
    if whiskers:
        error = base.mark_rule(strokeWidth=1.5).encode(
            y=alt.Y("low:Q"), y2="high:Q", opacity=stage.opacity(0.45)
        )
        layers.append(error)
    return layers
