"""The picture of the race: a lane per start, a dot per seed, median, interval and chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import altair as alt

from pondera.report.axes import ScoreAxis
from pondera.report.lanes import LANE_HEAD, dot_rows, lane_rows, race_axis, race_lanes
from pondera.report.rows import Result
from pondera.report.scores import Score
from pondera.report.stage import Stage, rows_named
from pondera.report.theme import LIGHT, Theme

_LANE = 54  # pixels
_NAME_WIDTH = "max(0.42 * width, width - 8 * length(datum.words) - 12)"  # the rest is the median's


def race_chart(result: Result, *, theme: Theme = LIGHT, standalone: bool = True) -> alt.LayerChart:
    """Score on the test rows of every run, a lane per start.

    A start that diverged or was left out keeps its lane, and the lane says so.
    """
    stage, axis = Stage.of(result, theme, standalone, named=True), race_axis(result)
    setting, score, raced = result["setting"], Score.of(result), race_lanes(result)
    lanes = Lanes(
        stage,
        axis,
        max(1, len(raced)),
        score,
        "start",
        rows=rows_named("lanes", lane_rows(raced, axis, score)),
        runs=rows_named("runs", dot_rows(raced, axis, score)),
        title=f"{score.name} on the test rows",
    )
    layers = [*lanes.chance(setting["chance"]["score"]), *lanes.words(), *lanes.marks()]
    title = f"Test {setting['score']}, each start at its best learning rate"
    return stage.framed(layers, title, lanes.height)


@dataclass(frozen=True)
class Lanes:
    """The lanes, from the top down, and what is drawn in them."""

    stage: Stage
    axis: ScoreAxis
    count: int
    score: Score
    noun: str  # what has a lane each
    rows: alt.InlineData
    runs: alt.InlineData
    title: str  # of the axis

    @property
    def height(self) -> int:
        """Of all lanes, in pixels."""
        return _LANE * self.count

    def across(self, field: str) -> alt.X:
        """Where a score lies."""
        return (
            alt.X(f"{field}:Q", title=self.title)
            .scale(domain=[self.axis.low, self.axis.high], nice=False, zero=False)
            .axis(tickCount=6, format=self.score.axis_format)
        )

    def down(self, field: str) -> alt.Y:
        """Where a lane lies; 0 is the top of the first."""
        return alt.Y(f"{field}:Q", axis=None).scale(domain=[self.count, 0], nice=False)

    def chance(self, chance: float | None) -> list[alt.Chart]:
        """A dashed rule in each lane at the score of a constant guess, named above the lanes."""
        if chance is None or not self.axis.shows_chance:
            return []
        base = alt.Chart(self.rows).transform_calculate(
            at=repr(float(chance)), head=f"datum.top + {LANE_HEAD}", foot="datum.top + 1"
        )
        left = chance - self.axis.low < (self.axis.high - self.axis.low) / 2
        rules = base.transform_filter("datum.ran").mark_rule(strokeDash=[4, 4])
        words = base.transform_filter("datum.top == 0").mark_text(
            text=f"chance {self.score(chance)}", dy=-8, align="left" if left else "right"
        )
        at = self.across("at")
        return [
            rules.encode(x=at, y=self.down("head"), y2="foot:Q"),
            words.encode(x=at, y=alt.value(0)),
        ]

    def words(self) -> list[alt.Chart]:
        """Above each lane its name and its median; in the lane of a lost start, why."""
        theme, base = self.stage.theme, alt.Chart(self.rows)
        rules = base.mark_rule(stroke=theme.line).encode(y=self.down("top"))
        heads = base.encode(y=self.down("head"), opacity=self.stage.opacity())
        names = heads.mark_text(
            align="left", fill=theme.ink, fontWeight=600, limit=alt.expr(_NAME_WIDTH)
        )
        medians = heads.mark_text(align="right", fill=theme.ink, fontWeight=600)
        lost = base.transform_filter("!datum.ran").mark_text(align="left", limit=alt.expr("width"))
        return [
            rules,
            names.encode(x=alt.value(0), text="arm:N"),
            medians.encode(x=alt.value("width"), text="words:N"),
            lost.encode(
                x=alt.value(0),
                y=self.down("lane"),
                text="fate:N",
                tooltip="fate:N",
                opacity=self.stage.opacity(),
            ),
        ]

    @property
    def tips(self) -> list[alt.Tooltip]:
        """What is said of a lane as a whole."""
        return [
            alt.Tooltip("arm:N", title=self.noun),
            alt.Tooltip("middle:N", title="median"),
            alt.Tooltip("interval:N", title="interval"),
            alt.Tooltip("remark:N", title="runs"),
        ]

    def marks(self) -> list[alt.Chart]:
        """The interval as a band, the seeds as dots, the median as a bar across them."""
        lane: dict[str, Any] = {"y": self.down("lane"), "color": self.stage.colour()}
        base = alt.Chart(self.rows).transform_filter("datum.ran").encode(tooltip=self.tips, **lane)
        band = base.mark_rule(strokeWidth=14).encode(
            x=self.across("low"), x2="high:Q", opacity=self.stage.opacity(0.22)
        )
        bar = base.mark_tick(thickness=3.5, size=30, orient="vertical").encode(
            x=self.across("median"), opacity=self.stage.opacity()
        )
        return [band, self._dots(lane), bar]

    def _dots(self, lane: dict[str, Any]) -> alt.Chart:
        tips = [
            alt.Tooltip("arm:N", title=self.noun),
            alt.Tooltip("seed:N", title="seed"),
            alt.Tooltip("score:N", title=self.score.name),
        ]
        dots = alt.Chart(self.runs).mark_point(filled=True, size=60)
        return dots.encode(
            x=self.across("at"),
            shape=self.stage.shape(),
            opacity=self.stage.opacity(0.75),
            tooltip=tips,
            **lane,
        )
