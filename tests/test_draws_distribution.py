"""The drawn numbers as a sample, tier "separating": distribution, moments, tails, pairs.

10⁷ draws as a rule, 10⁸ behind the marker `slow`. The draw is fixed, so nothing here is left to chance: a
sound stream passes with the stated probability once, and then always. Limits follow from the number of draws:
RARE for a distance or a count, STANDARD_ERRORS for a mean.
"""

import math

import numpy as np
import pytest
from scipy import stats

from pondera.core.recipes import normal_recipe, truncated_recipe, uniform_recipe
from pondera.kernel import draw
from tests import oracle

SAMPLES = [pytest.param(10**7, id="1e7"), pytest.param(10**8, id="1e8", marks=pytest.mark.slow)]
PASS = 2**22  # draws looked at together
BINS = 4096
QUANTILE_ERROR = 2.4e-8  # documented Kolmogorov distance of the quantile
WORDS = 2.0**32
DRAWN = {
    "normal": (normal_recipe(1.0), stats.norm()),
    "truncated": (truncated_recipe(1.0), stats.truncnorm(-2, 2)),
    "uniform": (uniform_recipe(-1.0, 1.0), stats.uniform(-1, 2)),
}
each = pytest.mark.parametrize("kind", DRAWN)
sizes = pytest.mark.parametrize("count", SAMPLES)


def passes(kind, count, *, name="encoder.0.weight", seed=11, start=0):
    """The draws in float64, some at a time."""
    for first in range(0, count, PASS):
        size = min(PASS, count - first)
        recipe = DRAWN[kind][0]
        yield draw(start + first, size, recipe=recipe, seed=seed, name=name, dtype="float64")


def counted(kind, edges, count):
    """How many draws lie below each edge."""
    below = np.zeros(len(edges), np.int64)
    for drawn in passes(kind, count):
        below += np.searchsorted(np.sort(drawn), edges)
    return below


def likely(observed, expected, count):
    """Whether such a binomial count, or one further out, is no rarer than RARE."""
    share = expected / count
    low, high = (f(observed, count, share) for f in (stats.binom.cdf, stats.binom.sf))
    return min(low, high + stats.binom.pmf(observed, count, share)) > oracle.RARE / 2


@each
@sizes
def test_draws_follow_their_distribution(kind, count):
    """Kolmogorov's distance and Pearson's χ², over 4096 intervals of equal mass."""
    law = DRAWN[kind][1]
    shares = np.arange(1, BINS) / BINS
    below = counted(kind, law.ppf(shares), count)
    assert np.abs(below / count - shares).max() < oracle.distance_limit(count) + QUANTILE_ERROR
    inside = np.diff([0, *below, count])
    chi2 = float(((inside - count / BINS) ** 2).sum() * BINS / count)
    both = stats.chi2(BINS - 1)
    assert both.ppf(oracle.RARE / 2) < chi2 < both.isf(oracle.RARE / 2)


@each
@sizes
def test_moments_are_those_of_the_distribution(kind, count):
    law = DRAWN[kind][1]
    powers = range(1, 7)
    sums = np.zeros(len(powers))
    for drawn in passes(kind, count):
        sums += [float((drawn**power).sum()) for power in powers]
    for power, total in zip(powers, sums, strict=True):
        expected = law.moment(power)
        error = math.sqrt((law.moment(2 * power) - expected**2) / count)
        assert abs(total / count - expected) < oracle.STANDARD_ERRORS * error, power


@sizes
def test_tails_hold_as_many_draws_as_they_should(count):
    """Each side, each half standard deviation to 5 σ: 3 of 10⁷ draws lie beyond that."""
    edges = np.concatenate([-np.arange(5, 0, -0.5), np.arange(1, 5.5, 0.5)])
    below = counted("normal", edges, count)
    for edge, seen in zip(edges, below, strict=True):
        observed = seen if edge < 0 else count - seen
        assert likely(int(observed), count * stats.norm.sf(abs(edge)), count), edge


@sizes
def test_truncated_draws_reach_their_bounds_and_no_further(count):
    largest = max(float(np.abs(drawn).max()) for drawn in passes("truncated", count))
    density = stats.truncnorm(-2, 2).pdf(2)
    assert largest <= 2
    # the gap to the bound is exponential: two tails, this density
    assert (2 - largest) * 2 * density * count < -math.log(oracle.RARE)


# --- pairs ---


def sixteenths(drawn):
    """Which sixteenth of (−1, 1) each draw lies in."""
    return np.minimum(((drawn + 1) * 8).astype(np.uint8), 15)


def independent(first, second):
    """χ² of two samples' 16 × 16 table, and their correlation; each pair is looked at once."""
    count = first.size
    table = np.bincount(
        16 * sixteenths(first).astype(np.uint16) + sixteenths(second), minlength=256
    )
    chi2 = float(((table - count / 256) ** 2).sum() * 256 / count)
    both = stats.chi2(255)  # the margins are known, not estimated
    fits = both.ppf(oracle.RARE / 2) < chi2 < both.isf(oracle.RARE / 2)
    correlation = float(np.mean(first * second)) / (1 / 3)
    return fits and abs(correlation) * math.sqrt(count) < oracle.STANDARD_ERRORS


@sizes
@pytest.mark.parametrize("lag", [1, 2, 3, 16, 63, 64, 65, 128, 192, 256, 1024, 4096])
def test_draws_some_way_apart_are_independent(lag, count):
    """The lags of the layout: lanes, words of a counter (64), tiles (256). No draw is in two pairs."""
    whole = count - count % (2 * lag)
    drawn = np.concatenate([*passes("uniform", whole)]).reshape(-1, 2, lag)
    assert independent(drawn[:, 0].ravel(), drawn[:, 1].ravel())


@sizes
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"name": "layers.0.weight"}, {"name": "layers.1.weight"}),
        ({"name": "w"}, {"name": "w "}),
        ({"seed": 0}, {"seed": 1}),
        ({"seed": 0}, {"seed": 2**63}),
        ({"start": 0}, {"start": 2**32}),
        ({"start": 0}, {"start": 2**40}),
    ],
    ids=["names", "space", "seeds", "high seeds", "starts", "high starts"],
)
def test_streams_are_independent_of_each_other(one, other, count):
    first, second = (np.concatenate([*passes("uniform", count, **given)]) for given in (one, other))
    assert independent(first, second)


def test_the_same_place_of_many_names_is_one_more_sample():
    """Across parameters, not along one: the first element of 10⁵ names."""
    recipe = DRAWN["uniform"][0]
    drawn = np.array(
        [draw(0, 1, recipe=recipe, seed=0, name=f"layers.{k}.weight")[0] for k in range(10**5)],
        np.float64,
    )
    assert oracle.distance(drawn, DRAWN["uniform"][1].cdf) < oracle.distance_limit(drawn.size)
    pairs = drawn.reshape(-1, 2)
    assert independent(pairs[:, 0], pairs[:, 1])


def test_dependence_would_be_seen():
    """The meta-test: a correlation of 0.01 in 10⁶ pairs."""
    rng = np.random.default_rng(0)
    first, noise = rng.uniform(-1, 1, (2, 10**6))
    assert independent(first, noise)
    assert not independent(first, np.where(rng.random(10**6) < 0.01, first, noise))
