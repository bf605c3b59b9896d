"""What a law is: a distribution whose std follows from a weight's shape."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pondera.core.draw import draw, need_dtype
from pondera.core.errors import ShapeError
from pondera.core.fans import Fans, fans
from pondera.core.recipes import Recipe

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


@dataclass(frozen=True)
class AbstractElementwise(AbstractLaw):
    """A law that draws each element by itself, so that any part can be made alone."""

    @abstractmethod
    def recipe(self, shape: Shape, axes: Axes = STORED, /) -> Recipe:
        """The constants by which words become the elements of a weight of this shape."""

    def draw(
        self, shape: Shape, axes: Axes = STORED, /, *, seed: int, name: str, dtype: str = "float32"
    ) -> npt.NDArray[Any]:
        sizes = checked_shape(shape)
        recipe = self.recipe(sizes, axes)
        return draw(0, prod(sizes), recipe=recipe, seed=seed, name=name, dtype=dtype).reshape(sizes)


@dataclass(frozen=True)
class AbstractMatrix(AbstractLaw):
    """A law for the weight as one matrix: outputs × everything else."""

    @abstractmethod
    def matrix(self, rows: int, columns: int, *, seed: int, name: str) -> npt.NDArray[np.float64]:
        """The weight as a matrix, in float64."""

    def draw(
        self, shape: Shape, axes: Axes = STORED, /, *, seed: int, name: str, dtype: str = "float32"
    ) -> npt.NDArray[Any]:
        sizes = checked_shape(shape)
        need_dtype(dtype)
        rows, columns = matrix_shape(sizes, axes)
        order = sorted(range(len(sizes)), key=lambda axis: axis not in _outputs(sizes, axes))
        split = self.matrix(rows, columns, seed=seed, name=name).reshape(
            [sizes[axis] for axis in order]
        )
        return np.ascontiguousarray(split.transpose(np.argsort(order))).astype(dtype, copy=False)


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


def _outputs(shape: Shape, axes: Axes) -> list[int]:
    fans(shape, in_axes=axes.in_axes, out_axes=axes.out_axes)  # the axes exist, none is empty
    outputs = (-1,) if axes.out_axes is None else axes.out_axes
    return [axis % len(shape) for axis in outputs]
