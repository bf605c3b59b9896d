"""The study's second half: how a strength is chosen, what is claimed of it, and what the code then says."""

import math
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("optuna", reason="Optuna is not installed")

from pondera.study import study
from pondera.study.boundaries import BOUND_ARMS
from pondera.study.bounds import BoundPlan, bound_entry, paired_gain
from pondera.study.bounds_answer import bounds_result
from pondera.study.work import Job, Outcome
from tests.test_study import settings, timeless

SEEDS = (7, 8, 9)
ARMS = (BOUND_ARMS["none"], BOUND_ARMS["decay"], BOUND_ARMS["l1"])
PLAN = BoundPlan("he", 0.1, SEEDS, ARMS)
SETTING = {"score": "accuracy", "rows": {"train": 150, "test": 50}, "steps": 40}
FLAT = (0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8)


def path(validation, *, test=None, zeros=0.0):
    """Seven points; a score of None ends the path, as divergence does."""
    scores = zip(validation, test or validation, strict=True)
    return Outcome(
        points=[
            {"train": 1.0, "validation": held, "test": reached, "zeros": zeros}
            for held, reached in scores
            if held is not None
        ]
    )


def outcomes(**by_arm):
    """Paths and refits of all arms; one that is not named stays flat."""
    found = {}
    for arm in ARMS:
        for seed in SEEDS:
            made = by_arm[arm.name](seed) if arm.name in by_arm else path(FLAT)
            for refit in (-1, *range(1, 7)):
                found[Job("path", f"he+{arm.name}", 0.1, seed, refit)] = made
    return found


def result(**by_arm):
    return bounds_result(PLAN, outcomes(**by_arm), SETTING)


def test_the_strongest_within_one_standard_error_is_chosen():
    """Means .80 .86 .85 .84 .70: the best has seeds .84 .86 .88, so a standard error of .0115."""
    shift = {7: -0.02, 8: 0.0, 9: 0.02}
    means = (0.80, 0.86, 0.85, 0.84, 0.70, 0.6, 0.5)
    found = outcomes(decay=lambda seed: path([mean + shift[seed] for mean in means]))
    assert PLAN.chosen(ARMS[1], found) == 2


def test_test_rows_choose_nothing():
    tempting = (0.8, 0.8, 0.8, 0.99, 0.8, 0.8, 0.8)
    honest = (0.8, 0.9, 0.7, 0.7, 0.7, 0.7, 0.7)
    found = outcomes(decay=lambda seed: path(honest, test=tempting))
    assert PLAN.chosen(ARMS[1], found) == 1


def test_a_bound_that_wins_is_in_the_headline_and_in_the_code():
    better = (0.8, 0.9, 0.7, 0.7, 0.7, 0.7, 0.7)
    answer = result(decay=lambda seed: path(better))["answer"]
    assert answer["winner"] == "decay"
    assert "decoupled decay at λ = 0.001" in answer["headline"]
    assert "pondera.WeightDecay(0.001)" in answer["snippet"]
    assert "+10.0 points" in answer["headline"]


def test_within_the_noise_there_is_no_bound_in_the_code():
    """Better on validation rows, on test rows only for two seeds of three."""
    held = (0.8, 0.9, 0.7, 0.7, 0.7, 0.7, 0.7)
    tests = {7: 0.9, 8: 0.9, 9: 0.7}
    answer = result(decay=lambda seed: path(held, test=[0.8, tests[seed], *held[2:]]))["answer"]
    assert answer["winner"] == "decay"
    assert "regularize" not in answer["snippet"]
    assert "pondera.initialize" in answer["snippet"]
    assert "without a bound" in answer["headline"]
    assert any("the interval holds 0" in said for said in answer["not_claimed"])


def test_losses_of_points_have_a_true_minus():
    worse = (0.8, 0.81, 0.7, 0.7, 0.7, 0.7, 0.7)
    answer = result(decay=lambda seed: path(worse, test=[0.8, 0.7, *worse[2:]]))["answer"]
    assert any("−10.0 points" in said for said in answer["claims"])


def test_zeros_are_claimed_where_there_are_any():
    better = (0.8, 0.9, 0.7, 0.7, 0.7, 0.7, 0.7)
    none = result(l1=lambda seed: path(better))["answer"]["claims"]
    some = result(l1=lambda seed: path(better, zeros=0.25))["answer"]["claims"]
    assert not any("exactly 0" in said for said in none)
    assert any("25% of the weights are exactly 0" in said for said in some)


@pytest.mark.parametrize("worth", [0.75, -3.0])
def test_a_path_that_diverges_is_worse_than_any_score(worth):
    """Also than a negative R², which a score of 0 would beat."""
    ended = (worth, *[None] * 6)
    found = outcomes(decay=lambda seed: path(ended), none=lambda seed: path([worth] * 7))
    assert PLAN.chosen(ARMS[1], found) == 0
    entry = bound_entry(ARMS[1], PLAN, found)
    assert [point["validation"] for point in entry["points"]] == [worth, *[None] * 6]


def test_a_path_without_any_point_is_shown_as_diverged():
    found = outcomes(decay=lambda seed: Outcome())
    entry = bound_entry(ARMS[1], PLAN, found)
    assert entry["median"] is None
    assert (entry["gap"], entry["zeros"]) == (None, None)
    assert paired_gain(PLAN, ARMS[1], ARMS[0], found).median == -math.inf
    assert bounds_result(PLAN, found, SETTING)["answer"]["winner"] != "decay"


def test_no_bound_gets_as_many_steps_as_the_others():
    rising = (0.5, 0.6, 0.7, 0.8, 0.8, 0.8, 0.85)
    found = outcomes(none=lambda seed: path(rising))
    assert bound_entry(ARMS[0], PLAN, found)["median"] == 0.85


def test_a_whole_study_names_start_and_bound(tmp_path):
    wanted = settings(arms=("default", "he"), rates=(0.1,), bounds=True)
    found = study(wanted, tmp_path)
    half = found["bounds"]
    assert set(half["arms"]) == set(BOUND_ARMS)
    assert all(len(entry["points"]) == 7 for entry in half["arms"].values())
    assert half["answer"]["headline"].startswith("Begin with")
    again = study(replace(wanted, workers=1), tmp_path / "again")
    assert timeless(again) == timeless(found)
