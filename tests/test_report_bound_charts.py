"""The pictures of the second half of a study: paths of strengths, zeros, and lanes of what they end with."""

import re
from itertools import pairwise
from math import log10

import pytest

from pondera.report import axes, bound_charts, bounds, figures, page, theme
from tests.study_results import (
    HOSTILE,
    bound,
    bounded,
    broken,
    half,
    point,
    small,
    unbounded_regression,
)
from tests.test_report_charts import drawn


def rows_of(result, label):
    return [row for row in bounds.path_rows(result) if row["arm"] == label]


# --- the pictures by strength ---


def test_a_path_begins_unbounded_at_the_left_edge_and_rises():
    axis = bounds.PathAxes.of(bounded()).strengths
    path = rows_of(bounded(), "L2, in the loss")
    assert path[0]["across"] == axis.low
    assert axis.low < 0.001 / 5
    assert all(first["across"] < second["across"] for first, second in pairwise(path))
    assert [row["strength"] for row in path] == ["0", "0.001", "0.01", "0.1"]
    assert all(axis.low <= row["across"] <= axis.high for row in bounds.path_rows(bounded()))
    for name in ("strengths", "zeros"):
        figure = next(figure for figure in figures.figures(bounded()) if figure.name == name)
        assert ">0, no bound<" in drawn(figure.chart(bounded()))


@pytest.mark.parametrize("count", [2, 6, 40])
def test_bounds_of_one_strength_stand_side_by_side_and_never_pass_the_next(count):
    result, same = small(), [point(0.0, 0.8), point(0.001, 0.8), point(0.003, 0.7)]
    entries = {f"b{k}": bound(f"b{k}", same, [0.8] * 3, chosen=1) for k in range(count)}
    result["bounds"] = half(entries, "b0", None)
    at_one, at_next = (
        [row["across"] for row in bounds.path_rows(result) if row["strength"] == strength]
        for strength in ("0.001", "0.003")
    )
    assert len(set(at_one)) == count
    assert max(at_one) < min(at_next)
    assert max(abs(log10(across / 0.001)) for across in at_one) < 0.1  # the room of the axis
    assert {row["across"] for row in bounds.path_rows(result) if row["strength"] == "0"} == {
        bounds.PathAxes.of(result).strengths.low
    }


def test_training_on_without_a_bound_runs_level_and_has_no_ring():
    axis = bounds.PathAxes.of(bounded()).strengths
    level = rows_of(bounded(), "no bound")
    assert [row["across"] for row in level] == [axis.low, axis.high]
    assert {row["at"] for row in level} == {0.78}  # as many steps as the others
    assert not any(row["chosen"] for row in level)


def test_the_strength_that_was_chosen_is_ringed_in_both_pictures():
    ringed = [row for row in bounds.path_rows(bounded()) if row["chosen"]]
    assert [(row["arm"], row["strength"]) for row in ringed] == [
        ("L2, in the loss", "0.01"),
        (HOSTILE, "0.01"),
    ]
    for chart in (bound_charts.strengths_chart, bound_charts.zeros_chart):
        layers = chart(bounded()).to_dict()["layer"]
        ring = next(
            layer for layer in layers if layer.get("transform") == [{"filter": "datum.chosen"}]
        )
        assert ring["mark"]["type"] == "point"
        assert not ring["mark"].get("filled")


def test_whiskers_reach_one_standard_error_to_each_side():
    row = rows_of(bounded(), "L2, in the loss")[1]
    assert (row["low"], row["at"], row["high"]) == pytest.approx((0.79, 0.81, 0.83))
    assert row["outcome"] == "81.0% ± 2.0 points"
    encoding = bound_charts.strengths_chart(bounded()).to_dict()["layer"][-1]
    assert encoding["mark"]["type"] == "rule"
    assert (encoding["encoding"]["y"]["field"], encoding["encoding"]["y2"]["field"]) == (
        "low",
        "high",
    )
    marks = [
        layer["mark"]["type"] for layer in bound_charts.zeros_chart(bounded()).to_dict()["layer"]
    ]
    assert "rule" not in marks


def test_a_bound_that_breaks_the_network_does_not_crush_the_others():
    axis = bounds.PathAxes.of(bounded()).scores
    assert axis.clips
    assert 0.5 < axis.low < 0.6
    last = rows_of(bounded(), HOSTILE)[-1]
    assert last["at"] == axis.low
    assert last["outcome"].startswith("10.0%")
    shallow = bounded()
    for entry in shallow["bounds"]["arms"].values():
        for at in entry["points"]:
            at["validation"] = 0.8
    assert not bounds.PathAxes.of(shallow).scores.clips


