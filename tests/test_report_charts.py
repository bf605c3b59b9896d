"""The pictures of a study: what they draw, on what ground, and what is said under them."""

import copy
from itertools import pairwise
from math import inf

import pytest
import vl_convert
from hypothesis import given
from hypothesis import strategies as st

from pondera.report import arms, axes, captions, charts, figures, lanes, race, rows, theme
from pondera.report.scores import Score
from pondera.report.wording import change
from tests.study_results import (
    HOSTILE,
    SHAPES,
    entry,
    layer,
    look,
    lost,
    many,
    one,
    regression,
    small,
)


def test_starts_that_share_a_title_are_told_apart_by_their_keys():
    result = small()
    result["race"]["mirrored"]["title"] = result["race"]["default"]["title"] = "Same"
    labels = [arm.label for arm in arms.arms_of(result)]
    assert labels[0] == "Same (default)"
    assert labels[2] == "Same (mirrored)"


def drawn(chart):
    return vl_convert.vegalite_to_svg(chart.to_dict(), vl_version=figures.vega_lite_version())


@pytest.mark.parametrize("shape", SHAPES)
def test_every_picture_of_every_shape_can_be_drawn(shape):
    result = SHAPES[shape]()
    shown = figures.figures(result)
    assert shown
    for figure in shown:
        picture = drawn(figure.chart(result))
        assert "NaN" not in picture
        assert "Infinity" not in picture
        figure.chart(result, theme=theme.PAGE, standalone=False).to_dict()


def test_pictures_without_numbers_are_left_out():
    assert [figure.name for figure in figures.figures(lost())] == ["race", "rates"]
    assert len(figures.figures(small())) == 6


def test_a_lost_start_keeps_its_lane_and_says_so():
    picture = drawn(race.race_chart(small()))
    assert "diverged: &lt;i&gt;too large&lt;/i&gt;" in picture
    assert "1 of 3 diverged · 10.0%" in picture
    assert "chance 10.0%" in picture
    everything = drawn(race.race_chart(lost()))
    assert everything.count(">diverged<") == 3


def test_a_learning_rate_that_diverged_is_crossed_out_above_the_last():
    crosses = [row["cross"] for row in rows.grid_rows(small())[0] if row["cross"] is not None]
    assert len(crosses) == 4
    picture = drawn(charts.rates_chart(small()))
    assert picture.count(">×<") == 4
    assert ">diverged<" in picture
    at_one_rate = [row["cross"] for row in rows.grid_rows(small())[0] if row["rate"] == 0.01]
    assert at_one_rate == sorted(set(at_one_rate))


def test_zeros_stand_at_a_floor_that_is_labelled_zero():
    result = one()
    result["looks"]["mirrored"] = look([layer(1, 0.0, 1.0, 1.0), layer(2, 1e-3, 1.0, 1.0)])
    assert ">0<" in drawn(charts.signal_chart(result))
    assert ">0<" not in drawn(charts.spread_chart(result))
    assert "zero" in figures.SIGNAL.spoken(result)
    assert "zero" not in figures.SPREAD.spoken(result)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True) | st.none(), max_size=8))
def test_a_log_axis_holds_whatever_it_is_given(quantities):
    axis = axes.log_axis(quantities)
    assert 0 < axis.low < axis.high < inf
    assert axis.ticks
    assert len(axis.ticks) <= axes.MOST_TICKS + 1
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks)
    inside = [quantity for quantity in axes.finite(quantities) if 1e-250 < quantity < 1e250]
    assert all(axis.low < quantity < axis.high for quantity in inside)
    assert axis.holds_zero == any(quantity <= 0 for quantity in axes.finite(quantities))


def test_the_floor_for_zeros_lies_well_below_every_other_point():
    assert axes.log_axis([0.0, 1e-3, 1.0]).low <= 1e-4
    assert axes.log_axis([1e-3, 1.0]).low > 5e-4


def test_ticks_of_a_log_axis_are_whole_powers_or_round_numbers():
    assert axes.log_axis([1e-33, 1.0]).ticks == pytest.approx([10.0**p for p in range(-30, 1, 5)])
    assert axes.log_axis([0.03, 2.3]).ticks == pytest.approx([0.05, 0.1, 0.2, 0.5, 1, 2])
    assert axes.log_axis([1e-33, 1.0]).labels[1.0] == "10⁰"


def test_ticks_are_labelled_in_the_picture():
    picture = drawn(charts.signal_chart(many()))
    for tick, label in axes.log_axis([0.99**depth for depth in range(1, 1001)]).labels.items():
        assert f">{label}<" in picture, tick


def test_one_hopeless_score_does_not_crush_the_race():
    axis = axes.score_axis([-3000.0, 0.2, 0.9], chance=0.0)
    assert axis.clips
    assert -1 < axis.low < -0.4
    assert not axes.score_axis([0.2, 0.9], chance=0.0).clips


