"""One row of a plan: one block of one parameter, how it begins and whether it decays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod, sqrt
from typing import Any

from pondera.core.errors import DomainError, ShapeError, placed
from pondera.core.laws import AbstractLaw
from pondera.core.laws.base import AbstractElementwise, Axes
from pondera.model.schemes.spread import mean_of, resolved, single, std_of
from pondera.model.sites import Role


@dataclass(frozen=True)
class PlanRow:
    """How one block of a parameter begins, and whether it decays. Most parameters have one block.

    Args:
        name: the parameter's name.
        shape: of the block, as stored.
        role: what it is in the network.
        law: the law it is drawn by; None if nothing is drawn.
        why: the reason, in words.
        label: which block of a packed parameter, such as "query"; "" of a whole one.
        offset: the block's first index per axis of the stored parameter.
        stored: shape of the stored parameter.
        in_axes: axes summed over.
        out_axes: axes produced.
        stack: into how many separate weights each axis is cut: experts, groups of a convolution.
        fan_in: true inputs summed over per output, None where there are none.
        fan_out: true outputs fed per input.
        gain: factor on the std for what feeds it, None where there is none.
        decay: whether it decays.
        rate: factor on the learning rate.
        stream: name of its stream: equal streams, seeds, laws and (ordered) shapes give equal numbers.
        order: axes of the stored block in the order in which it is drawn; () as stored.
        factor: what the drawn numbers are multiplied by: 1, unless the row was calibrated on a batch.
        kept: whether it is left alone on purpose.
        trained: whether it will be trained.
        known: how its role is known, in words.
    """

    name: str
    shape: tuple[int, ...]
    role: Role
    law: AbstractLaw | None
    why: str
    label: str = ""
    offset: tuple[int, ...] = ()
    stored: tuple[int, ...] = ()
    in_axes: tuple[int, ...] = ()
    out_axes: tuple[int, ...] = ()
    stack: tuple[int, ...] = ()
    fan_in: int | None = None
    fan_out: int | None = None
    gain: float | None = None
    decay: bool = False
    rate: float = 1.0
    stream: str = ""
    order: tuple[int, ...] = ()
    factor: float = 1.0
    kept: bool = False
    trained: bool = True
    known: str = ""

    @property
    def key(self) -> str:
        """The row's name in the plan: the parameter's, and behind # the block's."""
        return f"{self.name}#{self.label}" if self.label else self.name

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)

    @property
    def packed(self) -> bool:
        """Whether it is one block of several."""
        return bool(self.label)

    @property
    def ruled(self) -> bool:
        """Whether it is known what becomes of it: drawn, or left on purpose."""
        return self.law is not None or self.kept

    @property
    def single_shape(self) -> tuple[int, ...]:
        """Shape of one of the stacked weights."""
        return single(self.shape, self.stack) if self.stack else self.shape

    @property
    def axes(self) -> Axes:
        """Axes by which a law takes one weight apart; a table of two axes without any is (in, out)."""
        if self.in_axes and self.out_axes:
            return Axes(self.in_axes, self.out_axes)
        return Axes((0,), (1,)) if len(self.shape) == 2 else Axes()

    @property
    def std(self) -> float | None:
        """Standard deviation of the drawn numbers; None if nothing is drawn."""
        return None if self.law is None else self.factor * self.std_by(self.law)

    @property
    def rms(self) -> float | None:
        """Root mean square of the drawn numbers; None if nothing is drawn."""
        if self.law is None or self.std is None:
            return None
        return sqrt(self.std**2 + (self.factor * mean_of(self.law)) ** 2)

    def std_by(self, law: AbstractLaw) -> float:
        """Standard deviation of what a law would draw here.

        Raises:
            ShapeError: the law does not fit the shape.
        """
        shape = self.single_shape
        return std_of(law, shape, self.axes, fan_in=self.fan_in, fan_out=self.fan_out)

    def with_law(self, law: AbstractLaw | None, why: str) -> PlanRow:
        """The row with another law, or left alone.

        Raises:
            ShapeError, DomainError: the law does not fit; the parameter is named.
        """
        if law is not None:
            try:
                self.std_by(law)
            except (ShapeError, DomainError) as fact:
                raise placed(f"{self.key} (shape={self.shape})", fact) from None
        return replace(self, law=law, why=why, gain=None, factor=1.0, kept=law is None)

    def fills(self) -> tuple[Fill, ...]:
        """What is to be drawn: one fill, or one per stacked weight where the law ties them together."""
        if self.law is None:
            return ()
        law = resolved(self.law, self.fan_in, self.fan_out)
        alone = not self.stack or prod(self.stack) == 1 or isinstance(law, AbstractElementwise)
        if alone:
            return (self._fill(law, self.offset, self.shape, self.stream),)
        shape = self.single_shape
        return tuple(
            self._fill(law, self._shifted(index, shape), shape, f"{self.stream}[{index}]")
            for index in range(prod(self.stack))
        )

    def _shifted(self, index: int, shape: tuple[int, ...]) -> tuple[int, ...]:
        """First index of the stacked weight of this number, row-major over the stack."""
        place = list[int]()
        for count in reversed(self.stack):
            place.insert(0, index % count)
            index //= count
        return tuple(o + p * n for o, p, n in zip(self.offset, place, shape, strict=True))

    def _fill(
        self, law: AbstractLaw, offset: tuple[int, ...], shape: tuple[int, ...], stream: str
    ) -> Fill:
        order = self.order or tuple(range(len(shape)))
        axes = self.axes
        inward, outward = (
            None if some is None else tuple(order.index(axis % len(shape)) for axis in some)
            for some in axes
        )
        whole = not self.packed and shape == self.stored
        return Fill(
            self.name, law, stream, offset, shape, order, inward, outward, whole, self.factor
        )


@dataclass(frozen=True)
class Fill:
    """A draw into a block of a parameter.

    Args:
        name: the parameter's name.
        law: the law.
        stream: name of the stream.
        offset: first index of the block per stored axis.
        shape: of the block, as stored.
        order: stored axes in the order in which the block is drawn.
        in_axes: axes summed over, of the ordered block; None where the law needs none.
        out_axes: axes produced, of the ordered block.
        whole: whether the block is the whole parameter.
        factor: what the drawn numbers are multiplied by.
    """

    name: str
    law: AbstractLaw
    stream: str
    offset: tuple[int, ...]
    shape: tuple[int, ...]
    order: tuple[int, ...]
    in_axes: tuple[int, ...] | None
    out_axes: tuple[int, ...] | None
    whole: bool
    factor: float = 1.0

    @property
    def plain(self) -> bool:
        """Whether it is drawn in the stored order of axes."""
        return self.order == tuple(range(len(self.shape)))


def shown_shape(shape: Any) -> str:
    """A shape as people write it."""
    return " × ".join(map(str, shape)) or "scalar"
