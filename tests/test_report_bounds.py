"""The second half of a study on page and terminal; `test_report_bound_charts.py` has its pictures."""

import copy
import re

import pytest

from pondera import report
from pondera.report import (
    arms,
    bound_captions,
    bound_tables,
    figures,
    page,
)
from tests.study_results import (
    HOSTILE,
    SHAPES,
    bounded,
    broken,
    many,
    unbounded_regression,
)
from tests.test_report import Read
from tests.test_report_terminal import printed

PICTURES = ["bounds", "strengths", "zeros"]
UNBOUNDED = [name for name in SHAPES if "bounds" not in SHAPES[name]()]


@pytest.fixture(scope="module")
def read():
    return Read(page.page(bounded()))


def legends(shown):
    """Labels of the buttons, by the group of the legend that they stand in."""
    found = {}
    for _, attributes in shown.elements:
        if "data-group" in attributes:
            inside = found.setdefault(attributes["data-group"], [])
        if "data-arm" in attributes:
            inside.append(attributes["data-arm"])
    return found


# --- without a second half ---


@pytest.mark.parametrize("shape", UNBOUNDED)
def test_a_study_without_its_second_half_is_shown_without_a_trace_of_it(shape):
    older = SHAPES[shape]()
    left_out = older | {"bounds": None}
    text = page.page(older)
    assert page.page(left_out) == text
    shown = Read(text)
    assert "bound" not in shown.text.lower()
    assert set(legends(shown)) <= {"starts"}
    assert not {figure.name for figure in figures.figures(older)} & set(PICTURES)
    assert not {"bound lanes", "bound runs", "paths"} & set(shown.study["rows"])
    said = printed(report.answer_panel(older))
    assert printed(report.answer_panel(left_out)) == said
    assert "the start" not in said.replace("the starts", "")
    assert printed(report.bounds_table(left_out)) == "No bound was studied.\n"


# --- the page ---


def test_the_page_with_bounds_fetches_nothing_and_runs_no_foreign_script(read):
    assert read.fetched == []
    tags = [tag for tag, _ in read.elements]
    assert tags.count("script") == 3
    assert not {"b", "u"} & set(tags)
    assert HOSTILE in read.text


def test_the_summary_names_start_and_bound_in_this_order(read):
    answers = bounded()["answer"], bounded()["bounds"]["answer"]
    said = [answer["headline"] for answer in answers]
    said += [claim for answer in answers for claim in answer["claims"]]
    said += [claim for answer in answers for claim in answer["not_claimed"]]
    places = [read.text.index(sentence) for sentence in said]
    assert places == sorted(places)
    assert places[-1] < read.text.index("Use it") < read.text.index("Who wins")


def test_the_code_to_paste_is_that_of_both_halves(read):
    snippet = bounded()["bounds"]["answer"]["snippet"]
    assert "".join(snippet.split()) in "".join(read.text.split())
    assert bounded()["answer"]["snippet"].split("\n")[0] not in read.text
    assert "pondera.L1(0.01)" in printed(report.answer_panel(bounded()))
    without = bounded()
    without["bounds"]["answer"]["snippet"] = ""
    assert bound_tables.snippet(without) == without["answer"]["snippet"]


def test_the_legends_of_starts_and_of_bounds_are_apart(read):
    named = legends(read)
    starts = [arm.label for arm in arms.arms_of(bounded())]
    held = [arm.label for arm in arms.bounds_of(bounded())]
    lined = [
        figure.group
        for figure in figures.figures(bounded())
        if figure.name not in ("race", "bounds")
    ]
    assert named == {"starts": starts * lined.count("starts"), "bounds": held * 2}


def test_every_picture_is_driven_by_the_legend_whose_labels_it_draws(read):
    groups = {"starts": arms.arms_of(bounded()), "bounds": arms.bounds_of(bounded())}
    for name, drawing in read.study["figures"].items():
        labels = [arm.label for arm in groups[drawing["group"]]]
        assert drawing["group"] == ("bounds" if name in PICTURES else "starts")
        assert {"name": "picked", "value": []} in drawing["spec"]["params"]
        colours = [
            layer["encoding"]["color"]["scale"]["domain"]
            for layer in drawing["spec"]["layer"]
            if "color" in layer["encoding"]
        ]
        assert colours
        assert all(domain == labels for domain in colours)


def test_the_script_picks_within_one_group():
    script = page._source("page.js")
    assert "picked[study.figures[name].group]" in script
    groups = re.search(r"picked = \{ (.*) \};", script)[1]
    assert re.findall(r"(\w+): new Set\(\)", groups) == ["starts", "bounds"]


@pytest.mark.parametrize("shape", ["small", "bounded", "many"])
def test_no_bound_wears_the_marks_of_a_start_or_of_another_bound(shape):
    result = SHAPES[shape]() | {"bounds": bounded()["bounds"]}
    worn = [*arms.arms_of(result), *arms.bounds_of(result)]
    assert len({(arm.series, arm.dash, arm.shape) for arm in worn}) == len(worn)


def test_bounds_that_share_a_title_are_told_apart_by_their_keys():
    result = bounded()
    result["bounds"]["arms"]["l2"]["title"] = "no bound"
    labels = [arm.label for arm in arms.bounds_of(result)]
    assert labels[:2] == ["no bound (none)", "no bound (l2)"]