def test_chance_is_on_the_axis_unless_it_would_crush_the_race():
    assert axes.score_axis([0.3, 0.9], chance=0.1).low < 0.1
    zoomed = axes.score_axis([0.93, 0.95], chance=0.1)
    assert not zoomed.shows_chance
    assert zoomed.low > 0.9


def test_the_clipped_score_keeps_its_own_number():
    axis, score = lanes.race_axis(regression()), Score.of(regression())
    first = lanes.dot_rows(lanes.race_lanes(regression()), axis, score)[0]
    assert first["at"] == axis.low
    assert first["score"] == "−3,000"


def test_a_diverged_run_counts_as_infinitely_bad_in_the_median():
    result = one()
    result["race"]["mirrored"]["runs"] = [
        {"seed": seed, "test_score": None, "losses": losses}
        for seed, losses in enumerate([[3.0, 1.0, 1.0], [2.0, None, None], [1.0, 2.0, None]])
    ]
    assert [row["loss"] for row in rows.curve_rows(result)] == [2.0, 2.0, None]


def test_a_negative_loss_is_drawn_on_a_linear_axis():
    kinds = {
        name: charts.losses_chart(SHAPES[name]()).to_dict() for name in ("small", "regression")
    }
    assert '"log"' in str(kinds["small"]).replace("'", '"')
    assert '"log"' not in str(kinds["regression"]).replace("'", '"')


def test_a_loss_that_explodes_does_not_flatten_the_others():
    result = small()
    result["race"]["default"] = entry("PyTorch default", [0.1], [1e31, 2.3, 2.3])
    assert rows.loss_ceiling(result) == pytest.approx(30 * 2.302585)
    picture = drawn(charts.losses_chart(result))
    assert ">0.1<" in picture
    assert ">10³⁰<" not in picture
    assert captions.losses_notes(result)[0] == "Losses reach 10³¹, beyond the upper edge."
    result["setting"]["chance"] = {"loss": None, "score": None}
    assert rows.loss_ceiling(result) == pytest.approx(30 * 2.3)


def test_a_study_without_chance_is_drawn_without_its_rules():
    result = small()
    result["setting"]["chance"] = {"loss": None, "score": None}
    for figure in figures.figures(result):
        assert ">chance" not in drawn(figure.chart(result))
    assert ">chance<" in drawn(charts.losses_chart(small()))


def test_many_layers_are_thinned_evenly_with_both_ends():
    depths = [row["depth"] for row in rows.layer_rows(many()) if row["arm"] == "Start 7"]
    assert len(depths) == rows.MOST_LAYERS
    assert (depths[0], depths[-1]) == (1, 1000)
    assert {second - first for first, second in pairwise(depths)} <= {10, 11}
    assert "Of 1,000 layers 100 are drawn" in figures.SIGNAL.spoken(many())


@pytest.mark.parametrize(("standalone", "legends"), [(True, True), (False, False)])
def test_the_legend_is_the_charts_own_only_when_it_stands_alone(standalone, legends):
    spec = charts.signal_chart(small(), standalone=standalone).to_dict()
    picker = next(param for param in spec["params"] if param["name"] == "picked")
    assert (picker.get("bind") == "legend") is legends
    assert (spec["width"] == "container") is not legends


def test_the_page_may_pick_starts_by_their_labels():
    spec = race.race_chart(small(), theme=theme.PAGE, standalone=False).to_dict()
    assert {"name": "picked", "value": []} in spec["params"]


def test_captions_follow_the_numbers():
    result = small()
    assert "falls by a factor of 100 with PyTorch default" in captions.signal_caption(result)
    assert "changes by 4% with Mirrored" in captions.signal_caption(result)
    assert "falls to zero with PyTorch default" in captions.gradient_caption(result)
    result["looks"]["default"] = copy.deepcopy(result["looks"]["mirrored"])
    assert "falls" not in captions.signal_caption(result)


def test_the_loss_caption_names_who_stayed_at_chance():
    assert captions.losses_caption(small()).endswith("as with PyTorch default.")
    result = one()
    assert captions.losses_caption(result).endswith("every line leaves chance.")


def test_notes_are_made_only_where_they_hold():
    assert captions.race_notes(one()) == ["Chance, 10.0%, lies beyond the left edge."]
    assert captions.race_notes(small()) == [
        "Some runs diverged: PyTorch default.",
        f"Diverged: {HOSTILE}.",
    ]
    assert "Scores far below chance stand at the left edge." in captions.race_notes(regression())
    assert captions.rates_notes(one())[-1] == (
        "At the edge of the rates tried, so a better one may exist: Mirrored."
    )
    finished = one()
    finished["race"]["mirrored"] = entry("Mirrored", [0.1, 0.9], [2.3, 0.5, 0.01])
    assert captions.race_notes(finished) == []
    assert captions.losses_notes(finished) == []


def test_what_becomes_of_a_quantity_is_told_in_words():
    assert change(1.0, 1e30) == "grows by a factor of 10³⁰"
    assert change(None, 1.0) == "is lost to numbers that are not finite"
    assert change(0.0, 1.0) == "is zero from the beginning"
