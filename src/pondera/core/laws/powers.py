"""A gain over a power of fan_in: sine networks, PyTorch's default, the output layer of μP."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal

from pondera.core.laws.base import (
    STORED,
    AbstractElementwise,
    Axes,
    Shape,
    law_fans,
    need_positive,
)
from pondera.core.recipes import Recipe, normal_recipe, uniform_recipe


@dataclass(frozen=True)
class FanPower(AbstractElementwise):
    """std = gain / fan_in^power."""

    gain: float
    power: float
    distribution: Literal["normal", "uniform"]

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        return self.gain / law_fans(self.name, shape, axes).fan_in ** self.power

    def recipe(self, shape: Shape, axes: Axes = STORED, /) -> Recipe:
        std = self.std(shape, axes)
        if self.distribution == "normal":
            return normal_recipe(std)
        return uniform_recipe(-std * sqrt(3), std * sqrt(3))


def siren_first() -> FanPower:
    """The first layer of a sine network (SIREN): U(−1/fan_in, 1/fan_in).

    Law:
        1 / (sqrt(3) * fan_in)

    Assumes:
        coordinates in [−1, 1]; the layer computes sin(omega·(W x + b)), omega about 30.

    Returns:
        The law.

    Limits:
        The paper's text gives another bound; this is the one of its code, which its author calls right.

    Source:
        Sitzmann, Martel, Bergman, Lindell & Wetzstein 2020, "Implicit neural representations with periodic
        activation functions" (SIREN), as in the authors' code.

    Checked by:
        test_laws_more.py::test_returned_std_is_the_std_promised
    """
    return FanPower("siren_first", gain=1 / sqrt(3), power=1.0, distribution="uniform")


def siren_hidden(*, omega: float = 30.0, gain: float | None = None) -> FanPower:
    """All later layers of a sine network (SIREN): U(−b, b) with b = √(6/fan_in)/omega.

    Law:
        (sqrt(2) if gain is None else gain) / (omega * sqrt(fan_in))

    Assumes:
        the layer computes sin(omega·(W x + b)) on outputs of such a layer.

    Args:
        omega: the frequency factor in the forward pass, positive; 1 where it is folded into the weights.
        gain: replaces √2, positive; `gain("sin")` (1.5209) keeps unit pre-activations exactly.

    Returns:
        The law.

    Raises:
        DomainError: omega or gain not positive and finite.

    Limits:
        With √2 the std of the pre-activations settles at 0.893, not at the paper's 1.

    Source:
        Sitzmann et al. 2020, the principled initialization; the fixed point v = 1 − exp(−2v) is our own.

    Checked by:
        test_laws_more.py::test_sine_layers_settle_where_the_fixed_point_is
    """
    factor = need_positive("siren_hidden", "gain", sqrt(2) if gain is None else gain)
    wave = need_positive("siren_hidden", "omega", omega)
    return FanPower("siren_hidden", gain=factor / wave, power=0.5, distribution="uniform")


def torch_uniform() -> FanPower:
    """What PyTorch's Linear and Conv start with, weight and bias alike: U(−1/√fan_in, 1/√fan_in).

    Also the default of Equinox, of LoRA's A, of Mamba's dt_proj and of DLRM's tables (in axis: the rows).

    Law:
        1 / sqrt(3 * fan_in)

    Returns:
        The law.

    Limits:
        A sixth of He's variance: behind 30 ReLU layers nothing of the input is left. For comparison, and
        for models tuned with it. PyTorch writes it kaiming_uniform_(a=√5).

    Source:
        torch.nn.Linear.reset_parameters; LeCun et al. 1998, eq. 16, with a bound for
        the std; the baseline of Glorot & Bengio 2010, eq. 1.

    Checked by:
        test_laws_more.py::test_torch_uniform_is_the_default_of_torch
    """
    return FanPower("torch_uniform", gain=1 / sqrt(3), power=0.5, distribution="uniform")


def mup_output_normal(*, gain: float = 1.0) -> FanPower:
    """The output layer under the maximal update parametrisation (μP): variance 1/fan_in².

    Law:
        gain / fan_in

    Args:
        gain: factor on the std, positive.

    Returns:
        The law.

    Raises:
        DomainError: gain not positive and finite.

    Limits:
        Only with μP's learning rates (Adam: output and hidden ∝ 1/fan_in) does width transfer.

    Source:
        Yang et al. 2022, "Tensor Programs V: tuning large neural networks via zero-shot hyperparameter
        transfer", table 3.

    Checked by:
        test_laws_more.py::test_returned_std_is_the_std_promised
    """
    factor = need_positive("mup_output_normal", "gain", gain)
    return FanPower("mup_output_normal", gain=factor, power=1.0, distribution="normal")
