"""The maximal update parametrisation: stds and learning rates by which settings carry over in width."""

from __future__ import annotations

from math import sqrt

from pondera.core import laws
from pondera.model.schemes.base import BASE
from pondera.model.schemes.rules import every, fixed, thinned, writes
from pondera.model.schemes.ruling import Case, Ruling, Scheme
from pondera.model.schemes.survey import WEIGHTS


def mup(*, base_width: int = 64) -> Scheme:
    """μP for Adam, relative to a base width, at which it is the standard start.

    Args:
        base_width: fan_in at which all learning-rate factors are 1, ≥ 1.

    Returns:
        The scheme; its rows carry factors on the learning rate.
    """

    def hidden(case: Case) -> Ruling:
        gain = case.feed_gain()
        if _outside(case):
            why = f"1/√fan_in, fed by {case.fed_by()}: an input weight, its rate stays"
            return Ruling(laws.lecun_normal(gain=gain), why, gain)
        if case.role == "head" or case.site.follow.target == "output":
            return head(case)
        rate = base_width / case.fan_in
        why = f"gain {gain:.6g}/√fan_in, rate × {base_width}/{case.fan_in}"
        ruling = Ruling(laws.lecun_normal(gain=gain), why, gain, rate)
        return thinned(case, ruling, case.writers) if writes(case) else ruling

    def head(case: Case) -> Ruling:
        rate = base_width / case.fan_in
        law = laws.mup_output_normal(gain=sqrt(base_width))
        why = f"√{base_width}/fan_in, rate × {base_width}/{case.fan_in}"
        return Ruling(law, why, None, rate)

    return Scheme(
        "mup",
        f"any width, tuned at width {base_width}, with Adam",
        "Yang et al. 2022, Tensor Programs V, table 3",
        {
            **BASE,
            **every(WEIGHTS, hidden),
            "embedding": fixed(laws.normal(std=1.0), "1, its rate stays: a table of input weights"),
            "head": head,
            "position": fixed(laws.normal(std=1.0), "1, its rate stays"),
        },
        notes=(
            "Rates are for Adam: pass lr= to param_groups, which multiplies it row by row.",
            "μP also divides attention's logits by the size of a head, not its root: the model must.",
            "A head tied to the embedding begins and learns as an embedding: untie it, or divide its "
            f"output by width/{base_width} in the model.",
        ),
    )


def _outside(case: Case) -> bool:
    """Whether its fan_in does not grow with the width: it reads the model's own input."""
    return case.site.feed.source == "input" and case.site.feed.activation is None


SCHEMES = (mup(),)
