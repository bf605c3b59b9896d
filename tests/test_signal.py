"""Our own scheme: both passes level where nothing normalises, the field's practice where it does."""

from dataclasses import replace
from math import exp, log, sqrt

import numpy as np
import pytest

from pondera.core.activations import ACTIVATIONS
from pondera.model.schemes.chains import quiet_std
from pondera.model.schemes.survey import Survey
from pondera.model.sites import Anatomy, Feed, Writer
from tests import oracle, plan_cases
from tests.plan_cases import chain, conv, gpt, rulings, site, stds

EXACT = 64 * oracle.ulp(np.float64)
QUADRATURE = 1e-6


def close(number):
    return pytest.approx(number, rel=EXACT)


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "leaky_relu", "softplus"])
def test_signal_mirrors_chains_that_allow_it(activation):
    found = rulings(chain(activation), "signal")
    assert [found[f"{k}.weight"][0].law.position for k in range(3)] == ["first", "hidden", "last"]
    slope = 1.01 if activation == "leaky_relu" else 1.0
    assert found["0.weight"][0].law.gain == 1
    assert found["1.weight"][0].law.gain == pytest.approx(1 / slope, rel=QUADRATURE)


@pytest.mark.parametrize("broken", ["odd", "exact", "shared", "packed_norm"])
def test_signal_mirrors_no_chain_that_is_broken(broken):
    net = chain("relu", (8, 16, 15, 4) if broken == "odd" else (8, 16, 16, 4))
    if broken == "exact":
        inexact = replace(net["2.weight"].feed, exact=False)
        net = plan_cases.with_site(net, "2.weight", feed=inexact)
    if broken == "shared":
        net = plan_cases.with_site(net, "2.weight", uses=2)
    if broken == "packed_norm":
        net = plan_cases.with_site(net, "2.weight", fixed_by="weight_norm")
    found = rulings(net, "signal")
    assert found["0.weight"][0].law.position == "first"
    assert found["1.weight"][0].law.position == "last"  # the chain ends before the break
    assert found["2.weight"][0].law.name == "orthogonal"
    assert found["2.weight"][0].gain == pytest.approx(sqrt(2), rel=QUADRATURE)


def test_signal_mirrors_convolutions_at_their_middle_tap():
    sites = [conv("0.weight", 8, 3, feed=Feed("input"))]
    sites += [
        conv(f"{k}.weight", 8, 8, feed=plan_cases.after(f"{k - 1}.weight", "relu")) for k in (1, 2)
    ]
    sites += [conv("3.weight", 8, 8, stride=(2, 2), feed=plan_cases.after("2.weight", "relu"))]
    found = rulings(Anatomy(tuple(sites), False, 4, 0), "signal")
    named = [(r.law.name, r.law.position) for r, _ in found.values()]
    delta = "mirrored_delta_orthogonal"
    assert named == [
        (delta, "first"),
        (delta, "hidden"),
        (delta, "hidden"),
        ("mirrored_orthogonal", "last"),
    ]


@pytest.mark.parametrize("depth", [20, 50, 200])
def test_signal_begins_quietly_where_the_gains_differ(depth):
    """tanh: E f² = s² − 2s⁴ + …, E f′² = 1 − 2s² + …: the gains meet as s⁴·4/3 per layer."""
    net = chain("tanh", (64, 64, 64, 10), depth=depth)
    quiet = quiet_std(Survey(net), ACTIVATIONS["tanh"], "tanh")
    assert 0.7 < quiet**2 * depth / 1.5 < 1.1 or depth == 20  # a shallow net needs it quieter
    assert depth * 4 / 3 * quiet**4 <= 0.11
    found = stds(net, "signal")
    assert found["0.weight"] == close(quiet / sqrt(64))
    level = quiet / sqrt(plan_cases.second_moment("tanh", quiet))
    assert found["1.weight"] == pytest.approx(level / sqrt(64), rel=QUADRATURE)
    assert found["2.weight"] == pytest.approx(level / sqrt(64), rel=QUADRATURE)


def test_signal_keeps_the_streams_variance():
    sites, count = [site("in.weight", "dense", (32, 32), feed=Feed("input"))], 10
    for k in range(count):
        sites.append(site(f"{k}.a.weight", "dense", (32, 32), feed=Feed("stream")))
        feed = plan_cases.after(f"{k}.a.weight", "relu")
        sites.append(
            site(f"{k}.b.weight", "dense", (32, 32), feed=feed, writer=Writer(0, k, count))
        )
    found = rulings(Anatomy(tuple(sites), False, 21, 1), "signal")
    law = found["4.b.weight"][0].law
    assert (law.position, law.gain) == ("last", close(1 / sqrt(2 * count)))
    assert (1 + law.gain**2) ** count < exp(0.5)


def test_signal_on_normalised_networks_is_the_fields_practice():
    found = stds(gpt(blocks=3, width=32, words=512, tied=False), "signal")
    assert found["h.0.attn.c_attn.weight#query"] == close(1 / sqrt(32))
    gelu = 1 / sqrt(plan_cases.second_moment("gelu"))
    assert found["h.0.mlp.c_proj.weight"] == pytest.approx(gelu / sqrt(128 * 6), rel=QUADRATURE)
    assert found["lm_head.weight"] == 0.02
    assert (found["wte.weight"], found["wpe.weight"]) == (1, 1)


def test_signal_gives_no_word_of_a_tied_model_its_own_copy():
    for words, width in ((512, 32), (8192, 512), (50257, 768), (256, 1024)):
        std = stds(gpt(1, width, words), "signal")["wte.weight"]
        own = width * std  # logit of a word for itself, where nothing else is on the stream
        excess = log(1 + (exp(own) - 1) / words) + width * std**2 / 2
        assert 0 < excess < 0.1


def test_signal_gives_a_gated_branch_unit_variance():
    found = stds(plan_cases.experts(hidden=48), "signal")
    silu = plan_cases.second_moment("silu")
    assert found["moe.down"] == pytest.approx(1 / sqrt(48 * silu) / 2, rel=QUADRATURE)
    assert found["moe.router.weight"] == close(1 / 4)
