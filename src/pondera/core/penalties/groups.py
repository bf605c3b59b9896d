"""Which weights live and die together: rows, columns, channels, heads, tiles, labels.

A `Groups` is a rule; `layout(shape)` makes it concrete for one shape. A layout folds the
weights so that each group runs along known axes: all group mathematics is then a sum over
those axes, for every kind of group and without a loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np

from pondera.core.errors import DomainError, ShapeError
from pondera.core.penalties.base import Array


@final
@dataclass(frozen=True, eq=False)
class Layout:
    """Weights of one shape, folded into groups.

    Law:
        fold and unfold are inverse to each other.

    Args:
        shape: shape of the weights.
        folded: shape after `fold`.
        inner: axes of the folded array along which one group runs.
        outer: shape of one number per group.
        counts: elements per group, ≥ 1: a number, or an array that broadcasts on the folded one.
        gather: for labels only: position in the flat weights of every folded place
            (the number of weights where there is none).
        scatter: for labels only: folded place of every weight.

    Source:
        own.

    Checked by:
        test_penalties_exact.py::test_groups_fold_and_unfold
    """

    shape: tuple[int, ...]
    folded: tuple[int, ...]
    inner: tuple[int, ...]
    outer: tuple[int, ...]
    counts: Any
    gather: Any = None
    scatter: Any = None

    def fold(self, w: Array, xp: Any) -> Array:
        """The weights in the folded shape, zero where a group is shorter than the longest."""
        if self.gather is None:
            return xp.reshape(w, self.folded)
        flat = xp.reshape(w, (-1,))
        padded = xp.concatenate((flat, xp.zeros_like(flat[:1])))
        return padded[self.gather]

    def unfold(self, folded: Array, xp: Any) -> Array:
        """The folded array in the weights' own shape."""
        if self.scatter is not None:
            folded = xp.reshape(folded, (-1,))[self.scatter]
        return xp.reshape(folded, self.shape)

    def sum(self, folded: Array, xp: Any) -> Array:
        """One sum per group, broadcasting against the folded array."""
        return xp.sum(folded, axis=self.inner, keepdims=True)

    def peak(self, folded: Array, xp: Any) -> Array:
        """One maximum per group, broadcasting against the folded array."""
        largest = getattr(xp, "amax", None) or xp.max  # torch.max takes a single axis
        return largest(folded, axis=self.inner, keepdims=True)

    def norm(self, folded: Array, xp: Any) -> Array:
        """One Euclidean norm per group, free of overflow and underflow."""
        peak = self.peak(xp.abs(folded), xp)
        unit = xp.where(peak == 0, 1.0, peak)
        return unit * xp.sqrt(self.sum((folded / unit) ** 2, xp))

    def roots(self, like: Array, xp: Any) -> Any:
        """√(elements per group), in the dtype and on the device of `like`."""
        if isinstance(self.counts, int):
            return float(self.counts) ** 0.5
        return xp.zeros_like(like[:, :1]) + xp.asarray(np.sqrt(self.counts), dtype=like.dtype)

    def per_group(self, folded: Array, xp: Any) -> Array:
        """An array with one element along each inner axis, without those axes."""
        return xp.reshape(folded, self.outer)


