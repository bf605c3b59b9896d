"""The same regularisation in the numbers of other libraries.

Each convention states its strength in one of three canonical quantities: λ of λ·Σ|w|, λ of
λ·Σw² (both beside a loss that is a mean over samples), or the part of a weight that one step
removes. The three do not convert into each other: they are different problems.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from pondera.core.errors import DomainError, unknown

Convention = Literal[
    "adamw", "glmnet_lasso", "glmnet_ridge", "half_l2", "independent", "keras_decay", "keras_l1",
    "keras_l2", "pondera_decay", "pondera_l1", "pondera_l2", "sklearn_lasso", "sklearn_logistic_l1",
    "sklearn_logistic_l2", "sklearn_ridge", "tfa_sgdw", "timescale", "torch_coupled",
]  # fmt: skip

Facts = Mapping[str, float]


@dataclass(frozen=True)
class _Unit:
    """canonical = factor·strength, or factor/strength where the convention is inverse."""

    family: Literal["l1", "l2", "decay"]
    factor: Callable[[Facts], float] = lambda facts: 1.0
    needs: tuple[str, ...] = ()
    inverse: bool = False
    loss: str = ""  # the loss that the convention is tied to

    def turned(self, strength: float, facts: Facts) -> float:
        return self.factor(facts) / strength if self.inverse else self.factor(facts) * strength

    def returned(self, canonical: float, facts: Facts) -> float:
        factor = self.factor(facts)
        return factor / canonical if self.inverse else canonical / factor


_SQUARED, _LOG = "mean squared error", "mean log loss"
UNITS: dict[Convention, _Unit] = {
    # λ·Σ|w|
    "pondera_l1": _Unit("l1"),
    "keras_l1": _Unit("l1"),
    "sklearn_lasso": _Unit("l1", lambda _: 2.0, loss=_SQUARED),  # 1/(2n)·Σr² + a·Σ|w|
    "glmnet_lasso": _Unit("l1", lambda _: 2.0, loss=_SQUARED),  # the same, its alpha at 1
    "sklearn_logistic_l1": _Unit(  # C·Σ log loss + Σ|w|
        "l1", lambda facts: 1 / facts["n_samples"], ("n_samples",), inverse=True, loss=_LOG
    ),
    # λ·Σw²
    "pondera_l2": _Unit("l2"),
    "keras_l2": _Unit("l2"),
    "half_l2": _Unit("l2", lambda _: 0.5),  # λ/2·Σw², gradient λ·w
    "torch_coupled": _Unit("l2", lambda _: 0.5),  # adds weight_decay·w to the gradient
    "sklearn_ridge": _Unit(  # Σr² + a·Σw²
        "l2", lambda facts: 1 / facts["n_samples"], ("n_samples",), loss=_SQUARED
    ),
    "glmnet_ridge": _Unit("l2", loss=_SQUARED),  # 1/(2n)·Σr² + λ/2·Σw², its alpha at 0
    "sklearn_logistic_l2": _Unit(  # C·Σ log loss + ½·Σw²
        "l2", lambda facts: 0.5 / facts["n_samples"], ("n_samples",), inverse=True, loss=_LOG
    ),
    # part of a weight removed per step
    "pondera_decay": _Unit("decay", lambda facts: facts["lr"], ("lr",)),
    "adamw": _Unit("decay", lambda facts: facts["lr"], ("lr",)),
    "keras_decay": _Unit("decay", lambda facts: facts["lr"], ("lr",)),
    "independent": _Unit("decay"),
    "tfa_sgdw": _Unit("decay"),  # not times lr, unlike everybody else
    "timescale": _Unit(  # in epochs
        "decay",
        lambda facts: facts["batch_size"] / facts["n_samples"],
        ("batch_size", "n_samples"),
        inverse=True,
    ),
}
_MEANING = {
    "lr": "the (peak) learning rate",
    "n_samples": "the number of training samples",
    "batch_size": "the samples per step",
}


def convert_strength(
    strength: float,
    /,
    *,
    source: Convention,
    target: Convention,
    lr: float | None = None,
    n_samples: int | None = None,
    batch_size: int | None = None,
) -> float:
    """The number that means in `target` what `strength` means in `source`.

    Law:
        target.returned(source.turned(strength))

    Args:
        strength: number in the source's unit, in [0, inf); > 0 where it is an inverse
            (scikit-learn's C, a timescale in epochs).
        source: convention the number comes from; see UNITS for each one's objective.
        target: convention to put it in.
        lr: learning rate (its peak), > 0; for decays that are multiplied by it.
        n_samples: training samples, ≥ 1; for objectives that sum over them.
        batch_size: samples per step, ≥ 1; for a timescale.

    Returns:
        Strength in the target's unit.

    Raises:
        DomainError: a name is unknown, a needed number is missing, or no number can mean the
            same (L1 and L2; a decay and a penalty; two losses).

    Limits:
        Same problem, not same result: features that a library standardises by itself,
        intercepts that it penalises, and learning-rate schedules stay with the caller.

    Source:
        the libraries' own objectives: scikit-learn user guide §1.1 (Ridge, Lasso, logistic);
        Friedman, Hastie & Tibshirani 2010, J. Stat. Softw. 33(1), §2 (glmnet);
        torch.optim.SGD, Keras regularizers.L2, and tensorflow/addons issue 844 for SGDW.

    Checked by:
        test_decay.py::test_convert_agrees_with_the_libraries
        test_decay.py::test_convert_there_and_back

    >>> convert_strength(0.01, source="pondera_l2", target="torch_coupled")
    0.02
    >>> convert_strength(0.1, source="adamw", target="independent", lr=0.01)
    0.001
    """
    for name in (source, target):
        if name not in UNITS:
            raise unknown("convert_strength", "convention", name, get_args(Convention))
    units = {source: UNITS[source], target: UNITS[target]}
    _check_alike(source, target)
    given = {"lr": lr, "n_samples": n_samples, "batch_size": batch_size}
    facts = {
        fact: _fact(name, fact, given[fact]) for name, unit in units.items() for fact in unit.needs
    }
    inverse = units[source].inverse
    if not (math.isfinite(strength) and (strength > 0 if inverse else strength >= 0)):
        raise DomainError(
            f"convert_strength: {source!r} must be finite and {'above' if inverse else 'at least'}"
            f" 0; got strength={strength!r}. Use 'independent' or a penalty's λ for no strength."
        )
    canonical = units[source].turned(strength, facts)
    if canonical == 0 and units[target].inverse:
        return math.inf
    return units[target].returned(canonical, facts)


def _fact(name: str, fact: str, number: float | None) -> float:
    if number is None or not (number > 0 and math.isfinite(number)):
        raise DomainError(
            f"convert_strength: {name!r} needs {fact} > 0; got {fact}={number!r}. "
            f"Pass {fact}=, {_MEANING[fact]}."
        )
    return number


def _check_alike(source: Convention, target: Convention) -> None:
    one, other = UNITS[source], UNITS[target]
    got = f"got source={source!r}, target={target!r}"
    if one.family != other.family:
        raise DomainError(
            f"convert_strength: both must be of one kind; {got}, which are {one.family} and "
            f"{other.family}. Under plain SGD alone a decay equals 'torch_coupled' with the "
            "same number; else choose the strength anew."
        )
    if one.loss and other.loss and one.loss != other.loss:
        raise DomainError(
            f"convert_strength: both must belong to one loss; {got}, which mean {one.loss} and "
            f"{other.loss}. Choose the strength anew."
        )