def test_zeros_are_drawn_as_shares_and_a_floor_keeps_them_off_the_labels():
    assert [row["zeros"] for row in rows_of(bounded(), HOSTILE)] == [0.0, 0.0, 0.5, 0.9]
    domain = bound_charts.zeros_chart(bounded()).to_dict()["layer"][0]["encoding"]["y"]["scale"][
        "domain"
    ]
    assert domain[0] < 0 < 0.9 < domain[1]
    assert bounds.PathAxes.of(broken()).most_zeros == 1


def test_a_path_that_diverged_leaves_a_gap_and_says_so():
    assert [row["at"] for row in rows_of(broken(), "L2")] == [0.8, None, None]
    assert rows_of(broken(), "L2")[1]["outcome"] == "diverged"
    assert rows_of(broken(), "L2")[2]["zeros"] is None
    lost = broken()
    for entry in lost["bounds"]["arms"].values():
        entry["points"] = [{"strength": 0.0}]
    assert [figure.name for figure in figures.figures(lost) if figure.group == "bounds"] == [
        "bounds"
    ]
    page.page(lost)


# --- the lanes ---


def test_the_hollow_mark_is_the_training_score_and_its_line_the_gap():
    axis = bounds.bound_axis(bounded())
    lanes = bounds.bound_lane_rows(bounded(), axis)
    assert [(row["median"], row["trained"]) for row in lanes] == [
        (0.77, 1.0),
        (0.8, 0.95),
        (0.84, 0.9),
    ]
    assert [row["gap"] for row in lanes] == ["+23.0 points", "+15.0 points", "+6.0 points"]
    assert axis.low < 0.76
    assert axis.high > 1.0
    layers = bound_charts.bounds_chart(bounded(), theme=theme.DARK).to_dict()["layer"]
    hollow = [layer for layer in layers if layer["mark"].get("fill") == theme.DARK.ground]
    assert [layer["encoding"]["x"]["field"] for layer in hollow] == ["trained"]
    line = next(
        layer for layer in layers if layer["encoding"].get("x2", {}).get("field") == "trained"
    )
    assert line["encoding"]["x"]["field"] == "median"


def test_a_lane_names_bound_strength_and_score_and_holds_a_dot_per_seed():
    picture = drawn(bound_charts.bounds_chart(bounded()))
    for words in (">no bound<", ">77.0%<", ">λ = 0.01 · 80.0%<", ">λ = 0.01 · 84.0%<"):
        assert words in picture
    dots = bounds.bound_dots(bounded(), bounds.bound_axis(bounded()))
    assert len(dots) == 9
    assert [dot["at"] for dot in dots[:3]] == [0.76, 0.77, 0.78]
    assert "chance" not in picture  # all of them are far better


def test_on_a_narrow_screen_a_name_leaves_room_for_strength_and_score():
    result = bounded()
    result["bounds"]["arms"]["l2"]["title"] = "n" * 35
    wide, narrow = (
        drawn(bound_charts.bounds_chart(result).properties(width=width)) for width in (640, 300)
    )
    assert f">{'n' * 35}<" in wide
    assert re.search(r">n{10,20}…<", narrow)
    assert ">λ = 0.01 · 80.0%<" in narrow


def test_a_bound_that_lost_runs_keeps_its_lane_and_says_so():
    picture = drawn(bound_charts.bounds_chart(broken()))
    assert ">1 of 3 diverged · 71.0%<" in picture
    assert ">3 of 3 diverged<" in picture
    axis = bounds.bound_axis(broken())
    assert [row["trained"] for row in bounds.bound_lane_rows(broken(), axis)] == [1.0, 1.0, None]


def test_hopeless_scores_do_not_crush_the_lanes():
    axis = bounds.bound_axis(unbounded_regression())
    assert axis.clips
    assert -1 < axis.low < 0
    assert "chance 0.000" in drawn(bound_charts.bounds_chart(unbounded_regression()))


def test_the_axis_of_strengths_has_a_place_for_zero_of_its_own():
    axis = axes.log_axis([0.0, 3e-05, 0.243])
    assert axis.holds_zero
    assert axis.labels[axis.low] == "0"
    assert axis.ticks[0] > 10 * axis.low  # its label has room
