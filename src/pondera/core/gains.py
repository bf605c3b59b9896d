"""Activation (any callable) → forward and backward gain, by quadrature.

The gain is the factor on a weight's std that undoes what the activation before it does to the RMS.
An activation is cut into panels; each is interpolated in 16 points and split where that does not
suffice (a kink), so that the derivative is that of the function itself, not a finite difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from pondera.core.activations import ACTIVATIONS
from pondera.core.errors import DomainError, unknown

Array = npt.NDArray[np.float64]
Activation = str | Callable[[Any], Any]
Direction = Literal["backward", "forward"]

_POINTS: Final = 16  # nodes per panel
_REACH: Final = 12.0  # standard deviations on each side; beyond lies 4e-33 of the mass
_NARROWEST: Final = 2.0**-36  # a kink is boxed in to this width
_RESOLVED: Final = 1e-11  # last coefficients, relative to the largest number of the panel
_CLOSER: Final = 12  # halvings by which a jump is told from a steep slope
_CROWD: Final = 4096  # panels still unresolved at once: not a piecewise smooth function


def gain(activation: Activation, *, direction: Direction = "forward", std: float = 1.0) -> float:
    """Factor on a weight's std by which an activation's effect on the RMS is undone.

    Forward gain keeps the signal's RMS, backward gain the gradient's. Only for the ReLU family are
    the two equal: for all others a weight keeps one of them level, not both.

    Law:
        forward: std / sqrt(E f(z)**2), backward: 1 / sqrt(E f'(z)**2), z ~ N(0, std**2)

    Assumes:
        pre-activations are normal with mean 0 and the given std; f is piecewise smooth and pointwise.

    Args:
        activation: a name (see `activations`) or a function of a float64 NumPy array.
        direction: "forward" or "backward".
        std: standard deviation of the pre-activations, 0 < std < ∞.

    Returns:
        The gain, positive.

    Raises:
        DomainError: unknown name or direction, a function that fails, changes the shape, returns numbers
            that are not finite, is zero, or (backward) jumps.

    Limits:
        1e-9 relative; about a kink between ramps steeper than 100, 1e-11 times the slope. A jump lower
        than 1e-9 of the function is taken as none.

    Source:
        He et al. 2015, eq. 10 and 14; for other activations the same expectation, by quadrature.

    Checked by:
        test_gains.py::test_gains_match_the_published_table

    >>> round(gain("relu"), 12) == round(2**0.5, 12)
    True
    >>> round(gain(np.tanh), 7), round(gain(np.tanh, direction="backward"), 7)
    (1.5925374, 1.4674136)
    """
    if direction not in ("backward", "forward"):
        raise unknown("gain", "direction", direction, ("backward", "forward"))
    if not (math.isfinite(std) and std > 0):
        raise DomainError(f"gain: needs 0 < std < inf; got std={std!r}. Pass such a number.")
    if isinstance(activation, str):
        moments = _named_moments(activation, float(std))
    else:
        moments = _moments(activation, float(std))
    signal, slope, jump = moments
    if direction == "backward" and jump is not None:
        raise DomainError(
            f"gain: a backward gain needs a continuous activation; got activation={activation!r}, "
            f"which jumps near {jump:.6g}. Use direction='forward'."
        )
    moment = signal / std**2 if direction == "forward" else slope
    if moment <= 0:
        raise DomainError(
            f"gain: the activation lets nothing through; got activation={activation!r}, whose "
            f"{direction} second moment is 0. Check the function."
        )
    return 1.0 / math.sqrt(moment)


def odd_slope(activation: Activation) -> float | None:
    """The constant c with f(z) − f(−z) = c·z for all z, or None if there is none.

    Where it exists (ReLU, leaky ReLU, GELU, SiLU, softplus, hard swish), a pair of mirrored units
    f(u), f(−u) passes u on exactly: that is what mirrored orthogonal weights use.

    Law:
        f(z) − f(−z) = c·z on (0, 12]

    Args:
        activation: a name or a function of a float64 NumPy array.

    Returns:
        c, not 0, or None.

    Raises:
        DomainError: unknown name, or a function that fails.

    Limits:
        Tested at 512 points to 1e-6 of max |f|.

    Source:
        Balduzzi et al. 2017, "The shattered gradients problem" (for ReLU).

    Checked by:
        test_gains.py::test_odd_slope_finds_the_activations_that_can_be_mirrored

    >>> odd_slope("gelu"), odd_slope("tanh")
    (1.0, None)
    """
    function = _function(activation)
    z = np.linspace(_REACH / 512, _REACH, 512)
    odd = _evaluate(function, z) - _evaluate(function, -z)
    slope = float(odd[-1] / z[-1])
    if slope == 0 or np.max(np.abs(odd - slope * z)) > 1e-6 * abs(slope) * _REACH:
        return None
    return round(slope, 6) if abs(slope - round(slope, 6)) < 1e-9 else slope


def _function(activation: Activation) -> Callable[[Any], Any]:
    if not isinstance(activation, str):
        return activation
    if activation not in ACTIVATIONS:
        raise unknown("gain", "activation", activation, ACTIVATIONS)
    return ACTIVATIONS[activation]


@cache
def _named_moments(name: str, std: float) -> tuple[float, float, float | None]:
    return _moments(_function(name), std)


def _moments(function: Callable[[Any], Any], std: float) -> tuple[float, float, float | None]:
    """E f(z)², E f′(z)² and the place of a jump (None without), z ~ N(0, std²)."""
    left, right = _first_panels(std)
    signal = slope = 0.0
    points, weights, differentiate, expand = _rule()
    noise = 1e-13 * np.abs(_evaluate(function, np.linspace(-_REACH * std, _REACH * std, 97))).max()
    jump = _jump(function, left[1:], _NARROWEST * std, noise)
    while left.size:
        half = (right - left)[:, None] / 2
        z = (left + right)[:, None] / 2 + half * points
        f = _evaluate(function, z.ravel()).reshape(z.shape)
        narrow = right - left <= _NARROWEST * std
        exact = _RESOLVED * np.abs(f).max(axis=1) + noise
        done = (_misfit(function, f @ expand, left, right) <= exact) | narrow
        mass = weights * half * np.exp(-((z / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi))
        if jump is None:
            jump = _jump(function, left[narrow], _NARROWEST * std, noise)
        derivative = np.where(narrow[:, None], 0.0, f @ differentiate / half)
        signal += float((mass * f**2)[done].sum())
        slope += float((mass * derivative**2)[done].sum())
        left, right = _halves(left[~done], right[~done], function)
    constant = slope <= 1e-22 * signal / std**2  # rounding alone
    return signal, 0.0 if constant else slope, jump


def _misfit(
    function: Callable[[Any], Any], coefficients: Array, left: Array, right: Array
) -> Array:
    """How far each panel's interpolant is from the function, by its last terms and at both ends.

    A kink between an end and the first point moves no point: the end alone shows it.
    """
    ends = _evaluate(function, np.concatenate([left, right])).reshape(2, -1)
    signs = (-1.0) ** np.arange(_POINTS)
    at_left = np.abs(ends[0] - coefficients @ signs)
    at_right = np.abs(ends[1] - coefficients.sum(axis=1))
    tail = np.abs(coefficients[:, -2:]).max(axis=1)
    return np.maximum(tail, np.maximum(at_left, at_right) / _POINTS)  # extrapolating costs digits


def _jump(
    function: Callable[[Any], Any], places: Array, width: float, noise: float
) -> float | None:
    """The first place near which a change does not shrink with the interval that it happens in."""
    if not places.size:
        return None
    z = np.stack([places - width, places + 2 * width])
    f = _evaluate(function, z.ravel()).reshape(z.shape)
    size, wide = np.abs(f).max(axis=0), np.abs(f[1] - f[0])
    for _ in range(_CLOSER):
        middle = z.mean(axis=0)
        between = _evaluate(function, middle)
        upper = np.abs(f[1] - between) >= np.abs(between - f[0])  # keep the half that changes more
        z = np.where(upper, [middle, z[1]], [z[0], middle])
        f = np.where(upper, [between, f[1]], [f[0], between])
    close = np.abs(f[1] - f[0])
    broken = (close > wide / 2) & (close > 1e-9 * size + noise)
    return float(np.clip(places, *z)[broken][0]) if broken.any() else None


def _halves(left: Array, right: Array, function: Callable[[Any], Any]) -> tuple[Array, Array]:
    if left.size > _CROWD:
        raise DomainError(
            "gain: needs an activation that is smooth between a few kinks; got "
            f"activation={function!r}, which is rough everywhere. Compute it in float64, without noise."
        )
    middle = (left + right) / 2
    return np.concatenate([left, middle]), np.concatenate([middle, right])


def _first_panels(std: float) -> tuple[Array, Array]:
    """Panels that end where kinks usually lie: at multiples of ½."""
    reach = _REACH * std
    half_steps = np.arange(-min(24, int(2 * reach)), min(24, int(2 * reach)) + 1) / 2
    edges = np.union1d(np.linspace(-reach, reach, 49), half_steps)
    return edges[:-1], edges[1:]


@cache
def _rule() -> tuple[Array, Array, Array, Array]:
    """Gauss–Legendre points and weights on [−1, 1]; matrices to differentiate and to expand."""
    from numpy.polynomial import legendre

    points, weights = legendre.leggauss(_POINTS)
    basis = legendre.legvander(points, _POINTS - 1)
    expand: Array = np.linalg.inv(basis).T.astype(np.float64)  # values @ expand = coefficients
    slopes = legendre.legval(points, legendre.legder(np.eye(_POINTS)))  # (degree, point)
    return points, weights, expand @ slopes, expand


def _evaluate(function: Callable[[Any], Any], z: Array) -> Array:
    try:
        with np.errstate(all="ignore"):
            f = np.asarray(function(z), dtype=np.float64)
    except Exception as fault:
        raise DomainError(
            f"gain: an activation maps a float64 NumPy array to one of its shape; got "
            f"activation={function!r}, which raised {type(fault).__name__}: {fault}. For a PyTorch "
            "function use pondera.torch.gain."
        ) from fault
    if f.shape != z.shape or not np.isfinite(f).all():
        where = f"shape {f.shape}" if f.shape != z.shape else "numbers that are not finite"
        raise DomainError(
            f"gain: an activation maps a float64 NumPy array to one of its shape; got "
            f"activation={function!r}, which returned {where}. Pass a pointwise function that is "
            "finite up to 12 standard deviations."
        )
    return f
