"""Anatomies written by hand, as a trace would give them: what the schemes are asked about."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from pondera.core.activations import ACTIVATIONS
from pondera.model.schemes.registry import scheme_of
from pondera.model.schemes.ruling import Case
from pondera.model.schemes.spread import true_std
from pondera.model.schemes.survey import Survey
from pondera.model.sites import Anatomy, Feed, Follow, Part, Site, Writer
from pondera.model.trace import Owner

INPUT, NORM, STREAM = Feed("input"), Feed("norm"), Feed("stream")


def whole(role, shape, fan_in=None, fan_out=None):
    return (Part(role, (0,) * len(shape), tuple(shape), fan_in, fan_out),)


def site(name, role, shape, fan_in=None, fan_out=None, *, kind="Linear", parts=None, **known):
    """A parameter; a dense one's axes and fans follow from its shape, as PyTorch stores it."""
    path, _, leaf = name.rpartition(".")
    if len(shape) == 2 and fan_in is None and role not in ("embedding", "position", "state"):
        fan_in, fan_out = shape[1], shape[0]
    if fan_in and "in_axes" not in known:
        known |= {"in_axes": (1,), "out_axes": (0,)}
    blocks = parts or whole(role, shape, fan_in, fan_out)
    return Site(name, tuple(shape), Owner(path, kind, leaf), blocks, **known)


def after(weight, activation):
    """Fed by another weight through an activation."""
    return Feed("weight", weight, ACTIVATIONS[activation], activation)


def norm(name, width, **known):
    return [
        site(f"{name}.weight", "norm scale", (width,), kind="LayerNorm", neutral=1.0, **known),
        site(f"{name}.bias", "norm shift", (width,), kind="LayerNorm", neutral=0.0),
    ]


def packed(name, width, roles=("query", "key", "value"), **known):
    """One weight of several blocks along its outputs."""
    parts = tuple(
        Part(role, (k * width, 0), (width, width), width, width) for k, role in enumerate(roles)
    )
    return site(name, roles[0], (len(roles) * width, width), width, parts=parts, **known)


def gpt(blocks=3, width=32, words=512, *, tied=True):
    """GPT-2: packed queries, keys and values, plain MLPs, writers in turn."""
    sites = [
        site("wte.weight", "embedding", (words, width), tied_head=tied, kind="Embedding"),
        site("wpe.weight", "position", (64, width), kind="Embedding"),
    ]
    for k in range(blocks):
        at, count = f"h.{k}", 2 * blocks
        sites += norm(f"{at}.ln_1", width)
        sites += [
            packed(f"{at}.attn.c_attn.weight", width, feed=NORM),
            site(f"{at}.attn.c_attn.bias", "bias", (3 * width,)),
            site(
                f"{at}.attn.c_proj.weight", "attention out", (width, width), feed=Feed("attention"),
                writer=Writer(0, 2 * k, count, 2),
            ),
            site(f"{at}.mlp.c_fc.weight", "up", (4 * width, width), feed=NORM),
            site(f"{at}.mlp.c_fc.bias", "bias", (4 * width,)),
            site(
                f"{at}.mlp.c_proj.weight", "down", (width, 4 * width),
                feed=after(f"{at}.mlp.c_fc.weight", "gelu"), writer=Writer(0, 2 * k + 1, count, 2),
            ),
        ]  # fmt: skip
    sites += norm("ln_f", width)
    if not tied:
        sites.append(site("lm_head.weight", "head", (words, width), feed=NORM))
    return Anatomy(tuple(sites), True, 4 * blocks, 1)


def conv(name, out, entering, k=3, *, groups=1, role="convolution", **known):
    inside = entering // groups
    return site(
        name, role, (out, inside, k, k), inside * k * k, out // groups * k * k, kind="Conv2d",
        in_axes=(1,), out_axes=(0,), spatial_axes=(2, 3), stride=known.pop("stride", (1, 1)),
        groups=groups, **known,
    )  # fmt: skip


def resnet(blocks=2, width=16):
    """Two convolutions per block, each before a norm; one shortcut."""
    sites = [conv("stem.weight", width, 3, feed=INPUT, follow=Follow("norm")), *norm("bn", width)]
    for k in range(blocks):
        at = f"layers.{k}"
        sites.append(conv(f"{at}.conv1.weight", width, width, feed=STREAM, follow=Follow("norm")))
        sites += norm(f"{at}.bn1", width)
        written = {"writer": Writer(0, k, blocks), "follow": Follow("norm")}
        sites.append(conv(f"{at}.conv2.weight", width, width, feed=NORM, **written))
        sites += norm(f"{at}.bn2", width)
    written = {"writer": Writer(0, 0, blocks), "follow": Follow("norm")}
    sites.append(conv("layers.0.downsample.0.weight", width, width, 1, feed=STREAM, **written))
    sites += norm("layers.0.downsample.1", width)
    sites.append(site("fc.weight", "head", (10, width), feed=Feed("mixed")))
    return Anatomy(tuple(sites), True, 2 * blocks + 2, 1)


