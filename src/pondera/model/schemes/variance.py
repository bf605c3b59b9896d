"""One law for every weight that is summed over: Glorot, He, LeCun, orthogonal, mirrored."""

from __future__ import annotations

from math import sqrt

from pondera.core import laws
from pondera.core.errors import DomainError
from pondera.model.schemes.base import BASE
from pondera.model.schemes.chains import mirrored_of, position_of
from pondera.model.schemes.rules import every, fixed
from pondera.model.schemes.ruling import Case, Rule, Ruling, Scheme
from pondera.model.schemes.survey import WEIGHTS, Survey


def _he(case: Case) -> Ruling:
    exact = case.site.feed.label == "relu"
    told = "exact: fed by " if exact else "as in the paper, for every layer; fed by "
    return Ruling(laws.he_normal(), told + case.fed_by(), sqrt(2))


def orthogonal(case: Case) -> Ruling:
    """Orthogonal with the exact gain of what feeds the weight."""
    gain = case.feed_gain()
    why = f"exact gain {gain:.6g}, fed by {case.fed_by()}"
    if case.site.transposed:
        std = gain / sqrt(case.fan_in)
        return Ruling(laws.normal(std=std), f"{why}; transposed: normal, no fixed matrix", gain)
    rows, columns = case.matrix
    widening = sqrt(max(1.0, rows / columns))  # orthonormal columns alone would lose this
    return Ruling(laws.orthogonal(gain=gain * widening), why, gain)


def _mirrored(case: Case) -> Ruling:
    place = mirrored_of(case)
    if place is None:
        raise DomainError(
            "mirrored: needs chains of layers with f(u) − f(−u) = c·u between them; got "
            f"{case.site.name}, fed by {case.fed_by()}. Use scheme='orthogonal' or 'signal'."
        )
    why = f"{position_of(case)} layer of a mirrored chain, fed by {case.fed_by()}"
    return Ruling(place.law, why, place.gain)


def _need_chain(survey: Survey) -> None:
    if not any(site.role in WEIGHTS for site in survey.anatomy.sites):
        raise DomainError(
            f"mirrored: needs weights that are summed over; got {len(survey.anatomy.sites)} parameters "
            "and none. Use scheme='signal'."
        )


def _table(rule: Rule) -> dict[str, Rule]:
    return {**BASE, **every(WEIGHTS, rule)}


GLOROT = Scheme(
    "glorot",
    "dense and tanh networks",
    "Glorot & Bengio 2010, eq. 16",
    _table(fixed(laws.glorot_uniform(), "√6/√(fan_in + fan_out) on both sides")),
)
HE = Scheme("he", "ReLU networks", "He et al. 2015, eq. 10", _table(_he))
LECUN = Scheme(
    "lecun",
    "SELU networks; flax's default",
    "LeCun et al. 1998, eq. 16; Klambauer et al. 2017",
    _table(fixed(laws.lecun_normal(), "1/√fan_in, whatever feeds it", gain=1.0)),
)
ORTHOGONAL = Scheme(
    "orthogonal",
    "any dense network",
    "Saxe et al. 2013; gain by quadrature",
    _table(orthogonal),
)
MIRRORED = Scheme(
    "mirrored",
    "unbroken chains with f(u) − f(−u) = c·u",
    'Balduzzi et al. 2017 ("looks linear"); with Xiao et al. 2018 for convolutions',
    _table(_mirrored),
    check=_need_chain,
)
SCHEMES = (GLOROT, HE, LECUN, MIRRORED, ORTHOGONAL)
