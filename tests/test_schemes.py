"""The schemes: each table against the formula that its source states, on anatomies written by hand."""

from dataclasses import replace
from math import log, sqrt

import numpy as np
import pytest

from pondera.core import laws
from pondera.core.errors import DomainError
from pondera.model.plan import plan_of, schemes
from pondera.model.schemes.base import BASE, KINDS
from pondera.model.schemes.mup import mup
from pondera.model.schemes.registry import TABLES
from pondera.model.schemes.survey import WEIGHTS
from pondera.model.sites import Anatomy, Feed, Part, Writer
from tests import oracle, plan_cases
from tests.plan_cases import chain, conv, gpt, resnet, rulings, site, stds

EXACT = 64 * oracle.ulp(np.float64)
QUADRATURE = 1e-6
WITHOUT_CHAIN = [name for name in TABLES if name != "mirrored"]


def close(number):
    return pytest.approx(number, rel=EXACT)


# --- the list ---


def test_the_schemes_are_these():
    assert [*schemes()] == (
        "convnext dit fan-in fixup glorot gpt2 he keras lecun llama-depth mamba megatron mirrored mup "
        "nanochat neox ngpt olmo2 orthogonal recurrent resnet signal siren skipinit torch vit vit-jax"
    ).split()


def test_each_scheme_says_where_it_comes_from():
    for name, scheme in schemes().items():
        assert scheme.name == name
        assert scheme.source
        assert scheme.title
        assert set(scheme.rules) <= set(KINDS)
        assert set(WEIGHTS) <= set(scheme.rules)
    assert "Radford et al. 2019" in str(schemes("gpt*"))
    assert [*schemes("vit*")] == ["vit", "vit-jax"]


def test_every_role_but_two_has_a_rule_in_every_scheme():
    for scheme in TABLES.values():
        assert set(KINDS) - set(scheme.rules) == {"other", "unused"}
    assert set(BASE) | set(WEIGHTS) == set(KINDS) - {"other", "unused"}


# --- one law for all ---


def test_classic_schemes_are_their_papers_formulas():
    net = chain("relu", (8, 32, 32, 4))
    assert stds(net, "glorot")["1.weight"] == close(sqrt(2 / 64))
    assert stds(net, "he")["0.weight"] == close(sqrt(2 / 8))
    assert stds(net, "lecun")["2.weight"] == close(sqrt(1 / 32))
    assert stds(net, "orthogonal")["0.weight"] == close(sqrt(32 / 8) / sqrt(32))  # widened
    assert stds(net, "orthogonal")["1.weight"] == pytest.approx(sqrt(2 / 32), rel=QUADRATURE)
    assert all(std == 0 for name, std in stds(net, "he").items() if name.endswith("bias"))


@pytest.mark.parametrize("scheme", ["glorot", "he", "lecun"])
def test_fans_are_the_true_ones_of_groups_stacks_and_transposed_convolutions(scheme):
    law = {"glorot": lambda i, o: sqrt(2 / (i + o)), "he": lambda i, o: sqrt(2 / i)}
    formula = law.get(scheme, lambda i, o: sqrt(1 / i))
    deep = conv("deep.weight", 64, 64, groups=64)
    grouped = conv("grouped.weight", 128, 64, groups=4)
    up = site(
        "up.weight", "convolution", (64, 256, 4, 4), 256, 256 * 16, in_axes=(0,), out_axes=(1,),
        spatial_axes=(2, 3), stride=(2, 2), transposed=True,
    )  # fmt: skip
    net = Anatomy((deep, grouped, up, *plan_cases.experts().sites), False, 3, 0)
    found = stds(net, scheme)
    assert found["deep.weight"] == close(formula(9, 9))
    assert found["grouped.weight"] == close(formula(144, 288))
    assert found["up.weight"] == close(formula(256, 4096))
    assert found["moe.up"] == close(formula(16, 48))


def test_a_packed_weight_is_ruled_block_by_block():
    found = stds(gpt(width=32), "glorot")
    assert found["h.0.attn.c_attn.weight#query"] == close(sqrt(2 / 64))  # not 32 + 96


# --- frameworks ---


def test_torch_is_what_torch_draws():
    found = stds(gpt(width=32), "torch")
    assert found["h.0.mlp.c_proj.weight"] == close(1 / sqrt(3 * 128))
    assert found["h.0.mlp.c_fc.bias"] == close(1 / sqrt(3 * 32))  # by its weight's fan
    assert found["wte.weight"] == close(1.0)
    assert stds(plan_cases.lstm(units=24), "torch")["rnn.bias_hh_l0#forget"] == close(1 / sqrt(72))
    deep = Anatomy((conv("c.weight", 64, 64, groups=64),), False, 1, 0)
    assert stds(deep, "torch")["c.weight"] == close(1 / sqrt(3 * 9))
    attention = plan_cases.packed("a.in_proj_weight", 16)
    attention = replace(attention, owner=replace(attention.owner, kind="MultiheadAttention"))
    found = stds(Anatomy((attention,), False, 1, 0), "torch")
    assert found["a.in_proj_weight#key"] == close(sqrt(2 / (16 + 48)))


