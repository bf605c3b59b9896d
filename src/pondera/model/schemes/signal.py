"""Our own scheme, the default: both passes level where nothing normalises, the field's practice where it does.

Exact gains and orthogonal weights alone keep no deep network level: the gradient grows by forward
over backward gain at each layer. Mirrored blocks do, where f(u) − f(−u) = c·u; for all other
activations the signal begins so small that the two gains meet.
"""

from __future__ import annotations

from math import log, sqrt

from pondera.core import laws
from pondera.model.schemes.base import BASE, layer_scale
from pondera.model.schemes.chains import mirrored_of, position_of, quiet_gain
from pondera.model.schemes.rules import every, thinned, writes
from pondera.model.schemes.ruling import Case, Ruling, Scheme
from pondera.model.schemes.survey import ATTENTION, WEIGHTS
from pondera.model.schemes.vision import convolution, last_norm_zero

_LOGITS = 0.3  # std of a head's outputs at the start: adds 0.045 to the loss
_SMALL = 0.02


def _weight(case: Case) -> Ruling:
    return _practice(case) if case.survey.anatomy.normalised else _level(case)


# --- where nothing normalises ---


def _level(case: Case) -> Ruling:
    """Mirrored in a chain that allows it, else orthogonal with the gain that keeps the chain's level."""
    count = case.writers if writes(case) else 0
    factor = 1 / sqrt(2 * count) if count else 1.0
    told = f"; ÷√{2 * count}: the stream's variance grows by √e in all" if count else ""
    mirrored = mirrored_of(case, factor)
    if mirrored is not None:
        why = f"{position_of(case)} layer of a mirrored chain, fed by {case.fed_by()}{told}"
        return Ruling(mirrored.law, why, mirrored.gain)
    gain, why = quiet_gain(case)
    return _isometric(case, gain, factor, why + told)


def _isometric(case: Case, gain: float, factor: float, why: str) -> Ruling:
    """Orthogonal where the weight acts as one matrix at each place; normal where it does not."""
    site, (rows, columns) = case.site, case.matrix
    if site.transposed or site.groups > 1:
        std = gain * factor / sqrt(case.fan_in)
        return Ruling(laws.normal(std=std), f"{why}; normal, by the true fan_in", gain)
    taps = 1
    for axis in site.spatial_axes:
        taps *= case.part.shape[axis]
    inputs = columns // taps
    still = bool(site.spatial_axes) and all(step == 1 for step in site.stride)
    if still and taps > 1 and rows >= inputs:
        widening = sqrt(rows / inputs)
        return Ruling(laws.delta_orthogonal(gain=gain * factor * widening), why, gain)
    widening = sqrt(max(1.0, rows / columns))
    return Ruling(laws.orthogonal(gain=gain * factor * widening), why, gain)


# --- where something does ---


def _practice(case: Case) -> Ruling:
    """1/√fan_in with the exact gain; He by fan_out for convolutions before a norm; writers ÷ √count."""
    if case.role == "convolution" and not case.survey.roles() & ATTENTION:
        ruling = convolution(case)
    else:
        gain = case.feed_gain()
        why = f"exact gain {gain:.6g}, fed by {case.fed_by()}"
        ruling = Ruling(laws.lecun_normal(gain=gain), why, gain)
    written = writes(case) and case.site.follow.target != "norm"
    return thinned(case, ruling, case.writers) if written else ruling


def _head(case: Case) -> Ruling:
    """Small outputs: at the start the loss is chance's."""
    if not case.survey.anatomy.normalised:
        return _level(case)
    std = min(_SMALL, _LOGITS / sqrt(case.fan_in))
    return Ruling(laws.normal(std=std), f"min(0.02, 0.3/√{case.fan_in}): a loss near chance")


def _router(case: Case) -> Ruling:
    std = 1 / sqrt(case.fan_in)
    why = f"1/√{case.fan_in}, tails redrawn: no expert is preferred"
    return Ruling(laws.truncated_normal(std=std), why)


def table_std(case: Case) -> tuple[float, str]:
    """Std of embedding tables, and of positions that are added to them."""
    table = case.survey.first("embedding") or case.site
    words, width = table.shape[0], table.shape[-1]
    if not table.tied_head:
        return 1.0, "1: the stream begins at unit variance"
    own = max(0.3, log(max(2, words)) / 2 - log(2))  # a word's logit for itself, at most
    std = min(_SMALL, own / width)
    why = f"min(0.02, ln(√{words}/2)/{width}): as a head too, it gives no word its own copy"
    return std, why


def _embedding(case: Case) -> Ruling:
    std, why = table_std(case)
    return Ruling(laws.normal(std=std), why)


def _position(case: Case) -> Ruling:
    if "embedding" not in case.survey.roles():
        return Ruling(laws.normal(std=_SMALL), "0.02, added to what the patches give")
    std, _ = table_std(case)
    return Ruling(laws.normal(std=std), f"{std:.4g}, as the embedding that it is added to")


def _norm_scale(case: Case) -> Ruling:
    return last_norm_zero(case)


def _branch_scale(case: Case) -> Ruling:
    """On a stream that nothing normalises, the factor its writers would have; else CaiT's."""
    if case.survey.anatomy.normalised:
        return layer_scale(case)
    scaled = [s for s in case.survey.anatomy.sites if s.scaled_by == case.site.name and s.writer]
    count = scaled[0].writer.count if scaled and scaled[0].writer else 1
    number = 1 / sqrt(2 * count)
    return Ruling(laws.constant(number), f"1/√{2 * count}, for {count} branches")


SIGNAL = Scheme(
    "signal",
    "any network: level at the start",
    "Pondera; Balduzzi et al. 2017, Xiao et al. 2018, Saxe et al. 2013; norms as Goyal et al. 2017, "
    "streams as Radford et al. 2019",
    {
        **BASE,
        **every(WEIGHTS, _weight),
        "embedding": _embedding,
        "head": _head,
        "layer scale": _branch_scale,
        "norm scale": _norm_scale,
        "position": _position,
        "router": _router,
    },
)
SCHEMES = (SIGNAL,)
