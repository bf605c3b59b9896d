"""Starts of networks of sines, of state-space layers and of recurrent ones."""

from __future__ import annotations

from math import sqrt

import numpy as np

from pondera.core import laws
from pondera.model.schemes.base import BASE
from pondera.model.schemes.rules import every, fixed, flat, written, zero
from pondera.model.schemes.ruling import Case, Ruling, Scheme
from pondera.model.schemes.survey import WEIGHTS

_NEAR = 1e-6  # where a sine is its slope
_OMEGA = 30.0  # the paper's, where no activation tells


def _siren(case: Case) -> Ruling:
    site = case.site
    if site.feed.source == "input" and site.feed.activation is None:
        return Ruling(laws.siren_first(), "U(±1/fan_in): fed by the coordinates")
    wave = _frequency(case)
    return Ruling(laws.siren_hidden(omega=wave), f"√6/√fan_in/{wave:g} on both sides")


def _frequency(case: Case) -> float:
    """Slope at 0 of the sine behind the weight; of the one before it for the last layer."""
    feed = case.site.feed
    nexts = [s.feed.activation for s in case.survey.fed.get(case.site.name, ())]
    for activation in (*nexts, case.site.follow.activation, feed.activation):
        if activation is not None:
            slope = float(np.asarray(activation(np.array([_NEAR])))[0]) / _NEAR
            if slope > 0:
                return round(slope, 6)
    return _OMEGA


def _siren_bias(case: Case) -> Ruling:
    weight = case.survey.sibling(case.site)
    if weight is None or not weight.parts[0].fan_in:
        return Ruling(laws.zeros(), "0: no weight stands beside it")
    fan = weight.parts[0].fan_in
    bound = 1 / sqrt(fan)
    return Ruling(laws.uniform(low=-bound, high=bound), f"U(±1/√{fan}): the code leaves PyTorch's")


SIREN = Scheme(
    "siren",
    "coordinates → fields, with sines",
    "Sitzmann et al. 2020, suppl. §1.5, as in vsitzmann/siren modules.py",
    {**BASE, **every(WEIGHTS, _siren), "bias": _siren_bias},
)
MAMBA = Scheme(
    "mamba",
    "state-space language models",
    "Gu & Dao 2023; mamba_ssm mamba_simple.py, mamba2.py and mixer_seq_simple.py",
    {
        **BASE,
        **every(WEIGHTS, written(fixed(laws.torch_uniform(), "U(±1/√fan_in)"))),
        "embedding": flat(0.02),
    },
    notes=("A, D and the time steps' bias are not decayed.",),
)
RECURRENT = Scheme(
    "recurrent",
    "LSTM, GRU and plain recurrent networks",
    "Glorot & Bengio 2010 and Saxe et al. 2013, gate by gate; Gers et al. 2000 and Jozefowicz et al. "
    "2015 (forget bias 1)",
    {
        **BASE,
        **every(WEIGHTS, fixed(laws.glorot_uniform(), "√6/√(fan_in + fan_out) on both sides")),
        "embedding": fixed(laws.uniform(low=-0.05, high=0.05), "U(±0.05), as keras"),
        "position bias": zero("0"),
    },
)
SCHEMES = (MAMBA, RECURRENT, SIREN)
