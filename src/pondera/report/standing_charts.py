"""The picture of how bounds stand: a lane per parameter, and side by side what is left of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt

from pondera.report.standing import REACH, Standing, heading, lane_labels, ratio_rows, share_rows
from pondera.report.theme import LIGHT, Theme, vega_config

_LANE, _WIDTH = 26, 170  # pixels
_INSIDE = 0.55  # a bar from this share on carries its words itself
_SERIES = 5  # of the theme's colours

Field = Literal["zeros", "groups"]


def standing_chart(standing: Standing, *, theme: Theme = LIGHT, standalone: bool = True) -> Any:
    """Exact zeros, groups left, λ realised over asked, and RMS over its equilibrium, by parameter.

    Args:
        standing: {"rows": a row per parameter, "steps": n}, as `BoundsReport.plain` gives it.
        theme: `pondera.report.theme.LIGHT` or `DARK`.
        standalone: with a title.

    Returns:
        An altair chart; `.save("bounds.png")` writes it.
    """
    lanes = _Lanes(lane_labels(standing), theme)
    shares = share_rows(standing)
    panels = [lanes.bars(shares, "zeros", "weights that are exactly 0", named=True)]
    if any(row["groups"] is not None for row in shares):
        panels.append(lanes.bars(shares, "groups", "groups that are left"))
    for measured, asked, title in (
        ("realised", "strength", "λ realised / asked"),
        ("rms", "equilibrium", "RMS / equilibrium"),
    ):
        dots = ratio_rows(standing, measured, asked)
        if dots:
            panels.append(lanes.dots(dots, title))
    chart: Any = alt.hconcat(*panels, spacing=24)
    if standalone:
        chart = chart.properties(title=heading(standing))
    return chart.configure(**vega_config(theme))


@dataclass(frozen=True)
class _Lanes:
    """The lanes that all panels share.

    Args:
        labels: a name per lane.
        theme: the ground.
    """

    labels: list[str]
    theme: Theme

    def bars(
        self, rows: list[dict[str, Any]], field: Field, title: str, *, named: bool = False
    ) -> Any:
        """A share of each parameter as a bar, with its numbers in words."""
        across = (
            alt.X(f"{field}:Q", title=None)
            .scale(domain=[0, 1], nice=False)
            .axis(format=".0%", values=[0, 0.5, 1])
        )
        base = self._base(rows, named, f"{field} said", title)
        held = base.transform_filter(f"isValid(datum['{field}'])")
        sides: Any = (
            (">=", "right", -6, self.theme.ground),
            ("<", "left", 6, self.theme.ink),
        )
        bar = held.mark_bar(fill=self.theme.series[_SERIES], height=_LANE - 10)
        return self._framed(
            title,
            bar.encode(x=across),
            *(
                held.transform_filter(f"datum['{field}'] {test} {_INSIDE}")
                .mark_text(align=side, dx=aside, fill=ink)
                .encode(x=across, text=f"{field} said:N")
                for test, side, aside, ink in sides
            ),
        )

    def dots(self, rows: list[dict[str, Any]], title: str) -> Any:
        """A ratio as a dot beside the line where it is 1, a triangle beyond the edge, and in words."""
        across = (
            alt.X("at:Q", title=None)
            .scale(domain=[0, REACH], nice=False)
            .axis(values=[0, 1, 2], format="d")
        )
        shapes = alt.Shape("edge:N", legend=None).scale(
            domain=["within", "over", "under"], range=["circle", "triangle-right", "triangle-left"]
        )
        base, colour = self._base(rows, False, "said", title), self.theme.series[_SERIES]
        one = alt.Chart(alt.InlineData(values=[{"at": 1}])).mark_rule(strokeDash=[4, 4])
        points = base.mark_point(filled=True, size=80, color=colour, opacity=1)
        words = base.mark_text(align="left", dx=10, fill=self.theme.ink)
        return self._framed(
            title,
            one.encode(x=across),
            points.encode(x=across, shape=shapes),
            words.encode(x=alt.value(_WIDTH), text="said:N"),
        )

    def _base(self, rows: list[dict[str, Any]], named: bool, said: str, title: str) -> alt.Chart:
        """Rows in their lanes, with what is told of each."""
        names = f"{json.dumps(self.labels, ensure_ascii=False)}[datum.value]"
        settings: dict[str, Any] = {"labelExpr": names, "labelColor": self.theme.ink}
        chosen: dict[str, Any] = settings if named else {"labels": False}
        axis = alt.Axis(title=None, labelLimit=0, **chosen)
        down = alt.Y("lane:O", axis=axis).scale(domain=list(range(len(self.labels))))
        tips = (("name", "parameter"), ("bound", "bound"), (said, title))
        return alt.Chart(alt.InlineData(values=rows)).encode(
            y=down, tooltip=[alt.Tooltip(f"{field}:N", title=told) for field, told in tips]
        )

    def _framed(self, title: str, *layers: Any) -> Any:
        words = alt.TitleParams(title, fontSize=12, fontWeight="normal", frame="group", offset=8)
        height = _LANE * max(1, len(self.labels))
        return alt.layer(*layers).properties(width=_WIDTH, height=height, title=words)
