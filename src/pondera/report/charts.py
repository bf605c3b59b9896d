"""The pictures of a study that are lines, each a pure function of the result; `race.py` has the dots.

Standalone, a chart carries its own title, width and legend (a click isolates a start); in the
page it fills its box, and the page's legend drives it through the parameter `picked`, the list
of labels to show, empty for all.
"""

from __future__ import annotations

from typing import Any

import altair as alt

from pondera.report.axes import even_ticks, finite, log_axis, span
from pondera.report.rows import (
    GridAxis,
    Result,
    Row,
    curve_rows,
    grid_rows,
    layer_rows,
    loss_ceiling,
)
from pondera.report.scores import Score
from pondera.report.stage import (
    Stage,
    floored,
    headed,
    lines,
    log_y,
    rows_named,
    worded,
)
from pondera.report.theme import LIGHT, Theme

_LAYER_TIPS = [
    worded("arm", "start"),
    worded("layer", "layer"),
    worded("kind", "kind"),
    alt.Tooltip("depth:Q", title="depth"),
    alt.Tooltip("signal:Q", title="signal", format=".3~g"),
    alt.Tooltip("spread:Q", title="spread", format=".3~g"),
    alt.Tooltip("gradient:Q", title="gradient", format=".3~g"),
    worded("dead", "dead units"),
]


def signal_chart(
    result: Result, *, theme: Theme = LIGHT, standalone: bool = True
) -> alt.LayerChart:
    """RMS of each layer's output before its activation, by depth, a line per start."""
    return _by_depth(result, "signal", "RMS of the signal", Stage.of(result, theme, standalone))


def spread_chart(
    result: Result, *, theme: Theme = LIGHT, standalone: bool = True
) -> alt.LayerChart:
    """How far two inputs still differ in each layer, by depth, a line per start."""
    title = "Spread of the signal across inputs"
    return _by_depth(result, "spread", title, Stage.of(result, theme, standalone))


def gradient_chart(
    result: Result, *, theme: Theme = LIGHT, standalone: bool = True
) -> alt.LayerChart:
    """RMS of the loss's gradient in each layer's weights, by depth, a line per start."""
    title = "RMS of the gradient"
    return _by_depth(result, "gradient", title, Stage.of(result, theme, standalone))


def _by_depth(result: Result, field: str, title: str, stage: Stage) -> alt.LayerChart:
    rows = layer_rows(result)
    axis = log_axis(row[field] for row in rows)
    deepest = max([2, *(row["depth"] for row in rows)])
    depth = (
        alt.X("depth:Q", title="depth of the layer")
        .scale(domain=span(deepest, first=1), nice=False)
        .axis(grid=False, tickMinStep=1)
    )
    drawn = lines(
        stage, rows_named("layers", rows), x=depth, y=log_y(axis, title), tips=_LAYER_TIPS
    )
    drawn = [layer.transform_calculate(at=floored(field, axis)) for layer in drawn]
    return stage.framed(drawn, f"{title} by depth")


def rates_chart(result: Result, *, theme: Theme = LIGHT, standalone: bool = True) -> alt.LayerChart:
    """Score on the validation rows against the learning rate, a line per start.

    A ring marks the rate that was chosen, × a run that diverged.
    """
    score, stage = Score.of(result), Stage.of(result, theme, standalone)
    rows, axis = grid_rows(result)
    drawn: dict[str, Any] = {
        "x": _rate_axis(rows),
        "y": _grid_height(axis, score),
        "tips": [
            worded("arm", "start"),
            alt.Tooltip("rate:Q", title="learning rate", format="~g"),
            worded("outcome", score.name),
        ],
    }
    named = rows_named("grid", rows)
    layers = [*lines(stage, named, **drawn), *_rate_marks(stage, named, **drawn)]
    return stage.framed(layers, f"Validation {score.name} by learning rate")


