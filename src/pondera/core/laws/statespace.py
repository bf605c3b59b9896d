"""State matrices of state-space layers: HiPPO-LegS and its diagonal approximations. Nothing is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from pondera.core.errors import DomainError, ShapeError, unknown
from pondera.core.laws.base import STORED, AbstractPlaced, Axes, Shape, cast
from pondera.core.places import Place, along

Array = npt.NDArray[Any]
Part = Literal["imaginary", "whole"]
Form = Literal["log", "plain"]

PARTS: Final = ("imaginary", "whole")
FORMS: Final = ("log", "plain")


@dataclass(frozen=True)
class LegsState(AbstractPlaced):
    """HiPPO-LegS, the matrix A over the last two axes."""

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        size = self._size(shape)
        root = np.sqrt(2 * np.arange(size, dtype=np.float64) + 1)
        below = np.cumsum(root) - root  # Σ_{k<n} √(2k+1)
        first = float(np.sum(root * below) + size * (size + 1) / 2)
        n = np.arange(size, dtype=np.float64)
        second = float(np.sum((2 * n + 1) * n**2 + (n + 1) ** 2))
        return sqrt(second / size**2 - (first / size**2) ** 2) if size else 0.0

    def at(self, place: Place, axes: Axes, /, *, seed: int, name: str, dtype: str) -> Array:
        self._size(place.shape)
        last = len(place.shape) - 1
        n, k = (along(place, (axis,)) for axis in (last - 1, last))
        below = np.sqrt((2.0 * n + 1) * (2.0 * k + 1))
        entry = -np.where(n > k, below, np.where(n == k, n + 1.0, 0.0)) + 0.0  # no −0
        return cast(np.broadcast_to(entry, place.size), dtype)

    def _size(self, shape: Shape) -> int:
        if len(shape) < 2 or shape[-1] != shape[-2]:
            raise ShapeError(
                f"laws: {self.name} needs two last axes of one size; got shape={tuple(shape)}. "
                "Pass (…, N, N)."
            )
        return shape[-1]


@dataclass(frozen=True)
class LegsInput(AbstractPlaced):
    """HiPPO-LegS, the vector B along the last axis."""

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        return _spread(self._entries(np.arange(_states(self.name, shape))))

    def at(self, place: Place, axes: Axes, /, *, seed: int, name: str, dtype: str) -> Array:
        return _rows(place, self._entries(_counted(self.name, place)), dtype)

    def _entries(self, n: npt.NDArray[np.int64]) -> Array:
        return np.sqrt(2.0 * n + 1)


@dataclass(frozen=True)
class DiagonalState(AbstractPlaced):
    """−½ + i·frequency: half of each conjugate pair of a diagonal state matrix."""

    whole: bool
    inverse: bool

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        count = _states(self.name, shape)
        return _spread(self._frequency(np.arange(count), 2 * count))

    def at(self, place: Place, axes: Axes, /, *, seed: int, name: str, dtype: str) -> Array:
        if self.whole and not dtype.startswith("complex"):
            raise DomainError(
                f"laws: {self.name} with part='whole' needs a complex dtype; got dtype={dtype!r}. "
                "Use part='imaginary', and a constant for the real part."
            )
        n = _counted(self.name, place)
        frequency = self._frequency(n, 2 * place.shape[-1])
        entries = -0.5 + 1j * frequency if self.whole else frequency
        return _rows(place, entries, dtype)

    def _frequency(self, n: npt.NDArray[np.int64], states: int) -> Array:
        return states / pi * (states / (2.0 * n + 1) - 1) if self.inverse else pi * n


@dataclass(frozen=True)
class RealState(AbstractPlaced):
    """−(n + 1), or the logarithm of n + 1."""

    form: Form

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        return _spread(self._entries(np.arange(_states(self.name, shape))))

    def at(self, place: Place, axes: Axes, /, *, seed: int, name: str, dtype: str) -> Array:
        return _rows(place, self._entries(_counted(self.name, place)), dtype)

    def _entries(self, n: npt.NDArray[np.int64]) -> Array:
        return np.log(n + 1.0) if self.form == "log" else -(n + 1.0)


def hippo_legs_state() -> LegsState:
    """HiPPO-LegS, the state matrix A of x′ = A x + B u: x holds the history in Legendre polynomials.

    Law:
        entry: -sqrt((2*n + 1) * (2*k + 1)) if n > k else -(n + 1.0) if n == k else 0.0

    Assumes:
        row n and column k are the last two axes, as the papers write it; the axes' roles are not read.

    Returns:
        The law; any axes before the last two hold copies.

    Limits:
        In float16 only for N ≤ 32000. The stored matrix is that of time 1; the exact memory divides by t.

    Source:
        Gu, Dao, Ermon, Rudra & Ré 2020, "HiPPO: recurrent memory with optimal polynomial projections",
        theorem 2, with the sign of Gu, Goel & Ré 2022, eq. 2.

    Checked by:
        test_laws_state.py::test_legs_is_the_matrix_that_projects_onto_legendre_polynomials
    """
    return LegsState("hippo_legs_state")


def hippo_legs_input() -> LegsInput:
    """HiPPO-LegS, the input vector B of x′ = A x + B u.

    Law:
        entry: sqrt(2*n + 1)

    Assumes:
        n runs along the last axis; the axes' roles are not read. For (N, 1) draw (N,) and reshape.

    Returns:
        The law; any axes before the last hold copies.

    Limits:
        S4D starts with B = 1 instead.

    Source:
        Gu et al. 2020 (HiPPO), theorem 2.

    Checked by:
        test_laws_state.py::test_legs_is_the_matrix_that_projects_onto_legendre_polynomials
    """
    return LegsInput("hippo_legs_input")


def s4d_lin(*, part: Part = "imaginary") -> DiagonalState:
    """S4D-Lin: a diagonal state matrix of evenly spaced frequencies, −½ + iπn.

    Law:
        entry: pi * n if part == "imaginary" else complex(-0.5, pi * n)

    Assumes:
        n runs along the last axis, one of each conjugate pair; the axes' roles are not read.

    Args:
        part: "imaginary" for the frequencies, stored beside log ½; "whole" for a complex tensor.

    Returns:
        The law; any axes before the last hold copies.

    Raises:
        DomainError: part unknown; "whole" in a real dtype, when drawing.

    Limits:
        The real part alone is laws.constant(log(0.5)), where its negative's logarithm is stored.

    Source:
        Gu, Gupta, Goel & Ré 2022, "On the parameterization and initialization of diagonal state space
        models", §4 (S4D-Lin).

    Checked by:
        test_laws_state.py::test_diagonal_states_are_those_of_the_paper
    """
    return DiagonalState("s4d_lin", whole=_need("part", part, PARTS) == "whole", inverse=False)


def s4d_inv(*, part: Part = "imaginary") -> DiagonalState:
    """S4D-Inv: a diagonal state matrix with the frequencies of HiPPO-LegS, by their inverse law.

    Law:
        entry: N/pi * (N/(2*n + 1) - 1) if part == "imaginary" else
        complex(-0.5, N/pi * (N/(2*n + 1) - 1))

    Assumes:
        n runs along the last axis, one of each conjugate pair, so N is twice its size; the axes' roles
        are not read.

    Args:
        part: "imaginary" for the frequencies, stored beside log ½; "whole" for a complex tensor.

    Returns:
        The law; any axes before the last hold copies.

    Raises:
        DomainError: part unknown; "whole" in a real dtype, when drawing.

    Limits:
        An approximation of HiPPO's eigenvalues: at N = 64 the largest frequency is 1.5 % too low, those
        in the middle 22 %.

    Source:
        Gu, Gupta, Goel & Ré 2022, §4 (S4D-Inv).

    Checked by:
        test_laws_state.py::test_diagonal_states_are_those_of_the_paper
    """
    return DiagonalState("s4d_inv", whole=_need("part", part, PARTS) == "whole", inverse=True)


def s4d_real(*, form: Form = "log") -> RealState:
    """S4D-Real, Mamba's A: decay rates 1, 2, … N, the eigenvalues of HiPPO-LegS.

    Law:
        entry: log(n + 1) if form == "log" else -(n + 1.0)

    Assumes:
        n runs along the last axis; the axes' roles are not read.

    Args:
        form: "log" for A_log as Mamba stores it, with A = −exp(A_log); "plain" for A itself.

    Returns:
        The law; any axes before the last hold copies, as in Mamba's (d_inner, d_state).

    Raises:
        DomainError: form unknown.

    Limits:
        log is the machine's: equal across machines to 1 ulp of float64, before the rounding. Not to be
        decayed.

    Source:
        Gu, Gupta, Goel & Ré 2022, §4 (S4D-Real); Gu & Dao 2023, "Mamba", §3.6.

    Checked by:
        test_laws_state.py::test_diagonal_states_are_those_of_the_paper
    """
    return RealState("s4d_real", form=_need("form", form, FORMS))


def _need(what: str, given: Any, choices: tuple[str, ...]) -> Any:
    if given not in choices:
        raise unknown("laws", what, given, choices)
    return given


def _states(law: str, shape: Shape) -> int:
    if not shape:
        raise ShapeError(f"laws: {law} needs at least 1 axis; got shape=(). Pass (…, N).")
    return shape[-1]


def _counted(law: str, place: Place) -> npt.NDArray[np.int64]:
    """The count n = 0, 1, … along the last axis."""
    _states(law, place.shape)
    return along(place, (len(place.shape) - 1,))


def _rows(place: Place, entries: Array, dtype: str) -> Array:
    return cast(np.broadcast_to(entries, place.size), dtype)


def _spread(entries: Array) -> float:
    return float(np.std(entries)) if entries.size else 0.0
