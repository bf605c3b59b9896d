"""What PyTorch and Keras begin with, layer by layer: to compare with, and for models tuned on it."""

from __future__ import annotations

from math import prod, sqrt

from pondera.core import laws
from pondera.core.laws import AbstractLaw
from pondera.model.schemes.base import ADAPTERS, AS_MADE, BASE, STATE_SPACE, multiplier, neutral
from pondera.model.schemes.rules import every, fixed, joint_fan_out, left, zero
from pondera.model.schemes.ruling import Case, Ruling, Scheme
from pondera.model.schemes.survey import WEIGHTS
from pondera.model.sites import Site

_RECURRENT = ("LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell")


def _within(bound: float) -> AbstractLaw:
    return laws.uniform(low=-bound, high=bound)


def _torch_fan(site: Site) -> int:
    """What `torch.nn.init` takes for fan_in, whatever the layer."""
    return max(1, prod(site.shape[1:]))


def _torch_weight(case: Case) -> Ruling:
    site = case.site
    if site.owner.kind == "MultiheadAttention" and "in_proj" in site.owner.leaf:
        bound = sqrt(6 / (site.shape[0] + site.shape[1]))
        return Ruling(_within(bound), f"Glorot over the whole of {site.owner.leaf}, as PyTorch")
    fan = _torch_fan(site)
    return Ruling(_within(1 / sqrt(fan)), f"U(±1/√{fan}), by PyTorch's count of fan_in")


def _torch_bias(case: Case) -> Ruling:
    if case.site.owner.kind == "MultiheadAttention":
        return Ruling(laws.zeros(), "0, as nn.MultiheadAttention")
    weight = case.survey.sibling(case.site)
    if weight is None:
        return Ruling(laws.zeros(), "0: no weight stands beside it")
    fan = _torch_fan(weight)
    return Ruling(_within(1 / sqrt(fan)), f"U(±1/√{fan}), as its weight")


def _torch_recurrent(case: Case) -> Ruling:
    units = case.part.shape[0]
    return Ruling(_within(1 / sqrt(units)), f"U(±1/√{units}) for all of {case.site.owner.kind}")


def _torch_other(case: Case) -> Ruling:
    return AS_MADE(case)


def _keras_kernel(case: Case) -> Ruling:
    fan_out = joint_fan_out(case)
    bound = sqrt(6 / (case.fan_in + fan_out))
    packed = f" of all {len(case.site.parts)} gates" if case.site.packed else ""
    return Ruling(_within(bound), f"Glorot, fan_out {fan_out}{packed}")


def _keras_recurrent(case: Case) -> Ruling:
    gates = len(case.site.parts)
    gain = 1 / sqrt(gates)
    return Ruling(laws.orthogonal(gain=gain), f"columns orthonormal over all {gates} gates", gain)


TORCH = Scheme(
    "torch",
    "what PyTorch's layers begin with",
    "torch.nn 2.13, reset_parameters of each layer",
    {
        **BASE,
        **STATE_SPACE,
        **ADAPTERS,
        **every(WEIGHTS, _torch_weight),
        **every(("recurrent bias", "recurrent hidden", "recurrent input"), _torch_recurrent),
        "bias": _torch_bias,
        "embedding": fixed(laws.normal(std=1.0), "N(0, 1), as nn.Embedding"),
        "layer scale": left("left as the model made it: no layer of PyTorch's own"),
        "position": fixed(laws.normal(std=1.0), "N(0, 1), as nn.Embedding"),
        "norm scale": neutral,
        "norm shift": neutral,
        "scale": multiplier,
        "spline": AS_MADE,
    },
    notes=(
        "PyTorch counts the fans of grouped, transposed and packed weights wrongly; so does this.",
    ),
)
KERAS = Scheme(
    "keras",
    "what Keras's layers begin with",
    "keras 3.15, default initializers of each layer; true fans where Keras's own are wrong",
    {
        **BASE,
        **every(WEIGHTS, fixed(laws.glorot_uniform(), "√6/√(fan_in + fan_out) on both sides")),
        "embedding": fixed(_within(0.05), "U(±0.05), as keras.layers.Embedding"),
        "position": fixed(_within(0.05), "U(±0.05), as keras.layers.Embedding"),
        "recurrent hidden": _keras_recurrent,
        "recurrent input": _keras_kernel,
        "router": fixed(laws.glorot_uniform(), "√6/√(fan_in + fan_out) on both sides"),
        "position bias": zero("0"),
    },
)
SCHEMES = (KERAS, TORCH)