def test_keras_counts_an_lstm_kernel_over_all_gates():
    found = stds(plan_cases.lstm(units=24, inputs=10), "keras")
    assert found["rnn.weight_ih_l0#cell"] == close(sqrt(2 / (10 + 4 * 24)))
    assert found["rnn.weight_hh_l0#cell"] == close(1 / sqrt(4 * 24))
    assert found["rnn.bias_ih_l0#cell"] == 0


# --- language models ---


def test_gpt2_divides_the_writers_alone():
    found = stds(gpt(blocks=3), "gpt2")
    assert found["h.0.attn.c_attn.weight#value"] == close(0.02)
    assert found["h.2.mlp.c_fc.weight"] == close(0.02)
    assert found["h.0.attn.c_proj.weight"] == close(0.02 / sqrt(6))
    assert found["h.2.mlp.c_proj.weight"] == close(0.02 / sqrt(6))
    assert found["wte.weight"] == found["wpe.weight"] == close(0.02)
    assert stds(gpt(blocks=3), "megatron") == found


def test_gpt2_decays_tables_and_megatron_does_not():
    for scheme, decayed in (("gpt2", True), ("megatron", False)):
        rows = {row.key: row.decay for row in plan_of(gpt(), scheme)}
        assert rows["wte.weight"] is decayed
        assert rows["h.0.attn.c_attn.weight#query"]
        assert not rows["ln_f.weight"]
        assert not rows["h.0.mlp.c_fc.bias"]


def test_llama_depth_divides_by_the_blocks_place():
    found = stds(gpt(blocks=3, width=32, tied=False), "llama-depth")
    for block in range(3):
        for name in ("attn.c_proj", "mlp.c_proj"):
            assert found[f"h.{block}.{name}.weight"] == close(0.02 / sqrt(2 * (block + 1)))
    assert found["wte.weight"] == close(1.0)
    assert found["lm_head.weight"] == close(1 / sqrt(32))
    assert found["h.2.mlp.c_fc.weight"] == close(0.02)


def test_other_language_models_are_their_codes_formulas():
    net = gpt(blocks=3, width=32, tied=False)
    assert {stds(net, "olmo2")[f"{n}.weight"] for n in ("wte", "lm_head", "h.1.mlp.c_proj")} == {
        0.02
    }
    assert stds(net, "fan-in")["h.1.mlp.c_proj.weight"] == close(1 / sqrt(128))
    assert stds(net, "neox")["h.1.mlp.c_fc.weight"] == close(sqrt(2 / (5 * 32)))
    assert stds(net, "neox")["h.1.mlp.c_proj.weight"] == close(2 / (3 * sqrt(32)))
    assert stds(net, "ngpt")["h.1.mlp.c_fc.weight"] == close(1 / sqrt(32))
    assert stds(net, "ngpt")["h.1.attn.c_proj.weight"] == close(1 / sqrt(32) / sqrt(6))
    found = stds(net, "nanochat")
    assert found["h.1.mlp.c_proj.weight"] == found["h.1.attn.c_proj.weight"] == 0
    assert found["h.1.mlp.c_fc.weight"] == close(0.4 / sqrt(32))
    assert (found["wte.weight"], found["lm_head.weight"]) == (0.8, 0.001)


# --- vision ---


def test_vision_transformers_are_their_codes_formulas():
    patch = conv("patch.weight", 32, 3, 4, feed=Feed("input"))
    head = site("head.weight", "head", (10, 32), feed=Feed("norm"))
    net = gpt(width=32)
    net = Anatomy((patch, *net.sites[1:], head), True, net.depth, 1)
    timm, jax = stds(net, "vit"), stds(net, "vit-jax")
    assert timm["h.0.attn.c_attn.weight#key"] == timm["head.weight"] == 0.02
    assert jax["patch.weight"] == close(1 / sqrt(48))
    assert jax["h.0.attn.c_attn.weight#key"] == close(sqrt(2 / 64))
    assert jax["h.0.mlp.c_fc.bias"] == 1e-6
    assert jax["h.0.attn.c_attn.bias"] == jax["head.weight"] == 0
    dit = stds(net, "dit")
    assert dit["h.0.attn.c_attn.weight#key"] == close(sqrt(2 / (32 + 96)))  # packed, as published
    assert dit["patch.weight"] == close(sqrt(2 / (32 + 48)))


