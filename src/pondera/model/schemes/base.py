"""What no scheme differs in: the values at which a parameter does nothing, and recipes of one layer type."""

from __future__ import annotations

from collections.abc import Mapping
from math import log, sqrt
from typing import Final

from pondera.core import laws
from pondera.model.decay import Kind
from pondera.model.schemes.rules import fixed, flat, left, zero
from pondera.model.schemes.ruling import Case, Rule, Ruling
from pondera.model.schemes.survey import WEIGHTS
from pondera.model.sites import Role, Site

KINDS: Final[Mapping[Role, Kind]] = {
    **dict.fromkeys(WEIGHTS, "weight"),
    "adapter down": "weight",
    "adapter up": "weight",
    "bias": "bias",
    "embedding": "embedding",
    "layer scale": "scale",
    "norm scale": "norm",
    "norm shift": "norm",
    "other": "scale",
    "position": "token",
    "position bias": "token",
    "recurrent bias": "bias",
    "recurrent hidden": "weight",
    "recurrent input": "weight",
    "scale": "scale",
    "skip": "state space",
    "spline": "weight",
    "state": "state space",
    "time step": "state space",
    "time step weight": "weight",
    "token": "token",
    "unused": "scale",
}
_CLIP: Final = log(1 / 0.07)  # Wu et al. 2018; Radford et al. 2021, §2.5


def neutral(case: Case) -> Ruling:
    """A norm's scale or shift where it leaves the normalised value as it is."""
    number = case.site.neutral
    if number is None:
        number = 1.0 if case.role == "norm scale" else 0.0
    law = laws.zeros() if number == 0 else laws.ones() if number == 1 else laws.constant(number)
    offset = " (it multiplies by 1 + w)" if case.role == "norm scale" and number == 0 else ""
    return Ruling(law, f"{number:g} leaves the normalised value as it is{offset}")


def layer_scale(case: Case) -> Ruling:
    """CaiT's: the deeper, the smaller."""
    scales = [s for s in case.survey.anatomy.sites if s.role == "layer scale"]
    blocks = max(1, len(scales) // 2)
    number = 0.1 if blocks <= 18 else 1e-5 if blocks <= 24 else 1e-6
    why = f"{number:g} for {blocks} blocks (Touvron et al. 2021, CaiT, §2)"
    return Ruling(laws.constant(number), why)


def multiplier(case: Case) -> Ruling:
    """Temperatures, slopes, and the lengths of a weight norm."""
    site = case.site
    if site.fixed_by and (weight := _normed(case)) is not None:
        return _length(case, weight)
    if site.neutral is not None:
        return Ruling(laws.constant(site.neutral), f"{site.neutral:g} changes nothing")
    if site.owner.kind == "PReLU":
        return Ruling(laws.constant(0.25), "the slope of the paper (He et al. 2015, §2.1)")
    if site.owner.leaf == "logit_scale" and not site.shape:
        return Ruling(laws.constant(_CLIP), "ln(1/0.07) (Radford et al. 2021, CLIP, §2.5)")
    return Ruling(None, "left as the model made it: only its author knows its neutral value")


def _normed(case: Case) -> Site | None:
    """The direction that a length of a weight norm belongs to."""
    beside = case.survey.by_owner.get(case.site.owner.path, ())
    return next(
        (s for s in beside if s.fixed_by == case.site.fixed_by and s.size > case.site.size), None
    )


def _length(case: Case, weight: Site) -> Ruling:
    """The lengths at which the normed weight has the variance that was asked for."""
    ruling = case.of(weight).said()
    if ruling is None or ruling.law is None:
        return Ruling(None, f"left with {weight.name}, whose length it is")
    from pondera.model.schemes.spread import true_std

    std = true_std(ruling.law, weight, weight.parts[0])
    number = std * sqrt(weight.size / case.site.size)
    why = f"the length of each row of {weight.name}: {std:.4g}·√{weight.size // case.site.size}"
    return Ruling(laws.constant(number) if number else laws.zeros(), why)


def state(case: Case) -> Ruling:
    """A of a state-space layer, as a logarithm."""
    if len(case.part.shape) >= 2:
        return Ruling(laws.s4d_real(form="log"), "ln(1 … N) along the states (Mamba, §3.6)")
    return Ruling(laws.mamba2_decay(), "ln U(1, 16), one per head (Mamba-2)")


def recurrent_bias(case: Case) -> Ruling:
    """1 for the forget gate, once where there are two biases; 0 for all others."""
    if "forget" in case.part.label and not _second(case):
        return Ruling(laws.ones(), "1: the cell remembers at the start (Gers et al. 2000)")
    also = "; the other bias of the gate has the 1" if "forget" in case.part.label else ""
    return Ruling(laws.zeros(), f"0{also}")


def _second(case: Case) -> bool:
    """Whether it is the second bias of its gates."""
    leaf = case.site.owner.leaf
    beside = case.survey.by_owner.get(case.site.owner.path, ())
    return "hh" in leaf and any(s.owner.leaf == leaf.replace("hh", "ih") for s in beside)


def spline(case: Case) -> Ruling:
    """Coefficients of a Kolmogorov–Arnold layer."""
    std = 1 / sqrt(case.fan_in)
    why = f"1/√(inputs × basis functions), {case.fan_in} in all (Rigas et al. 2025, powers of ½)"
    return Ruling(laws.normal(std=std), why)


RECURRENT: Final[Mapping[Role, Rule]] = {
    "recurrent input": fixed(laws.glorot_uniform(), "Glorot, gate by gate"),
    "recurrent hidden": fixed(laws.orthogonal(), "orthogonal, gate by gate", gain=1.0),
    "recurrent bias": recurrent_bias,
}
STATE_SPACE: Final[Mapping[Role, Rule]] = {
    "state": state,
    "skip": fixed(laws.ones(), "1: the input passes beside the state"),
    "time step": fixed(laws.softplus_time_steps(), "softplus of it is log-uniform in 0.001 … 0.1"),
    "time step weight": fixed(laws.torch_uniform(), "U(±1/√rank) (mamba_simple.py)"),
}
ADAPTERS: Final[Mapping[Role, Rule]] = {
    "adapter down": fixed(laws.torch_uniform(), "U(±1/√fan_in), as peft (Hu et al. 2021, LoRA)"),
    "adapter up": zero("0: the adapted weight begins as it was"),
}
BASE: Final[Mapping[Role, Rule]] = {
    "bias": zero("0: a bias of a weight that the scheme draws"),
    "norm scale": neutral,
    "norm shift": neutral,
    "layer scale": layer_scale,
    "scale": multiplier,
    "embedding": flat(0.02),
    "position": flat(0.02),
    "position bias": zero("0: no place is preferred"),
    "token": flat(0.02),
    "spline": spline,
    **RECURRENT,
    **STATE_SPACE,
    **ADAPTERS,
}
AS_MADE: Final = left("left as the model made it")
