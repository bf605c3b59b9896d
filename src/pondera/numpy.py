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

from pondera import kernel
from pondera.core import laws
from pondera.core.draw import need_dtype
from pondera.core.errors import DomainError, ShapeError
from pondera.core.laws.base import AbstractLaw, Axes
from pondera.core.penalties import L1, L2
from pondera.core.solvers import Solution as Solution
from pondera.core.solvers import mean_loss as mean_loss
from pondera.core.solvers import minimise as minimise

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
        dtype: npt.DTypeLike | None = None,
        offset: Sequence[int] | None = None,
        size: Sequence[int] | None = None,
        out: Array | None = None,
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
    dtype: npt.DTypeLike | None = None,
    offset: Sequence[int] | None = None,
    size: Sequence[int] | None = None,
    out: Array | None = None,
) -> Array:
    """A weight of the given shape by a law, or the slice [offset, offset + size) of it.

    Args:
        law: from `pondera.laws`, such as `laws.he_normal()`.
        shape: the stored shape; (fan_in, fan_out) for a dense layer, (…, in, out) for a convolution.
        seed: 64-bit seed.
        name: the parameter's name; equal names with one seed give equal weights.
        in_axes: axes summed over, default the last but one.
        out_axes: axes produced, default the last.
        dtype: float32 (the default), float64, float16, complex64 or complex128.
        offset: first index of the slice along each axis, default 0.
        size: elements of the slice along each axis, default all from the offset on, or those of `out`.
        out: array to write into, of any strides; it says the dtype.

    Returns:
        `out`, or a new array.

    Raises:
        DomainError: seed, name or dtype out of range, or an `out` that cannot be written so. ShapeError: the
            shape has no fans for this law, or the slice does not lie in it. `out` is then untouched.

    Limits:
        A slice costs what it holds. Laws that tie all elements together (orthogonal ones) make the whole.

    >>> whole = he_normal((64, 32), seed=0, name="w")
    >>> columns = he_normal((64, 32), seed=0, name="w", offset=(0, 8), size=(64, 4))
    >>> (columns == whole[:, 8:12]).all()
    np.True_
    """
    if size is None and out is not None:
        size = np.shape(out)
    part = kernel.weight_of(
        law, _axes(in_axes, out_axes), shape=shape, offset=offset, size=size, seed=seed, name=name
    )
    kind = _dtype_of(dtype, out)
    if out is None:
        out = np.empty(part.size, dtype=kind)
    address, strides = kernel.array_memory("draw", out, part.size, kind)
    kernel.write(address, None if out.flags.c_contiguous else strides, part, kind)
    return out


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
        dtype: npt.DTypeLike | None = None,
        offset: Sequence[int] | None = None,
        size: Sequence[int] | None = None,
        out: Array | None = None,
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
            offset=offset,
            size=size,
            out=out,
        )

    drawn.__name__ = drawn.__qualname__ = factory.__name__
    drawn.__doc__ = (
        f"A weight by `laws.{factory.__name__}`; its options and those of `weight`.\n\n"
        f"The law:\n\n{inspect.getdoc(factory)}"
    )
    return drawn


delta_orthogonal = _by_law(laws.delta_orthogonal)
dirac = _by_law(laws.dirac)
glorot_normal = _by_law(laws.glorot_normal)
glorot_uniform = _by_law(laws.glorot_uniform)
hadamard_orthogonal = _by_law(laws.hadamard_orthogonal)
he_normal = _by_law(laws.he_normal)
he_uniform = _by_law(laws.he_uniform)
hippo_legs_input = _by_law(laws.hippo_legs_input)
hippo_legs_state = _by_law(laws.hippo_legs_state)
identity = _by_law(laws.identity)
kan_normal = _by_law(laws.kan_normal)
lecun_normal = _by_law(laws.lecun_normal)
lecun_uniform = _by_law(laws.lecun_uniform)
log_time_steps = _by_law(laws.log_time_steps)
log_uniform = _by_law(laws.log_uniform)
mamba2_decay = _by_law(laws.mamba2_decay)
mirrored_delta_orthogonal = _by_law(laws.mirrored_delta_orthogonal)
mirrored_orthogonal = _by_law(laws.mirrored_orthogonal)
mup_output_normal = _by_law(laws.mup_output_normal)
normal = _by_law(laws.normal)
ones = _by_law(laws.ones)
orthogonal = _by_law(laws.orthogonal)
residual_normal = _by_law(laws.residual_normal)
s4d_inv = _by_law(laws.s4d_inv)
s4d_lin = _by_law(laws.s4d_lin)
s4d_real = _by_law(laws.s4d_real)
siren_first = _by_law(laws.siren_first)
siren_hidden = _by_law(laws.siren_hidden)
small_normal = _by_law(laws.small_normal)
softplus_time_steps = _by_law(laws.softplus_time_steps)
sparse = _by_law(laws.sparse)
tiled_identity = _by_law(laws.tiled_identity)
torch_uniform = _by_law(laws.torch_uniform)
truncated_normal = _by_law(laws.truncated_normal)
uniform = _by_law(laws.uniform)
unit_rows = _by_law(laws.unit_rows)
variance_scaling = _by_law(laws.variance_scaling)
wang_normal = _by_law(laws.wang_normal)
zeros = _by_law(laws.zeros)


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


def _axes(inward: Sequence[int] | None, outward: Sequence[int] | None) -> Axes:
    """The axes as tuples, which laws can be kept by."""
    return Axes(*(None if axes is None else tuple(axes) for axes in (inward, outward)))


def _dtype_of(dtype: npt.DTypeLike | None, out: Array | None) -> str:
    """The name of a dtype that can be drawn: float32, unless one is asked for or `out` has another."""
    try:
        asked = None if dtype is None else np.dtype(dtype).name
    except TypeError:
        asked = str(dtype)  # the check says what can be drawn
    held = getattr(getattr(out, "dtype", None), "name", None)
    need_dtype(asked or held or "float32")
    if asked and held and asked != held:
        raise DomainError(
            f"draw: dtype must be that of out, or be left out; got dtype={asked!r}, "
            f"out.dtype={held!r}. Leave it out."
        )
    return asked or held or "float32"


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