def test_dit_knows_modulations_and_time_by_name():
    names = ("blocks.0.adaLN_modulation.1", "final_layer.linear", "t_embedder.mlp.0", "x")
    net = Anatomy(tuple(site(f"{n}.weight", "dense", (8, 8)) for n in names), True, 4, 1)
    assert [*stds(net, "dit").values()] == [0, 0, 0.02, close(sqrt(2 / 16))]


def test_resnet_zeroes_the_last_norm_of_each_branch_and_no_other():
    for scheme in ("resnet", "signal"):
        found = rulings(resnet(), scheme)
        zeroed = {n for n, (r, _) in found.items() if "bn" in n and r.law == laws.zeros()}
        assert {n for n in zeroed if n.endswith("weight")} == {
            f"layers.{k}.bn2.weight" for k in (0, 1)
        }
        assert found["layers.0.downsample.1.weight"][0].law == laws.ones()
        assert found["layers.0.conv1.weight"][1] == close(sqrt(2 / (16 * 9)))
        assert found["stem.weight"][1] == close(sqrt(2 / (16 * 9)))  # fan_out, not fan_in 27


def test_fixup_scales_the_first_convolutions_and_zeroes_the_last():
    sites = [conv("stem.weight", 8, 3, feed=Feed("input"))]
    for k in range(4):
        first, second, third = (f"{k}.conv{j}.weight" for j in (1, 2, 3))
        sites += [
            conv(first, 8, 8, feed=Feed("stream")),
            conv(second, 8, 8, feed=plan_cases.after(first, "relu")),
            conv(third, 8, 8, feed=plan_cases.after(second, "relu"), writer=Writer(0, k, 4)),
        ]
    net = Anatomy((*sites, site("fc.weight", "head", (10, 8))), False, 13, 1)
    found = stds(net, "fixup")
    he = sqrt(2 / 72)
    assert found["stem.weight"] == close(he)
    assert found["0.conv1.weight"] == found["3.conv2.weight"] == close(he * 4 ** (-1 / 4))
    assert found["0.conv3.weight"] == found["fc.weight"] == 0


def test_skipinit_zeroes_the_scalar_or_the_writer():
    scaled = conv("a.weight", 8, 8, writer=Writer(0, 0, 2), scaled_by="scalar")
    bare = conv("b.weight", 8, 8, writer=Writer(0, 1, 2))
    net = Anatomy((scaled, bare, site("scalar", "layer scale", ())), False, 2, 1)
    assert [*stds(net, "skipinit").values()] == [close(sqrt(2 / 72)), 0, 0]
    assert rulings(net, "skipinit")["scalar"][0].law == laws.zeros()


# --- sines, states, gates ---


def test_siren_reads_the_frequency_from_the_activation():
    for wave in (30.0, 7.0):
        feed = Feed("weight", "0.weight", lambda z, wave=wave: np.sin(wave * z), "sine")
        net = Anatomy(
            (
                site("0.weight", "dense", (64, 2), feed=Feed("input")),
                site("1.weight", "dense", (64, 64), feed=feed),
                site("2.weight", "head", (1, 64), feed=replace(feed, weight="1.weight")),
                site("2.bias", "bias", (1,)),
            ), False, 3, 0,
        )  # fmt: skip
        found = stds(net, "siren")
        assert found["0.weight"] == close(1 / 2 / sqrt(3))
        hidden = sqrt(6 / 64) / wave / sqrt(3)
        assert [found["1.weight"], found["2.weight"]] == pytest.approx([hidden] * 2, rel=QUADRATURE)
        assert found["2.bias"] == close(1 / sqrt(3 * 64))


def test_mamba_is_its_codes_formulas():
    found = rulings(plan_cases.mamba(), "mamba")
    assert found["m.A_log"][0].law == laws.s4d_real(form="log")
    assert found["m.D"][0].law == laws.ones()
    assert found["m.dt_proj.bias"][0].law == laws.softplus_time_steps()
    assert found["m.dt_proj.weight"][1] == close(1 / sqrt(3 * 4))
    assert found["m.in_proj.weight"][1] == close(1 / sqrt(3 * 16))
    assert found["m.out_proj.weight"][1] == close(1 / sqrt(3 * 32) / sqrt(3))
    heads = Anatomy((site("m.A_log", "state", (8,)),), True, 1, 1)
    assert rulings(heads, "signal")["m.A_log"][0].law == laws.mamba2_decay()
    rows = {row.key: row.decay for row in plan_of(plan_cases.mamba(), "mamba")}
    assert [name for name, decayed in rows.items() if decayed] == [
        "m.in_proj.weight", "m.dt_proj.weight", "m.out_proj.weight",
    ]  # fmt: skip