def lstm(units=24, inputs=10):
    """One layer with two biases, as PyTorch has it."""
    gates = ("input", "forget", "cell", "output")

    def cut(role, *rest, fans=(None, None)):
        return tuple(
            Part(role, (k * units, *(0 for _ in rest)), (units, *rest), *fans, gate)
            for k, gate in enumerate(gates)
        )

    axes = {"in_axes": (1,), "out_axes": (0,), "kind": "LSTM"}
    return Anatomy(
        (
            site("rnn.weight_ih_l0", "recurrent input", (4 * units, inputs), inputs,
                 parts=cut("recurrent input", inputs, fans=(inputs, units)), **axes),
            site("rnn.weight_hh_l0", "recurrent hidden", (4 * units, units), units,
                 parts=cut("recurrent hidden", units, fans=(units, units)), **axes),
            site("rnn.bias_ih_l0", "recurrent bias", (4 * units,), parts=cut("recurrent bias"), kind="LSTM"),
            site("rnn.bias_hh_l0", "recurrent bias", (4 * units,), parts=cut("recurrent bias"), kind="LSTM"),
        ), False, 2, 0,
    )  # fmt: skip


def mamba(width=16, states=8, rank=4, blocks=3):
    """One mixer of several."""
    inner = 2 * width
    writer = Writer(0, 0, blocks)
    return Anatomy(
        (
            site("m.in_proj.weight", "up", (2 * inner, width), feed=NORM),
            site("m.A_log", "state", (inner, states), kind="Mamba"),
            site("m.D", "skip", (inner,), kind="Mamba"),
            site("m.dt_proj.weight", "time step weight", (inner, rank)),
            site("m.dt_proj.bias", "time step", (inner,)),
            site("m.out_proj.weight", "down", (width, inner), feed=Feed("gated"), writer=writer),
        ), True, 4, 1,
    )  # fmt: skip


def experts(count=4, width=16, hidden=48):
    """A router, and stacked experts whose gate is a SiLU."""
    axes = {"in_axes": (2,), "out_axes": (1,), "batch_axes": (0,), "kind": "Experts"}
    silu = ACTIVATIONS["silu"]
    gated = Feed("gated", label="silu", gate=silu)
    return Anatomy(
        (
            site("moe.router.weight", "router", (count, width), feed=NORM),
            site("moe.gate", "gate", (count, hidden, width), width, hidden, feed=NORM, **axes),
            site("moe.up", "up", (count, hidden, width), width, hidden, feed=NORM, **axes),
            site("moe.down", "down", (count, width, hidden), hidden, width, feed=gated,
                 writer=Writer(0, 1, 4, 2), **axes),
        ), True, 3, 1,
    )  # fmt: skip


def chain(activation="relu", widths=(8, 16, 16, 4), depth=None, **known):
    """Dense layers with nothing but an activation between."""
    sites = []
    for k, (inputs, outputs) in enumerate(pairwise(widths)):
        feed = after(f"{k - 1}.weight", activation) if k else INPUT
        role = "head" if k == len(widths) - 2 else "dense"
        sites.append(site(f"{k}.weight", role, (outputs, inputs), feed=feed, depth=k, **known))
        sites.append(site(f"{k}.bias", "bias", (outputs,)))
    return Anatomy(tuple(sites), False, depth or len(widths) - 1, 0)


def with_site(anatomy, name, **changed):
    """The same anatomy, one site of it changed."""
    sites = tuple(replace(s, **changed) if s.name == name else s for s in anatomy.sites)
    return replace(anatomy, sites=sites)


def rulings(anatomy, scheme):
    """Parameter or parameter#role → (ruling, std) by a scheme."""
    chosen, survey = scheme_of(scheme), Survey(anatomy)
    found = {}
    for one in anatomy.sites:
        for part in one.parts:
            ruling = Case(chosen, survey, one, part).said()
            key = f"{one.name}#{part.label or part.role}" if one.packed else one.name
            std = None if not ruling or ruling.law is None else true_std(ruling.law, one, part)
            found[key] = (ruling, std)
    return found


def stds(anatomy, scheme):
    """Parameter → std by a scheme."""
    return {name: std for name, (_, std) in rulings(anatomy, scheme).items()}


def second_moment(activation, std=1.0):
    """E f(z)² by 200 000 points of the normal law: an oracle of its own."""
    z = np.linspace(-12, 12, 200_001)
    mass = np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    return float(mass @ ACTIVATIONS[activation](z * std) ** 2)
