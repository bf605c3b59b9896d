"""What a law is: a distribution whose std follows from a weight's shape."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan, prod
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pondera.core.bits import words
from pondera.core.draw import need_dtype
from pondera.core.errors import DomainError, ShapeError
from pondera.core.fans import Fans, fans
from pondera.core.orthogonal import NUMPY, Means, Precision, precision_of
from pondera.core.places import Place, slice_of, whole
from pondera.core.recipes import Recipe
from pondera.core.scattered import drawn

Shape = Sequence[int]


class Axes(NamedTuple):
    """Which axes of a stored weight are summed over, and which are produced; None is (…, in, out)."""

    in_axes: Sequence[int] | None = None
    out_axes: Sequence[int] | None = None


STORED: Final = Axes()


@dataclass(frozen=True)
class AbstractLaw(ABC):
    """A law of initialisation. Concrete laws are frozen records, compared by their numbers.

    Args:
        name: what the law is called, such as "he_normal".
    """

    name: str

    @abstractmethod
    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        """Standard deviation of the returned values, for a weight of this shape."""

    @abstractmethod
    def draw(
        self, shape: Shape, axes: Axes = STORED, /, *, seed: int, name: str, dtype: str = "float32"
    ) -> npt.NDArray[Any]:
        """The weight: an array of this shape, a pure function of the arguments."""

    @abstractmethod
    def block(
        self,
        shape: Shape,
        axes: Axes = STORED,
        /,
        *,
        offset: Shape,
        size: Shape,
        seed: int,
        name: str,
        dtype: str = "float32",
    ) -> npt.NDArray[Any]:
        """The slice [offset, offset + size) of `draw`, with the same bits."""


@dataclass(frozen=True)
class AbstractPlaced(AbstractLaw):
    """A law by which each element follows from where it stands: any slice is made at its own cost."""

    @abstractmethod
    def at(
        self, place: Place, axes: Axes, /, *, seed: int, name: str, dtype: str
    ) -> npt.NDArray[Any]:
        """The elements of a slice. The arguments have been checked."""

    def draw(
        self, shape: Shape, axes: Axes = STORED, /, *, seed: int, name: str, dtype: str = "float32"
    ) -> npt.NDArray[Any]:
        place = whole(checked_shape(shape))
        _need_stream(seed, name, dtype)
        return self.at(place, axes, seed=seed, name=name, dtype=dtype)

    def block(
        self,
        shape: Shape,
        axes: Axes = STORED,
        /,
        *,
        offset: Shape,
        size: Shape,
        seed: int,
        name: str,
        dtype: str = "float32",
    ) -> npt.NDArray[Any]:
        place = slice_of(checked_shape(shape), offset, size)
        _need_stream(seed, name, dtype)
        return self.at(place, axes, seed=seed, name=name, dtype=dtype)


@dataclass(frozen=True)
class AbstractElementwise(AbstractPlaced):
    """A law that draws each element by itself, all by one recipe: what the compiled kernel fills."""

    @abstractmethod
    def recipe(self, shape: Shape, axes: Axes = STORED, /) -> Recipe:
        """The constants by which words become the elements of a weight of this shape."""

    def at(
        self, place: Place, axes: Axes, /, *, seed: int, name: str, dtype: str
    ) -> npt.NDArray[Any]:
        recipe = self.recipe(place.shape, axes)
        return drawn(place, recipe=recipe, seed=seed, name=name, dtype=dtype)


@dataclass(frozen=True)
class AbstractWhole(AbstractLaw):
    """A law that ties all elements together: a slice costs what the whole weight costs."""

    @abstractmethod
    def draw(
        self,
        shape: Shape,
        axes: Axes = STORED,
        /,
        *,
        seed: int,
        name: str,
        dtype: str = "float32",
        means: Means = NUMPY,
    ) -> npt.NDArray[Any]:
        """The weight, by some means: see `core.orthogonal`."""

    def block(
        self,
        shape: Shape,
        axes: Axes = STORED,
        /,
        *,
        offset: Shape,
        size: Shape,
        seed: int,
        name: str,
        dtype: str = "float32",
    ) -> npt.NDArray[Any]:
        place = slice_of(checked_shape(shape), offset, size)
        made = self.draw(shape, axes, seed=seed, name=name, dtype=dtype)
        ends = zip(place.offset, place.size, strict=True)
        return np.ascontiguousarray(made[tuple(slice(o, o + n) for o, n in ends)])


@dataclass(frozen=True)
class AbstractMatrix(AbstractWhole):
    """A law for the weight as one matrix: outputs × everything else."""

    @abstractmethod
    def matrix(
        self,
        rows: int,
        columns: int,
        *,
        seed: int,
        name: str,
        dtype: Precision = "float64",
        means: Means = NUMPY,
    ) -> npt.NDArray[Any]:
        """The weight as a matrix, in a precision and by some means: see `core.orthogonal`."""

    def draw(
        self,
        shape: Shape,
        axes: Axes = STORED,
        /,
        *,
        seed: int,
        name: str,
        dtype: str = "float32",
        means: Means = NUMPY,
    ) -> npt.NDArray[Any]:
        sizes = checked_shape(shape)
        need_dtype(dtype)
        rows, columns = matrix_shape(sizes, axes)
        order = sorted(range(len(sizes)), key=lambda axis: axis not in _outputs(sizes, axes))
        made = self.matrix(
            rows, columns, seed=seed, name=name, dtype=precision_of(dtype), means=means
        )
        split = made.reshape([sizes[axis] for axis in order])
        return np.ascontiguousarray(split.transpose(np.argsort(order))).astype(dtype, copy=False)


class Roles(NamedTuple):
    """What each axis of a weight is, counted from the front, in stored order."""

    outputs: tuple[int, ...]
    inputs: tuple[int, ...]
    field: tuple[int, ...]


def roles(law: str, shape: Shape, axes: Axes) -> Roles:
    """Output, input and field axes of a weight; the error says which law asked."""
    law_fans(law, shape, axes)
    inward, outward = (
        tuple(sorted(axis % len(shape) for axis in given))
        for given in (axes.in_axes or (-2,), axes.out_axes or (-1,))
    )
    rest = set(range(len(shape))) - {*inward, *outward}
    return Roles(outward, inward, tuple(sorted(rest)))


def sizes_of(shape: Shape, axes: Sequence[int]) -> int:
    """How many indices some axes have together."""
    return prod(shape[axis] for axis in axes)


def matrix_shape(shape: Shape, axes: Axes) -> tuple[int, int]:
    """(outputs, everything else) of a weight."""
    outputs = prod(shape[axis] for axis in _outputs(shape, axes))
    return outputs, prod(shape) // outputs


def law_fans(law: str, shape: Shape, axes: Axes) -> Fans:
    """Fans of the weight; the error says which law asked."""
    try:
        return fans(shape, in_axes=axes.in_axes, out_axes=axes.out_axes)
    except ShapeError as fact:
        raise ShapeError(f"{law}: {fact}") from None


def checked_shape(shape: Shape) -> tuple[int, ...]:
    """The shape as a tuple of integers ≥ 0."""
    try:
        sizes = tuple(size.__index__() for size in shape)
    except (AttributeError, TypeError):
        sizes = (-1,)
    if any(size < 0 for size in sizes):
        raise ShapeError(
            f"draw: a shape is a sequence of integers of at least 0; got shape={shape!r}. "
            "Pass a tuple, such as (256, 128)."
        )
    return sizes


def real(given: Any) -> float:
    """A number as a float; NaN, which no range holds, for what is none."""
    try:
        return float(given.__float__())
    except (AttributeError, OverflowError, TypeError, ValueError):
        return nan


def need_positive(law: str, what: str, number: float) -> float:
    """The number as a float; an error unless it is positive and finite."""
    if not 0 < real(number) < inf:
        raise DomainError(
            f"laws: {law} needs 0 < {what} < inf; got {what}={number!r}. Pass such a number."
        )
    return float(number)


def need_count(law: str, what: str, number: int) -> int:
    """The number as an integer; an error unless it is one of at least 1."""
    if isinstance(number, bool) or not hasattr(number, "__index__") or number < 1:
        raise DomainError(
            f"laws: {law} needs an integer {what} of at least 1; got {what}={number!r}. "
            "Pass such a number."
        )
    return number.__index__()


def cast(x: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """The array rounded once to a dtype; float16 beyond 65504 is inf, as any cast gives."""
    with np.errstate(over="ignore"):
        return x.astype(dtype, order="C")


def _need_stream(seed: int, name: str, dtype: str) -> None:
    """The complaints of a draw, also where nothing is drawn."""
    need_dtype(dtype)
    words(0, 0, seed=seed, name=name)


def _outputs(shape: Shape, axes: Axes) -> list[int]:
    fans(shape, in_axes=axes.in_axes, out_axes=axes.out_axes)  # the axes exist, none is empty
    outputs = (-1,) if axes.out_axes is None else axes.out_axes
    return [axis % len(shape) for axis in outputs]
