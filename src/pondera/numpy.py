"""Weights and penalties for networks written by hand in NumPy.

The weight of a dense layer is stored as `y = x @ W` uses it: shape (fan_in, fan_out). A draw is a pure
function of (seed, name, shape, law, dtype): equal arguments give equal bits in every framework.

>>> import numpy, pondera.numpy as pn
>>> W = pn.he_normal((64, 32), seed=0, name="hidden.W")
>>> y, prediction = numpy.ones(5), numpy.zeros(5)
>>> loss = pn.l1_regularised_loss(y, prediction, [W], strength=1e-3)
>>> W = pn.l1_prox(W, strength=1e-3, step=0.1)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pondera.core import laws
from pondera.core.errors import ShapeError
from pondera.core.laws.base import AbstractLaw, Axes
from pondera.core.penalties import L1, L2

Array = npt.NDArray[Any]


class _Drawn(Protocol):
    """A law's drawing function: shape in, weight out."""

    def __call__(
        self,
        shape: Sequence[int],
        /,
        *,
        seed: int,
        name: str,
        in_axes: Sequence[int] | None = None,
        out_axes: Sequence[int] | None = None,
        dtype: npt.DTypeLike = "float32",
        **options: Any,
    ) -> Array: ...


def weight(
    law: AbstractLaw,
    shape: Sequence[int],
    /,
    *,
    seed: int,
    name: str,
    in_axes: Sequence[int] | None = None,
    out_axes: Sequence[int] | None = None,
    dtype: npt.DTypeLike = "float32",
) -> Array:
    """A weight of the given shape by a law.

    Args:
        law: from `pondera.laws`, such as `laws.he_normal()`.
        shape: the stored shape; (fan_in, fan_out) for a dense layer, (…, in, out) for a convolution.
        seed: 64-bit seed.
        name: the parameter's name; equal names with one seed give equal weights.
        in_axes: axes summed over, default the last but one.
        out_axes: axes produced, default the last.
        dtype: float32, float64, float16, complex64 or complex128.

    Returns:
        A new array of that shape and dtype.

    Raises:
        DomainError: seed, name or dtype out of range. ShapeError: the shape has no fans for this law.
    """
    axes = Axes(in_axes, out_axes)
    return law.draw(shape, axes, seed=seed, name=name, dtype=_dtype_name(dtype))


def _by_law(factory: Callable[..., AbstractLaw]) -> _Drawn:
    """`weight` with the law's own options beside the draw's."""

    def drawn(
        shape: Sequence[int],
        /,
        *,
        seed: int,
        name: str,
        in_axes: Sequence[int] | None = None,
        out_axes: Sequence[int] | None = None,
        dtype: npt.DTypeLike = "float32",
        **options: Any,
    ) -> Array:
        return weight(
            factory(**options),
            shape,
            seed=seed,
            name=name,
            in_axes=in_axes,
            out_axes=out_axes,
            dtype=dtype,
        )

    drawn.__name__ = drawn.__qualname__ = factory.__name__
    drawn.__doc__ = (
        f"A weight by `laws.{factory.__name__}`; its options and those of `weight`.\n\n"
        f"The law:\n\n{inspect.getdoc(factory)}"
    )
    return drawn


normal = _by_law(laws.normal)
uniform = _by_law(laws.uniform)
truncated_normal = _by_law(laws.truncated_normal)
zeros = _by_law(laws.zeros)
ones = _by_law(laws.ones)
glorot_normal = _by_law(laws.glorot_normal)
glorot_uniform = _by_law(laws.glorot_uniform)
he_normal = _by_law(laws.he_normal)
he_uniform = _by_law(laws.he_uniform)
lecun_normal = _by_law(laws.lecun_normal)
lecun_uniform = _by_law(laws.lecun_uniform)
variance_scaling = _by_law(laws.variance_scaling)
orthogonal = _by_law(laws.orthogonal)
mirrored_orthogonal = _by_law(laws.mirrored_orthogonal)


def l1_regularised_loss(
    target: Array, prediction: Array, weights: Sequence[Array], *, strength: float
) -> float:
    """Mean squared error plus strength times the sum of |w|, over weights, never over predictions.

    Args:
        target: y, any shape.
        prediction: ŷ, of the same shape.
        weights: the weight arrays to penalise; biases are best left out.
        strength: λ of mean((y − ŷ)²) + λ·Σ|w|, 0 ≤ λ < ∞.

    Returns:
        The loss.

    Raises:
        ShapeError: target and prediction differ in shape (they would broadcast). DomainError: strength.
    """
    return _squared_error(target, prediction) + sum(
        L1(strength).value(w) for w in _several(weights)
    )