@final
@dataclass(frozen=True)
class Groups:
    """A rule that parts a weight into groups.

    Use the constructors: `Groups.rows()`, `.columns()`, `.channels(axis)`,
    `.heads(axis, size)`, `.inputs(axis)`, `.tiles(axes, sizes)`, `.labelled(labels)`.

    Law:
        A group is all weights with equal index // size on every kept axis (or equal label).

    Args:
        axes: axes that tell groups apart; negative ones count from the end.
        sizes: consecutive slices per group on each of them, ≥ 1.
        labels: instead of both: shape of the weights, flattened, one integer ≥ 0 each.
        label_shape: shape that `labels` had.

    Raises:
        DomainError: a size below 1, or labels that are not integers ≥ 0.

    Limits:
        Labelled groups are padded to the longest one: memory is groups × longest.

    Source:
        own.

    Checked by:
        test_penalties_exact.py::test_groups_fold_and_unfold
    """

    axes: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    labels: tuple[int, ...] | None = None
    label_shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if any(size < 1 for size in self.sizes):
            raise DomainError(
                f"Groups: a group needs at least one slice; got sizes={self.sizes!r}. "
                "Use 1 for one slice per group."
            )
        if self.labels is not None and min(self.labels, default=0) < 0:
            raise DomainError(
                f"Groups: labels must be integers of at least 0; got label={min(self.labels)!r}. "
                "Number the groups from 0; leave weights free with another penalty of strength 0."
            )

    @classmethod
    def rows(cls) -> Groups:
        """One group per slice of axis 0: output units in torch's (out, in)."""
        return cls((0,), (1,))

    @classmethod
    def columns(cls) -> Groups:
        """One group per slice of axis 1: input features in torch's (out, in)."""
        return cls((1,), (1,))

    @classmethod
    def channels(cls, axis: int) -> Groups:
        """One group per slice of `axis`, whatever the other axes are."""
        return cls((axis,), (1,))

    @classmethod
    def inputs(cls, axis: int = 1) -> Groups:
        """One group per input: `axis` is 1 in torch's (out, in), -2 in Keras's (in, out)."""
        return cls((axis,), (1,))

    @classmethod
    def heads(cls, axis: int, size: int) -> Groups:
        """One group per `size` consecutive slices of `axis`: attention heads of that width."""
        return cls((axis,), (size,))

    @classmethod
    def tiles(cls, axes: tuple[int, ...], sizes: tuple[int, ...]) -> Groups:
        """One group per block of `sizes` on `axes`; (0, 1) and (1, 1): each 2-D filter kernel."""
        if len(axes) != len(sizes) or not axes:
            raise ShapeError(
                f"Groups: each axis needs one size; got axes={axes!r}, sizes={sizes!r}. "
                "Pass tuples of equal length."
            )
        return cls(tuple(axes), tuple(sizes))

    @classmethod
    def labelled(cls, labels: Any) -> Groups:
        """One group per distinct integer ≥ 0 in an array of the weights' shape."""
        given = np.asarray(labels)
        if not np.issubdtype(given.dtype, np.integer):
            raise DomainError(
                f"Groups: labels must be integers; got dtype={given.dtype.name!r}. "
                "Number the groups from 0."
            )
        return cls(labels=tuple(given.ravel().tolist()), label_shape=given.shape)

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """The groups of a weight of this shape.

        Raises:
            ShapeError: an axis is absent or named twice, a size does not divide its axis, or
                the labels have another shape.
        """
        shape = tuple(shape)
        if self.labels is None:
            return self._tiled(shape)
        if shape != self.label_shape:
            raise ShapeError(
                "Groups: labels must have the weights' shape; "
                f"got label_shape={self.label_shape}, shape={shape}. Label each weight."
            )
        return self._by_label

    def _tiled(self, shape: tuple[int, ...]) -> Layout:
        kept = dict(zip((self._axis(axis, shape) for axis in self.axes), self.sizes, strict=True))
        if len(kept) < len(self.axes):
            raise ShapeError(
                f"Groups: axes must differ; got axes={self.axes}, shape={shape}. Name each once."
            )
        folded: list[int] = []
        inner: list[int] = []
        for axis, length in enumerate(shape):
            size = kept.get(axis, length)
            if axis in kept and length % size:
                raise ShapeError(
                    f"Groups: a size must divide its axis; got size={size}, axis={axis}, "
                    f"shape={shape}. Choose a divisor of {length}."
                )
            folded += [length // size, size] if axis in kept else [length]
            inner.append(len(folded) - 1)
        outer = tuple(shape[axis] // kept[axis] for axis in sorted(kept))
        count = int(np.prod([folded[axis] for axis in inner], dtype=np.int64))
        return Layout(shape, tuple(folded), tuple(inner), outer, count)

    def _axis(self, axis: int, shape: tuple[int, ...]) -> int:
        if not -len(shape) <= axis < len(shape):
            raise ShapeError(
                f"Groups: an axis must exist; got axis={axis}, shape={shape}. "
                f"Choose one below {len(shape)}."
            )
        return axis % len(shape)

    @cached_property
    def _by_label(self) -> Layout:
        _, group, counts = np.unique(np.array(self.labels), return_inverse=True, return_counts=True)
        n, longest = group.size, int(counts.max(initial=0))
        order = np.argsort(group, kind="stable")
        rank = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)  # place in its group
        scatter = np.empty(n, dtype=np.int64)
        scatter[order] = group[order] * longest + rank
        gather = np.full(counts.size * longest, n, dtype=np.int64)
        gather[scatter] = np.arange(n)
        folded = (counts.size, longest)
        outer = (counts.size,)
        return Layout(
            self.label_shape, folded, (1,), outer, counts[:, None], gather.reshape(folded), scatter
        )