def test_what_was_gained_is_shown_only_where_it_is_more_than_noise(read):
    contrast = bound_tables.bound_contrast(bounded())
    assert [item["number"] for item in contrast] == ["77.0%", "84.0%", "+7.0 points"]
    assert contrast[1]["what"] == f"the same with {HOSTILE} at λ\xa0=\xa00.01"
    noise = bounded()
    for low in (0.0, -0.01, None):
        noise["bounds"]["answer"]["gain"]["low"] = low
        assert bound_tables.bound_contrast(noise) == []
    assert bound_tables.bound_contrast(broken()) == []
    assert bound_tables.bound_contrast(unbounded_regression()) == []


# --- the tables ---


def test_the_table_of_bounds_says_strength_score_gap_and_zeros():
    shown = bound_tables.bound_standings(bounded())
    assert [
        [row[key] for key in ("strength", "median", "interval", "gap", "zeros", "remark")]
        for row in shown
    ] == [
        ["–", "77.0%", "76.0% to 78.0%", "+23.0 points", "0%", ""],
        ["0.01", "80.0%", "78.0% to 81.0%", "+15.0 points", "0%", ""],
        ["0.01", "84.0%", "83.0% to 85.0%", "+6.0 points", "50.0%", "refitted"],
    ]
    read = Read(page.page(bounded()))
    for row in shown:
        said = [row["arm"].label, *(row[key] for key in ("strength", "median", "interval", "gap"))]
        assert " ".join(said) in read.text


def test_the_table_of_bounds_says_what_was_lost_and_what_lies_at_an_end():
    shown = {row["arm"].key: row for row in bound_tables.bound_standings(broken())}
    assert [shown[key]["remark"] for key in ("none", "l2", "l1")] == [
        "1 of 3 diverged",
        "every strength did worse",
        "3 of 3 diverged",
    ]
    assert (shown["l1"]["median"], shown["l1"]["gap"]) == ("–", "–")
    assert bound_tables.bound_standings(unbounded_regression())[1]["remark"] == "strongest tried"


def test_the_terminal_shows_both_halves():
    table, panel = (
        " ".join(printed(show(bounded())).split())
        for show in (report.bounds_table, report.answer_panel)
    )
    assert "test accuracy from 200 training rows" in table
    assert "0.01 80.0% 78.0% to 81.0% +15.0 0%" in table
    headings = ["Found: the start", "Found: the bound", "Not claimed: the start",
                "Not claimed: the bound", "Use it"]  # fmt: skip
    places = [panel.index(heading) for heading in headings]
    assert places == sorted(places)
    assert panel.index("Start it mirrored") < panel.index("Bound it <u>hard</u>") < places[0]


def test_the_terminal_reads_no_markup_in_names_of_bounds():
    result = bounded()
    result["bounds"]["arms"]["l2"]["title"] = "[red]x[/red]"
    assert "[red]x[/red]" in printed(report.bounds_table(result))


def test_the_course_is_told_from_the_setting(read):
    for said in ("goes on from Mirrored at learning rate 0.002", "200 training rows",
                 "10 steps without a bound", "2 steps at each strength", "3 seeds each"):  # fmt: skip
        assert said in read.text


# --- what is said of them ---


def test_captions_of_the_second_half_follow_the_numbers():
    assert bound_captions.bounds_caption(bounded()).endswith(
        f": +23.0 points with no bound and +6.0 points with {HOSTILE}."
    )
    assert bound_captions.bounds_caption(broken()).endswith(
        ": +29.0 points with no bound and +30.0 points with L2."
    )
    assert "no bound scores 78.0%" in bound_captions.strengths_caption(bounded())
    assert "at λ = 0.01 scores 85.0%" in " ".join(
        bound_captions.strengths_caption(bounded()).split()
    )
    assert f"50.0% with {HOSTILE}." in bound_captions.zeros_caption(bounded())
    assert bound_captions.zeros_caption(broken()).startswith("No bound set a weight")


def test_notes_of_the_second_half_are_made_only_where_they_hold():
    said = bound_captions.strengths_notes(bounded())
    assert said[1:3] == [
        "Whiskers: one standard error over 3 seeds.",
        "The level line is as many steps without a bound.",
    ]
    assert re.fullmatch(r"Scores below 5\d\.\d% stand at the foot\.", said[3])
    assert len(said) == 4
    assert "A line ends where training diverged." in bound_captions.strengths_notes(broken())
    assert (
        "The strongest tried, so a stronger one may serve as well: decay."
        in bound_captions.strengths_notes(unbounded_regression())
    )
    assert bound_captions.zeros_notes(bounded()) == ["None at any strength: L2, in the loss."]
    assert bound_captions.zeros_notes(broken()) == []
    weaker = bounded()
    weaker["bounds"]["arms"]["l1"] |= {"chosen": 1, "strength": 0.001, "zeros": 0.0}
    assert bound_captions.zeros_caption(weaker).endswith("at the strength chosen for it.")
    assert bound_captions.zeros_notes(weaker)[0] == f"Only beyond the strength chosen: {HOSTILE}."
    assert bound_captions.bounds_notes(broken())[1:] == ["Some runs diverged: no bound and L1."]
    exact = copy.deepcopy(bounded())
    for entry in exact["bounds"]["arms"].values():
        for at in entry["points"]:
            at["standard_error"] = 0.0
    assert not any("Whiskers" in note for note in bound_captions.strengths_notes(exact))


def test_a_study_of_many_starts_with_bounds_stays_below_three_megabytes():
    text = page.page(many() | {"bounds": bounded()["bounds"]})
    assert len(text.encode()) < 3_000_000