def l2_regularised_loss(
    target: Array, prediction: Array, weights: Sequence[Array], *, strength: float
) -> float:
    """Mean squared error plus strength times the sum of w², over weights, never over predictions.

    Args:
        target: y, any shape.
        prediction: ŷ, of the same shape.
        weights: the weight arrays to penalise; biases are best left out.
        strength: λ of mean((y − ŷ)²) + λ·Σw², 0 ≤ λ < ∞. PyTorch's coupled weight_decay is 2λ.

    Returns:
        The loss.

    Raises:
        ShapeError: target and prediction differ in shape (they would broadcast). DomainError: strength.
    """
    return _squared_error(target, prediction) + sum(
        L2(strength).value(w) for w in _several(weights)
    )


def squared_error_gradient(target: Array, prediction: Array) -> Array:
    """Gradient of mean((y − ŷ)²) with respect to ŷ: 2(ŷ − y)/n.

    Args:
        target: y, any shape.
        prediction: ŷ, of the same shape.

    Returns:
        Array of that shape; back-propagate it, then add the penalty's gradient to each weight's.

    Raises:
        ShapeError: the shapes differ.
    """
    y, guess = _pair(target, prediction)
    return 2 * (guess - y) / y.size


def l1_gradient(weight: Array, *, strength: float) -> Array:
    """A subgradient of λ·Σ|w|: λ·sign(w), and 0 where w = 0.

    Args:
        weight: any shape.
        strength: λ, 0 ≤ λ < ∞.

    Returns:
        Array of the weight's shape. Steps along it never make exact zeros: use `l1_prox` for those.

    Raises:
        DomainError: strength negative or not finite.
    """
    return L1(strength).slope(weight)


def l2_gradient(weight: Array, *, strength: float) -> Array:
    """Gradient of λ·Σw²: 2λ·w.

    Args:
        weight: any shape.
        strength: λ, 0 ≤ λ < ∞.

    Returns:
        Array of the weight's shape.

    Raises:
        DomainError: strength negative or not finite.
    """
    return L2(strength).slope(weight)


def l1_prox(weight: Array, *, strength: float, step: float) -> Array:
    """Soft threshold: the proximal step of λ·Σ|w|, after a gradient step on the data's loss alone.

    Args:
        weight: w after the gradient step, any shape.
        strength: λ, 0 ≤ λ < ∞.
        step: the learning rate of that gradient step, ≥ 0.

    Returns:
        sign(w)·max(|w| − step·λ, 0): exact zeros, and the λ asked for at the fixed point.

    Raises:
        DomainError: strength or step negative or not finite.
    """
    return L1(strength).prox(weight, step=step)


def l2_prox(weight: Array, *, strength: float, step: float) -> Array:
    """Shrinkage: the proximal step of λ·Σw², w/(1 + 2·step·λ).

    Args:
        weight: w after the gradient step, any shape.
        strength: λ, 0 ≤ λ < ∞.
        step: the learning rate of that gradient step, ≥ 0.

    Returns:
        Array of the weight's shape.

    Raises:
        DomainError: strength or step negative or not finite.
    """
    return L2(strength).prox(weight, step=step)


def _dtype_name(dtype: npt.DTypeLike) -> str:
    try:
        return np.dtype(dtype).name
    except TypeError:
        return str(dtype)  # the law says what it can draw


def _squared_error(target: Array, prediction: Array) -> float:
    y, guess = _pair(target, prediction)
    return float(np.mean(np.square(y - guess)))


def _pair(target: Array, prediction: Array) -> tuple[Array, Array]:
    y, guess = np.asarray(target), np.asarray(prediction)
    if y.shape != guess.shape or y.size == 0:
        raise ShapeError(
            f"squared error: target and prediction need one shape that is not empty; got "
            f"target.shape={y.shape!r}, prediction.shape={guess.shape!r}. Reshape one: NumPy would "
            "broadcast them."
        )
    return y, guess


def _several(weights: Sequence[Array]) -> Sequence[Array]:
    """A list of arrays; a bare array would be taken apart into rows, with the same sum."""
    return [np.asarray(w) for w in weights]
