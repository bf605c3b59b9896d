"""What all pictures of one study share: how an arm is marked, picked, hovered and framed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from pondera.report.arms import Arm, arms_of, bounds_of
from pondera.report.axes import LogAxis
from pondera.report.rows import Result, Row
from pondera.report.theme import Theme, vega_config

WIDTH = 640
HEIGHT = 300
FADED = 0.18


@dataclass(frozen=True)
class Stage:
    """The arms, the ground they are drawn on, and whether the chart stands alone."""

    arms: tuple[Arm, ...]
    theme: Theme
    standalone: bool
    named: bool = False  # the picture itself names its arms, and needs no legend

    @classmethod
    def of(cls, result: Result, theme: Theme, standalone: bool, *, named: bool = False) -> Stage:
        """The stage for the charts of the starts."""
        return cls(arms_of(result), theme, standalone, named)

    @classmethod
    def of_bounds(
        cls, result: Result, theme: Theme, standalone: bool, *, named: bool = False
    ) -> Stage:
        """The stage for the charts of the bounds."""
        return cls(bounds_of(result), theme, standalone, named)

    @property
    def has_legend(self) -> bool:
        """Whether the chart carries a legend of its own."""
        return self.standalone and not self.named

    def colour(self) -> alt.Color:
        """The hue of each arm."""
        return self._by_arm(alt.Color, [self.theme.series[arm.series] for arm in self.arms])

    def dash(self) -> alt.StrokeDash:
        """The stroke of each arm's line."""
        return self._by_arm(alt.StrokeDash, [list(arm.dash) for arm in self.arms])

    def shape(self) -> alt.Shape:
        """The shape of each arm's points."""
        return self._by_arm(alt.Shape, [arm.shape for arm in self.arms])

    def _by_arm(self, channel: Any, marks: list[Any]) -> Any:
        legend = alt.Legend(symbolLimit=60) if self.has_legend else None
        labels = [arm.label for arm in self.arms]
        return channel("arm:N", legend=legend).scale(domain=labels, range=marks)

    def thickness(self) -> alt.StrokeWidthValue:
        """The winner's line is the widest."""
        winners = [arm.label for arm in self.arms if arm.winner]
        test = {"field": "arm", "oneOf": winners}
        return alt.StrokeWidthValue(1.8, condition=[{"test": test, "value": 3.2}])

    def picker(self) -> alt.Parameter:
        """The reader's choice of arms: by the chart's own legend, or set by the page."""
        if self.has_legend:
            return alt.selection_point(name="picked", fields=["arm"], bind="legend")
        return alt.param(name="picked", value=[])

    @property
    def is_picked(self) -> Any:
        """The predicate that holds for the chosen arms, and for all while none is chosen."""
        if self.has_legend:
            return {"param": "picked"}
        return "!picked.length || indexof(picked, datum.arm) >= 0"

    def opacity(self, shown: float = 1.0) -> alt.OpacityValue:
        """Arms that are not chosen fade."""
        return alt.OpacityValue(FADED, condition=[{"test": self.is_picked, "value": shown}])

    def framed(self, layers: Sequence[alt.Chart], title: str, height: int = HEIGHT) -> Any:
        """The layers as one chart, ready to stand in the page or alone."""
        width: Any = WIDTH if self.standalone else "container"
        chart: Any = alt.layer(*layers).properties(width=width, height=height)
        if self.standalone:
            chart = chart.properties(title=title)
        else:
            chart = chart.properties(autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
        return chart.add_params(self.picker()).configure(**vega_config(self.theme))


def rows_named(name: str, rows: list[Row]) -> alt.InlineData:
    """Rows under a name, by which a page stores once what several charts draw."""
    return alt.InlineData(values=rows, name=name)


def lines(
    stage: Stage, rows: alt.InlineData, *, x: alt.X, y: alt.Y, tips: Any, clip: bool = False
) -> list[Any]:
    """A line per arm, a few of its points with the arm's shape, and the nearest on hover."""
    hover = alt.selection_point(
        name="hover", on="pointerover", clear="pointerout", nearest=True, empty=False
    )
    seen = {"or": ["datum.marked", {"param": "hover", "empty": False}]}
    base = alt.Chart(rows).encode(x=x, y=y, color=stage.colour())
    strokes = base.mark_line(clip=clip).encode(
        strokeDash=stage.dash(), strokeWidth=stage.thickness(), opacity=stage.opacity()
    )
    points = (
        base.transform_filter(stage.is_picked)
        .mark_point(clip=clip, filled=True)
        .encode(
            shape=stage.shape(),
            opacity=alt.OpacityValue(0, condition=[{"test": seen, "value": 1}]),
            size=alt.SizeValue(70, condition=[{"param": "hover", "empty": False, "value": 170}]),
            tooltip=tips,
        )
        .add_params(hover)
    )
    return [strokes, points]


def worded(field: str, title: str) -> alt.Tooltip:
    """A tooltip of text.

    Where the nearest point is sought, Vega-Lite 6.4 reads a nominal tooltip without a format
    from the wrong object and shows "undefined"; the empty format makes it read the right one.
    """
    return alt.Tooltip(f"{field}:N", title=title, format="")


def log_y(axis: LogAxis, title: str) -> alt.Y:
    """A logarithmic height; the field `at` holds what is drawn."""
    return (
        alt.Y("at:Q")
        .scale(type="log", domain=[axis.low, axis.high], nice=False)
        .axis(headed(title, values=list(axis.labels), labelExpr=_tick_labels(axis.labels)))
    )


def log_x(axis: LogAxis, title: str, *, zero: str) -> alt.X:
    """A logarithmic width with a name for its zero; the field `across` holds what is drawn."""
    labels = axis.labels | ({axis.low: zero} if axis.holds_zero else {})
    return (
        alt.X("across:Q", title=title)
        .scale(type="log", domain=[axis.low, axis.high], nice=False)
        .axis(grid=False, values=list(labels), labelExpr=_tick_labels(labels))
    )


def _tick_labels(labels: Mapping[float, str]) -> str:
    """Vega expression that finds a tick's label by the tick, written as d3 writes it."""
    named = {}
    for tick, label in labels.items():
        mantissa, exponent = f"{tick:.1e}".split("e")
        named[f"{mantissa}e{int(exponent):+d}"] = label
    return f"{json.dumps(named, ensure_ascii=False)}[format(datum.value, '.1e')]"


def floored(field: str, axis: LogAxis) -> str:
    """Vega expression for what is drawn of a field: a gap for none, the axis's end for zero."""
    return f"isValid(datum.{field}) ? max(datum.{field}, {axis.low!r}) : null"


def headed(title: str, **settings: Any) -> alt.Axis:
    """An axis for heights, titled above it and level, so that it costs no width."""
    return alt.Axis(
        title=title,
        titleAlign="left",
        titleAnchor="start",
        titleAngle=0,
        titleBaseline="bottom",
        titleX=0,
        titleY=-10,
        **settings,
    )