@pytest.mark.parametrize("scheme", ["recurrent", "signal", "gpt2"])
def test_recurrent_kernels_are_drawn_gate_by_gate_and_forget_nothing(scheme):
    found = rulings(plan_cases.lstm(units=24, inputs=10), scheme)
    assert found["rnn.weight_ih_l0#cell"][1] == close(sqrt(2 / 34))
    assert found["rnn.weight_hh_l0#cell"][0].law == laws.orthogonal()
    ones = [name for name, (ruling, _) in found.items() if ruling.law == laws.ones()]
    assert ones == ["rnn.bias_ih_l0#forget"]  # once, though there are two biases


def test_adapters_begin_as_nothing():
    net = Anatomy(
        (site("A", "adapter down", (8, 64)), site("B", "adapter up", (64, 8))), True, 2, 0
    )
    assert [*stds(net, "signal").values()] == [close(1 / sqrt(3 * 64)), 0]


# --- small parameters ---


def test_a_norm_that_multiplies_by_one_more_begins_at_zero():
    gemma = site("n.weight", "norm scale", (8,), neutral=0.0)
    plain = site("m.weight", "norm scale", (8,))
    net = Anatomy((gemma, plain), True, 1, 1)
    for scheme in WITHOUT_CHAIN:
        found = rulings(net, scheme)
        assert (found["n.weight"][0].law, found["m.weight"][0].law) == (laws.zeros(), laws.ones())


def test_multipliers_take_their_neutral_number_or_stay():
    clip = site("logit_scale", "scale", ())
    slope = site("act.weight", "scale", (1,), kind="PReLU")
    known, odd = site("t", "scale", (), neutral=1.0), site("x", "scale", ())
    found = rulings(Anatomy((clip, slope, known, odd), True, 1, 0), "signal")
    assert found["logit_scale"][0].law.number == close(log(1 / 0.07))
    assert found["act.weight"][0].law == laws.constant(0.25)
    assert found["t"][0].law == laws.constant(1.0)
    assert found["x"][0].law is None


def test_a_weight_norms_lengths_are_those_of_the_law():
    axes = {"fixed_by": "weight_norm", "kind": "ParametrizationList"}
    net = Anatomy(
        (
            site("l.original0", "scale", (32, 1), **axes, parts=plan_cases.whole("scale", (32, 1))),
            site("l.original1", "dense", (32, 8), **axes, feed=Feed("input")),
        ), False, 1, 0,
    )  # fmt: skip
    assert rulings(net, "he")["l.original0"][0].law.number == close(sqrt(2 / 8) * sqrt(8))


def test_layer_scales_follow_cait():
    for blocks, number in ((12, 0.1), (24, 1e-5), (36, 1e-6)):
        sites = tuple(site(f"{k}.gamma", "layer scale", (8,)) for k in range(2 * blocks))
        found = rulings(Anatomy(sites, True, 1, 1), "signal")
        assert found["0.gamma"][0].law == laws.constant(number)


# --- μP ---


def test_mup_is_table_3():
    for width in (64, 256, 1024):
        net = chain("relu", (8, width, width, 4))
        found = rulings(net, mup(base_width=64))
        assert found["0.weight"][1] == close(1 / sqrt(8))
        assert found["0.weight"][0].rate == 1
        assert found["1.weight"][1] == pytest.approx(sqrt(2 / width), rel=QUADRATURE)
        assert found["1.weight"][0].rate == close(64 / width)
        assert found["2.weight"][1] == close(sqrt(64) / width)
        assert found["2.weight"][0].rate == close(64 / width)
        assert found["1.bias"][0].rate == 1


# --- errors ---


def test_a_role_that_needs_a_fan_says_so():
    bare = site("w", "dense", (8,), parts=(Part("dense", (0,), (8,)),))
    with pytest.raises(DomainError) as told:
        rulings(Anatomy((bare,), False, 1, 0), "fan-in")
    assert str(told.value) == (
        "w: fan-in needs a fan_in for the role 'dense'; got fan_in=None. Give it a law of its own: "
        "plan['w'] = …"
    )


def test_mirrored_refuses_what_is_no_chain():
    with pytest.raises(
        DomainError, match=r"^mirrored: needs chains of layers .* got 0\.weight, fed by"
    ):
        rulings(chain("tanh"), "mirrored")
    with pytest.raises(DomainError, match="mirrored: needs weights that are summed over"):
        plan_of(Anatomy((), False, 0, 0), "mirrored")


def test_an_activation_that_has_no_gain_is_named_by_its_label():
    net = chain("relu", (8, 15, 15, 4))
    feed = replace(net["1.weight"].feed, activation=lambda z: z * np.nan, label="broken")
    with pytest.raises(DomainError, match=r"^1\.weight: gain: .* got activation='broken'"):
        plan_of(plan_cases.with_site(net, "1.weight", feed=feed), "orthogonal")