def _grid_height(axis: GridAxis, score: Score) -> alt.Y:
    """The scores, and below them a line that says what the crosses on it mean."""
    ticks = list(even_ticks(axis.scores.low, axis.scores.high))
    foot = [axis.cross(0)] if axis.deepest else []
    named = f"format(datum.value, '{score.axis_format}')"
    named = f"datum.value < {axis.scores.low!r} ? 'diverged' : {named}"
    title = f"{score.name} on the validation rows"
    return (
        alt.Y("at:Q")
        .scale(domain=[axis.low, axis.scores.high], nice=False, zero=False)
        .axis(headed(title, values=foot + ticks, labelExpr=named))
    )


def _rate_axis(rows: list[Row]) -> alt.X:
    rates = sorted({row["rate"] for row in rows}) or [0.1, 1.0]
    return (
        alt.X("rate:Q", title="learning rate")
        .scale(type="log", domain=[rates[0] / 1.3, rates[-1] * 1.3], nice=False)
        .axis(grid=False, values=rates, format="~g", labelOverlap=True)
    )


def _rate_marks(
    stage: Stage, rows: alt.InlineData, *, x: alt.X, y: alt.Y, tips: list[alt.Tooltip]
) -> list[alt.Chart]:
    """A ring around each chosen rate, and a cross at the foot for each run that diverged."""
    base = alt.Chart(rows).encode(x=x, color=stage.colour(), opacity=stage.opacity())
    rings = base.transform_filter("datum.chosen").mark_point(size=260, strokeWidth=2).encode(y=y)
    crosses = base.transform_filter("isValid(datum.cross)").mark_text(text="×", fontSize=20)
    return [rings, crosses.encode(y=alt.Y("cross:Q"), tooltip=tips)]


def losses_chart(
    result: Result, *, theme: Theme = LIGHT, standalone: bool = True
) -> alt.LayerChart:
    """Median training loss against the step, a line per start, with chance as a rule."""
    stage, rows = Stage.of(result, theme, standalone), curve_rows(result)
    chance = result["setting"]["chance"]["loss"]
    losses = finite([chance, *(row["loss"] for row in rows)])
    x = (
        alt.X("step:Q", title="step")
        .scale(domain=span(max([1, *(row["step"] for row in rows)])), nice=False)
        .axis(grid=False)
    )
    y, placed = _loss_axis(losses, loss_ceiling(result))
    tips = [
        worded("arm", "start"),
        alt.Tooltip("step:Q", title="step"),
        alt.Tooltip("loss:Q", title="training loss", format=".3~g"),
    ]
    drawn = lines(stage, rows_named("curves", rows), x=x, y=y, tips=tips, clip=True)
    drawn = [layer.transform_calculate(at=placed) for layer in drawn]
    return stage.framed([*_chance_loss(chance, y), *drawn], "Training loss by step")


def _loss_axis(losses: list[float], ceiling: float) -> tuple[alt.Y, str]:
    """The height of a loss, and the expression for what is drawn of it.

    Logarithmic, unless some loss is negative, as a user's own may be. A loss above the
    ceiling leaves the picture at the top.
    """
    if min(losses, default=0.0) < 0:
        linear = alt.Y("at:Q").scale(zero=False).axis(headed("training loss", tickCount=6))
        return linear, "datum.loss"
    axis = log_axis(loss for loss in losses if loss <= ceiling)
    return log_y(axis, "training loss"), floored("loss", axis)


def _chance_loss(chance: float | None, y: alt.Y) -> list[alt.Chart]:
    """A dashed rule where the loss of a constant guess lies, if that can be drawn."""
    if chance is None or chance <= 0:
        return []
    base = alt.Chart(rows_named("chance", [{"at": chance}])).encode(y=y)
    words = base.mark_text(text="chance", align="right", dy=-7).encode(x=alt.value("width"))
    return [base.mark_rule(strokeDash=[4, 4]), words]
